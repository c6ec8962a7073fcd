//! How long a produce stands still when the node that leads is killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{Producer, ThreadedProducer};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, millis};
use crate::produce::{self, Acks, Deliveries};
use crate::topic;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One record at a time for as long as a run lasts; then the leader of their only
/// partition is gone, and the next is sent. The cluster stays without that node.
pub(crate) fn leader_killed(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Figures> {
    let topic = topic::create(broker, 1, &[])?;
    let config = produce::producer_config(load, broker, Acks::AllIdempotent, "0");
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::new())?;
    let payload = produce::payload(record_bytes);
    let begun = Instant::now();
    let mut records = 0;
    let mut send_one = || {
        records += 1;
        produce::send_threaded(&producer, &topic, &payload)?;
        producer.context().wait_for(records)
    };
    while begun.elapsed() < load.duration {
        send_one()?;
    }
    broker.kill_node(leader(broker, &topic)?)?;
    let killed = Instant::now();
    send_one()?;
    Ok(Figures::from([(
        Figure::Failover,
        millis(killed.elapsed()),
    )]))
}

fn leader(broker: &Broker, topic: &str) -> Result<i32> {
    let client: BaseConsumer = broker.client().create()?;
    let metadata = client.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
    let mut partitions = metadata.topics().iter().flat_map(|t| t.partitions());
    Ok(partitions.next().context("no partition")?.leader())
}
