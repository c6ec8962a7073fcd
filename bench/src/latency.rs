//! The way from a producer's send to a consumer's poll, at a fixed rate.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset};

use crate::broker::Broker;
use crate::case::{Acks, Outcome, histogram, micros};
use crate::consume;
use crate::options::Options;
use crate::produce::{self, Deliveries};

const PATIENCE: Duration = Duration::from_secs(30);
const STAMP_BYTES: usize = 8;

/// Both ends are this process, so both read the same clock. A record is due at
/// its time whether or not the one before has come through: a stall of the
/// broker counts for every record that it held up.
pub(crate) fn end_to_end(options: &Options, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = broker.new_topic(options)?;
    let producer = produce::producer(options, broker, Acks::AllIdempotent, "0")?;
    let consumer = consume::consumer(options, broker, &topic, Offset::Beginning)?;
    let clock = Instant::now();
    // The first record opens connections and is not counted.
    send(
        &producer,
        &topic,
        &mut produce::payload(record_bytes),
        Duration::ZERO,
    )?;
    producer.flush(PATIENCE)?;
    consumer
        .poll(PATIENCE)
        .context("the first record did not come")??;

    let records = u64::from(options.rate) * u64::from(options.seconds);
    let watch = broker.watch()?;
    let begun = Instant::now();
    let latency = thread::scope(|scope| {
        let (failed, failure) = mpsc::channel();
        let (producer, topic) = (&producer, &topic);
        scope.spawn(move || {
            if let Err(error) = at_a_rate(options, producer, topic, record_bytes, clock, records) {
                let _ = failed.send(error);
            }
        });
        let latency = receive(&consumer, clock, records);
        match failure.recv() {
            Ok(error) => Err(error),
            Err(mpsc::RecvError) => latency,
        }
    })?;
    let took = begun.elapsed();
    let usage = watch.map(|watch| watch.stop()).transpose()?;
    drop((producer, consumer));
    broker.delete_topic(&topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        took,
        latency,
        usage,
    })
}

fn at_a_rate(
    options: &Options,
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    record_bytes: u32,
    clock: Instant,
    records: u64,
) -> Result<()> {
    let mut payload = produce::payload(record_bytes);
    let begun = clock.elapsed();
    let interval = Duration::from_secs(1) / options.rate;
    let mut due = begun;
    for _ in 0..records {
        due += interval;
        producer.poll(Duration::ZERO);
        if let Some(wait) = due.checked_sub(clock.elapsed()) {
            thread::sleep(wait);
        }
        send(producer, topic, &mut payload, due)?;
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    payload: &mut [u8],
    due: Duration,
) -> Result<()> {
    let stamp = micros(due).to_be_bytes();
    payload
        .first_chunk_mut::<STAMP_BYTES>()
        .context("no room for a time stamp")?
        .copy_from_slice(&stamp);
    let record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, 0).payload(payload);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(())
}

fn receive(consumer: &BaseConsumer, clock: Instant, records: u64) -> Result<Histogram<u64>> {
    let mut latency = histogram();
    while latency.len() < records {
        let Some(message) = consumer.poll(PATIENCE) else {
            bail!("{} of {records} records came", latency.len());
        };
        let message = message?;
        let stamp = message.payload().and_then(<[u8]>::first_chunk);
        let sent = u64::from_be_bytes(*stamp.context("a record without a time stamp")?);
        latency.saturating_record(micros(clock.elapsed()).saturating_sub(sent));
    }
    Ok(latency)
}
