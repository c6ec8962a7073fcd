//! What of the groups survives: the latest group record of each group and the
//! latest offset of each partition. Knows nothing of rules, it only folds.

use std::collections::BTreeMap;

use ottla_base::{GroupId, PartitionId, TopicName};

use super::record::{GroupValue, OffsetValue, Record};

/// A group's committed offsets; no topic in it is empty.
pub(crate) type TopicOffsets = BTreeMap<TopicName, BTreeMap<PartitionId, OffsetValue>>;

/// A fold over records, each key for itself, so that the order in which
/// compaction leaves different keys does not matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hard {
    groups: BTreeMap<GroupId, GroupValue>,
    /// No group in it is without offsets.
    offsets: BTreeMap<GroupId, TopicOffsets>,
}

impl Hard {
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Group {
                group,
                value: Some(value),
            } => {
                self.groups.insert(group.clone(), value.clone());
            }
            Record::Group { group, value: None } => {
                self.groups.remove(group);
            }
            Record::Offset {
                group,
                topic,
                partition,
                value: Some(value),
            } => {
                self.offsets
                    .entry(group.clone())
                    .or_default()
                    .entry(topic.clone())
                    .or_default()
                    .insert(*partition, value.clone());
            }
            Record::Offset {
                group,
                topic,
                partition,
                value: None,
            } => {
                self.remove_offset(group, topic, *partition);
            }
        }
    }

    /// Every group that a metadata record stands for.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&GroupId, &GroupValue)> {
        self.groups.iter()
    }

    /// Every group that has committed, with its offsets.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = (&GroupId, &TopicOffsets)> {
        self.offsets.iter()
    }

    pub(crate) fn offsets_of(&self, group: &GroupId) -> Option<&TopicOffsets> {
        self.offsets.get(group)
    }

    fn remove_offset(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionId) {
        let Some(topics) = self.offsets.get_mut(group) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(group);
        }
    }
}
