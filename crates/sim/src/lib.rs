//! A seeded world of the pure machines: brokers over the memory log, clients, a
//! network and disks, all in one queue of timed events. The same seed gives the
//! same story.

mod broker;
mod client;
mod cluster;
mod disk;
mod fact;
mod groups;
mod host;
mod invariants;
mod member;
mod network;
mod reader;
mod story;
mod value;
mod workload;
mod world;

pub use fact::Value;
pub use story::{Outcome, Violation, run};
