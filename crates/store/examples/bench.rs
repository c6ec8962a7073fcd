//! How fast the store on disk is, and how much memory it takes.
//!
//! `cargo run --release -p ottla-store --features testing --example bench -- DIR [open | many | latency | cold | "16384 B, no fsync" ...]`

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ottla_base::{BrokerId, ClusterId, Offset, PartitionId, TopicId, TopicPartition};
use ottla_protocol::records::RecordBatch;
use ottla_store::rocks::{self, Options, Rewrites, RocksStore};
use ottla_store::testing::batch;
use ottla_store::{
    Durability, LogId, LogListener, LogStore, Op, ReadMode, ReadOutcome, StoreFailure,
};

const LOGS: i32 = 1_000;
/// What the driver lets the store hold at a time.
const IN_FLIGHT_MAX: u64 = 32 * 1024 * 1024;

type Outcome = Result<(), Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn main() -> Outcome {
    let dir = std::env::args()
        .nth(1)
        .ok_or("name a directory to write in")?;
    let dir = Path::new(&dir);
    let lazy = Durability::PageCache {
        flush_interval: Duration::from_secs(3600),
    };
    let second = Durability::PageCache {
        flush_interval: Duration::from_secs(1),
    };
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let runs = |part: &str| part.starts_with(&wanted);
    if runs("open") {
        println!("open, empty: {}", opening(dir, 0)?);
    }
    if runs("many") {
        println!("open, 20,000 logs: {}", opening(dir, 20_000)?);
    }
    if runs("latency") {
        println!("append and fsync, one at a time: {}", latency(dir)?);
    }
    if runs("cold") {
        println!("cold read of one of 1,000 logs: {}", cold(dir)?);
    }
    for (name, durability, gib) in [
        ("no fsync", lazy, 3),
        ("flush every second", second, 3),
        ("fsync per group", Durability::Fsync, 1),
    ] {
        for size in [1024, 16 * 1024, 128 * 1024] {
            if runs(&format!("{size} B, {name}")) {
                let total = gib * 1024 * 1024 * 1024 / if size == 1024 { 4 } else { 1 };
                let rate = throughput(dir, durability, size, total)?;
                println!("{size} B, {name}: {rate}");
            }
        }
    }
    Ok(())
}

fn open(dir: &Path, durability: Durability) -> Result<RocksStore, rocks::OpenError> {
    let options = Options::new(BrokerId(1), ClusterId::from("bench"));
    rocks::open(
        dir,
        Options {
            durability,
            ..options
        },
    )
}

fn fresh(dir: &Path, durability: Durability) -> Result<RocksStore, Box<dyn Error>> {
    clear(dir)?;
    Ok(open(&dir.join("bench-store"), durability)?)
}

