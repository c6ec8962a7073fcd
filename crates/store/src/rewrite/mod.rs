//! The one background job: files of which much is dead, or in which many logs lie
//! mixed, are copied to sorted files, and compacted logs are copied without what was
//! superseded. Then the index is changed, and the old files go.
//!
//! It never holds a lock that appends or reads wait for, and it may be killed at any
//! instruction: what it wrote is unknown to the index until the writer says so.

mod choice;
mod compacting;
mod copying;
mod job;
mod runner;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use ottla_base::Offset;
use ottla_protocol::records::BatchHeader;

use crate::LogId;
use crate::commit::entry::{FileNumber, Position};
use crate::keys::FileRow;

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::job::Step;
pub(crate) use self::job::{Job, JobOptions};
pub(crate) use self::runner::Runner;

/// What the job asks of the writer. Whoever asks waits for the answer.
#[derive(Clone, Debug)]
pub(crate) enum JobCommand {
    /// How do things stand?
    Survey(Sender<Survey>),
    /// Let these rows point elsewhere.
    Move(Arc<Moves>, Sender<()>),
    /// What was written is to be rewritten: go on in another file.
    Seal(Sender<()>),
    /// Nothing is written at present: give back what is kept for it.
    Rest(Sender<()>),
}

/// How things stand with the files.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) files: BTreeMap<FileNumber, FileRow>,
    /// Where the commit log ends.
    pub(crate) end: Position,
    /// Of the file that is being written.
    pub(crate) capacity: u32,
    /// No replay reads a file below this one.
    pub(crate) flushed: FileNumber,
    /// Size of a whole file.
    pub(crate) file_bytes: u32,
    /// Dead files that are kept for reuse.
    pub(crate) spares: usize,
    /// No sorted file ever had this number or a greater one.
    pub(crate) next_sorted: u32,
}

/// Batches of one log that were copied, and the stretch of offsets of which they are
/// all that the job saw.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) log: LogId,
    pub(crate) first: Offset,
    pub(crate) through: Offset,
    pub(crate) target: FileNumber,
    pub(crate) target_length: u32,
    /// In the order of their offsets.
    pub(crate) rows: Vec<MovedRow>,
    pub(crate) purpose: Purpose,
}

/// Why batches are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They are needed, and what lay beside them is not.
    Copy,
    /// Some of their records are superseded.
    Compact,
    /// The same, and with these ones the log is compacted up to here.
    CompactedTo(Offset),
}

/// One batch of [`Moves`].
#[derive(Debug)]
pub(crate) struct MovedRow {
    pub(crate) base: Offset,
    pub(crate) from: Position,
    pub(crate) to: Destination,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Destination {
    /// As it was, in the entry at this place of the target.
    Verbatim { at: u32 },
    /// With fewer records.
    Rebuilt(Box<Landing>),
    /// Nothing of it is left.
    Nowhere,
}

/// Where a batch lies in the target, and its header there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landing {
    pub(crate) at: u32,
    pub(crate) header: BatchHeader,
}

impl Moves {
    pub(crate) fn row(&self, base: Offset) -> Option<&MovedRow> {
        let at = self.rows.binary_search_by_key(&base, |row| row.base).ok()?;
        self.rows.get(at)
    }
}
