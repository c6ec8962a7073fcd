//! The metadata log, replicated between controllers by Raft.

/// What `proto/quorum.proto` says, as Rust.
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    unused_qualifications,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("ottla.quorum.v1");
}
