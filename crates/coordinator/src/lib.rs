//! The machines that coordinate consumers: which member of a group owns what,
//! and how far each group has read.
//!
//! Pure: knows nothing of sockets, versions of the protocol, clocks or storage.
//! A shard of groups is the content of one `__consumer_offsets` partition.

pub mod group;
pub mod offsets;
mod partitioning;
mod settings;

pub use group::{GroupMachine, Input, Loader, Record, Reply};
pub use partitioning::partition_for;
pub use settings::Settings;
