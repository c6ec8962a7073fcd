//! What every crate of Ottla shares: ids and units, Kafka's error codes, the
//! settings registry, and the two traits that state machines are written in.
//!
//! Pure: no clock, no randomness, no threads, no IO.

pub mod config;
mod error_code;
mod id;
mod machine;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod units;

pub use error_code::ErrorCode;
pub use id::{
    BrokerId, ClusterId, Generation, GroupId, InstanceId, MemberId, PartitionId, ProducerEpoch,
    ProducerId, Sequence, TopicId, TopicName, TopicPartition,
};
pub use machine::{Effects, Machine, MustReload, ReplyToken, Shard, ShardLog};
pub use units::{ByteSize, LeaderEpoch, Millis, Offset};
