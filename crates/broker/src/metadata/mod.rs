//! From the metadata log to what this broker does: one task folds committed
//! records into the published image and opens, changes and drops partitions.

mod controller;
mod follow;

pub use controller::{ControllerError, ControllerHandle};
pub use follow::{Event, Follower};
