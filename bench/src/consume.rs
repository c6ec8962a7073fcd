//! Consuming a topic from its first record to its last.

use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Outcome, histogram};
use crate::process::Meter;
use crate::{produce, topic};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn everything(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Outcome> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let records = produce::prepare(load, broker, &topic, record_bytes)?;
    let consumer = consumer(load, broker, &topic, &beginnings(load))?;
    let meter = Meter::start(&broker.pids)?;
    let mut received = 0;
    while received < records {
        match consumer.poll(PATIENCE) {
            Some(message) => {
                let message = message?;
                if message.payload_len() != usize::try_from(record_bytes)? {
                    bail!("a record of {} bytes came back", message.payload_len());
                }
            }
            None => bail!("{received} of {records} records came"),
        }
        received += 1;
    }
    let usage = meter.stop()?;
    drop(consumer);
    topic::delete(broker, &topic)?;
    Ok(Outcome {
        records,
        record_bytes,
        latency: histogram(),
        usage,
    })
}

/// The first offset of every partition.
pub(crate) fn beginnings(load: &Load) -> Vec<i64> {
    (0..load.partitions).map(|_| 0).collect()
}

/// A consumer without a group, on every partition of a topic from the offset
/// that is given for it.
pub(crate) fn consumer(
    load: &Load,
    broker: &Broker,
    topic: &str,
    offsets: &[i64],
) -> Result<BaseConsumer> {
    let mut config = load.client(broker);
    config.set("group.id", "ottla-bench");
    config.set("enable.auto.commit", "false");
    // What is fetched ahead waits here; the default of 64 MiB makes the
    // consumer pause and ask again.
    if config.get("queued.max.messages.kbytes").is_none() {
        config.set("queued.max.messages.kbytes", "262144");
    }
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        assignment.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}
