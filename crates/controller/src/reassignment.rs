//! Partitions move to other brokers.

use ottla_base::{BrokerId, Effects, PartitionId, TopicName};

use crate::topics::assigned;
use crate::{AssignmentError, ControllerMachine};

/// Where a partition shall be.
#[derive(Clone, Debug)]
pub struct Reassignment {
    pub topic: TopicName,
    pub partition: PartitionId,
    /// None takes back a reassignment that is not complete.
    pub replicas: Option<Vec<BrokerId>>,
}

/// Whether a reassignment may leave a partition with more or fewer replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    Kept,
    Free,
}

/// Why a partition stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    #[error("topic '{topic}' has no partition {partition}, or does not exist")]
    UnknownPartition {
        topic: TopicName,
        partition: PartitionId,
    },
    #[error("no reassignment is in progress")]
    NotInProgress,
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error("The replication factor is changed from {from} to {to}")]
    FactorChanges { from: usize, to: usize },
    #[error(
        "none of the replicas that were there before is in sync, and an unclean election is not allowed"
    )]
    RevertUnclean,
    #[error("partitions cannot be moved to another broker")]
    Unsupported,
}

impl ControllerMachine {
    pub(crate) fn reassign(
        &mut self,
        _factor: ReplicationFactor,
        items: &[Reassignment],
        _fx: &mut Effects<Self>,
    ) -> Vec<Result<(), ReassignError>> {
        items.iter().map(|item| self.reassign_one(item)).collect()
    }

    fn reassign_one(&self, item: &Reassignment) -> Result<(), ReassignError> {
        let topic = self.image().topic(&item.topic);
        let partition = topic.and_then(|topic| topic.partition(item.partition));
        let partition = partition.ok_or_else(|| ReassignError::UnknownPartition {
            topic: item.topic.clone(),
            partition: item.partition,
        })?;
        let replicas = item.replicas.as_ref();
        let replicas = replicas.ok_or(ReassignError::NotInProgress)?;
        let assigned = assigned(self.image(), item.partition, replicas)?;
        if assigned.replicas == partition.replicas {
            return Ok(());
        }
        Err(ReassignError::Unsupported)
    }
}
