//! Partitions move to other brokers.

use ottla_base::{BrokerId, Effects, PartitionId, TopicName};

use crate::change::{Preference, RuleBook, Rules};
use crate::topics::check_assignment;
use crate::{AssignmentError, ControllerMachine, Partition};

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
}

impl ControllerMachine {
    pub(crate) fn reassign(
        &mut self,
        factor: ReplicationFactor,
        items: &[Reassignment],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<(), ReassignError>> {
        let book = self.rule_book();
        let results = items
            .iter()
            .map(|item| self.reassign_one(factor, item, &book, fx));
        results.collect()
    }

    fn reassign_one(
        &mut self,
        factor: ReplicationFactor,
        item: &Reassignment,
        book: &RuleBook,
        fx: &mut Effects<Self>,
    ) -> Result<(), ReassignError> {
        let unknown = || ReassignError::UnknownPartition {
            topic: item.topic.clone(),
            partition: item.partition,
        };
        let topic = self.image().topic(&item.topic).cloned();
        let topic = topic.ok_or_else(unknown)?;
        let current = topic.partition(item.partition).ok_or_else(unknown)?;
        let rules = book.of(self.image(), &item.topic);
        let wish = match &item.replicas {
            None => (reverted(current, rules)?, rules.preference()),
            Some(target) => {
                check_assignment(self.image(), item.partition, target)?;
                check_factor(factor, current, target)?;
                (moved(current, target), Preference::Current)
            }
        };
        self.change_partition(&topic, item.partition, rules, wish, fx);
        Ok(())
    }
}

fn check_factor(
    factor: ReplicationFactor,
    current: &Partition,
    target: &[BrokerId],
) -> Result<(), ReassignError> {
    let (from, to) = (
        current.replicas.len() - current.removing.len(),
        target.len(),
    );
    match factor {
        ReplicationFactor::Kept if from != to => Err(ReassignError::FactorChanges { from, to }),
        ReplicationFactor::Kept | ReplicationFactor::Free => Ok(()),
    }
}

/// On its way to `target`: all that is to go stays until the rest is in sync. A
/// replica that an earlier reassignment brought in and this one keeps is still one
/// that was brought in.
fn moved(current: &Partition, target: &[BrokerId]) -> Partition {
    let is_new = |replica: &&BrokerId| {
        !current.replicas.contains(replica) || current.adding.contains(replica)
    };
    let leaves = |replica: &&BrokerId| !target.contains(replica);
    let removing: Vec<_> = current.replicas.iter().filter(leaves).copied().collect();
    Partition {
        replicas: [target, &removing].concat(),
        adding: target.iter().filter(is_new).copied().collect(),
        removing,
        ..current.clone()
    }
}

/// Without the replicas that a reassignment brought in, and with those that it was to
/// take away (Kafka's `PartitionReassignmentRevert`).
fn reverted(current: &Partition, rules: Rules) -> Result<Partition, ReassignError> {
    if !current.is_reassigning() {
        return Err(ReassignError::NotInProgress);
    }
    let stays = |replica: &&BrokerId| !current.adding.contains(replica);
    let replicas: Vec<_> = current.replicas.iter().filter(stays).copied().collect();
    let isr: Vec<_> = current.isr.iter().filter(stays).copied().collect();
    // All that was acknowledged may be nowhere but where it is taken from.
    let mut complete = current.isr.iter().chain(&current.elr);
    let lost = complete.next().is_some()
        && !isr
            .iter()
            .chain(&current.elr)
            .any(|replica| stays(&replica));
    if lost && !rules.unclean {
        return Err(ReassignError::RevertUnclean);
    }
    Ok(Partition {
        replicas,
        isr,
        adding: Vec::new(),
        removing: Vec::new(),
        ..current.clone()
    })
}
