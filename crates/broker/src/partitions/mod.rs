//! The replicas that this broker keeps, one cell each.

mod cell;
mod flushes;
mod host;
mod recover;
mod registry;
pub(crate) mod revive;
mod timers;

pub(crate) use cell::{Cell, CellParts, is_leader};
pub(crate) use host::{Host, HostRefusal};
pub use recover::RecoverError;
pub(crate) use recover::{recover, replay};
pub(crate) use registry::{LocalTopic, Registry};
pub(crate) use timers::Timers;
