//! Producing: as much as the broker takes, or one record at a time.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Outcome, histogram, micros};
use crate::process::Meter;
use crate::topic;

const FLUSH_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: u64 = 256;

/// What acknowledgement a producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    Leader,
    AllIdempotent,
}

/// Counts deliveries. What travels with each record is the time of its
/// sending, in microseconds since `begun`.
pub(crate) struct Deliveries {
    begun: Instant,
    seen: Mutex<Seen>,
    /// Told of every delivery.
    arrived: Condvar,
}

struct Seen {
    delivered: u64,
    failed: Option<KafkaError>,
    latency: Histogram<u64>,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        let seen = Seen {
            delivered: 0,
            failed: None,
            latency: histogram(),
        };
        Self {
            begun: Instant::now(),
            seen: Mutex::new(seen),
            arrived: Condvar::new(),
        }
    }

    pub(crate) fn forget(&self) {
        let mut seen = self.seen.lock().expect("no holder panics");
        seen.delivered = 0;
        seen.latency.reset();
    }

    /// Waits until so many records were answered since the last reset.
    pub(crate) fn wait_for(&self, delivered: u64) -> Result<()> {
        let seen = self.seen.lock().expect("no holder panics");
        let is_owed = |seen: &mut Seen| seen.delivered < delivered && seen.failed.is_none();
        let (seen, waited) = self
            .arrived
            .wait_timeout_while(seen, FLUSH_WITHIN, is_owed)
            .expect("no holder panics");
        match &seen.failed {
            Some(error) => bail!("a record was not acknowledged: {error}"),
            None if waited.timed_out() => bail!("a record was not acknowledged in time"),
            None => Ok(()),
        }
    }

    /// In microseconds since it was made.
    pub(crate) fn now(&self) -> usize {
        usize::try_from(micros(self.begun.elapsed())).unwrap_or(usize::MAX)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: usize) {
        let took = self.now().saturating_sub(sent);
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        match result {
            Ok(_) => {
                seen.delivered += 1;
                let took = u64::try_from(took).unwrap_or(u64::MAX);
                seen.latency.saturating_record(took);
            }
            Err((error, _)) => seen.failed = Some(error.clone()),
        }
        drop(seen);
        self.arrived.notify_all();
    }
}

/// Sends for the given time with librdkafka's queue always filled. The time of
/// the run ends with the last acknowledgement.
pub(crate) fn pipelined(
    load: &Load,
    broker: &Broker,
    record_bytes: u32,
    acks: Acks,
) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let producer = producer(load, broker, acks, "5")?;
    let payload = payload(record_bytes);
    // Connections and the producer id are there before the clock starts.
    warm_up(&producer, &topic, &payload)?;
    let meter = Meter::start(&broker.pids)?;
    let records = fill(&producer, &topic, &payload, load.duration)?;
    producer.flush(FLUSH_WITHIN)?;
    let usage = meter.stop()?;
    let latency = settled(producer.context(), records)?;
    drop(producer);
    topic::delete(broker, &topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        latency,
        usage,
    })
}

/// Sends, waits for the acknowledgement, and sends the next.
pub(crate) fn one_by_one(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let config = producer_config(load, broker, Acks::AllIdempotent, "0");
    // A thread of its own hands out acknowledgements the moment they arrive.
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::new())?;
    let payload = payload(record_bytes);
    send_threaded(&producer, &topic, &payload)?;
    producer.context().wait_for(1)?;
    producer.context().forget();
    let meter = Meter::start(&broker.pids)?;
    let begun = Instant::now();
    let mut records = 0;
    while begun.elapsed() < load.duration {
        send_threaded(&producer, &topic, &payload)?;
        records += 1;
        producer.context().wait_for(records)?;
    }
    let usage = meter.stop()?;
    let latency = settled(producer.context(), records)?;
    drop(producer);
    topic::delete(broker, &topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        latency,
        usage,
    })
}

/// Writes for the given time, for others to read, and returns how many records.
pub(crate) fn prepare(load: &Load, broker: &Broker, topic: &str, record_bytes: u32) -> Result<u64> {
    let producer = producer(load, broker, Acks::AllIdempotent, "5")?;
    let payload = payload(record_bytes);
    warm_up(&producer, topic, &payload)?;
    let records = fill(&producer, topic, &payload, load.duration)?;
    producer.flush(FLUSH_WITHIN)?;
    settled(producer.context(), records)?;
    Ok(records + 1)
}

/// Writes so many records.
pub(crate) fn write(
    load: &Load,
    broker: &Broker,
    topic: &str,
    record_bytes: u32,
    records: u64,
) -> Result<()> {
    let producer = producer(load, broker, Acks::AllIdempotent, "5")?;
    let payload = payload(record_bytes);
    for record in 0..records {
        send(&producer, topic, &payload)?;
        if record % POLL_EVERY == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(FLUSH_WITHIN)?;
    settled(producer.context(), records)?;
    Ok(())
}

pub(crate) fn producer(
    load: &Load,
    broker: &Broker,
    acks: Acks,
    linger_ms: &str,
) -> Result<BaseProducer<Deliveries>> {
    let config = producer_config(load, broker, acks, linger_ms);
    Ok(config.create_with_context(Deliveries::new())?)
}

pub(crate) fn producer_config(
    load: &Load,
    broker: &Broker,
    acks: Acks,
    linger_ms: &str,
) -> ClientConfig {
    let mut config = load.client(broker);
    let defaults = [
        ("linger.ms", linger_ms),
        ("queue.buffering.max.messages", "1000000"),
        ("queue.buffering.max.kbytes", "262144"),
        match acks {
            Acks::Leader => ("acks", "1"),
            Acks::AllIdempotent => ("enable.idempotence", "true"),
        },
    ];
    for (key, value) in defaults {
        if config.get(key).is_none() {
            config.set(key, value);
        }
    }
    config
}

pub(crate) fn payload(record_bytes: u32) -> Vec<u8> {
    (0..record_bytes)
        .map(|index| index.to_le_bytes()[0])
        .collect()
}

/// One record, delivered; forgotten in the counts.
fn warm_up(producer: &BaseProducer<Deliveries>, topic: &str, payload: &[u8]) -> Result<()> {
    send(producer, topic, payload)?;
    producer.flush(FLUSH_WITHIN)?;
    let latency = settled(producer.context(), 1)?;
    assert_eq!(latency.len(), 1, "one record was delivered");
    producer.context().forget();
    Ok(())
}

fn fill(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    payload: &[u8],
    duration: Duration,
) -> Result<u64> {
    let begun = Instant::now();
    let mut records = 0;
    loop {
        send(producer, topic, payload)?;
        records += 1;
        if records % POLL_EVERY == 0 {
            producer.poll(Duration::ZERO);
            if begun.elapsed() > duration {
                return Ok(records);
            }
        }
    }
}

pub(crate) fn send_threaded(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    payload: &[u8],
) -> Result<()> {
    let now = producer.context().now();
    let record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, now).payload(payload);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(())
}

fn send(producer: &BaseProducer<Deliveries>, topic: &str, payload: &[u8]) -> Result<()> {
    let now = producer.context().now();
    let mut record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, now).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// The latencies, once it is certain that everything was acknowledged.
pub(crate) fn settled(deliveries: &Deliveries, records: u64) -> Result<Histogram<u64>> {
    let seen = deliveries.seen.lock().expect("no holder panics");
    if let Some(error) = &seen.failed {
        bail!("a record was not acknowledged: {error}");
    }
    if seen.delivered != records {
        bail!("{} of {records} records were acknowledged", seen.delivered);
    }
    Ok(seen.latency.clone())
}
