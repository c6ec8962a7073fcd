//! Consuming a topic from its first record to its last.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::Broker;
use crate::case::{Outcome, histogram, micros};
use crate::options::Options;
use crate::produce;

const PATIENCE: Duration = Duration::from_secs(30);

/// The latency of this case is the time that one poll waits.
pub(crate) fn everything(options: &Options, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = broker.new_topic(options)?;
    let records = produce::prepare(options, broker, &topic, record_bytes)?;
    let consumer = consumer(options, broker, &topic, Offset::Beginning)?;
    let watch = broker.watch()?;
    let begun = Instant::now();
    let mut latency = histogram();
    let mut received = 0;
    while received < records {
        let asked = Instant::now();
        match consumer.poll(PATIENCE) {
            Some(message) => {
                let message = message?;
                if message.payload_len() != usize::try_from(record_bytes)? {
                    bail!("a record of {} bytes came back", message.payload_len());
                }
            }
            None => bail!("{received} of {records} records came"),
        }
        latency.saturating_record(micros(asked.elapsed()));
        received += 1;
    }
    let took = begun.elapsed();
    let usage = watch.map(|watch| watch.stop()).transpose()?;
    drop(consumer);
    broker.delete_topic(&topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        took,
        latency,
        usage,
    })
}

/// A consumer without a group, on every partition of a topic.
pub(crate) fn consumer(
    options: &Options,
    broker: &Broker,
    topic: &str,
    offset: Offset,
) -> Result<BaseConsumer> {
    let mut config = broker.client(options);
    config.set("group.id", "ottla-bench");
    config.set("enable.auto.commit", "false");
    // What is fetched ahead waits here; the default of 64 MiB makes the
    // consumer pause and ask again.
    if config.get("queued.max.messages.kbytes").is_none() {
        config.set("queued.max.messages.kbytes", "262144");
    }
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..options.partitions {
        assignment.add_partition_offset(topic, partition, offset)?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}
