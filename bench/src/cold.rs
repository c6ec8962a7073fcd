//! Reading what is on disk and in nobody's memory: one of many partitions that were
//! written side by side, and old data beside a producer that must not notice.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hdrhistogram::Histogram;

use crate::broker::Broker;
use crate::frames::{Acks, Connection, PreparedProduce};
use crate::load::Load;
use crate::outcome::{Figure, Figures, mebibytes, quantile};
use crate::process::Meter;
use crate::statistics::Spread;
use crate::steady::{self, Records};
use crate::{disk, produce, topic};

/// The topic of the first record.
const FIRST: &str = "bench-first";
const MANY: i32 = 1000;
/// Of so many partitions one is read: what lies beside it on disk is not.
const READ_ONE_OF: usize = 40;
const FEW: i32 = 8;
const STORED_BYTES: u64 = 2 << 30;
const RECORD_BYTES: u32 = 1024;
/// Of one partition, before the next one's turn.
const BATCH_RECORDS: u32 = 16;
/// One batch goes to each of so many with one request.
const PARTITIONS_AT_ONCE: usize = 50;
const IN_FLIGHT: usize = 5;
const READY_WITHIN: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(5);
const IDLE_WITHIN: Duration = Duration::from_secs(120);
/// What is read must come from the disk, but for what is read ahead while the page
/// cache is being emptied.
const COLD_SHARE: f64 = 0.95;

const RATE: u32 = 1_000;
/// Without and with a reader, in turns.
const PHASE: Duration = Duration::from_secs(3);
const TURNS: u32 = 5;

pub(crate) fn one_of_a_thousand(broker: &mut Broker) -> Result<Figures> {
    let old = Old::store(broker, MANY)?;
    let mut connection = Connection::open(&broker.address)?;
    let partitions: Vec<i32> = (0..MANY).step_by(READ_ONE_OF).collect();
    old.forget()?;
    let meter = Meter::start(&broker.pids)?;
    let from_disk = disk::read(&broker.pids)?;
    let mut bytes = 0;
    for partition in partitions {
        bytes += old.read(&mut connection, partition, || false)?;
    }
    let from_disk = disk::read(&broker.pids)? - from_disk;
    let usage = meter.stop()?;
    ensure_cold(bytes, from_disk)?;
    topic::delete(broker, &old.topic)?;
    let mut figures = Figures::from([(
        Figure::MegabytesPerSecond,
        megabytes(bytes) / usage.took.as_secs_f64(),
    )]);
    if let Some(broker) = usage.broker {
        figures.insert(Figure::PeakMemory, mebibytes(broker.peak_memory_bytes));
        figures.insert(Figure::BrokerCpu, broker.processor.as_secs_f64());
    }
    Ok(figures)
}

/// What a disk does now and then without being asked lasts longer than a hundredth of a
/// turn. So every turn has quantiles of its own, and their medians count.
pub(crate) fn beside_a_producer(load: &Load, broker: &mut Broker) -> Result<Figures> {
    let old = Old::store(broker, FEW)?;
    let topic = topic::create(broker, load.partitions, &[])?;
    // Connections, and what a broker compiles of its code only now.
    produce_for(load, broker, &topic)?;
    let (mut undisturbed, mut disturbed) = (Vec::new(), Vec::new());
    let (mut bytes, mut reading) = (0, Duration::ZERO);
    for _ in 0..TURNS {
        undisturbed.push(produce_for(load, broker, &topic)?);
        old.forget()?;
        let from_disk = disk::read(&broker.pids)?;
        let begun = Instant::now();
        let is_over = AtomicBool::new(false);
        let (latency, read) = thread::scope(|scope| {
            let reader = scope.spawn(|| old.read_until(broker, &is_over));
            let latency = produce_for(load, broker, &topic);
            is_over.store(true, Ordering::Relaxed);
            (latency, reader.join().expect("a reader does not panic"))
        });
        reading += begun.elapsed();
        let read = read?;
        ensure_cold(read, disk::read(&broker.pids)? - from_disk)?;
        disturbed.push(latency?);
        bytes += read;
    }
    topic::delete_all(broker, &[topic, old.topic])?;
    let p99 = median(&disturbed, 0.99);
    let without = median(&undisturbed, 0.99);
    Ok(Figures::from([
        (Figure::P50, median(&disturbed, 0.5)),
        (Figure::P99, p99),
        (Figure::P999, median(&disturbed, 0.999)),
        (Figure::UndisturbedP99, without),
        (Figure::RaisedP99, p99 / without),
        (
            Figure::MegabytesPerSecond,
            megabytes(bytes) / reading.as_secs_f64(),
        ),
    ]))
}

