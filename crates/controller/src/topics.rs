//! Topics are created and deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::config::{ConfigError, Overrides};
use ottla_base::{BrokerId, Effects, Machine, PartitionId, TopicId, TopicName};

use crate::placement::{PlacementError, place};
use crate::record::Record;
use crate::{ControllerMachine, Image, Mode, Partition, Resource, Topic};

/// The name of the metadata log, which is no topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Most partitions that one request may add, as in Kafka.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// A topic that somebody wants.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: TopicName,
    /// Fresh; used if the topic is created.
    pub id: TopicId,
    /// None takes `num.partitions`.
    pub partitions: Option<i32>,
    /// None takes `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Where each partition goes; empty leaves it to the controller.
    pub assignments: Vec<(PartitionId, Vec<BrokerId>)>,
    /// A setting without a value is refused; it is here for that answer.
    pub configs: BTreeMap<String, Option<String>>,
}

/// A topic that somebody names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    Name(TopicName),
    Id(TopicId),
}

/// Why a topic is not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    #[error("the request names topic '{name}' more than once")]
    Repeated { name: TopicName },
    #[error("Creation of internal topic {METADATA_TOPIC} is prohibited.")]
    Reserved,
    #[error(
        "topic name '{name}' is not 1 to {} of the characters a-z, A-Z, 0-9, '.', '_' and '-', or is '.' or '..'",
        TopicName::LENGTH_MAX
    )]
    IllegalName { name: TopicName },
    #[error("Topic '{name}' already exists.")]
    Exists { name: TopicName },
    #[error("topic '{name}' differs from the existing '{other}' only in '.' and '_'")]
    Collides { name: TopicName, other: TopicName },
    #[error("no value is given for {}", names.join(", "))]
    ConfigWithoutValue { names: Vec<String> },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "with an assignment of replicas, the number of partitions and the replication factor must both be -1"
    )]
    CountsBesideAssignment,
    #[error("a replication factor of {factor} is not above 0, and not -1 for the default")]
    ReplicationFactor { factor: i16 },
    #[error("a number of partitions of {count} is not above 0, and not -1 for the default")]
    Partitions { count: i32 },
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error("the request asks for more than {PARTITIONS_PER_REQUEST_MAX} partitions")]
    TooManyPartitions,
}

/// Why replicas cannot be where a request wants them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    #[error("partition {partition} is assigned more than once")]
    Repeated { partition: PartitionId },
    #[error("partitions should be a consecutive 0-based integer sequence")]
    NotConsecutive,
    #[error("partition {partition} is assigned to no broker")]
    Empty { partition: PartitionId },
    #[error("partition {partition} is assigned to broker {broker}, which is not registered")]
    UnknownBroker {
        partition: PartitionId,
        broker: BrokerId,
    },
    #[error("partition {partition} is assigned to broker {broker} more than once")]
    RepeatedBroker {
        partition: PartitionId,
        broker: BrokerId,
    },
    #[error(
        "All brokers specified in the manual partition assignment for partition {partition} are fenced or in controlled shutdown."
    )]
    NoneActive { partition: PartitionId },
    #[error("partition {partition} has {have} replicas where the others have {need}")]
    UnequalReplicas {
        partition: PartitionId,
        have: usize,
        need: usize,
    },
    #[error(
        "Attempted to add {need} additional partition(s), but only {have} assignment(s) were specified."
    )]
    Count { have: usize, need: usize },
}

/// Why a topic is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("the request names the topic more than once")]
    Repeated,
    #[error("topic '{name}' does not exist")]
    UnknownName { name: TopicName },
    #[error("no topic has the id {id}")]
    UnknownId { id: TopicId },
}

/// What a new topic is checked against.
struct Scene<'a> {
    machine: &'a ControllerMachine,
    /// Names that the request holds more than once.
    repeated: BTreeSet<&'a TopicName>,
}

