//! The broker: sockets, request handlers, the cells that drive the machines, and
//! their wiring.

pub mod api;
pub mod broker;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod data_dir;
pub mod fetch;
pub mod format;
pub mod housekeeping;
pub mod limits;
pub mod logging;
pub mod metadata;
pub mod net;
pub mod offline;
pub mod partitions;
pub mod producer_ids;
pub mod serve;
pub mod tasks;
pub mod topics;
pub mod wiring;

pub use broker::Broker;
