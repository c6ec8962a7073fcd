//! Which partitions a broker keeps, so that a broker that comes or goes costs what
//! it keeps and not what the cluster has.
//!
//! Follows from the image; whoever holds both changes both.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{BrokerId, PartitionId, TopicId, TopicPartition};

use crate::record::Record;
use crate::{Image, Topic};

/// The partitions that each broker is a replica of.
#[derive(Debug, Default)]
pub(crate) struct Hosted(BTreeMap<BrokerId, BTreeSet<TopicPartition>>);

impl Hosted {
    pub(crate) fn of_image(image: &Image) -> Self {
        let mut hosted = Self::default();
        image.topics().for_each(|topic| hosted.put(topic, None));
        hosted
    }

    /// By rising topic id and partition.
    pub(crate) fn by(&self, broker: BrokerId) -> impl Iterator<Item = TopicPartition> {
        self.0.get(&broker).into_iter().flatten().copied()
    }

    /// Follows a record that `image` has not applied yet.
    pub(crate) fn follow(&mut self, image: &Image, record: &Record) {
        match record {
            Record::Topic(topic) => self.put(topic, image.topic_by_id(topic.id)),
            Record::TopicDeleted(id) => self.remove(image, *id),
            Record::Partition {
                topic,
                partition,
                state,
            } => {
                let tp = TopicPartition {
                    topic: *topic,
                    partition: *partition,
                };
                if let Some(before) = image.partition(tp) {
                    self.update(tp, &before.replicas, &state.replicas);
                }
            }
            Record::Cluster(_)
            | Record::Config { .. }
            | Record::Broker(_)
            | Record::BrokerGone(_)
            | Record::BrokerEpochs { .. }
            | Record::ProducerIds { .. }
            | Record::Feature { .. }
            | Record::Scram { .. } => {}
        }
    }

    fn put(&mut self, topic: &Topic, before: Option<&std::sync::Arc<Topic>>) {
        for (id, partition) in topic.partitions() {
            let before = before.and_then(|topic| topic.partition(id));
            let before = before.map_or(&[][..], |partition| &partition.replicas);
            self.update(at(topic.id, id), before, &partition.replicas);
        }
    }

    fn remove(&mut self, image: &Image, topic: TopicId) {
        let partitions = image.topic_by_id(topic).into_iter();
        for (id, partition) in partitions.flat_map(|topic| topic.partitions()) {
            self.update(at(topic, id), &partition.replicas, &[]);
        }
    }

    fn update(&mut self, tp: TopicPartition, before: &[BrokerId], after: &[BrokerId]) {
        if before == after {
            return;
        }
        for broker in before.iter().filter(|broker| !after.contains(broker)) {
            if let Some(partitions) = self.0.get_mut(broker) {
                partitions.remove(&tp);
            }
        }
        for broker in after.iter().filter(|broker| !before.contains(broker)) {
            self.0.entry(*broker).or_default().insert(tp);
        }
    }
}

fn at(topic: TopicId, partition: PartitionId) -> TopicPartition {
    TopicPartition { topic, partition }
}
