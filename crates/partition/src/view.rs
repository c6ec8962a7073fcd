//! What readers see of a replica.

use ottla_base::{LeaderEpoch, Offset};

use crate::error::EpochError;

/// What readers see of a replica: a value that is published whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub log_start: Offset,
    /// Records below are committed, and visible to consumers.
    pub high_watermark: Offset,
    /// Records below belong to no open transaction.
    pub last_stable: Offset,
    /// The end of the log when this view was published; appends alone publish
    /// nothing.
    pub end: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Where the leader's epoch began.
    pub epoch_start: Offset,
    pub role: RoleKind,
    /// It leads as far as it knows. But what it appends is not committed, and the
    /// controllers do not hear of this broker: another may lead by now.
    pub is_doubtful: bool,
}

/// The part that a replica plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// Recovered, and not told anything yet; or waiting to be recovered again.
    Idle,
    Leader,
    Follower,
    /// Its store is gone.
    Failed,
}

impl View {
    /// Whether "the latest offset" may be answered. A fresh leader whose high
    /// watermark is still behind the start of its epoch could answer with less
    /// than its predecessor did.
    pub fn knows_latest(&self) -> bool {
        self.epoch_start <= self.high_watermark
    }

    /// Checks the leader epoch that a request carries; none is always right.
    pub fn check_epoch(&self, given: LeaderEpoch) -> Result<(), EpochError> {
        let known = self.leader_epoch;
        if given == LeaderEpoch::NONE || given == known {
            Ok(())
        } else if given < known {
            Err(EpochError::Fenced { known, given })
        } else {
            Err(EpochError::Unknown { known, given })
        }
    }
}
