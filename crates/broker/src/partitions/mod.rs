//! The replicas that this broker keeps, one cell each.

mod cell;
mod host;
mod recover;
mod registry;
pub mod revive;
mod timers;

pub use cell::{Cell, CellParts, is_leader};
pub use host::{Answer, ControllerHost, Host, HostInput, HostLog, HostRefusal, HostReply};
pub use recover::{RecoverError, recover, replay};
pub use registry::{LocalTopic, Registry};
pub use timers::Timers;
