//! One record at a time by bare frames: the broker's own time, without the
//! hand-overs between the threads of a client library.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::broker::Broker;
use crate::frames::{Connection, PreparedProduce};
use crate::load::Load;
use crate::outcome::{Outcome, histogram, micros};
use crate::process::Meter;
use crate::{produce, topic};

/// A leader that is known may not know it yet.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Sends, waits for the acknowledgement, and sends the next.
pub(crate) fn bare(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let prepared = PreparedProduce::new(&topic, &produce::payload(record_bytes))?;
    let mut connection = Connection::open(&broker.address)?;
    connection.await_acknowledgement(&topic, &prepared, READY_WITHIN)?;
    let meter = Meter::start(&broker.pids)?;
    let begun = Instant::now();
    let mut latency = histogram();
    let mut records = 0;
    while begun.elapsed() < load.duration {
        let sent = Instant::now();
        connection.produce(&prepared)?;
        latency.saturating_record(micros(sent.elapsed()));
        records += 1;
    }
    let usage = meter.stop()?;
    topic::delete(broker, &topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        latency,
        usage,
    })
}
