//! Brings partitions back whose store refused an append for a reason that passes:
//! a full disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, info};

use super::{Cell, RecoverError, recover};
use crate::broker::Broker;
use crate::metadata;
use crate::tasks::Stop;

/// How long a partition stays offline before it tries the disk again. Clients
/// retry in the meantime, and each failed try costs a recovery.
const PAUSE: Duration = Duration::from_millis(250);

/// Recovers every partition that reports a failure, until the broker stops.
pub(crate) async fn run(
    broker: Arc<Broker>,
    mut failed: mpsc::UnboundedReceiver<Arc<Cell>>,
    mut stop: Stop,
) {
    loop {
        let mut cells = Vec::new();
        tokio::select! {
            biased;
            () = stop.requested() => return,
            _ = failed.recv_many(&mut cells, usize::MAX) => (),
        }
        if cells.is_empty() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
        for cell in cells {
            let reviver = broker.clone();
            let revived = cell.clone();
            let outcome = broker
                .read_pool
                .run(move || revive(&reviver, &revived))
                .await;
            match outcome {
                Ok(()) => {
                    info!(topic = %cell.topic, partition = %cell.topic_partition.partition, "partition is online again");
                    metadata::host_again(&broker, &cell);
                }
                Err(failure) => {
                    error!(topic = %cell.topic, partition = %cell.topic_partition.partition, %failure, "partition stays offline");
                }
            }
        }
    }
}

/// Recovers every partition whose log was cut, until the broker stops: what the cut
/// batches did to its state cannot be taken back.
pub(crate) async fn after_cuts(
    broker: Arc<Broker>,
    mut cut: mpsc::UnboundedReceiver<Arc<Cell>>,
    mut stop: Stop,
) {
    loop {
        let mut cells = Vec::new();
        tokio::select! {
            biased;
            () = stop.requested() => return,
            _ = cut.recv_many(&mut cells, usize::MAX) => (),
        }
        if cells.is_empty() {
            return;
        }
        let reviver = broker.clone();
        let recover = move || {
            reviver.store.drain();
            cells.retain(|cell| match revive(&reviver, cell) {
                Ok(()) => true,
                Err(failure) => {
                    error!(topic = %cell.topic, partition = %cell.topic_partition.partition, %failure, "partition is offline");
                    false
                }
            });
            cells
        };
        // They may have been told to lead in the meantime.
        for cell in broker.read_pool.run(recover).await {
            metadata::host_again(&broker, &cell);
        }
    }
}

/// Recovers the partition from what its log holds.
fn revive(broker: &Broker, cell: &Arc<Cell>) -> Result<(), RecoverError> {
    let settings = broker.settings().partition(&cell.config());
    let now = broker.clock.now();
    let partition = recover(&*cell.store, cell.log, now, broker.id, settings)?;
    cell.restart(partition);
    Ok(())
}
