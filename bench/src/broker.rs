//! The broker that is measured: one that runs already, or one started here.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::options::Options;
use crate::usage::Watch;

const START_WITHIN: Duration = Duration::from_secs(10);
const STOP_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: String,
    pub(crate) pid: Option<u32>,
    spawned: Option<Spawned>,
}

/// A process of ours; dropping it ends it.
#[derive(Debug)]
struct Spawned {
    child: Child,
    /// Removed with everything in it when the measurement is over.
    _directory: Option<TempDir>,
}

impl Broker {
    pub(crate) fn given_or_spawned(options: &Options) -> Result<Self> {
        match (&options.broker, &options.spawn) {
            (Some(address), _) => Ok(Self {
                address: address.clone(),
                pid: options.pid,
                spawned: None,
            }),
            (None, Some(binary)) => Self::spawn(binary, options),
            (None, None) => bail!("neither a broker nor a binary was named"),
        }
    }

    fn spawn(binary: &PathBuf, options: &Options) -> Result<Self> {
        let directory = match &options.data {
            Some(_) => None,
            None => Some(TempDir::with_prefix("ottla-bench-")?),
        };
        let made = directory.as_ref().map(|made| made.path().join("data"));
        let data = options.data.clone().or(made).context("no directory")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(data);
        command.args(["--log", "warn", "--set"]);
        command.arg(format!("listeners=PLAINTEXT://{address}"));
        for setting in &options.settings {
            command.args(["--set", setting]);
        }
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("starting {}", binary.display()))?;
        let broker = Self {
            address,
            pid: Some(child.id()),
            spawned: Some(Spawned {
                child,
                _directory: directory,
            }),
        };
        broker.wait_until_it_listens()?;
        Ok(broker)
    }

    fn wait_until_it_listens(&self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            if begun.elapsed() > START_WITHIN {
                bail!("the broker does not listen on {}", self.address);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn is_spawned(&self) -> bool {
        self.spawned.is_some()
    }

    /// librdkafka's settings for this broker, with those of the command line.
    pub(crate) fn client(&self, options: &Options) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        for (key, value) in &options.client {
            config.set(key, value);
        }
        config
    }

    /// Makes a topic of its own for a run and waits until it has leaders.
    pub(crate) fn new_topic(&self, options: &Options) -> Result<String> {
        let name = format!(
            "bench-{}",
            SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos()
        );
        let admin: AdminClient<DefaultClientContext> = self.plain_client().create()?;
        let topic = NewTopic::new(&name, options.partitions, TopicReplication::Fixed(1));
        let created = block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
        for result in created {
            result.map_err(|(name, code)| anyhow::anyhow!("creating {name}: {code}"))?;
        }
        self.wait_for_leaders(&name, options.partitions)?;
        Ok(name)
    }

    /// Gives the space back before the next run.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.plain_client().create()?;
        block_on(admin.delete_topics(&[name], &AdminOptions::new()))?;
        Ok(())
    }

    fn wait_for_leaders(&self, topic: &str, partitions: i32) -> Result<()> {
        let client: BaseConsumer = self.plain_client().create()?;
        let begun = Instant::now();
        loop {
            let metadata = client.fetch_metadata(Some(topic), START_WITHIN)?;
            let led = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions());
            let led = led.filter(|partition| partition.leader() >= 0).count();
            if usize::try_from(partitions) == Ok(led) {
                return Ok(());
            }
            if begun.elapsed() > START_WITHIN {
                bail!("topic {topic} has {led} of {partitions} leaders");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn plain_client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    pub(crate) fn watch(&self) -> Result<Option<Watch>> {
        self.pid.map(Watch::start).transpose()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < STOP_WITHIN {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a future of librdkafka's admin client, whose thread wakes us.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => thread::park(),
        }
    }
}
