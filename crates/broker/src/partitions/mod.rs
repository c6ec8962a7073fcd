//! The replicas that this broker keeps, one cell each.

mod cell;
mod confirmations;
mod flushes;
mod followers;
mod host;
mod peers;
mod recover;
mod registry;
mod replica;
pub(crate) mod revive;
#[cfg(test)]
mod testing;
mod timers;

pub(crate) use cell::{Cell, CellParts, Load, Unconfirmed, is_leader, leads};
pub(crate) use host::{Host, HostRefusal};
pub(crate) use peers::{IsrProposal, Peers};
pub use recover::RecoverError;
pub(crate) use recover::{recover, replay};
pub(crate) use registry::{LocalTopic, Place, Registry};
pub(crate) use replica::{LocalReplicas, StreamNode};
pub(crate) use timers::Timers;
