//! One broker of a cluster: its partitions, what it knows of the cluster, and what it
//! is about to tell others.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId};
use ottla_controller::{BrokerEpoch, Heartbeat, Image, IsrChange, Registration};
use ottla_partition::Settings;

use crate::broker::Broker;

/// A broker, and the process that runs it now. Owned by the world.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) broker: Broker,
    /// By how much its clock is ahead of the world's.
    pub(crate) skew_ms: i64,
    /// It does nothing before.
    pub(crate) paused_until: Millis,
    pub(crate) life: Life,
}

/// What a crash takes away.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) image: Image,
    /// Decisions of the controllers that are in the image.
    pub(crate) applied: usize,
    pub(crate) epoch: Option<BrokerEpoch>,
    pub(crate) heartbeat_at: Millis,
    /// What each partition was last told to be.
    pub(crate) told: BTreeMap<PartitionId, (LeaderEpoch, i32)>,
    /// The epoch in which a partition led whose disk then failed: followers may have
    /// what it has lost, so it never leads in that epoch again.
    pub(crate) lost: BTreeMap<PartitionId, LeaderEpoch>,
    pub(crate) proposals: BTreeMap<PartitionId, Proposal>,
    /// Copies of all proposals that were sent, so that none is taken for another.
    pub(crate) attempts: u32,
    /// Partitions whose leader is to be asked as soon as all that they have is durable.
    pub(crate) wanted: BTreeSet<PartitionId>,
    /// Followers that are sent a partition which this broker leads.
    pub(crate) sessions: BTreeMap<(PartitionId, BrokerId), Session>,
    /// Facts about what is committed were told up to here.
    pub(crate) reported: BTreeMap<PartitionId, Offset>,
    /// It is about to end, as soon as others lead what it leads.
    pub(crate) stopping: Option<Stopping>,
}

/// How a broker asks whether others lead what it led.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    pub(crate) since: Millis,
    /// The question that waits for an answer, or was answered last.
    pub(crate) attempt: u32,
    /// How often in a row nobody has answered.
    pub(crate) unheard: u32,
}

/// What the controller is asked until it has answered.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) change: IsrChange,
    /// The copy that was sent last: earlier ones may still be on their way.
    pub(crate) attempt: u32,
    pub(crate) sent_at: Millis,
}

/// A follower whose log is the beginning of the leader's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) stream: u64,
    pub(crate) epoch: LeaderEpoch,
    /// Where the next batch that is sent follows.
    pub(crate) next: Offset,
    /// What is sent ahead counts from here.
    pub(crate) acknowledged: Offset,
    /// What the follower has said of its log in this session.
    pub(crate) durable: Offset,
    pub(crate) log_start: Offset,
}

impl Node {
    pub(crate) fn new(id: BrokerId, settings: Settings, partitions: &[PartitionId]) -> Self {
        let mut broker = Broker::new(id, settings, partitions);
        broker.is_up = false;
        Self {
            id,
            broker,
            skew_ms: 0,
            paused_until: Millis(0),
            life: Life::default(),
        }
    }

    /// The time by its own clock.
    pub(crate) fn clock(&self, now: Millis) -> Millis {
        now.plus_ms(self.skew_ms)
    }

    pub(crate) fn registration(&self) -> Registration {
        let mut incarnation = [0; 16];
        incarnation[..4].copy_from_slice(&self.id.0.to_be_bytes());
        incarnation[4..8].copy_from_slice(&self.broker.life.to_be_bytes());
        Registration {
            id: self.id,
            epoch: BrokerEpoch::default(),
            incarnation,
            directory: None,
            rack: None,
            listeners: Vec::new(),
            fenced: true,
            in_controlled_shutdown: false,
            last_away: None,
        }
    }

    /// Whether it has carried out the record of its own registration, and with it all
    /// that was decided because the process before it is gone.
    pub(crate) fn is_caught_up(&self) -> bool {
        let known = self.life.image.broker(self.id);
        known.is_some_and(|known| Some(known.epoch) == self.life.epoch)
    }

    pub(crate) fn heartbeat(&self, epoch: BrokerEpoch) -> Heartbeat {
        Heartbeat {
            broker: self.id,
            epoch,
            caught_up: self.is_caught_up(),
            wants_fence: self.wants_fence(),
            wants_shutdown: self.life.stopping.is_some(),
        }
    }

    /// Whether nobody else takes part, as far as it knows.
    pub(crate) fn is_alone(&self) -> bool {
        let mut brokers = self.life.image.brokers();
        brokers.all(|other| other.id == self.id || !other.is_active())
    }

    /// What it follows, and whom.
    pub(crate) fn followed(&self) -> impl Iterator<Item = (PartitionId, BrokerId)> {
        let told = self.life.told.keys();
        told.filter_map(|partition| {
            let tp = crate::broker::topic_partition(*partition);
            let leader = self.life.image.partition(tp)?.leader?;
            (leader != self.id).then_some((*partition, leader))
        })
    }

    /// Whether others have replicas of a partition too, as far as it knows.
    pub(crate) fn is_copied(&self, partition: PartitionId) -> bool {
        let tp = crate::broker::topic_partition(partition);
        let known = self.life.image.partition(tp);
        known.is_none_or(|known| known.replicas != [self.id])
    }

    /// Whether it leads, as far as the cluster knows, what it must not lead.
    pub(crate) fn wants_fence(&self) -> bool {
        let lost = self.life.lost.iter();
        let mut still = lost.filter(|(partition, epoch)| {
            let known = self
                .life
                .image
                .partition(crate::broker::topic_partition(**partition));
            known.is_some_and(|p| p.leader == Some(self.id) && p.leader_epoch <= **epoch)
        });
        still.next().is_some()
    }
}
