//! Somebody asks for another leader.

use ottla_base::{Effects, PartitionId, TopicName};

use crate::{ControllerMachine, Partition};

/// Which leader shall be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Where none leads, any replica that is alive, whatever is lost.
    Unclean,
}

/// What became of one partition's election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elected {
    pub topic: TopicName,
    pub partition: PartitionId,
    pub result: Result<(), ElectionError>,
}

/// Why no leader is elected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    #[error("No such partition as {topic}-{partition}")]
    UnknownPartition {
        topic: TopicName,
        partition: PartitionId,
    },
    #[error("the partition has the leader that it should have")]
    NotNeeded,
    #[error("the preferred leader is not alive or not in sync")]
    PreferredNotAvailable,
    #[error("no replica is alive")]
    NoneEligible,
}

impl ControllerMachine {
    /// Of all partitions, if none are named, those that do have the leader they
    /// should have are left out.
    pub(crate) fn elect_leaders(
        &mut self,
        kind: Election,
        partitions: Option<Vec<(TopicName, PartitionId)>>,
        _fx: &mut Effects<Self>,
    ) -> Vec<Elected> {
        let all = partitions.is_none();
        let asked = partitions.unwrap_or_else(|| self.every_partition());
        let elected = asked.into_iter().map(|(topic, partition)| {
            let found = self.image().topic(&topic);
            let result = match found.and_then(|topic| topic.partition(partition)) {
                Some(found) => Err(kind.refusal(found)),
                None => Err(ElectionError::UnknownPartition {
                    topic: topic.clone(),
                    partition,
                }),
            };
            Elected {
                topic,
                partition,
                result,
            }
        });
        let needed = |elected: &Elected| !all || elected.result != Err(ElectionError::NotNeeded);
        elected.filter(needed).collect()
    }

    fn every_partition(&self) -> Vec<(TopicName, PartitionId)> {
        let topics = self.image().topics();
        topics
            .flat_map(|topic| topic.partitions().map(|(id, _)| (topic.name.clone(), id)))
            .collect()
    }
}

impl Election {
    fn refusal(self, partition: &Partition) -> ElectionError {
        let leader = partition.leader;
        match self {
            Self::Preferred
                if leader.is_some() && leader.as_ref() == partition.replicas.first() =>
            {
                ElectionError::NotNeeded
            }
            Self::Preferred => ElectionError::PreferredNotAvailable,
            Self::Unclean if leader.is_some() => ElectionError::NotNeeded,
            Self::Unclean => ElectionError::NoneEligible,
        }
    }
}
