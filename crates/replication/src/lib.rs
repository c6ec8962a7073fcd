//! The records of partitions on their way between brokers: a stream that a follower
//! opens, and that the leader pushes to.
//!
//! Knows nothing of how a partition decides or where its log lies: both are behind
//! the traits of [`replica`].

mod convert;
mod link;
mod pull;
mod push;
mod replica;
mod service;
mod throttle;

pub use convert::Round;
pub use link::{Link, Links};
pub use push::{Limits, News};
pub use replica::{Following, Leading, Node, Read, ReadMode, Replicas, Role, Task};
pub use service::Leaders;
pub use throttle::Throttle;

/// What `proto/replication.proto` says, as Rust.
#[expect(
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
mod proto {
    tonic::include_proto!("ottla.replication.v1");
}
