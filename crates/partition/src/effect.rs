//! What a step wants done.

use bytes::Bytes;
use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, ReplyToken};
use ottla_protocol::records::RecordBatch;

use crate::error::{AppendError, DeleteError};
use crate::view::View;

/// What a step wants done. All effects of a step are carried out, in order, and
/// before those of the next step.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Append to the log. The batch has its offsets and its leader epoch. In the log
    /// of a follower it may lie beyond the end, where the leader's has a gap too.
    Write { batch: RecordBatch },
    /// The log starts here now; beyond its end it is empty from now on.
    StartOffset { to: Offset },
    /// Cut the log, then recover this replica again: what the cut batches did to
    /// the state of their producers cannot be taken back. Below its start the log
    /// is empty, and begins anew there.
    Truncate { to: Offset },
    /// Records that were committed are about to go, because the leader does not have
    /// them. Only an unclean election can have done that.
    CommittedLost { from: Offset, to: Offset },
    /// Ask the leader for what follows [`Partition::follow_position`].
    ///
    /// [`Partition::follow_position`]: crate::Partition::follow_position
    Refollow,
    /// Tell the leader of this epoch that everything below `end` is durable here, and
    /// that the log surely starts at `log_start`.
    Acknowledge {
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    },
    /// Ask the controller for this set of replicas in sync. It is asked until it has
    /// answered; what it decides comes as `Input::Lead`.
    ProposeIsr {
        epoch: LeaderEpoch,
        partition_epoch: i32,
        isr: Vec<BrokerId>,
    },
    /// Keep these bytes under [`crate::CHECKPOINT_KEY`] for the next recovery.
    /// Every batch that they cover was written before.
    Checkpoint { bytes: Bytes },
    /// Everything below `end` is committed.
    Committed { end: Offset },
    /// Readers see this from now on.
    Publish(View),
    /// Answers a token, once.
    Reply { to: ReplyToken, reply: Reply },
}

/// The answer to an input with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Appended(Result<Appended, AppendError>),
    /// Where the log starts after a deletion.
    Deleted(Result<Offset, DeleteError>),
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base: Offset,
    /// Set where the time of the append is the records' timestamp. A duplicate
    /// answers with the timestamp of the batch that it repeats, as Kafka's does.
    pub log_append_time: Option<Millis>,
    pub log_start: Offset,
}
