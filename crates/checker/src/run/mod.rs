//! A run: clients at work until the faults are over, and then one that reads
//! everything.

mod group;
mod last_read;
mod orders;
mod payload;
mod producing;
mod reading;
mod recorder;
mod scratch;
mod topics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use rdkafka::ClientConfig;

use crate::chance::Chance;
use crate::history::{Offsets, What};
use crate::verdict::Verdict;
use orders::{Order, Orders};
use recorder::Recorder;
use topics::Topics;

const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Where the broker listens.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// Where the history is written.
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// What chooses sizes, partitions, positions and settings of clients.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run ends by itself after so long.
    #[arg(long)]
    seconds: Option<u64>,
    #[arg(long, default_value_t = 2)]
    topics: u32,
    #[arg(long, default_value_t = 3)]
    partitions: u32,
    #[arg(long, default_value_t = 2)]
    producers: u32,
    /// Consumers that choose what they read.
    #[arg(long, default_value_t = 2)]
    consumers: u32,
    /// Consumers of one group.
    #[arg(long, default_value_t = 2)]
    members: u32,
    /// Records a second that each producer sends.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Make, fill and delete further topics meanwhile.
    #[arg(long)]
    scratch: bool,
    /// Further settings for librdkafka's producers.
    #[arg(long = "producer", value_name = "KEY=VALUE")]
    producer_settings: Vec<String>,
    /// How long the broker may take for each thing once the faults are over.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

/// What all clients of a run share.
#[derive(Debug)]
struct Run {
    options: Options,
    topics: Topics,
    recorder: Recorder,
    is_over: AtomicBool,
}

impl Run {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.options.patience)
    }

    /// A client that finds a restarted broker again soon.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.options.bootstrap)
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("retry.backoff.ms", "20")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("socket.timeout.ms", "10000")
            .set("log_level", "2");
        config
    }

    fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "20")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "500");
        config
    }
}

pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let recorder = Recorder::create(&options.history)?;
    recorder.run(What::Run {
        seed: options.seed,
        offsets: Offsets::Dense,
    });
    let topics = Topics::of(options.seed, options.topics, options.partitions);
    let run = Arc::new(Run {
        options: options.clone(),
        topics,
        recorder,
        is_over: AtomicBool::new(false),
    });
    run.topics.create(&run.client(), run.patience())?;
    let clients = start_clients(&run)?;
    follow_orders(&run)?;
    run.is_over.store(true, Ordering::Relaxed);
    clients.wait(&run)?;
    last_read::read_everything(&run)?;
    let history = run.recorder.finish()?;
    Ok(Verdict::of(&history))
}

/// What a client does until the run is over.
type Work = fn(&Run, Chance) -> Result<()>;

/// Clients at work, each on a thread of its own.
struct Clients {
    names: Vec<&'static str>,
    ended: mpsc::Receiver<Result<()>>,
}

fn start_clients(run: &Arc<Run>) -> Result<Clients> {
    let mut chance = Chance::new(run.options.seed);
    let mut work: Vec<(&'static str, Work)> = Vec::new();
    work.extend((0..run.options.producers).map(|_| ("producer", producing::produce as _)));
    work.extend((0..run.options.consumers).map(|_| ("consumer", reading::read as _)));
    if run.options.members > 0 {
        work.extend((0..run.options.members).map(|_| ("member", group::take_part as _)));
        work.push(("watcher", group::watch));
    }
    if run.options.scratch {
        work.push(("scratch", scratch::make_and_delete));
    }
    let (tx, ended) = mpsc::sync_channel(work.len());
    let names = work.iter().map(|(name, _)| *name).collect();
    for (name, work) in work {
        let (run, chance, tx) = (Arc::clone(run), chance.fork(), tx.clone());
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let ended = work(&run, chance).context(name);
                // Nobody waits for it if another client failed before.
                let _ = tx.send(ended);
            })?;
    }
    Ok(Clients { names, ended })
}

impl Clients {
    /// A client may wait for the broker twice: for what it asked last, and to
    /// take its leave.
    fn wait(self, run: &Run) -> Result<()> {
        let deadline = Instant::now() + run.patience() * 2;
        for waited_for in 0..self.names.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(left) {
                Ok(ended) => ended?,
                Err(_) => bail!(
                    "{} of the clients ({}) did not end in time",
                    self.names.len() - waited_for,
                    self.names.join(", ")
                ),
            }
        }
        Ok(())
    }
}

/// Until the faults are over.
fn follow_orders(run: &Run) -> Result<()> {
    let orders = Orders::listen()?;
    let end = run.options.seconds.map(Duration::from_secs);
    let begun = Instant::now();
    let mut told = 0;
    loop {
        match orders.next_within(LOOK_EVERY) {
            Some(Order::Note(text)) => run.recorder.run(What::Note(text)),
            Some(Order::End) => return Ok(()),
            // With a time of its own a run needs nobody to end it.
            Some(Order::Silence) if end.is_none() => return Ok(()),
            Some(Order::Silence) => thread::sleep(LOOK_EVERY),
            None => {}
        }
        let acked = run.recorder.acked();
        if acked != told {
            told = acked;
            orders::say_acked(acked)?;
        }
        if end.is_some_and(|end| begun.elapsed() >= end) {
            return Ok(());
        }
    }
}
