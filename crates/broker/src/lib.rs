//! The broker: sockets, request handlers, the cells that drive the machines, and
//! their wiring.

mod api;
mod broker;
mod budget;
pub mod cli;
mod clock;
mod cluster;
mod compaction;
pub mod data_dir;
pub mod docker;
mod fetch;
pub mod format;
pub mod health;
mod housekeeping;
mod limits;
pub mod logging;
mod metadata;
mod net;
pub mod offline;
mod partitions;
mod producer_ids;
mod retention;
mod scram;
pub mod serve;
mod tasks;
pub mod tools;
mod topics;
pub mod wiring;

pub use api::{ROUTES, Route};
