//! Control records: what the broker tells consumers between the data.

use bytes::Bytes;

/// What a control record's key says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecord {
    Abort,
    Commit,
    /// Of the metadata log, or newer than this code: readers pass over it.
    Other(i16),
}

/// The value of a commit or abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub coordinator_epoch: i32,
}

impl ControlRecord {
    /// Reads a control record's key; none if it is not one.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let kind = i16::from_be_bytes(*key.get(2..)?.first_chunk()?);
        Some(match kind {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }

    /// The key's bytes: version 0, then the kind.
    pub fn key(self) -> [u8; 4] {
        let kind = match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(kind) => kind,
        };
        let [high, low] = kind.to_be_bytes();
        [0, 0, high, low]
    }
}

impl EndTransactionMarker {
    /// Reads a marker's value; none if it is too short.
    pub fn parse(value: &Bytes) -> Option<Self> {
        let epoch = value.get(2..)?.first_chunk()?;
        Some(Self {
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }

    /// The value's bytes: version 0, then the coordinator's epoch.
    pub fn value(self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }
}
