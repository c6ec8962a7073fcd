//! Which partitions live here: one short-locked map from topics to their cells.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ottla_base::config::{CompressionType, TimestampType, TopicConfig};
use ottla_base::{ByteSize, PartitionId, TopicId, TopicName};
use ottla_protocol::records::{self, BatchRules, Compression, Level, TargetCompression};

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
    /// By partition id, from 0 without gaps; none of a partition whose log is of no use.
    cells: Vec<Option<Arc<Cell>>>,
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
            cells: Vec::new(),
        }
    }

    pub(crate) fn cell(&self, partition: PartitionId) -> Option<&Arc<Cell>> {
        self.place(partition)?.as_ref()
    }

    /// Whether the partition is here and cannot be opened.
    pub(crate) fn is_broken(&self, partition: PartitionId) -> bool {
        self.place(partition).is_some_and(Option::is_none)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        self.cells.iter().flatten()
    }

    /// How many partitions are here, broken or not.
    pub(crate) fn partitions(&self) -> usize {
        self.cells.len()
    }

    /// Adds the next partition; without a cell if it is broken.
    pub(crate) fn push(&mut self, cell: Option<Arc<Cell>>) {
        self.cells.push(cell);
    }

    /// The same partitions under another configuration.
    pub(crate) fn reconfigured(&self, config: Arc<TopicConfig>) -> Self {
        Self {
            cells: self.cells.clone(),
            ..Self::new(self.id, self.name.clone(), config)
        }
    }

    fn place(&self, partition: PartitionId) -> Option<&Option<Arc<Cell>>> {
        self.cells.get(usize::try_from(partition.0).ok()?)
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
