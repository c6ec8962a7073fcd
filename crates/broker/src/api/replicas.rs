//! What clients are told of the replicas of a partition, by every API that tells of them.

use std::sync::Arc;

use ottla_base::{BrokerId, PartitionId};
use ottla_controller::{Image, Partition, Registration, Topic};

use super::Cx;
use crate::partitions::LocalTopic;

/// One partition as an image of the metadata has it, and what this broker knows beside.
#[derive(Clone, Debug)]
pub(super) struct Replicas<'a> {
    pub cx: &'a Cx,
    pub image: &'a Image,
    pub id: PartitionId,
    pub partition: &'a Partition,
    /// None where this broker has nothing of the topic.
    local: Option<Arc<LocalTopic>>,
}

impl<'a> Replicas<'a> {
    /// Of each partition of a topic, by rising id.
    pub(super) fn of(cx: &'a Cx, image: &'a Image, topic: &'a Topic) -> impl Iterator<Item = Self> {
        let local = cx.broker.registry.topic_by_id(topic.id);
        topic.partitions().map(move |(id, partition)| Self {
            cx,
            image,
            id,
            partition,
            local: local.clone(),
        })
    }

    /// Whom clients are told to ask: a leader that is alive, and not this broker where
    /// another may lead by now.
    pub(super) fn leader(&self) -> Option<BrokerId> {
        let leader = self.partition.leader?;
        let is_gone = self.is_offline(leader) || self.is_here(leader, LocalTopic::is_doubtful);
        (!is_gone).then_some(leader)
    }

    /// Those that nobody can read.
    pub(super) fn offline(&self) -> impl Iterator<Item = BrokerId> {
        let replicas = self.partition.replicas.iter().copied();
        replicas.filter(|replica| self.is_offline(*replica))
    }

    /// Its broker is not alive, or it is the one here and broken. That a process has ended
    /// is seen before the metadata says so: a client whose connection to it has just broken
    /// would be sent back to it, and asks for the next leader only a second later.
    fn is_offline(&self, replica: BrokerId) -> bool {
        let has_ended = |epoch| self.cx.broker.cluster.ended.contains(replica, epoch);
        self.is_here(replica, LocalTopic::is_broken)
            || self
                .image
                .broker(replica)
                .is_none_or(|broker| broker.fenced || has_ended(broker.epoch))
    }

    fn is_here(&self, replica: BrokerId, and: fn(&LocalTopic, PartitionId) -> bool) -> bool {
        replica == self.cx.broker.id && self.local.as_ref().is_some_and(|local| and(local, self.id))
    }
}

/// Whom a client is told to be the controller: this broker, which forwards what only the
/// active one can do, or if clients are not told of it any more, any that they are told of.
pub(super) fn controller_id(cx: &Cx, image: &Image) -> i32 {
    let told = |broker: &&Arc<Registration>| {
        !broker.fenced && broker.endpoint(&cx.connection.listener).is_some()
    };
    let own = image.broker(cx.broker.id).filter(told);
    let controller = own.or_else(|| image.brokers().find(told));
    controller.map_or(-1, |broker| broker.id.0)
}

/// KIP-951: who leads a partition, and in which epoch, for a client that has asked another
/// than the leader; -1 for what is not known. That is not told where this broker is in
/// doubt: librdkafka takes the word of whoever answers and asks nobody else.
pub(super) fn current_leader(
    cx: &Cx,
    topic: Option<&Topic>,
    id: PartitionId,
) -> (Option<BrokerId>, i32) {
    let known = topic.and_then(|topic| Some((topic, topic.partition(id)?)));
    let Some((topic, partition)) = known else {
        return (None, -1);
    };
    let local = cx.broker.registry.topic_by_id(topic.id);
    match (partition.leader, local) {
        (Some(leader), Some(local)) if leader == cx.broker.id && local.is_doubtful(id) => {
            (None, -1)
        }
        (leader, _) => (leader, partition.leader_epoch.0),
    }
}
