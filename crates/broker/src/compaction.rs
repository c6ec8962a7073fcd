//! Tells the store, again and again, which logs are to be compacted, by which rules
//! and up to where.
//!
//! Must not know how a log is compacted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::config::TopicConfig;
use ottla_base::{ByteSize, Millis};
use ottla_partition::RoleKind;
use ottla_store::{Compaction, LogId, Rewriting};

use crate::broker::Broker;
use crate::partitions::Cell;
use crate::tasks::Stop;

/// The store is not asked more often than that, whatever `log.cleaner.backoff.ms` is.
const BACKOFF_MS_MIN: u64 = 10;

/// Runs until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: Stop) {
    let mut compacted = BTreeSet::new();
    loop {
        let rewriting = rewriting(&broker);
        broker.store.set_rewriting(rewriting);
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = tokio::time::sleep(rewriting.pause) => (),
        }
        let told = broker.clone();
        let before = std::mem::take(&mut compacted);
        let tell = move || tell(&told, before);
        compacted = broker.read_pool.run(tell).await;
    }
}

fn rewriting(broker: &Broker) -> Rewriting {
    let settings = broker.settings();
    let config = &settings.broker;
    let backoff_ms = u64::try_from(config.log_cleaner_backoff_ms).unwrap_or(0);
    let memory = u64::try_from(config.log_cleaner_dedupe_buffer_size).unwrap_or(0);
    Rewriting {
        bytes_per_second: config.log_cleaner_io_max_bytes_per_second,
        pause: Duration::from_millis(backoff_ms.max(BACKOFF_MS_MIN)),
        keys_memory: ByteSize(memory),
    }
}

/// Says which logs are compacted, and of those that were `before` and are no more
/// that they are not.
fn tell(broker: &Broker, mut before: BTreeSet<LogId>) -> BTreeSet<LogId> {
    let settings = broker.settings();
    let mut compacted = BTreeSet::new();
    for topic in broker.registry.topics() {
        for cell in topic.cells() {
            let config = cell.config();
            let wanted = config.cleanup_policy.compact && settings.broker.log_cleaner_enable;
            if wanted && serves(cell) {
                let expiration_ms = settings.broker.producer_id_expiration_ms.into();
                let rules = rules(cell, &config, broker.clock.now(), expiration_ms);
                broker.store.set_compaction(cell.log, Some(rules));
                compacted.insert(cell.log);
            }
        }
    }
    before.retain(|log| !compacted.contains(log));
    for log in before {
        broker.store.set_compaction(log, None);
    }
    compacted
}

/// Every replica compacts its own log.
fn serves(cell: &Cell) -> bool {
    match cell.view().role {
        RoleKind::Leader | RoleKind::Follower => true,
        RoleKind::Idle | RoleKind::Failed => false,
    }
}

fn rules(
    cell: &Cell,
    config: &TopicConfig,
    now: Millis,
    producer_expiration_ms: i64,
) -> Compaction {
    // What compaction takes away must not be needed to recover the partition.
    cell.checkpoint();
    let segment_bytes = config
        .internal_segment_bytes
        .unwrap_or(config.segment_bytes);
    Compaction {
        now,
        until: cell.settled(),
        segment_bytes: u64::try_from(segment_bytes).unwrap_or(0),
        segment_ms: config.segment_ms,
        min_lag_ms: config.min_compaction_lag_ms,
        max_lag_ms: config.max_compaction_lag_ms,
        min_dirty_ratio: config.min_cleanable_dirty_ratio,
        delete_retention_ms: config.delete_retention_ms,
        producer_expiration_ms,
    }
}
