//! Topics get more partitions. Records stay where they are, so keys move to
//! other partitions; that is the caller's concern.

use std::sync::Arc;

use ottla_base::{BrokerId, Effects, Machine, PartitionId, TopicName};

use crate::placement::PlacementError;
use crate::record::Record;
use crate::topics::{PARTITIONS_PER_REQUEST_MAX, assigned, has_replicas, placed, repeated};
use crate::{AssignmentError, ControllerMachine, Mode, Partition, Topic};

/// A topic that is to have more partitions.
#[derive(Clone, Debug)]
pub struct NewPartitions {
    pub topic: TopicName,
    /// How many it shall have in all.
    pub count: i32,
    /// Where the new ones go, lowest first; None leaves it to the controller.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Why a topic gets no more partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    #[error("the request names topic '{name}' more than once")]
    Repeated { name: TopicName },
    #[error("topic '{name}' does not exist")]
    UnknownTopic { name: TopicName },
    #[error("topic '{name}' has {have} partitions already, and {asked} would not be more")]
    NotMore {
        name: TopicName,
        have: usize,
        asked: i32,
    },
    #[error("the request asks for more than {PARTITIONS_PER_REQUEST_MAX} new partitions")]
    TooMany,
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

impl ControllerMachine {
    pub(crate) fn create_partitions(
        &mut self,
        mode: Mode,
        topics: &[NewPartitions],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<(), CreatePartitionsError>> {
        let repeated = repeated(topics.iter().map(|topic| &topic.topic));
        let mut room = PARTITIONS_PER_REQUEST_MAX;
        let mut results = Vec::new();
        for asked in topics {
            let name = &asked.topic;
            let grown = if repeated.contains(name) {
                Err(CreatePartitionsError::Repeated { name: name.clone() })
            } else {
                self.grow(asked, &mut room, fx.seed())
            };
            results.push(grown.map(|grown| {
                if mode == Mode::Apply {
                    self.emit(Record::Topic(Arc::new(grown)), fx);
                }
            }));
        }
        results
    }

    /// The topic with its new partitions, which are taken from `room`.
    fn grow(
        &self,
        asked: &NewPartitions,
        room: &mut usize,
        seed: u64,
    ) -> Result<Topic, CreatePartitionsError> {
        let name = &asked.topic;
        let topic = self
            .image()
            .topic(name)
            .ok_or_else(|| CreatePartitionsError::UnknownTopic { name: name.clone() })?;
        let have = topic.partitions.len();
        let added = usize::try_from(asked.count)
            .ok()
            .and_then(|count| count.checked_sub(have))
            .filter(|added| *added > 0)
            .ok_or_else(|| CreatePartitionsError::NotMore {
                name: name.clone(),
                have,
                asked: asked.count,
            })?;
        *room = room
            .checked_sub(added)
            .ok_or(CreatePartitionsError::TooMany)?;
        let new = match &asked.assignments {
            Some(assignments) => self.assign(topic, added, assignments)?,
            None => placed(self.image(), added, topic.replication_factor(), seed)?,
        };
        let mut grown = Topic::clone(topic);
        grown.partitions.extend(new);
        Ok(grown)
    }

    fn assign(
        &self,
        topic: &Topic,
        added: usize,
        assignments: &[Vec<BrokerId>],
    ) -> Result<Vec<Partition>, AssignmentError> {
        if assignments.len() != added {
            return Err(AssignmentError::Count {
                have: assignments.len(),
                need: added,
            });
        }
        let first = topic.partitions.len();
        let ids = (0..).map(PartitionId).skip(first);
        ids.zip(assignments)
            .map(|(id, replicas)| {
                let partition = assigned(self.image(), id, replicas)?;
                has_replicas(id, replicas.len(), topic.replication_factor())?;
                Ok(partition)
            })
            .collect()
    }
}
