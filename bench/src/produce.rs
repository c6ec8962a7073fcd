//! Producing: as much as the broker takes, or one record at a time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::broker::Broker;
use crate::case::{Acks, Outcome, histogram, micros};
use crate::options::Options;

const FLUSH_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: u64 = 256;

/// Counts deliveries. What travels with each record is the time of its
/// sending, in microseconds since `begun`.
pub(crate) struct Deliveries {
    begun: Instant,
    seen: Mutex<Seen>,
}

struct Seen {
    delivered: u64,
    failed: Option<KafkaError>,
    latency: Histogram<u64>,
}

impl Deliveries {
    fn new() -> Self {
        let seen = Seen {
            delivered: 0,
            failed: None,
            latency: histogram(),
        };
        Self {
            begun: Instant::now(),
            seen: Mutex::new(seen),
        }
    }

    fn now(&self) -> usize {
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
    }
}

/// Sends for the given time with librdkafka's queue always filled. The time of
/// the run ends with the last acknowledgement.
pub(crate) fn pipelined(
    options: &Options,
    broker: &Broker,
    record_bytes: u32,
    acks: Acks,
) -> Result<Outcome> {
    let topic = broker.new_topic(options)?;
    let producer = producer(options, broker, acks, "5")?;
    let payload = payload(record_bytes);
    // Connections and the producer id are there before the clock starts.
    warm_up(&producer, &topic, &payload)?;
    let watch = broker.watch()?;
    let begun = Instant::now();
    let records = fill(&producer, &topic, &payload, options.duration())?;
    producer.flush(FLUSH_WITHIN)?;
    let took = begun.elapsed();
    let usage = watch.map(|watch| watch.stop()).transpose()?;
    let latency = settled(&producer, records)?;
    drop(producer);
    broker.delete_topic(&topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        took,
        latency,
        usage,
    })
}

/// Sends, waits for the acknowledgement, and sends the next.
pub(crate) fn one_by_one(options: &Options, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = broker.new_topic(options)?;
    let producer = producer(options, broker, Acks::AllIdempotent, "0")?;
    let payload = payload(record_bytes);
    warm_up(&producer, &topic, &payload)?;
    let watch = broker.watch()?;
    let begun = Instant::now();
    let mut records = 0;
    while begun.elapsed() < options.duration() {
        send(&producer, &topic, &payload)?;
        // Not `flush`, which looks at the queue ten times a second only.
        while producer.in_flight_count() > 0 {
            producer.poll(FLUSH_WITHIN);
        }
        records += 1;
    }
    let took = begun.elapsed();
    let usage = watch.map(|watch| watch.stop()).transpose()?;
    let latency = settled(&producer, records)?;
    drop(producer);
    broker.delete_topic(&topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        took,
        latency,
        usage,
    })
}

/// Writes so many records for others to read.
pub(crate) fn prepare(
    options: &Options,
    broker: &Broker,
    topic: &str,
    record_bytes: u32,
) -> Result<u64> {
    let producer = producer(options, broker, Acks::AllIdempotent, "5")?;
    let payload = payload(record_bytes);
    warm_up(&producer, topic, &payload)?;
    let records = fill(&producer, topic, &payload, options.duration())?;
    producer.flush(FLUSH_WITHIN)?;
    settled(&producer, records)?;
    Ok(records + 1)
}

pub(crate) fn producer(
    options: &Options,
    broker: &Broker,
    acks: Acks,
    linger_ms: &str,
) -> Result<BaseProducer<Deliveries>> {
    let mut config = broker.client(options);
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
    Ok(config.create_with_context(Deliveries::new())?)
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
    let latency = settled(producer, 1)?;
    assert_eq!(latency.len(), 1, "one record was delivered");
    let mut seen = producer.context().seen.lock().expect("no holder panics");
    seen.delivered = 0;
    seen.latency.reset();
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
fn settled(producer: &BaseProducer<Deliveries>, records: u64) -> Result<Histogram<u64>> {
    let seen = producer.context().seen.lock().expect("no holder panics");
    if let Some(error) = &seen.failed {
        bail!("a record was not acknowledged: {error}");
    }
    if seen.delivered != records {
        bail!("{} of {records} records were acknowledged", seen.delivered);
    }
    Ok(seen.latency.clone())
}
