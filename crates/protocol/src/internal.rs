//! The records of the internal topics, as Kafka writes them.
//!
//! They know bytes and versions, not what a group is.

mod consumer_protocol;
mod offsets;

pub use consumer_protocol::{Assignment, OwnedPartitions, Subscription};
pub use offsets::{GroupMember, GroupMetadataValue, OffsetCommitValue, OffsetsKey, RecordError};
