//! Topics of a run, made and dropped through librdkafka's admin client.

use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::broker::Broker;

const LEADERS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Makes a topic of its own for a run and waits until it has leaders.
pub(crate) fn create(
    broker: &Broker,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let name = format!("bench-{}", now.as_nanos());
    let admin: AdminClient<DefaultClientContext> = broker.client().create()?;
    let mut topic = NewTopic::new(
        &name,
        partitions,
        TopicReplication::Fixed(broker.replicas()),
    );
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let created = block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
    for result in created {
        result.map_err(|(name, code)| anyhow::anyhow!("creating {name}: {code}"))?;
    }
    wait_for_leaders(broker, &name, partitions)?;
    Ok(name)
}

/// Makes all of these topics with one request, and waits until they have leaders.
pub(crate) fn create_all(broker: &Broker, names: &[String], partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = broker.client().create()?;
    let topics = names.iter();
    let topics: Vec<_> = topics
        .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(broker.replicas())))
        .collect();
    let created = block_on(admin.create_topics(&topics, &AdminOptions::new()))?;
    for result in created {
        result.map_err(|(name, code)| anyhow::anyhow!("creating {name}: {code}"))?;
    }
    match names.last() {
        Some(last) => wait_for_leaders(broker, last, partitions),
        None => Ok(()),
    }
}

/// Gives the space back before the next run.
pub(crate) fn delete(broker: &Broker, name: &str) -> Result<()> {
    delete_all(broker, &[name.to_owned()])
}

pub(crate) fn delete_all(broker: &Broker, names: &[String]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = broker.client().create()?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let deleted = block_on(admin.delete_topics(&names, &AdminOptions::new()))?;
    for result in deleted {
        result.map_err(|(name, code)| anyhow::anyhow!("deleting {name}: {code}"))?;
    }
    Ok(())
}

/// Changes a setting of the broker while it runs.
pub(crate) fn set_on_broker(broker: &Broker, key: &str, value: &str) -> Result<()> {
    let client: BaseConsumer = broker.client().create()?;
    let metadata = client.fetch_metadata(None, LEADERS_WITHIN)?;
    let id = metadata.brokers().first().context("no broker")?.id();
    let admin: AdminClient<DefaultClientContext> = broker.client().create()?;
    let change = AlterConfig::new(ResourceSpecifier::Broker(id)).set(key, value);
    let changed = block_on(admin.alter_configs([&change], &AdminOptions::new()))?;
    for result in changed {
        result.map_err(|(_, code)| anyhow::anyhow!("setting {key}: {code}"))?;
    }
    Ok(())
}

fn wait_for_leaders(broker: &Broker, topic: &str, partitions: i32) -> Result<()> {
    let client: BaseConsumer = broker.client().create()?;
    let begun = Instant::now();
    loop {
        let metadata = client.fetch_metadata(Some(topic), LEADERS_WITHIN)?;
        let known = metadata.topics().iter().flat_map(|t| t.partitions());
        let led = known.filter(|partition| partition.leader() >= 0).count();
        if usize::try_from(partitions) == Ok(led) {
            return Ok(());
        }
        if begun.elapsed() > LEADERS_WITHIN {
            bail!("topic {topic} has {led} of {partitions} leaders");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits for a future of librdkafka's admin client, whose thread wakes us.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
