//! Which partitions live here: one short-locked map from topics to their cells.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ottla_base::config::TopicConfig;
use ottla_base::{PartitionId, TopicId, TopicName};

use super::Cell;

/// One topic with its local cells. Replaced whole when anything in it changes.
#[derive(Clone, Debug)]
pub struct LocalTopic {
    pub id: TopicId,
    pub name: TopicName,
    pub config: Arc<TopicConfig>,
    /// By partition id, from 0 without gaps.
    pub cells: Vec<Arc<Cell>>,
}

impl LocalTopic {
    pub fn cell(&self, partition: PartitionId) -> Option<&Arc<Cell>> {
        self.cells.get(usize::try_from(partition.0).ok()?)
    }
}

/// The partition map. Written by the metadata task only.
#[derive(Debug, Default)]
pub struct Registry {
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<TopicName, Arc<LocalTopic>>,
    by_id: HashMap<TopicId, Arc<LocalTopic>>,
}

impl Registry {
    pub fn topic(&self, name: &str) -> Option<Arc<LocalTopic>> {
        self.read().by_name.get(name).cloned()
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<LocalTopic>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Every topic, in no order.
    pub fn topics(&self) -> Vec<Arc<LocalTopic>> {
        self.read().by_id.values().cloned().collect()
    }

    /// Adds a topic, or replaces what was known of it.
    pub fn put(&self, topic: LocalTopic) {
        let topic = Arc::new(topic);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.insert(topic.name.clone(), topic.clone());
        topics.by_id.insert(topic.id, topic);
    }

    pub fn remove(&self, id: TopicId) -> Option<Arc<LocalTopic>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.by_id.remove(&id)?;
        // The name may have gone to a younger topic.
        if topics.by_name.get(&topic.name).is_some_and(|at| at.id == id) {
            topics.by_name.remove(&topic.name);
        }
        Some(topic)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }
}
