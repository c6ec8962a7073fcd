//! The state of the cluster, as the fold over the metadata log.
//!
//! Knows no rule: whether a change is allowed was decided before its record was
//! written.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::config::Overrides;
use ottla_base::{
    BrokerId, ClusterId, PartitionId, ProducerId, TopicId, TopicName, TopicPartition,
};

use crate::record::Record;
use crate::sorted_map::SortedMap;
use crate::{
    BrokerEpoch, CredentialId, Partition, Partitions, Registration, Resource, ScramCredential,
};

/// All that the metadata log says. A clone is a handful of reference counts, and
/// a change after one copies little: see [`SortedMap`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    cluster: Option<ClusterId>,
    topics: SortedMap<TopicId, Arc<Topic>>,
    /// The same topics as in `topics`, which alone holds them: a change to one that
    /// nobody else holds is made in place.
    by_name: SortedMap<TopicName, TopicId>,
    /// The names that hold '.' or '_'.
    confusable: SortedMap<Confusable, ()>,
    /// No resource has an empty set.
    configs: SortedMap<Resource, Arc<Overrides>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<Registration>>>,
    /// The highest that any broker was ever given, also one that is gone.
    last_broker_epoch: BrokerEpoch,
    /// The first producer id that no block holds yet.
    next_producer_id: ProducerId,
    /// No level is 0.
    features: Arc<BTreeMap<String, i16>>,
    scram: SortedMap<CredentialId, Arc<ScramCredential>>,
}

/// One topic and where its partitions live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub id: TopicId,
    pub name: TopicName,
    pub partitions: Partitions,
}

/// What one record changed, for those who act on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The record said what was known already.
    Nothing,
    TopicCreated(Arc<Topic>),
    TopicDeleted(Arc<Topic>),
    /// The partitions from index `first` on are new.
    PartitionsAdded {
        topic: Arc<Topic>,
        first: usize,
    },
    /// Something about one partition, which the topic tells as it is now.
    Partition {
        topic: Arc<Topic>,
        partition: PartitionId,
    },
    /// A setting of this resource has another value, or none any more.
    Config(Resource),
    Broker(Arc<Registration>),
    BrokerGone(BrokerId),
    ProducerIds,
    Feature,
    Scram,
    Cluster,
}

