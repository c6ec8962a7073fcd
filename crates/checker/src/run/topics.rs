//! The topics of a run, whose partitions are its logs.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::history::{Log, Offset};

const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// As many replicas as the broker gives a topic that does not say how many: one on a
/// node, three on a cluster that is set so.
const BROKER_DEFAULT: i32 = -1;

#[derive(Debug)]
pub(super) struct Topics {
    names: Vec<String>,
    partitions: u32,
}

impl Topics {
    pub(super) fn of(seed: u64, topics: u32, partitions: u32) -> Self {
        Self {
            names: (0..topics)
                .map(|number| format!("checker-{seed}-{number}"))
                .collect(),
            partitions,
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    pub(super) fn logs(&self) -> Vec<Log> {
        let topics = u32::try_from(self.names.len()).expect("there are few topics");
        (0..topics * self.partitions).map(Log).collect()
    }

    pub(super) fn place(&self, log: Log) -> (&str, i32) {
        let topic = usize::try_from(log.0 / self.partitions).expect("an index fits");
        let partition = i32::try_from(log.0 % self.partitions).expect("there are few partitions");
        (&self.names[topic], partition)
    }

    pub(super) fn log(&self, topic: &str, partition: i32) -> Option<Log> {
        let topic = self.names.iter().position(|name| name == topic)?;
        let topic = u32::try_from(topic).ok()?;
        Some(Log(topic * self.partitions + u32::try_from(partition).ok()?))
    }

    /// These logs for librdkafka, with an offset for each.
    pub(super) fn list(
        &self,
        logs: impl IntoIterator<Item = (Log, Offset)>,
    ) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (log, offset) in logs {
            let (topic, partition) = self.place(log);
            list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset.0))?;
        }
        Ok(list)
    }

    /// Makes the topics, and waits until all of their partitions are led.
    pub(super) fn create(&self, client: &ClientConfig, within: Duration) -> Result<()> {
        for name in &self.names {
            create(client, name, self.partitions)?;
        }
        let deadline = Instant::now() + within;
        let consumer: BaseConsumer = client.create()?;
        for name in &self.names {
            while led(&consumer, name)? != self.partitions {
                if Instant::now() > deadline {
                    bail!("{name} has partitions that nobody leads");
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }
}

/// How many partitions of a topic have a leader.
fn led(consumer: &BaseConsumer, name: &str) -> Result<u32> {
    let metadata = consumer.fetch_metadata(Some(name), ASK_WITHIN)?;
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    let led = partitions.filter(|partition| partition.leader() >= 0);
    Ok(u32::try_from(led.count())?)
}

pub(super) fn create(client: &ClientConfig, name: &str, partitions: u32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let topic = NewTopic::new(
        name,
        i32::try_from(partitions)?,
        TopicReplication::Fixed(BROKER_DEFAULT),
    );
    let options = AdminOptions::new().request_timeout(Some(ASK_WITHIN));
    let created = block_on(admin.create_topics([&topic], &options))?;
    for result in created {
        result
            .map_err(|(_, code)| code)
            .with_context(|| format!("creating {name}"))?;
    }
    Ok(())
}

pub(super) fn delete(client: &ClientConfig, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let options = AdminOptions::new().request_timeout(Some(ASK_WITHIN));
    let deleted = block_on(admin.delete_topics(&[name], &options))?;
    for result in deleted {
        result
            .map_err(|(_, code)| code)
            .with_context(|| format!("deleting {name}"))?;
    }
    Ok(())
}

/// Waits for a future of librdkafka's admin client, whose thread wakes us and
/// which ends by itself when its request's time is over.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = TaskContext::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
