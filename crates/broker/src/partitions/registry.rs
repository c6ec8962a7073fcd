//! Which partitions live here: one short-locked map from topics to their cells.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ottla_base::config::{CompressionType, TimestampType, TopicConfig};
use ottla_base::{ByteSize, PartitionId, TopicId, TopicName};
use ottla_protocol::records::{self, BatchRules, Compression, Level, TargetCompression};
use ottla_store::LogId;

use super::Cell;
use crate::topics::is_internal;

/// One topic with its local cells. Replaced whole when anything in it changes.
#[derive(Clone, Debug)]
pub(crate) struct LocalTopic {
    pub id: TopicId,
    pub name: TopicName,
    pub is_internal: bool,
    pub config: Arc<TopicConfig>,
    /// What its batches must be, by `config`.
    pub rules: BatchRules,
    /// By partition id, from 0 without gaps.
    places: Vec<Place>,
}

/// Where a partition is, as far as this broker is concerned.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Here(Arc<Cell>),
    /// Here, with a log that is of no use; or without one, if none could be created.
    Broken(Option<LogId>),
    /// This broker has no replica of it.
    Elsewhere,
}

impl LocalTopic {
    /// A topic of which no partition is open yet.
    pub(crate) fn new(id: TopicId, name: TopicName, config: Arc<TopicConfig>) -> Self {
        Self {
            id,
            is_internal: is_internal(&name),
            name,
            rules: rules(&config),
            config,
            places: Vec::new(),
        }
    }

    pub(crate) fn cell(&self, partition: PartitionId) -> Option<&Arc<Cell>> {
        match self.place(partition)? {
            Place::Here(cell) => Some(cell),
            Place::Broken(_) | Place::Elsewhere => None,
        }
    }

    /// Whether the partition is here and its log is of no use.
    pub(crate) fn is_broken(&self, partition: PartitionId) -> bool {
        match self.place(partition) {
            Some(Place::Broken(_)) => true,
            Some(Place::Here(cell)) => cell.is_damaged(),
            Some(Place::Elsewhere) | None => false,
        }
    }

    /// Whether this broker leads the partition, and another one may do so by now.
    pub(crate) fn is_doubtful(&self, partition: PartitionId) -> bool {
        let cell = self.cell(partition);
        cell.is_some_and(|cell| cell.view().is_doubtful)
    }

    /// Logs of partitions that could not be opened.
    pub(crate) fn broken_logs(&self) -> impl Iterator<Item = LogId> {
        self.places.iter().filter_map(|place| match place {
            Place::Broken(log) => *log,
            Place::Here(_) | Place::Elsewhere => None,
        })
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        self.places.iter().filter_map(|place| match place {
            Place::Here(cell) => Some(cell),
            Place::Broken(_) | Place::Elsewhere => None,
        })
    }

    /// Where the partition is; none of one that the topic does not have.
    pub(crate) fn place(&self, partition: PartitionId) -> Option<&Place> {
        self.places.get(usize::try_from(partition.0).ok()?)
    }

    /// Says where a partition is: one that the topic has, or its next.
    pub(crate) fn put(&mut self, partition: PartitionId, place: Place) {
        let at = usize::try_from(partition.0).expect("partitions are counted from 0");
        match self.places.get_mut(at) {
            Some(known) => *known = place,
            None => {
                assert!(at == self.places.len(), "a partition is left out");
                self.places.push(place);
            }
        }
    }

    /// The same partitions under another configuration.
    pub(crate) fn reconfigured(&self, config: Arc<TopicConfig>) -> Self {
        Self {
            places: self.places.clone(),
            ..Self::new(self.id, self.name.clone(), config)
        }
    }
}

/// The partition map. Written by the metadata task only.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<TopicName, Arc<LocalTopic>>,
    by_id: HashMap<TopicId, Arc<LocalTopic>>,
}

impl Registry {
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<LocalTopic>> {
        self.read().by_name.get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<Arc<LocalTopic>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Every topic, in no order.
    pub(crate) fn topics(&self) -> Vec<Arc<LocalTopic>> {
        self.read().by_id.values().cloned().collect()
    }

    /// Adds a topic, or replaces what was known of it.
    pub(crate) fn put(&self, topic: LocalTopic) {
        let topic = Arc::new(topic);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.insert(topic.name.clone(), topic.clone());
        topics.by_id.insert(topic.id, topic);
    }

    pub(crate) fn remove(&self, id: TopicId) -> Option<Arc<LocalTopic>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.by_id.remove(&id)?;
        // The name may have gone to a younger topic.
        if topics
            .by_name
            .get(&topic.name)
            .is_some_and(|at| at.id == id)
        {
            topics.by_name.remove(&topic.name);
        }
        Some(topic)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rules(config: &TopicConfig) -> BatchRules {
    let bytes = |bytes: i32| ByteSize(u64::try_from(bytes).unwrap_or(0));
    BatchRules {
        max_message_bytes: bytes(config.max_message_bytes),
        segment_bytes: bytes(config.segment_bytes),
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => records::TimestampType::CreateTime,
            TimestampType::LogAppendTime => records::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compression: compression(config),
        require_key: config.cleanup_policy.compact,
    }
}

fn compression(config: &TopicConfig) -> TargetCompression {
    let codec = TargetCompression::Codec;
    match config.compression_type {
        CompressionType::Producer => TargetCompression::Producer,
        CompressionType::Uncompressed => codec(Compression::None, Level::Default),
        CompressionType::Snappy => codec(Compression::Snappy, Level::Default),
        CompressionType::Gzip => codec(
            Compression::Gzip,
            Level::Exactly(config.compression_gzip_level),
        ),
        CompressionType::Lz4 => codec(
            Compression::Lz4,
            Level::Exactly(config.compression_lz4_level),
        ),
        CompressionType::Zstd => codec(
            Compression::Zstd,
            Level::Exactly(config.compression_zstd_level),
        ),
    }
}