type Rule = fn(&Scene<'_>, &NewTopic) -> Result<(), CreateTopicError>;

/// All that must hold of a new topic before its partitions are placed. The first
/// that does not is the answer.
const RULES: &[Rule] = &[
    is_named_once,
    is_not_the_metadata_log,
    has_a_legal_name,
    is_new,
    does_not_collide,
    has_a_value_for_every_setting,
    has_settings_that_hold,
    is_counted_or_assigned,
];

impl ControllerMachine {
    /// Every topic is checked against what was there before the request.
    pub(crate) fn create_topics(
        &mut self,
        mode: Mode,
        topics: &[NewTopic],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<Arc<Topic>, CreateTopicError>> {
        let asked = topics.iter().map(|topic| self.partitions_asked(topic));
        if asked.fold(0, usize::saturating_add) > PARTITIONS_PER_REQUEST_MAX {
            return topics
                .iter()
                .map(|_| Err(CreateTopicError::TooManyPartitions))
                .collect();
        }
        let scene = Scene {
            machine: self,
            repeated: repeated(topics.iter().map(|topic| &topic.name)),
        };
        let results: Vec<_> = topics
            .iter()
            .zip(fx.seed()..)
            .map(|(topic, seed)| scene.plan(topic, seed))
            .collect();
        if mode == Mode::Apply {
            for (topic, result) in topics.iter().zip(&results) {
                if let Ok(planned) = result {
                    self.write_topic(topic, planned, fx);
                }
            }
        }
        results
    }

    pub(crate) fn delete_topics(
        &mut self,
        topics: &[TopicRef],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<Arc<Topic>, DeleteTopicError>> {
        let found: Vec<_> = topics.iter().map(|topic| self.find(topic)).collect();
        let repeated_names = repeated(topics.iter());
        let repeated_ids = repeated(found.iter().flatten().map(|topic| topic.id));
        let results: Vec<_> = topics
            .iter()
            .zip(&found)
            .map(|(asked, found)| match found {
                _ if repeated_names.contains(asked) => Err(DeleteTopicError::Repeated),
                Ok(topic) if repeated_ids.contains(&topic.id) => Err(DeleteTopicError::Repeated),
                found => found.clone(),
            })
            .collect();
        for topic in results.iter().flatten() {
            self.write_deletion(topic, fx);
        }
        results
    }

    fn find(&self, topic: &TopicRef) -> Result<Arc<Topic>, DeleteTopicError> {
        let found = match topic {
            TopicRef::Name(name) => self.image().topic(name),
            TopicRef::Id(id) => self.image().topic_by_id(*id),
        };
        found.cloned().ok_or_else(|| match topic {
            TopicRef::Name(name) => DeleteTopicError::UnknownName { name: name.clone() },
            TopicRef::Id(id) => DeleteTopicError::UnknownId { id: *id },
        })
    }

    fn write_topic(&mut self, asked: &NewTopic, planned: &Arc<Topic>, fx: &mut Effects<Self>) {
        self.emit(Record::Topic(Arc::clone(planned)), fx);
        for (name, value) in &asked.configs {
            let record = Record::Config {
                resource: Resource::Topic(planned.name.clone()),
                name: name.clone(),
                value: value.clone(),
            };
            self.emit(record, fx);
        }
    }

    /// The settings go with the topic: the next of its name starts without.
    fn write_deletion(&mut self, topic: &Topic, fx: &mut Effects<Self>) {
        let resource = Resource::Topic(topic.name.clone());
        let overrides = self.image().overrides(&resource).cloned();
        for name in overrides.iter().flat_map(|overrides| overrides.keys()) {
            let record = Record::Config {
                resource: resource.clone(),
                name: name.clone(),
                value: None,
            };
            self.emit(record, fx);
        }
        self.emit(Record::TopicDeleted(topic.id), fx);
    }

    /// An upper bound: a topic that is refused counts too.
    fn partitions_asked(&self, topic: &NewTopic) -> usize {
        if topic.assignments.is_empty() {
            let default = self.settings().partitions_default;
            let count = topic.partitions.unwrap_or(default);
            usize::try_from(count).unwrap_or(0)
        } else {
            topic.assignments.len()
        }
    }
}

impl Scene<'_> {
    fn plan(&self, topic: &NewTopic, seed: u64) -> Result<Arc<Topic>, CreateTopicError> {
        RULES.iter().try_for_each(|rule| rule(self, topic))?;
        let partitions = if topic.assignments.is_empty() {
            self.place(topic, seed)?
        } else {
            assigned_from_zero(self.machine.image(), &topic.assignments)?
        };
        Ok(Arc::new(Topic {
            id: topic.id,
            name: topic.name.clone(),
            partitions: partitions.into_iter().collect(),
        }))
    }

    fn place(&self, topic: &NewTopic, seed: u64) -> Result<Vec<Partition>, CreateTopicError> {
        let settings = self.machine.settings();
        let factor = topic
            .replication_factor
            .unwrap_or(settings.replication_factor_default);
        let factor = usize::try_from(factor)
            .ok()
            .filter(|factor| *factor > 0)
            .ok_or(CreateTopicError::ReplicationFactor { factor })?;
        let count = topic.partitions.unwrap_or(settings.partitions_default);
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or(CreateTopicError::Partitions { count })?;
        Ok(placed(self.machine.image(), count, factor, seed)?)
    }
}

/// New partitions on whichever brokers.
pub(crate) fn placed(
    image: &Image,
    count: usize,
    factor: usize,
    seed: u64,
) -> Result<Vec<Partition>, PlacementError> {
    let placed = place(image.brokers().map(|broker| &**broker), count, factor, seed)?;
    let partition = |replicas: Vec<BrokerId>| {
        let isr = active(image, &replicas);
        Partition::new(replicas, isr)
    };
    Ok(placed.into_iter().map(partition).collect())
}

/// The partition that a request puts on `replicas`.
pub fn assigned(
    image: &Image,
    partition: PartitionId,
    replicas: &[BrokerId],
) -> Result<Partition, AssignmentError> {
    check_assignment(image, partition, replicas)?;
    let isr = active(image, replicas);
    if isr.is_empty() {
        return Err(AssignmentError::NoneActive { partition });
    }
    Ok(Partition::new(replicas.to_vec(), isr))
}

/// Whether there may be replicas there, dead or alive.
pub(crate) fn check_assignment(
    image: &Image,
    partition: PartitionId,
    replicas: &[BrokerId],
) -> Result<(), AssignmentError> {
    if replicas.is_empty() {
        return Err(AssignmentError::Empty { partition });
    }
    let mut seen = BTreeSet::new();
    for &broker in replicas {
        if image.broker(broker).is_none() {
            return Err(AssignmentError::UnknownBroker { partition, broker });
        }
        if !seen.insert(broker) {
            return Err(AssignmentError::RepeatedBroker { partition, broker });
        }
    }
    Ok(())
}

/// Those that are in sync with a partition that begins now.
fn active(image: &Image, replicas: &[BrokerId]) -> Vec<BrokerId> {
    let is_active = |id: &&BrokerId| image.active_broker(**id).is_some();
    replicas.iter().filter(is_active).copied().collect()
}

/// Every partition needs as many replicas as the others.
pub(crate) fn has_replicas(
    partition: PartitionId,
    have: usize,
    need: usize,
) -> Result<(), AssignmentError> {
    if have == need {
        return Ok(());
    }
    Err(AssignmentError::UnequalReplicas {
        partition,
        have,
        need,
    })
}

fn assigned_from_zero(
    image: &Image,
    assignments: &[(PartitionId, Vec<BrokerId>)],
) -> Result<Vec<Partition>, AssignmentError> {
    let mut partitions = BTreeMap::new();
    let mut need = None;
    for (id, replicas) in assignments {
        let partition = assigned(image, *id, replicas)?;
        has_replicas(*id, replicas.len(), *need.get_or_insert(replicas.len()))?;
        if partitions.insert(*id, partition).is_some() {
            return Err(AssignmentError::Repeated { partition: *id });
        }
    }
    if !partitions
        .keys()
        .copied()
        .eq((0..).map(PartitionId).take(partitions.len()))
    {
        return Err(AssignmentError::NotConsecutive);
    }
    Ok(partitions.into_values().collect())
}

/// The items that occur more than once.
pub(crate) fn repeated<T: Ord + Clone>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(item.clone())).collect()
}

