//! How long a produce stands still when the node that leads is killed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{Producer, ThreadedProducer};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, millis};
use crate::produce::{self, Acks, Deliveries};
use crate::topic;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const AGAIN_WITHIN: Duration = Duration::from_secs(60);
const SEND_EVERY: Duration = Duration::from_millis(5);

/// One record at a time for as long as a run lasts. Then the leader of their only
/// partition is gone, and records come at a fixed rate: a client that has nothing new
/// to send looks for another leader once a second only. The cluster stays without
/// that node.
pub(crate) fn leader_killed(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Figures> {
    let topic = topic::create(broker, 1, &[])?;
    let config = produce::producer_config(load, broker, Acks::AllIdempotent, "0");
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::new())?;
    let payload = produce::payload(record_bytes);
    let send = || produce::send_threaded(&producer, &topic, &payload);
    let deliveries = producer.context();
    let begun = Instant::now();
    let mut before = 0;
    while begun.elapsed() < load.duration {
        send()?;
        before += 1;
        deliveries.wait_for(before)?;
    }
    broker.kill_node(leader(broker, &topic)?)?;
    let killed = Instant::now();
    while deliveries.delivered()? == before {
        ensure!(killed.elapsed() < AGAIN_WITHIN, "no other leads");
        send()?;
        thread::sleep(SEND_EVERY);
    }
    let figures = [(Figure::Failover, millis(killed.elapsed()))];
    Ok(Figures::from(figures))
}

fn leader(broker: &Broker, topic: &str) -> Result<i32> {
    let client: BaseConsumer = broker.client().create()?;
    let metadata = client.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
    let mut partitions = metadata.topics().iter().flat_map(|t| t.partitions());
    Ok(partitions.next().context("no partition")?.leader())
}
