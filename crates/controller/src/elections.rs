//! Partitions get another leader because somebody asks for it, or because it is time
//! for the preferred one to lead again.

use ottla_base::{BrokerId, Effects, PartitionId, TopicName, TopicPartition};

use crate::change::{Preference, RuleBook};
use crate::{ControllerMachine, Partition, Topic};

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

/// Most leaders that go back to preferred replicas in one batch, as in Kafka.
const ELECTIONS_PER_BATCH_MAX: usize = 1_000;

impl ControllerMachine {
    /// Of all partitions, if none are named, those that have the leader they should
    /// have are left out.
    pub(crate) fn elect_leaders(
        &mut self,
        kind: Election,
        partitions: Option<Vec<(TopicName, PartitionId)>>,
        fx: &mut Effects<Self>,
    ) -> Vec<Elected> {
        let all = partitions.is_none();
        let asked = partitions.unwrap_or_else(|| self.every_partition());
        let book = self.rule_book();
        let elected = asked.into_iter().map(|(topic, partition)| Elected {
            result: self.elect_leader(kind, &topic, partition, &book, fx),
            topic,
            partition,
        });
        let needed = |elected: &Elected| !all || elected.result != Err(ElectionError::NotNeeded);
        elected.filter(needed).collect()
    }

    fn elect_leader(
        &mut self,
        kind: Election,
        name: &TopicName,
        partition: PartitionId,
        book: &RuleBook,
        fx: &mut Effects<Self>,
    ) -> Result<(), ElectionError> {
        let unknown = || ElectionError::UnknownPartition {
            topic: name.clone(),
            partition,
        };
        let topic = self.image().topic(name).cloned().ok_or_else(unknown)?;
        let current = topic.partition(partition).ok_or_else(unknown)?;
        let leader = self.image().live_leader(current);
        if kind.is_satisfied_with(leader, current) {
            return Err(ElectionError::NotNeeded);
        }
        let rules = book.of(self.image(), name);
        let wish = (current.clone(), kind.preference());
        match self.change_partition(&topic, partition, rules, wish, fx) {
            Some(_) => Ok(()),
            None => Err(kind.nobody()),
        }
    }

    fn every_partition(&self) -> Vec<(TopicName, PartitionId)> {
        let topics = self.image().topics();
        topics
            .flat_map(|topic| topic.partitions().map(|(id, _)| (topic.name.clone(), id)))
            .collect()
    }

    /// Gives leadership back to the preferred replicas that may lead, and says whether
    /// there may be more of them.
    pub(crate) fn rebalance_leaders(&mut self, fx: &mut Effects<Self>) -> bool {
        let mut away = self.led_by_others();
        let more = away.len() > ELECTIONS_PER_BATCH_MAX;
        away.truncate(ELECTIONS_PER_BATCH_MAX);
        let elect = |partition: &Partition, _| Some((partition.clone(), Preference::First));
        self.change_partitions(&away, elect, fx);
        more
    }

    /// The partitions whose preferred replica may lead and does not.
    fn led_by_others(&self) -> Vec<TopicPartition> {
        let image = self.image();
        let is_away = |partition: &Partition| {
            let preferred = partition.replicas.first();
            preferred.is_some_and(|preferred| {
                partition.leader != Some(*preferred)
                    && partition.isr.contains(preferred)
                    && image.active_broker(*preferred).is_some()
            })
        };
        let of_topic = |topic: &Topic| {
            let partitions = topic.partitions();
            let away = partitions.filter(|(_, partition)| is_away(partition));
            let at = |(partition, _)| TopicPartition {
                topic: topic.id,
                partition,
            };
            away.map(at).collect::<Vec<_>>()
        };
        image.topics().flat_map(|topic| of_topic(topic)).collect()
    }
}

impl Election {
    fn is_satisfied_with(self, leader: Option<BrokerId>, partition: &Partition) -> bool {
        match self {
            Self::Preferred => leader.is_some() && leader.as_ref() == partition.replicas.first(),
            Self::Unclean => leader.is_some(),
        }
    }

    fn preference(self) -> Preference {
        match self {
            Self::Preferred => Preference::First,
            Self::Unclean => Preference::Any,
        }
    }

    fn nobody(self) -> ElectionError {
        match self {
            Self::Preferred => ElectionError::PreferredNotAvailable,
            Self::Unclean => ElectionError::NoneEligible,
        }
    }
}
