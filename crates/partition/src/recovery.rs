//! From what the store kept to a machine: a checkpoint, then a loop over the
//! headers behind it, and nothing else.

use ottla_base::{BrokerId, Millis, Offset};
use ottla_protocol::records::BatchHeader;

use crate::checkpoint;
use crate::error::CheckpointError;
use crate::input::Settings;
use crate::log::{Hard, Log};
use crate::partition::Partition;

/// A replica on its way back: fed with stored headers from [`Recovery::next`]
/// on until none are left.
#[derive(Debug)]
pub struct Recovery {
    hard: Hard,
    start: Offset,
    saved: Offset,
}

impl Recovery {
    /// Without a checkpoint: every header counts from the start of the log on.
    pub fn from_start(start: Offset) -> Self {
        let hard = Hard {
            end: start,
            ..Hard::default()
        };
        Self {
            hard,
            start,
            saved: start,
        }
    }

    /// With the last checkpoint of a log that holds `start` to `end`.
    pub fn from_checkpoint(
        checkpoint: &[u8],
        start: Offset,
        end: Offset,
    ) -> Result<Self, CheckpointError> {
        let mut hard = checkpoint::decode(checkpoint)?;
        let at = hard.end;
        if at > end {
            return Err(CheckpointError::PastEnd { at, end });
        }
        // The log's start moves only after a checkpoint that covers it. One that
        // does not is older than it should be, and still the best there is.
        hard.end = at.max(start);
        Ok(Self {
            hard,
            start,
            saved: at,
        })
    }

    /// Where the next header is expected.
    pub fn next(&self) -> Offset {
        self.hard.end
    }

    /// Takes the header of the stored batch that holds the next offset, or that
    /// follows next where compaction left a gap.
    pub fn feed(&mut self, header: &BatchHeader) {
        self.hard.apply(header);
    }

    /// The machine of a log whose headers were all fed. It waits for its role.
    pub fn finish(mut self, now: Millis, broker: BrokerId, settings: Settings) -> Partition {
        self.hard.epochs.truncate_from_start(self.start);
        self.hard
            .producers
            .expire(now, settings.producer_expiration_ms);
        let log = Log::recovered(self.hard, self.start, self.saved);
        Partition::recovered(now, broker, settings, log)
    }
}
