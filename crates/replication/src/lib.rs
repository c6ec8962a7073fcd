//! The records of partitions on their way between brokers: a stream that a follower
//! opens, and that the leader pushes to.

/// What `proto/replication.proto` says, as Rust.
#[expect(
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("ottla.replication.v1");
}