impl Image {
    /// Folds one record in. Whoever acts on the changes does so after the last
    /// record of the batch: a topic's settings are in the same batch as its
    /// creation.
    pub fn apply(&mut self, record: &Record) -> Change {
        match record {
            Record::Cluster(id) => {
                self.cluster = Some(id.clone());
                Change::Cluster
            }
            Record::Topic(topic) => self.put_topic(topic),
            Record::TopicDeleted(id) => self.remove_topic(*id),
            Record::Partition {
                topic,
                partition,
                state,
            } => self.put_partition(*topic, *partition, state),
            Record::Config {
                resource,
                name,
                value,
            } => self.put_config(resource, name, value.as_deref()),
            Record::Broker(broker) => {
                self.last_broker_epoch = self.last_broker_epoch.max(broker.epoch);
                Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::clone(broker));
                Change::Broker(Arc::clone(broker))
            }
            Record::BrokerGone(id) => match Arc::make_mut(&mut self.brokers).remove(id) {
                Some(_) => Change::BrokerGone(*id),
                None => Change::Nothing,
            },
            Record::BrokerEpochs { last } => {
                self.last_broker_epoch = self.last_broker_epoch.max(*last);
                Change::Nothing
            }
            Record::ProducerIds { next } => {
                self.next_producer_id = self.next_producer_id.max(*next);
                Change::ProducerIds
            }
            Record::Feature { name, level: 0 } => {
                Arc::make_mut(&mut self.features).remove(name);
                Change::Feature
            }
            Record::Feature { name, level } => {
                Arc::make_mut(&mut self.features).insert(name.clone(), *level);
                Change::Feature
            }
            Record::Scram { of, credential } => {
                match credential {
                    Some(credential) => self.scram.insert(of.clone(), Arc::clone(credential)),
                    None => self.scram.remove(of),
                };
                Change::Scram
            }
        }
    }

    /// None before the first start has been written down.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.cluster.as_ref()
    }

    pub fn topic(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.topics.get(self.by_name.get(name)?)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// By rising name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        let ids = self.by_name.iter().map(|(_, id)| id);
        ids.filter_map(|id| self.topics.get(id))
    }

    /// By rising name, from `first` on.
    pub fn topics_from(&self, first: &TopicName) -> impl Iterator<Item = &Arc<Topic>> {
        let ids = self.by_name.iter_from(first).map(|(_, id)| id);
        ids.filter_map(|id| self.topics.get(id))
    }

    pub fn topic_count(&self) -> usize {
        self.by_name.len()
    }

    pub fn partition(&self, tp: TopicPartition) -> Option<&Partition> {
        self.topic_by_id(tp.topic)?.partition(tp.partition)
    }

    /// The topic whose name differs from `name` in nothing but '.' and '_'.
    pub fn colliding(&self, name: &TopicName) -> Option<&TopicName> {
        let name = Confusable::new(name)?;
        let (other, ()) = self
            .confusable
            .iter_from(&name.first_of_its_like())
            .next()?;
        other.is_like(&name).then_some(&other.0)
    }

    /// What was set on `resource`, or none if nothing was.
    pub fn overrides(&self, resource: &Resource) -> Option<&Arc<Overrides>> {
        self.configs.get(resource)
    }

    /// Every resource that something was set on.
    pub fn configured(&self) -> impl Iterator<Item = &Resource> {
        self.configs.iter().map(|(resource, _)| resource)
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Registration>> {
        self.brokers.get(&id)
    }

    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<Registration>> {
        self.brokers.values()
    }

    /// The broker, if it takes part: it is neither fenced nor on its way out.
    pub fn active_broker(&self, id: BrokerId) -> Option<&Arc<Registration>> {
        self.broker(id).filter(|broker| broker.is_active())
    }

    /// Who leads the partition and is known to be alive. A partition with one replica
    /// keeps its leader while that is away.
    pub fn live_leader(&self, partition: &Partition) -> Option<BrokerId> {
        let unfenced = |id: &BrokerId| self.broker(*id).is_some_and(|broker| !broker.fenced);
        partition.leader.filter(unfenced)
    }

    pub(crate) fn last_broker_epoch(&self) -> BrokerEpoch {
        self.last_broker_epoch
    }

    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The level of a feature that the cluster has agreed on; 0 is off.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// Every feature that is on, with its level.
    pub fn features(&self) -> impl ExactSizeIterator<Item = (&str, i16)> {
        self.features
            .iter()
            .map(|(name, level)| (name.as_str(), *level))
    }

    /// The records that make this image from nothing.
    pub fn records(&self) -> Vec<Record> {
        let cluster = self.cluster.iter().cloned().map(Record::Cluster);
        let features = self.features.iter().map(|(name, level)| Record::Feature {
            name: name.clone(),
            level: *level,
        });
        let credentials = self.scram.iter().map(|(of, credential)| Record::Scram {
            of: of.clone(),
            credential: Some(Arc::clone(credential)),
        });
        let brokers = self.brokers.values().cloned().map(Record::Broker);
        let topics = self
            .topics
            .iter()
            .map(|(_, topic)| Record::Topic(Arc::clone(topic)));
        let configs = self.configs.iter().flat_map(|(resource, overrides)| {
            overrides.iter().map(|(name, value)| Record::Config {
                resource: resource.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        });
        let last = self.last_broker_epoch;
        let next = self.next_producer_id;
        cluster
            .chain(features)
            .chain(credentials)
            .chain([Record::BrokerEpochs { last }])
            .chain(brokers)
            .chain(topics)
            .chain(configs)
            .chain([Record::ProducerIds { next }])
            .collect()
    }

    pub fn credential(&self, of: &CredentialId) -> Option<&Arc<ScramCredential>> {
        self.scram.get(of)
    }

    /// Every credential, by rising name of its user.
    pub fn credentials(&self) -> impl Iterator<Item = (&CredentialId, &Arc<ScramCredential>)> {
        self.scram.iter()
    }

    fn put_topic(&mut self, topic: &Arc<Topic>) -> Change {
        let before = self.topics.insert(topic.id, Arc::clone(topic));
        self.by_name.insert(topic.name.clone(), topic.id);
        if let Some(name) = Confusable::new(&topic.name) {
            self.confusable.insert(name, ());
        }
        match before {
            None => Change::TopicCreated(Arc::clone(topic)),
            Some(before) if before.partitions.len() < topic.partitions.len() => {
                Change::PartitionsAdded {
                    topic: Arc::clone(topic),
                    first: before.partitions.len(),
                }
            }
            Some(_) => Change::Nothing,
        }
    }

    fn remove_topic(&mut self, id: TopicId) -> Change {
        let Some(topic) = self.topics.remove(&id) else {
            return Change::Nothing;
        };
        // The name may have gone to a younger topic.
        if self.by_name.get(&topic.name) == Some(&id) {
            self.by_name.remove(&topic.name);
            if let Some(name) = Confusable::new(&topic.name) {
                self.confusable.remove(&name);
            }
        }
        Change::TopicDeleted(topic)
    }

    /// A partition of a topic that is not there is none of ours: the topic is gone,
    /// or a later record tells of it whole.
    fn put_partition(
        &mut self,
        id: TopicId,
        partition: PartitionId,
        state: &Arc<Partition>,
    ) -> Change {
        let topic = self.topics.get_mut(&id);
        let (Some(topic), Ok(at)) = (topic, usize::try_from(partition.0)) else {
            return Change::Nothing;
        };
        let replaced = Arc::make_mut(topic)
            .partitions
            .replace(at, Arc::clone(state));
        match replaced {
            Some(_) => Change::Partition {
                topic: Arc::clone(topic),
                partition,
            },
            None => Change::Nothing,
        }
    }

    fn put_config(&mut self, resource: &Resource, name: &str, value: Option<&str>) -> Change {
        let before = self.configs.get(resource);
        if before.is_none() && value.is_none() {
            return Change::Nothing;
        }
        let mut overrides = before.map_or_else(Overrides::new, |before| Overrides::clone(before));
        match value {
            Some(value) => overrides.insert(name.to_owned(), value.to_owned()),
            None => overrides.remove(name),
        };
        if overrides.is_empty() {
            self.configs.remove(resource);
        } else {
            self.configs.insert(resource.clone(), Arc::new(overrides));
        }
        Change::Config(resource.clone())
    }
}

impl Topic {
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(id.0).ok()?)
    }

    /// Every partition with its id.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        (0..).map(PartitionId).zip(self.partitions.iter())
    }

    /// The leader of each of its partitions that has one.
    pub fn leaders(&self) -> impl Iterator<Item = BrokerId> {
        self.partitions()
            .filter_map(|(_, partition)| partition.leader)
    }

    /// How many replicas a partition has, without those that are on their way out.
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| {
            partition.replicas.len() - partition.removing.len()
        })
    }

    /// Whether the broker keeps its own state in this topic.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

fn is_internal(name: &TopicName) -> bool {
    [
        "__consumer_offsets",
        "__transaction_state",
        "__share_group_state",
    ]
    .contains(&name.as_str())
}

/// A name with a '.' or '_' in it. Kafka's metrics take the two for one
/// character, so names that differ in nothing else are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Confusable(TopicName);

impl Confusable {
    fn new(name: &TopicName) -> Option<Self> {
        name.as_str()
            .contains(['.', '_'])
            .then(|| Self(name.clone()))
    }

    /// The least of all names that are like this one: '.' sorts before '_'.
    fn first_of_its_like(&self) -> Self {
        Self(TopicName::new(self.0.as_str().replace('_', ".")))
    }

    fn is_like(&self, other: &Self) -> bool {
        self.unified().eq(other.unified())
    }

    fn unified(&self) -> impl Iterator<Item = u8> {
        let unify = |byte| if byte == b'.' { b'_' } else { byte };
        self.0.as_str().bytes().map(unify)
    }
}

/// Names that are alike are next to each other.
impl Ord for Confusable {
    fn cmp(&self, other: &Self) -> Ordering {
        self.unified()
            .cmp(other.unified())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Confusable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
