//! Why bytes are not the message that they claim to be.

use crate::ApiKey;

/// Why a frame could not be decoded, or an answer not be encoded.
///
/// Kafka answers none of these in band: it closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("no API has the number {code}")]
    UnknownApi { code: i16 },
    #[error("{} has no version {version}", key.name())]
    UnsupportedVersion { key: ApiKey, version: i16 },
    /// The bytes end before the message does.
    #[error("{what} ends early")]
    Short { what: &'static str },
    #[error("{what} has the length {length}")]
    Length { what: &'static str, length: i64 },
    #[error("{what} is not valid UTF-8")]
    Text { what: &'static str },
    /// What the generated codec found, in its own words.
    #[error("{what} is malformed: {reason}")]
    Malformed { what: &'static str, reason: String },
}
