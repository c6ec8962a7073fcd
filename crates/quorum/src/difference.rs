//! What must be said to turn one image into another: for those who missed commits
//! and got a snapshot instead.

use std::sync::Arc;

use ottla_base::PartitionId;
use ottla_controller::{Image, Record, Resource, Topic};

/// Records that make `before` an image equal to `after`. Whoever acts upon them
/// does the same as if it had heard of every commit in between.
pub(crate) fn difference(before: &Image, after: &Image) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in before.topics() {
        if after.topic_by_id(topic.id).is_none() {
            records.push(Record::TopicDeleted(topic.id));
        }
    }
    for topic in after.topics() {
        match before.topic_by_id(topic.id) {
            Some(known) => change_topic(known, topic, &mut records),
            None => records.push(Record::Topic(Arc::clone(topic))),
        }
    }
    forget_configs(before, after, &mut records);
    let old = before.brokers();
    let gone = old.filter(|broker| after.broker(broker.id).is_none());
    records.extend(gone.map(|broker| Record::BrokerGone(broker.id)));
    let old = before
        .features()
        .filter(|(name, _)| after.feature(name) == 0);
    records.extend(old.map(|(name, _)| Record::Feature {
        name: name.to_owned(),
        level: 0,
    }));
    let old = before.credentials().map(|(of, _)| of);
    let gone = old.filter(|of| after.credential(of).is_none());
    records.extend(gone.map(|of| Record::Scram {
        of: of.clone(),
        credential: None,
    }));
    let all = after.records().into_iter();
    records.extend(all.filter(|record| is_news(before, record)));
    records
}

fn change_topic(known: &Topic, topic: &Arc<Topic>, records: &mut Vec<Record>) {
    let ids = (0..).map(PartitionId);
    let pairs = ids.zip(known.partitions().zip(topic.partitions()));
    for (partition, ((_, old), (_, new))) in pairs {
        if old != new {
            records.push(Record::Partition {
                topic: topic.id,
                partition,
                state: Arc::new(new.clone()),
            });
        }
    }
    if known.partitions().count() < topic.partitions().count() {
        records.push(Record::Topic(Arc::clone(topic)));
    }
}

fn forget_configs(before: &Image, after: &Image, records: &mut Vec<Record>) {
    for resource in before.configured() {
        let old = before.overrides(resource).into_iter();
        let names = old.flat_map(|overrides| overrides.keys());
        let gone = names.filter(|name| !is_set(after, resource, name));
        records.extend(gone.map(|name| Record::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: None,
        }));
    }
}

fn is_set(image: &Image, resource: &Resource, name: &str) -> bool {
    let overrides = image.overrides(resource);
    overrides.is_some_and(|overrides| overrides.contains_key(name))
}

/// Whether a record of a whole image says what `before` does not know. Topics and
/// what is gone are seen to elsewhere.
fn is_news(before: &Image, record: &Record) -> bool {
    match record {
        Record::Cluster(id) => before.cluster() != Some(id),
        Record::Topic(_) | Record::TopicDeleted(_) | Record::Partition { .. } => false,
        Record::Config {
            resource,
            name,
            value,
        } => {
            let known = before.overrides(resource);
            known.and_then(|overrides| overrides.get(name)) != value.as_ref()
        }
        Record::Broker(broker) => before.broker(broker.id) != Some(broker),
        Record::Feature { name, level } => before.feature(name) != *level,
        Record::Scram { of, credential } => before.credential(of) != credential.as_ref(),
        Record::ProducerIds { next } => before.next_producer_id() != *next,
        // Cheap, and said of nobody in particular.
        Record::BrokerGone(_) | Record::BrokerEpochs { .. } => true,
    }
}