fn clear(dir: &Path) -> Outcome {
    let dir = dir.join("bench-store");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn opening(dir: &Path, logs: i32) -> Result<String, Box<dyn Error>> {
    clear(dir)?;
    let dir = dir.join("bench-store");
    let began = Instant::now();
    let store = open(&dir, Durability::Fsync)?;
    if logs == 0 {
        let elapsed = began.elapsed();
        return Ok(format!("{elapsed:?}, {}", resident()?));
    }
    for number in 0..logs {
        store.create(tp(number))?;
    }
    store.close();
    drop(store);
    let began = Instant::now();
    let store = open(&dir, Durability::Fsync)?;
    let elapsed = began.elapsed();
    assert_eq!(store.logs().len(), usize::try_from(logs)?);
    Ok(format!("{elapsed:?}, {}", resident()?))
}

/// How fast the logs of a store are read one after the other that is not in memory, as
/// they were written, side by side, and when they were sorted.
fn cold(dir: &Path) -> Result<String, Box<dyn Error>> {
    const GIB: u64 = 1024 * 1024 * 1024;
    clear(dir)?;
    let lazy = Durability::PageCache {
        flush_interval: Duration::from_secs(1),
    };
    let options = Options {
        rewrites: Rewrites::Never,
        durability: lazy,
        ..Options::new(BrokerId(1), ClusterId::from("bench"))
    };
    let path = dir.join("bench-store");
    let store = rocks::open(&path, options)?;
    fill(&store, 16 * 1024, 2 * GIB)?;
    let mixed = read_cold(&store)?;
    store.close();
    drop(store);
    let store = open(&path, lazy)?;
    let deadline = Instant::now() + Duration::from_secs(90);
    while logs_to_sort(&path)? > 1 {
        if Instant::now() > deadline {
            return Err("the logs are not sorted in time".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let sorted = read_cold(&store)?;
    store.close();
    drop(store);
    clear(dir)?;
    Ok(format!("{mixed} as written, {sorted} sorted"))
}

/// Whole files of the commit log.
fn logs_to_sort(dir: &Path) -> Result<usize, Box<dyn Error>> {
    let mut count = 0;
    for file in std::fs::read_dir(dir.join("commit"))? {
        count += usize::from(file?.path().extension().is_some_and(|kind| kind == "log"));
    }
    Ok(count)
}

fn read_cold(store: &RocksStore) -> Result<String, Box<dyn Error>> {
    // Only what the disk has can be dropped from memory.
    store.drain();
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    let began = Instant::now();
    let mut bytes = 0_u64;
    for log in store.logs().iter().step_by(40) {
        let mut next = log.start;
        while next < log.end {
            let mode = ReadMode::Blocking;
            let read = store.read(log.id, next, log.end, 1024 * 1024, true, mode)?;
            let ReadOutcome::Ready(batches) = read else {
                return Err("a blocking read said that it would block".into());
            };
            for batch in batches {
                bytes += batch.size().0;
                next = batch.header().next_offset();
            }
        }
    }
    let mb = bytes / 1_000_000;
    let rate = mb as f64 / began.elapsed().as_secs_f64();
    Ok(format!("{rate:.0} MB/s of {mb} MB"))
}

/// Memory of this process, in the kernel's words.
fn resident() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let line = line.ok_or("the kernel does not say")?;
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn tp(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([7; 16]),
        partition: PartitionId(number),
    }
}

/// Counts what is done and wakes the driver.
#[derive(Default)]
struct Done {
    end: AtomicI64,
    batches: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    count: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
}

impl LogListener for Done {
    fn on_flushed(&self, _: u64, end: Offset) {
        let before = self.end.swap(end.0, Ordering::Relaxed);
        let more = u64::try_from(end.0 - before).expect("ends only grow");
        self.batches.count.fetch_add(more, Ordering::Release);
        let _guard = self.batches.lock.lock().expect("no holder panics");
        self.batches.changed.notify_one();
    }

    fn on_start_moved(&self, _: Offset) {}

    fn on_failed(&self, _: u64, failure: StoreFailure) {
        panic!("{failure}");
    }
}

impl Progress {
    fn wait_for(&self, count: u64) {
        let mut guard = self.lock.lock().expect("no holder panics");
        while self.count.load(Ordering::Acquire) < count {
            guard = self.changed.wait(guard).expect("no holder panics");
        }
    }
}

fn latency(dir: &Path) -> Result<String, Box<dyn Error>> {
    let store = fresh(dir, Durability::Fsync)?;
    let log = store.create(tp(0))?;
    let done = Arc::new(Done::default());
    store.attach(log, 1, done.clone());
    let mut times = Vec::new();
    for base in 0..2_000 {
        let batch = batch(Offset(base), 1, base, 1024);
        let began = Instant::now();
        append(&store, log, batch);
        done.batches.wait_for(u64::try_from(base)? + 1);
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

fn append(store: &RocksStore, log: LogId, batch: RecordBatch) {
    store.submit(Op::Append {
        log,
        incarnation: 1,
        batch,
        sync: false,
    });
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:?} p99 {:?} max {:?}", at(50), at(99), at(100))
}

fn throughput(
    dir: &Path,
    durability: Durability,
    size: usize,
    total: u64,
) -> Result<String, Box<dyn Error>> {
    let store = fresh(dir, durability)?;
    let cpu = cpu_seconds()?;
    let elapsed = fill(&store, size, total)?;
    let cpu = cpu_seconds()? - cpu;
    let bytes = total as f64;
    let rate = bytes / 1e6 / elapsed.as_secs_f64();
    Ok(format!(
        "{rate:.0} MB/s, {:.2} CPU s/GB",
        cpu / (bytes / 1e9)
    ))
}

/// Writes so many bytes to all logs in turn, and says how long it took.
fn fill(store: &RocksStore, size: usize, total: u64) -> Result<Duration, Box<dyn Error>> {
    let progress = Arc::new(Progress::default());
    let mut logs = Vec::new();
    for number in 0..LOGS {
        let log = store.create(tp(number))?;
        let done = Done {
            end: AtomicI64::new(0),
            batches: progress.clone(),
        };
        store.attach(log, 1, Arc::new(done));
        logs.push(log);
    }
    store.drain();
    let example = batch(Offset(0), 1, 0, size - 61);
    let window = IN_FLIGHT_MAX / size as u64;
    let count = total / size as u64;
    let began = Instant::now();
    for index in 0..count {
        let round = i64::try_from(index / logs.len() as u64)?;
        let log = logs[usize::try_from(index)? % logs.len()];
        let batch = example.clone();
        let epoch = batch.header().leader_epoch;
        append(store, log, batch.at(Offset(round), epoch));
        if index.is_multiple_of(64) && index > window {
            progress.wait_for(index - window);
        }
    }
    progress.wait_for(count);
    Ok(began.elapsed())
}

/// What this process has used, from the kernel's own account.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok());
    let used = ticks(11).zip(ticks(12)).ok_or("no CPU times")?;
    Ok((used.0 + used.1) / 100.0)
}