/// Of a quantile of each turn.
fn median(turns: &[Histogram<u64>], of: f64) -> f64 {
    let spread = Spread::of(turns.iter().map(|turn| quantile(turn, of)));
    spread.map_or(f64::NAN, |spread| spread.median)
}

fn produce_for(load: &Load, broker: &Broker, topic: &str) -> Result<Histogram<u64>> {
    let records = Records {
        topic,
        value_bytes: RECORD_BYTES,
        keys: 0,
        linger_ms: "0",
    };
    let is_over = AtomicBool::new(false);
    let load = load.with_rate(RATE);
    thread::scope(|scope| {
        let producer = scope.spawn(|| steady::keep_the_rate(&load, broker, &records, &is_over));
        thread::sleep(PHASE);
        is_over.store(true, Ordering::Relaxed);
        producer.join().expect("a producer does not panic")
    })
}

/// A topic whose partitions were written side by side, and where it lies.
struct Old {
    topic: String,
    partitions: i32,
    /// Of each partition.
    end: i64,
    files: Vec<PathBuf>,
}

impl Old {
    /// Writes it on an empty broker and waits until that has done with it what it does.
    fn store(broker: &mut Broker, partitions: i32) -> Result<Self> {
        if !broker.kind.keeps_data() || broker.pids.is_empty() {
            bail!("it keeps no data, or is not ours to look at");
        }
        broker.start_anew(FIRST)?;
        topic::set_on_broker(broker, "log.cleaner.backoff.ms", "1000")?;
        let topic = topic::create(broker, partitions, &[])?;
        let batch_bytes = u64::from(BATCH_RECORDS * RECORD_BYTES);
        let turns = STORED_BYTES / batch_bytes / u64::try_from(partitions)?;
        write(broker, &topic, partitions, turns)?;
        disk::await_idle(broker, QUIET, IDLE_WITHIN)?;
        rustix::fs::sync();
        Ok(Self {
            files: disk::files_below(broker.directory())?,
            topic,
            partitions,
            end: i64::try_from(turns * u64::from(BATCH_RECORDS))?,
        })
    }

    /// None of it is in memory any more.
    fn forget(&self) -> Result<()> {
        disk::forget(&self.files)
    }

    /// Reads a partition from its first record to its last, and returns how many bytes
    /// came.
    fn read(
        &self,
        connection: &mut Connection,
        partition: i32,
        is_over: impl Fn() -> bool,
    ) -> Result<u64> {
        let (mut bytes, mut next) = (0, 0);
        while next < self.end && !is_over() {
            let fetched = connection.fetch(&self.topic, partition, next)?;
            ensure!(fetched.next > next, "nothing came from offset {next} on");
            bytes += fetched.bytes;
            next = fetched.next;
        }
        Ok(bytes)
    }

    /// Reads all partitions again and again, each time from the disk.
    fn read_until(&self, broker: &Broker, is_over: &AtomicBool) -> Result<u64> {
        let mut connection = Connection::open(&broker.address)?;
        let mut bytes = 0;
        let is_over = || is_over.load(Ordering::Relaxed);
        while !is_over() {
            for partition in 0..self.partitions {
                bytes += self.read(&mut connection, partition, is_over)?;
            }
            self.forget()?;
        }
        Ok(bytes)
    }
}

/// Gives every partition a batch, so many times.
fn write(broker: &Broker, topic: &str, partitions: i32, turns: u64) -> Result<()> {
    let payload = produce::payload(RECORD_BYTES);
    let partitions: Vec<i32> = (0..partitions).collect();
    let requests = partitions
        .chunks(PARTITIONS_AT_ONCE)
        .map(|some| PreparedProduce::to_each(topic, some, Acks::Leader, &payload, BATCH_RECORDS));
    let requests = requests.collect::<Result<Vec<_>>>()?;
    let mut connection = Connection::open(&broker.address)?;
    for request in &requests {
        // A leader that is known may not know it yet.
        connection.await_acknowledgement(topic, request, READY_WITHIN)?;
    }
    let mut under_way = 0;
    for _ in 1..turns {
        for request in &requests {
            if under_way == IN_FLIGHT {
                connection.acknowledged()?;
                under_way -= 1;
            }
            connection.send(request)?;
            under_way += 1;
        }
    }
    for _ in 0..under_way {
        connection.acknowledged()?;
    }
    Ok(())
}

fn ensure_cold(bytes: u64, from_disk: u64) -> Result<()> {
    let share = from_disk as f64 / bytes as f64;
    ensure!(
        share >= COLD_SHARE,
        "only {:.0} % of what was read came from the disk",
        share * 100.0
    );
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
