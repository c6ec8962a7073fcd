//! From the metadata log to what this broker does: one task folds committed
//! records into the published image and opens, changes and drops partitions.

mod controller;
mod follow;

use std::sync::Arc;

use tracing::error;

use crate::broker::Broker;
use crate::partitions::Cell;
use crate::topics::{METADATA_TOPIC_ID, OFFSETS_TOPIC};

pub(crate) use controller::ControllerHandle;
pub use controller::{ControllerError, LoadError};
pub(crate) use follow::{Event, Follower};

/// Loads the coordinator of a partition that came back, if it has one.
pub(crate) fn host_again(broker: &Arc<Broker>, cell: &Arc<Cell>) {
    if cell.topic.as_str() == OFFSETS_TOPIC {
        follow::host_groups(broker, cell);
    }
    if cell.topic_partition.topic == METADATA_TOPIC_ID
        && let Err(failure) = broker.controller.load()
    {
        error!(%failure, "the controller cannot be loaded");
    }
}
