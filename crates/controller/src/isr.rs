//! Leaders say who is in sync with them.

use std::sync::Arc;

use ottla_base::{BrokerId, Effects, LeaderEpoch, PartitionId, TopicId};

use crate::change::RuleBook;
use crate::{BrokerEpoch, ControllerMachine, Partition, StaleBrokerEpoch, Topic};

/// The in-sync replicas that a leader wants for a partition.
#[derive(Clone, Debug)]
pub struct IsrChange {
    pub topic: TopicId,
    pub partition: PartitionId,
    pub leader_epoch: LeaderEpoch,
    /// The one that this change starts from.
    pub partition_epoch: i32,
    pub isr: Vec<Member>,
    /// The leader has dealt with what an unclean election left.
    pub recovered: bool,
}

/// A replica that is to be in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: BrokerId,
    /// The term of the broker in which it had what the leader says it has; none if the
    /// leader has not heard of it.
    pub epoch: Option<BrokerEpoch>,
}

impl From<BrokerId> for Member {
    fn from(id: BrokerId) -> Self {
        Self { id, epoch: None }
    }
}

/// Why a partition keeps the in-sync replicas it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterPartitionError {
    #[error("no topic has the id {topic}")]
    UnknownTopic { topic: TopicId },
    #[error("the topic has no partition {partition}")]
    UnknownPartition { partition: PartitionId },
    /// Some other controller has said more.
    #[error("the leader knows of a later state of the partition than this controller")]
    FromTheFuture,
    #[error("the leader of epoch {said} speaks where there is one of epoch {current}")]
    FencedLeaderEpoch {
        said: LeaderEpoch,
        current: LeaderEpoch,
    },
    #[error("broker {broker} does not lead the partition")]
    NotLeader { broker: BrokerId },
    #[error("the change starts from partition epoch {said} where there is {current}")]
    StalePartitionEpoch { said: i32, current: i32 },
    #[error("{isr:?} is no choice of the replicas that the leader is in")]
    NoSubset { isr: Vec<BrokerId> },
    #[error("a leader that has not recovered is alone in sync")]
    Recovering,
    #[error("a leader that has recovered stays so")]
    Recovered,
    #[error("broker {broker} is fenced, about to stop or not registered")]
    Ineligible { broker: BrokerId },
    /// What it had then it may have lost since (KIP-903).
    #[error("broker {broker} had the records in its epoch {said}, and is in {current} now")]
    StaleMember {
        broker: BrokerId,
        said: BrokerEpoch,
        current: BrokerEpoch,
    },
    /// The change was made, and completed a reassignment that took the leader away.
    #[error("another broker leads now")]
    NewLeaderElected,
}

impl ControllerMachine {
    pub(crate) fn alter_partitions(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
        changes: &[IsrChange],
        fx: &mut Effects<Self>,
    ) -> Result<Vec<Result<Arc<Partition>, AlterPartitionError>>, StaleBrokerEpoch> {
        self.current_broker(broker, epoch)?;
        let book = self.rule_book();
        let results = changes
            .iter()
            .map(|change| self.alter_partition(broker, change, &book, fx));
        Ok(results.collect())
    }

    fn alter_partition(
        &mut self,
        broker: BrokerId,
        change: &IsrChange,
        book: &RuleBook,
        fx: &mut Effects<Self>,
    ) -> Result<Arc<Partition>, AlterPartitionError> {
        let (topic, current) = self.may_alter(broker, change)?;
        let rules = book.of(self.image(), &topic.name);
        let wanted = Partition {
            isr: change.ids(),
            recovering: !change.recovered,
            ..current.clone()
        };
        let wish = (wanted, rules.preference());
        let changed = self.change_partition(&topic, change.partition, rules, wish, fx);
        let changed = changed.unwrap_or_else(|| Arc::new(current));
        if changed.leader == Some(broker) {
            Ok(changed)
        } else {
            Err(AlterPartitionError::NewLeaderElected)
        }
    }

    /// The partition as it is, if `broker` may change it so.
    fn may_alter(
        &self,
        broker: BrokerId,
        change: &IsrChange,
    ) -> Result<(Arc<Topic>, Partition), AlterPartitionError> {
        let IsrChange {
            topic: id,
            partition,
            ..
        } = *change;
        let topic = self.image().topic_by_id(id);
        let topic = topic.ok_or(AlterPartitionError::UnknownTopic { topic: id })?;
        let current = topic.partition(partition);
        let current = current.ok_or(AlterPartitionError::UnknownPartition { partition })?;
        is_current(broker, change, current)?;
        is_a_choice(change, current)?;
        for member in &change.isr {
            self.is_eligible(*member)?;
        }
        Ok((Arc::clone(topic), current.clone()))
    }

    fn is_eligible(&self, member: Member) -> Result<(), AlterPartitionError> {
        let Member { id: broker, epoch } = member;
        let known = self.image().active_broker(broker);
        let known = known.ok_or(AlterPartitionError::Ineligible { broker })?;
        let current = known.epoch;
        match epoch {
            Some(said) if said != current => Err(AlterPartitionError::StaleMember {
                broker,
                said,
                current,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl IsrChange {
    fn ids(&self) -> Vec<BrokerId> {
        self.isr.iter().map(|member| member.id).collect()
    }
}

/// Whether the leader speaks, of the state that the partition is in.
fn is_current(
    broker: BrokerId,
    change: &IsrChange,
    current: &Partition,
) -> Result<(), AlterPartitionError> {
    if change.leader_epoch > current.leader_epoch
        || change.partition_epoch > current.partition_epoch
    {
        return Err(AlterPartitionError::FromTheFuture);
    }
    if change.leader_epoch < current.leader_epoch {
        return Err(AlterPartitionError::FencedLeaderEpoch {
            said: change.leader_epoch,
            current: current.leader_epoch,
        });
    }
    if current.leader != Some(broker) {
        return Err(AlterPartitionError::NotLeader { broker });
    }
    if change.partition_epoch < current.partition_epoch {
        return Err(AlterPartitionError::StalePartitionEpoch {
            said: change.partition_epoch,
            current: current.partition_epoch,
        });
    }
    Ok(())
}

/// Whether these replicas may be in sync with that leader.
fn is_a_choice(change: &IsrChange, current: &Partition) -> Result<(), AlterPartitionError> {
    let isr = &change.ids();
    let distinct = (1..isr.len()).all(|at| !isr[..at].contains(&isr[at]));
    let known = isr.iter().all(|id| current.replicas.contains(id));
    let led = current.leader.is_some_and(|leader| isr.contains(&leader));
    if !(distinct && known && led) {
        return Err(AlterPartitionError::NoSubset { isr: isr.clone() });
    }
    if !change.recovered && !current.recovering {
        return Err(AlterPartitionError::Recovered);
    }
    if !change.recovered && isr.len() > 1 {
        return Err(AlterPartitionError::Recovering);
    }
    Ok(())
}
