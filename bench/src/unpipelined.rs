//! One record at a time by bare frames: the broker's own time, without the
//! hand-overs between the threads of a client library.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::broker::Broker;
use crate::case::{Outcome, histogram, micros};
use crate::frames::{Connection, PreparedProduce};
use crate::options::Options;
use crate::produce;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// Sends, waits for the acknowledgement, and sends the next.
pub(crate) fn bare(options: &Options, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = broker.new_topic(options)?;
    let prepared = PreparedProduce::new(&topic, &produce::payload(record_bytes))?;
    let mut connection = Connection::open(&broker.address, READY_WITHIN)?;
    connection.first_acknowledged(&topic, &prepared, READY_WITHIN)?;
    let watch = broker.watch()?;
    let begun = Instant::now();
    let mut latency = histogram();
    let mut records = 0;
    while begun.elapsed() < options.duration() {
        let sent = Instant::now();
        connection.produce(&prepared)?;
        latency.saturating_record(micros(sent.elapsed()));
        records += 1;
    }
    let took = begun.elapsed();
    let usage = watch.map(|watch| watch.stop()).transpose()?;
    broker.delete_topic(&topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        took,
        latency,
        usage,
    })
}
