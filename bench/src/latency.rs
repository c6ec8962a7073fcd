//! The way from a producer's send to consumers' polls, at a fixed rate.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, Outcome, histogram, micros};
use crate::process::Meter;
use crate::produce::{self, Acks, Deliveries};
use crate::{consume, topic};

const PATIENCE: Duration = Duration::from_secs(30);
const FAN_OUT_TIMES: u32 = 3;
const STAMP_BYTES: usize = 8;

/// Short, but a client that is held up for a second loses nothing.
const SHORT_RETENTION: [(&str, &str); 2] =
    [("segment.bytes", "1048576"), ("retention.bytes", "4194304")];
/// So much in each partition that retention has something to delete from the
/// beginning.
const KEPT_TOO_LONG_BYTES: u64 = 6 << 20;

/// One consumer, no linger, and retention deleting all the while.
pub(crate) fn end_to_end(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Figures> {
    let topic = topic::create(broker, load.partitions, &SHORT_RETENTION)?;
    let old = KEPT_TOO_LONG_BYTES / u64::from(record_bytes) * u64::try_from(load.partitions)?;
    produce::write(load, broker, &topic, record_bytes, old)?;
    let begun = ends(load, broker, &topic)?;
    let begins: Vec<i64> = begun.iter().map(|(_, high)| *high).collect();
    let outcome = at_a_fixed_rate(load, broker, &topic, record_bytes, "0", &[&begins])?;
    let mut figures = figures(&outcome);
    let (low, high) = ends(load, broker, &topic)?
        .into_iter()
        .fold((0, 0), |(lows, highs), (low, high)| {
            (lows + low, highs + high)
        });
    figures.insert(Figure::Deleted, 100.0 * low as f64 / high as f64);
    topic::delete(broker, &topic)?;
    Ok(figures)
}

/// The least and the next offset of every partition.
fn ends(load: &Load, broker: &Broker, topic: &str) -> Result<Vec<(i64, i64)>> {
    let consumer: BaseConsumer = broker.client().create()?;
    (0..load.partitions)
        .map(|partition| Ok(consumer.fetch_watermarks(topic, partition, PATIENCE)?))
        .collect()
}

/// Every consumer reads every record; the producer lingers as librdkafka does
/// by default. The rate is higher than where latency is the question: what is
/// asked here is what each record costs the broker.
pub(crate) fn fan_out(
    load: &Load,
    broker: &Broker,
    record_bytes: u32,
    consumers: usize,
) -> Result<Figures> {
    let load = &load.with_rate(load.rate * FAN_OUT_TIMES);
    let topic = topic::create(broker, load.partitions, &[])?;
    let beginnings = consume::beginnings(load);
    let begins = vec![&beginnings[..]; consumers];
    let outcome = at_a_fixed_rate(load, broker, &topic, record_bytes, "5", &begins)?;
    topic::delete(broker, &topic)?;
    Ok(figures(&outcome))
}

/// A client that keeps the rate is not the limit.
fn figures(outcome: &Outcome) -> Figures {
    let mut figures = outcome.figures();
    figures.remove(&Figure::BusiestThread);
    figures
}

/// Both ends are this process, so both read the same clock. A record is due at
/// its time whether or not the one before has come through: a stall of the
/// broker counts for every record that it held up. There is a consumer for
/// each of `begins`, which are the offsets that it begins with.
fn at_a_fixed_rate(
    load: &Load,
    broker: &Broker,
    topic: &str,
    record_bytes: u32,
    linger_ms: &str,
    begins: &[&[i64]],
) -> Result<Outcome> {
    let producer = produce::producer(load, broker, Acks::AllIdempotent, linger_ms)?;
    let consumers = begins
        .iter()
        .map(|offsets| consume::consumer(load, broker, topic, offsets))
        .collect::<Result<Vec<BaseConsumer>>>()?;
    let clock = Instant::now();
    // The first record opens connections and is not counted.
    let mut payload = produce::payload(record_bytes);
    send(&producer, topic, &mut payload, Duration::ZERO)?;
    producer.flush(PATIENCE)?;
    for consumer in &consumers {
        let first = consumer.poll(PATIENCE);
        first.context("the first record did not come")??;
    }

    let records = (f64::from(load.rate) * load.duration.as_secs_f64()).round();
    let records = format!("{records:.0}").parse()?;
    let meter = Meter::start(&broker.pids)?;
    let latency = thread::scope(|scope| {
        let (producer, payload) = (&producer, &mut payload);
        let sending =
            scope.spawn(move || keep_the_rate(load, producer, topic, payload, clock, records));
        let receiving: Vec<_> = consumers
            .iter()
            .map(|consumer| scope.spawn(move || receive(consumer, clock, records)))
            .collect();
        let mut latency = histogram();
        sending.join().expect("no sender panics")?;
        for receiving in receiving {
            latency.add(receiving.join().expect("no receiver panics")?)?;
        }
        anyhow::Ok(latency)
    })?;
    let usage = meter.stop()?;
    Ok(Outcome {
        records,
        record_bytes,
        latency,
        usage,
    })
}

fn keep_the_rate(
    load: &Load,
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    payload: &mut [u8],
    clock: Instant,
    records: u64,
) -> Result<()> {
    let interval = Duration::from_secs(1) / load.rate;
    let mut due = clock.elapsed();
    for _ in 0..records {
        due += interval;
        producer.poll(Duration::ZERO);
        if let Some(wait) = due.checked_sub(clock.elapsed()) {
            thread::sleep(wait);
        }
        send(producer, topic, payload, due)?;
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
