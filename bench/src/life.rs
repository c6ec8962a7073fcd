//! A broker's start, its memory when nothing happens, and its start with data.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, mebibytes, millis};
use crate::{process, produce, topic};

const RECORD_BYTES: u32 = 1024;

/// `first` is how long the first acknowledged record took. Memory is looked at
/// once the broker has been left alone for as long as a run lasts.
pub(crate) fn idle(load: &Load, broker: &Broker, first: Duration) -> Result<Figures> {
    if broker.pids.is_empty() {
        bail!("its process is not known");
    }
    thread::sleep(load.duration);
    let resident = process::resident_bytes(&broker.pids)?;
    Ok(Figures::from([
        (Figure::FirstAcknowledged, millis(first)),
        (Figure::IdleMemory, mebibytes(resident)),
    ]))
}

/// Fills a topic, stops the broker and starts it, kills it and starts it; each
/// time until a record to that topic is acknowledged.
pub(crate) fn restart(load: &Load, broker: &mut Broker) -> Result<Figures> {
    if !broker.kind.keeps_data() {
        bail!("it keeps no data, or is not ours to stop");
    }
    let topic = topic::create(broker, load.partitions, &[])?;
    let records = (u64::from(load.restart_mebibytes) << 20) / u64::from(RECORD_BYTES);
    produce::write(load, broker, &topic, RECORD_BYTES, records)?;
    broker.stop()?;
    let after_stop = broker.start(&topic)?;
    broker.kill()?;
    let after_kill = broker.start(&topic)?;
    topic::delete(broker, &topic)?;
    Ok(Figures::from([
        (Figure::Filled, f64::from(load.restart_mebibytes)),
        (Figure::RestartAfterStop, millis(after_stop)),
        (Figure::RestartAfterKill, millis(after_kill)),
    ]))
}
