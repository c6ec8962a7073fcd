//! When a partition's appends must reach the disk, by the settings of its topic.

use std::time::Duration;

use ottla_base::config::TopicConfig;

/// Owned by a cell.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// Appended since one of them was flushed by count.
    records: i64,
}

/// How soon an append must be durable, where the store's policy leaves it longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    None,
    Within(Duration),
    /// Before it is acknowledged.
    AtOnce,
}

impl Flushes {
    pub(super) fn on_append(&mut self, records: i32, config: &TopicConfig) -> Urgency {
        self.records = self.records.saturating_add(records.into());
        if self.records >= config.flush_messages {
            self.records = 0;
            return Urgency::AtOnce;
        }
        match u64::try_from(config.flush_ms) {
            Ok(ms) if config.flush_ms < i64::MAX => Urgency::Within(Duration::from_millis(ms)),
            Ok(_) | Err(_) => Urgency::None,
        }
    }
}
