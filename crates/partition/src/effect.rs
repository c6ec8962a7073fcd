//! What a step wants done.

use bytes::Bytes;
use ottla_base::{Millis, Offset, ReplyToken};
use ottla_protocol::records::RecordBatch;

use crate::error::{AppendError, DeleteError};
use crate::view::View;

/// What a step wants done. All effects of a step are carried out, in order, and
/// before those of the next step.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Append to the log. The batch has its offsets and its leader epoch.
    Write { batch: RecordBatch },
    /// The log starts here now.
    StartOffset { to: Offset },
    /// Cut the log, then recover this replica again: what the cut batches did to
    /// the state of their producers cannot be taken back.
    Truncate { to: Offset },
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
