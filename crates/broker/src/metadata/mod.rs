//! From the metadata log to what this broker does: one task folds committed
//! records into the published image and opens, changes and drops partitions.

mod controller;
mod follow;
mod source;

use std::sync::Arc;

use crate::broker::Broker;
use crate::partitions::{Cell, leads};
use crate::topics::OFFSETS_TOPIC;

pub(crate) use controller::{Beginning, ControllerError, ControllerHandle, ControllerParts};
pub(crate) use follow::{Event, Follower};
pub use source::SourceError;
pub(crate) use source::{Controllers, Source};

/// Loads the coordinator of a partition that came back, if it has one.
pub(crate) fn host_again(broker: &Arc<Broker>, cell: &Arc<Cell>) {
    if cell.topic.as_str() == OFFSETS_TOPIC && leads(&cell.view()) {
        follow::host_groups(broker, cell);
    }
}
