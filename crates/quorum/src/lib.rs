//! The metadata log, replicated between controllers by Raft.
//!
//! A [`Voter`] keeps it in a log store, folds what is committed into an image and
//! tells its [`Participant`]; a node that is no voter hears the same through
//! [`Followed`]. Knows nothing of what a record decides, or who asked for it.

mod codec;
#[cfg(test)]
mod conformance;
mod difference;
mod fold;
mod follow;
mod log;
mod network;
mod origin;
mod prevote;
mod raft;
mod service;
mod voter;

pub use codec::CodecError;
pub use fold::records_in_state;
pub use follow::{FollowParts, Followed};
pub use log::{KeptError, records_in};
pub use origin::OriginError;
pub use service::Service;
pub use voter::{
    OpenError, Participant, Parts, Proposals, Proposer, QuorumStatus, Tuning, Voter, VoterStatus,
    VoterTask, proposals,
};

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
