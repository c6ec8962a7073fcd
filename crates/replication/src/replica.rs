//! What streams need of the broker that they belong to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use ottla_base::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use ottla_partition::{FollowPosition, Place};
use ottla_protocol::records::RecordBatch;

use crate::convert::Round;
use crate::push::News;

/// Something that runs until it ends by itself.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The node that the streams belong to.
pub trait Node: Send + Sync + fmt::Debug + 'static {
    fn id(&self) -> BrokerId;

    /// That of this broker's registration; -1 before there is one.
    fn broker_epoch(&self) -> i64;

    fn spawn(&self, name: &'static str, task: Task);

    /// Runs what may wait for a disk, where that holds up nothing else. Asked by a task;
    /// the job itself is none.
    fn block(&self, job: Box<dyn FnOnce() + Send>);

    /// Returns when the broker stops.
    fn stopping(&self) -> Task;
}

/// The partitions that this broker may lead.
pub trait Replicas: Send + Sync + fmt::Debug + 'static {
    fn leading(&self, partition: TopicPartition) -> Option<Arc<dyn Leading>>;
}

/// A replica as its followers see it, if it leads.
pub trait Leading: Send + Sync + fmt::Debug + 'static {
    /// Finds out where a follower's log lies in this one. If it is its beginning, or
    /// begins anew, the follower hears of `news` from now on, until it has left or
    /// another stream of the same follower takes its place.
    fn place(&self, follower: BrokerId, position: &FollowPosition, news: News) -> Place;

    /// What [`Leading::place`] began is over.
    fn leave(&self, follower: BrokerId, news: &News);

    /// A follower has everything below `end` durably, and its log surely starts at
    /// `log_start`.
    fn replicated(&self, by: BrokerId, epoch: LeaderEpoch, end: Offset, log_start: Offset);

    /// A follower followed after it was asked in `round`, see [`News::confirm`].
    fn confirmed(&self, by: BrokerId, round: Round);

    /// What follows `from`: at least a batch, if there is one, and at most `max_bytes`
    /// but for that.
    fn read(&self, epoch: LeaderEpoch, from: Offset, max_bytes: usize, mode: ReadMode) -> Read;

    fn role(&self) -> Role;

    /// Whether what this follower is sent is counted, and held back if it is too much.
    fn is_throttled(&self, follower: BrokerId) -> bool;
}

/// Whether a read may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    NonBlocking,
    Blocking,
}

/// What a read found.
#[derive(Clone, Debug)]
pub enum Read {
    /// In the order of their offsets; none at the end of the log.
    Ready {
        batches: Vec<RecordBatch>,
        /// That of the log.
        end: Offset,
        high_watermark: Offset,
    },
    /// The log starts later, here.
    BehindStart(Offset),
    /// The answer needs a disk: ask again where blocking is allowed.
    WouldBlock,
    /// This replica does not lead in that epoch, or cannot read its log; it knows this
    /// one.
    NotLeader { epoch: LeaderEpoch },
}

/// How far a leader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// A replica that follows.
pub trait Following: Send + Sync + fmt::Debug + 'static {
    /// What to ask the leader for; none while that has to wait, after which the link
    /// hears of it.
    fn position(&self) -> Option<FollowPosition>;

    /// The leader's next batches, of which the first follows `after`.
    fn append(
        &self,
        epoch: LeaderEpoch,
        after: Offset,
        batches: Vec<RecordBatch>,
        high_watermark: Offset,
    );

    fn on_position(&self, epoch: LeaderEpoch, high_watermark: Offset, log_start: Offset);

    /// Whether this replica follows in that epoch, and does not lead in a later one.
    fn follows_in(&self, epoch: LeaderEpoch) -> bool;

    fn on_diverged(&self, leader_epoch: LeaderEpoch, epoch: LeaderEpoch, end: Offset);

    /// Whether what comes is counted, and held back if it is too much.
    fn is_throttled(&self) -> bool;
}
