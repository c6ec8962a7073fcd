//! Produce by bare frames that were encoded before: the broker's own time, without
//! the work and the hand-overs of a client library.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::broker::Broker;
use crate::frames::{Acks, Connection, PreparedProduce};
use crate::load::Load;
use crate::outcome::{Outcome, histogram, micros};
use crate::process::Meter;
use crate::{produce, topic};

/// A leader that is known may not know it yet.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// As many as clients send by default, `batch.size` and
/// `max.in.flight.requests.per.connection`.
const BATCH_BYTES: u32 = 16 << 10;
const IN_FLIGHT: usize = 5;
const CONNECTIONS: usize = 4;

/// Sends, waits for the acknowledgement, and sends the next.
pub(crate) fn one_by_one(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let payload = produce::payload(record_bytes);
    let prepared = PreparedProduce::new(&topic, 0, Acks::All, &payload, 1)?;
    let mut connection = Connection::open(&broker.address)?;
    connection.await_acknowledgement(&topic, &prepared, READY_WITHIN)?;
    let meter = Meter::start(&broker.pids)?;
    let begun = Instant::now();
    let mut latency = histogram();
    let mut records = 0;
    while begun.elapsed() < load.duration {
        let sent = Instant::now();
        connection.send(&prepared)?;
        connection.acknowledged()?;
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

/// Keeps several requests of a full batch each on the way, on four connections, to
/// all partitions in turn. Latency is that of a request.
pub(crate) fn pipelined(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let payload = produce::payload(record_bytes);
    let batch_records = BATCH_BYTES / record_bytes;
    let frames = (0..load.partitions)
        .map(|to| PreparedProduce::new(&topic, to, Acks::Leader, &payload, batch_records));
    let frames = frames.collect::<Result<Vec<_>>>()?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(&broker.address)?;
        for frame in &frames {
            connection.await_acknowledgement(&topic, frame, READY_WITHIN)?;
        }
        connections.push(connection);
    }
    let meter = Meter::start(&broker.pids)?;
    let until = Instant::now() + load.duration;
    let latencies = thread::scope(|scope| {
        let senders: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(|| send_until(until, connection, &frames)))
            .collect();
        let joined = senders.into_iter().map(|sender| {
            sender
                .join()
                .expect("a sender reports its errors and does not panic")
        });
        joined.collect::<Result<Vec<_>>>()
    })?;
    let usage = meter.stop()?;
    let mut latency = histogram();
    for one in latencies {
        latency.add(one)?;
    }
    topic::delete(broker, &topic)?;
    Ok(Outcome {
        records: latency.len() * u64::from(batch_records),
        record_bytes,
        latency,
        usage,
    })
}

fn send_until(
    until: Instant,
    connection: &mut Connection,
    frames: &[PreparedProduce],
) -> Result<Histogram<u64>> {
    let mut latency = histogram();
    let mut under_way = VecDeque::with_capacity(IN_FLIGHT);
    let mut frames = frames.iter().cycle();
    loop {
        let now = Instant::now();
        if now < until
            && under_way.len() < IN_FLIGHT
            && let Some(frame) = frames.next()
        {
            connection.send(frame)?;
            under_way.push_back(now);
        } else if let Some(sent) = under_way.pop_front() {
            connection.acknowledged()?;
            latency.saturating_record(micros(sent.elapsed()));
        } else {
            return Ok(latency);
        }
    }
}