fn is_named_once(scene: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    if scene.repeated.contains(&topic.name) {
        let name = topic.name.clone();
        return Err(CreateTopicError::Repeated { name });
    }
    Ok(())
}

fn is_not_the_metadata_log(_: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    if topic.name.as_str() == METADATA_TOPIC {
        return Err(CreateTopicError::Reserved);
    }
    Ok(())
}

fn has_a_legal_name(_: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    if !topic.name.is_legal() {
        let name = topic.name.clone();
        return Err(CreateTopicError::IllegalName { name });
    }
    Ok(())
}

fn is_new(scene: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    if scene.machine.image().topic(&topic.name).is_some() {
        let name = topic.name.clone();
        return Err(CreateTopicError::Exists { name });
    }
    Ok(())
}

fn does_not_collide(scene: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    match scene.machine.image().colliding(&topic.name) {
        Some(other) => Err(CreateTopicError::Collides {
            name: topic.name.clone(),
            other: other.clone(),
        }),
        None => Ok(()),
    }
}

fn has_a_value_for_every_setting(_: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    let without = topic.configs.iter().filter(|(_, value)| value.is_none());
    let names: Vec<_> = without.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        return Err(CreateTopicError::ConfigWithoutValue { names });
    }
    Ok(())
}

fn has_settings_that_hold(scene: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    let overrides = topic
        .configs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    Ok(scene.machine.check_topic(&Overrides::new(), &overrides)?)
}

fn is_counted_or_assigned(_: &Scene<'_>, topic: &NewTopic) -> Result<(), CreateTopicError> {
    let counted = topic.partitions.is_some() || topic.replication_factor.is_some();
    if counted && !topic.assignments.is_empty() {
        return Err(CreateTopicError::CountsBesideAssignment);
    }
    Ok(())
}
