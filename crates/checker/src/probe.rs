//! How long each partition of a topic acknowledges nothing: so many records are on their
//! way to it, and the time of every acknowledgement told.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

/// How long librdkafka is left to itself at a time.
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Where the broker listens.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// It has to be there.
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Between an acknowledgement and the next record.
    #[arg(long, default_value_t = 5)]
    pause_ms: u64,
    /// How many records are on their way to each partition.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    at_once: usize,
    /// Further settings for librdkafka, whose defaults hold otherwise.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Goes on until it is killed, or nobody reads what it says.
pub(crate) fn run(options: &Options) -> Result<()> {
    let config = config(options)?;
    let (tx, ended) = mpsc::sync_channel(1);
    for partition in 0..options.partitions {
        let (options, config, tx) = (options.clone(), config.clone(), tx.clone());
        thread::Builder::new()
            .name(format!("probe-{partition}"))
            .spawn(move || {
                // Whoever waits has heard of another one.
                let _ = tx.send(probe(&options, &config, partition));
            })?;
    }
    ended.recv().context("there is nothing to probe")?
}

fn config(options: &Options) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("log_level", "2");
    for setting in &options.settings {
        let Some((key, value)) = setting.split_once('=') else {
            bail!("--set takes KEY=VALUE, not {setting}");
        };
        config.set(key, value);
    }
    Ok(config)
}

/// A producer that librdkafka gives up is replaced.
fn probe(options: &Options, config: &ClientConfig, partition: i32) -> Result<()> {
    loop {
        let producer: BaseProducer<Outcomes> = config.create_with_context(Outcomes::default())?;
        let mut on_their_way = 0;
        while producer.client().fatal_error().is_none() {
            while on_their_way < options.at_once {
                if let Err(error) = write_one(options, &producer, partition) {
                    say(&format!("failed {partition} {error}"))?;
                    break;
                }
                on_their_way += 1;
            }
            producer.poll(LOOK_EVERY);
            // librdkafka reports each record once, at the latest when its time is over.
            let outcomes = producer.context().take();
            if outcomes.is_empty() {
                continue;
            }
            on_their_way -= outcomes.len();
            for outcome in outcomes {
                match outcome {
                    Ok(()) => say(&format!("acked {partition} {}", micros()))?,
                    Err(error) => say(&format!("failed {partition} {error}"))?,
                }
            }
            thread::sleep(Duration::from_millis(options.pause_ms));
        }
    }
}

fn write_one(
    options: &Options,
    producer: &BaseProducer<Outcomes>,
    partition: i32,
) -> Result<(), KafkaError> {
    let record = BaseRecord::<(), [u8]>::to(&options.topic)
        .partition(partition)
        .payload(b"x");
    producer.send(record).map_err(|(error, _)| error)
}

/// What became of records since somebody looked.
#[derive(Debug, Default)]
struct Outcomes(Mutex<Vec<Result<(), String>>>);

impl Outcomes {
    fn take(&self) -> Vec<Result<(), String>> {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
}

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = result.as_ref().map(|_| ());
        let outcome = outcome.map_err(|(error, _)| error.to_string());
        self.0.lock().expect("no holder panics").push(outcome);
    }
}

/// By the clock that whoever causes the faults has, too.
fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_micros()
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
