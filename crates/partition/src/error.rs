//! Why an input was refused.

use ottla_base::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// Why an append was refused, or not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("this broker does not lead the partition in epoch {epoch}")]
    NotLeader {
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
    #[error("the store of this replica failed")]
    StorageFailed,
    /// Nothing was written.
    #[error("{have} of {need} required replicas are in sync")]
    TooFewInSync { have: u32, need: u32 },
    /// The batch is written and may survive.
    #[error("{have} of {need} required replicas are in sync after the append")]
    TooFewInSyncAfterAppend { have: u32, need: u32 },
    /// The batch is written and may survive.
    #[error("the append was not confirmed in time")]
    TimedOut,
    #[error("a client may not write a control batch")]
    ControlBatch,
    #[error("producer {producer} has no open transaction in this partition")]
    NoTransaction { producer: ProducerId },
    #[error(transparent)]
    Sequence(#[from] SequenceError),
}

/// Why a batch does not follow what its producer sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    #[error("producer {producer} sent sequence {sequence} where {expected} comes next")]
    OutOfOrder {
        producer: ProducerId,
        expected: Sequence,
        sequence: Sequence,
    },
    #[error("producer {producer} sent epoch {epoch} after epoch {known}")]
    StaleEpoch {
        producer: ProducerId,
        known: ProducerEpoch,
        epoch: ProducerEpoch,
    },
}

/// Why records were not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    #[error("this broker does not lead the partition in epoch {epoch}")]
    NotLeader {
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
    #[error("the store of this replica failed")]
    StorageFailed,
    #[error("offset {before} is outside of 0 to the high watermark {high_watermark}")]
    OutOfRange {
        before: Offset,
        high_watermark: Offset,
    },
    #[error("the cleanup policy of this partition does not allow it")]
    NotDeletable,
    #[error("the deletion was not confirmed in time")]
    TimedOut,
}

/// Why a reader's idea of the leader epoch was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    #[error("leader epoch {known} has replaced {given}")]
    Fenced {
        known: LeaderEpoch,
        given: LeaderEpoch,
    },
    #[error("leader epoch {given} is not known yet, {known} is")]
    Unknown {
        known: LeaderEpoch,
        given: LeaderEpoch,
    },
}

/// Why a checkpoint cannot be used; a recovery without one still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("a checkpoint of the unknown version {0}")]
    Version(u8),
    #[error("a checkpoint that is damaged")]
    Damaged,
    #[error("a checkpoint at {at}, past the end {end} of the log")]
    PastEnd { at: Offset, end: Offset },
}
