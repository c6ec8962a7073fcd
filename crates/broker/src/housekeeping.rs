//! What has to be done now and then: retention.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_store::LogId;

use crate::broker::Broker;
use crate::retention::{self, Oldest};
use crate::tasks::Stop;

/// When retention first runs, unless it runs more often than that anyway; as in
/// Kafka (`log.initial.task.delay.ms`).
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// Partitions that are looked at before others get a turn on this thread.
const PARTITIONS_AT_ONCE: usize = 256;

/// Runs every job when it is due, until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: Stop) {
    let interval_ms = broker.settings().broker.log_retention_check_interval_ms;
    let interval = Duration::from_millis(u64::try_from(interval_ms).unwrap_or(1));
    let mut wait = FIRST_DELAY.min(interval);
    let mut oldest = HashMap::new();
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = tokio::time::sleep(wait) => (),
        }
        wait = interval;
        oldest = retain_all(&broker, &oldest, &stop).await;
    }
}

/// Looks at every log, with what is known of its oldest batch from the last time.
async fn retain_all(
    broker: &Broker,
    known: &HashMap<LogId, Oldest>,
    stop: &Stop,
) -> HashMap<LogId, Oldest> {
    let mut oldest = HashMap::new();
    let topics = broker.registry.topics();
    let cells = topics.iter().flat_map(|topic| topic.cells());
    for (number, cell) in (1..).zip(cells) {
        if number % PARTITIONS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        if stop.is_requested() {
            break;
        }
        let now = broker.clock.now();
        let mut of_log = known.get(&cell.log).copied();
        if retention::is_due(cell, of_log, now) {
            let (cell, before) = (cell.clone(), of_log);
            let retain = move || retention::retain(&cell, before, now);
            of_log = broker.read_pool.run(retain).await;
        }
        oldest.extend(of_log.map(|of_log| (cell.log, of_log)));
    }
    oldest
}
