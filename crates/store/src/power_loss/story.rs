//! The lives of one store, one after the other.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ottla_base::testing::Rng;
use ottla_base::{
    BrokerId, ByteSize, ClusterId, LeaderEpoch, Millis, Offset, PartitionId, ProducerEpoch,
    ProducerId, Sequence, TopicId, TopicPartition,
};
use ottla_protocol::records::{BatchBuilder, Compression, Level, RecordBatch};

use super::model::{KEYED, Leeway, Log, Logs, Submitted, describe, explain, is_keyed};
use super::{Ends, Outcome};
use crate::commit::disk::Disk;
use crate::commit::disk::simulated::{self, Mishap};
use crate::memory::Stepping;
use crate::queue::Command;
use crate::rewrite::{Job, Step};
use crate::rocks::{Options, Rewrites, RocksStore, check_on, open_on};
use crate::testing::batch;
use crate::{
    Compaction, Durability, LogId, LogListener, LogStore, Op, ReadMode, ReadOutcome, StoreFailure,
};

/// Ends of lives in a story.
const LIVES: u32 = 10;
const LOGS_MAX: usize = 6;
const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];

/// One store from its first life to its last. Owned by whoever tells it.
pub(super) struct Story {
    rng: Rng,
    disk: simulated::Disk,
    dir: PathBuf,
    options: Options,
    submitted: Submitted,
    leeway: Leeway,
    /// Appends that nobody has reported on, by log.
    outstanding: BTreeMap<LogId, VecDeque<usize>>,
    /// Raised when appends of a log were refused.
    incarnations: BTreeMap<LogId, u64>,
    ear: Ear,
    /// Below, keyed logs may have been compacted.
    compacted: BTreeMap<LogId, Offset>,
    /// The disk is full at some time of this life.
    is_to_fill_up: bool,
    next_tp: i32,
    /// Of most appends.
    usual_payload: usize,
    ends: Ends,
    trace: Option<Vec<String>>,
}

/// Why a story ends early.
#[derive(Debug)]
struct Broken(String);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    PowerLoss,
}

impl Story {
    pub(super) fn new(seed: u64, dir: &Path, with_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let disk = simulated::Disk::new(seed);
        if with_trace {
            disk.keep_trace();
        }
        let durability = match rng.below(4) {
            0 | 1 => Durability::Fsync,
            2 => Durability::PageCache {
                flush_interval: Duration::ZERO,
            },
            _ => Durability::PageCache {
                flush_interval: Duration::from_secs(3600),
            },
        };
        let options = Options {
            durability,
            commit_file: ByteSize(64 * 1024 * (1 + rng.below(3))),
            tail_cache: ByteSize(rng.below(2) * 64 * 1024),
            rewrites: Rewrites::Never,
            ..Options::new(BrokerId(1), ClusterId::from("power-loss"))
        };
        let usual_payload =
            [3, 400, 931, 4_003][usize::try_from(rng.below(4)).expect("below four")];
        let mut story = Self {
            rng,
            disk,
            dir: dir.into(),
            options,
            submitted: Submitted::default(),
            leeway: Leeway::NONE,
            outstanding: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            ear: Ear::default(),
            compacted: BTreeMap::new(),
            is_to_fill_up: false,
            next_tp: 0,
            usual_payload,
            ends: Ends::default(),
            trace: with_trace.then(Vec::new),
        };
        story.note(|story| format!("{:?}, files of {}", durability, story.options.commit_file));
        story
    }

    pub(super) fn run(mut self) -> Outcome {
        let mut violation = None;
        for _ in 0..LIVES {
            if let Err(Broken(what)) = self.life() {
                self.note(|_| format!("BROKEN {what}"));
                violation = Some(what);
                break;
            }
        }
        Outcome {
            trace: self.trace.unwrap_or_default(),
            ends: self.ends,
            violation,
        }
    }

    /// From opening the store to losing it.
    fn life(&mut self) -> Result<(), Broken> {
        self.plan();
        let store = self.open()?;
        self.begin(&store)?;
        let mut job = store.job(Duration::ZERO);
        let rounds = 5 + self.rng.below(60);
        for _ in 0..rounds {
            if store.failure().is_some() {
                break;
            }
            self.round(&store, &mut job)?;
        }
        drop(job);
        self.end(store)
    }

    /// Decides what happens to the disk in this life.
    fn plan(&mut self) {
        self.disk.calm();
        self.is_to_fill_up = false;
        let until = match self.rng.below(5) {
            0 => self.rng.below(8),
            _ => self.rng.below(120),
        };
        match self.rng.below(14) {
            0 => self.disk.plan(until, Mishap::Error),
            12 => {
                self.disk.plan(until, Mishap::Unreadable);
                self.disk
                    .plan(until + self.rng.below(40), Mishap::Unreadable);
            }
            1 => {
                let more = 1 + self.rng.below(30);
                self.disk.plan(until, Mishap::Full);
                self.disk.plan(until + more, Mishap::Free);
                self.is_to_fill_up = true;
                self.ends.full_disks += 1;
            }
            2 => {}
            3 => {
                let more = 1 + self.rng.below(30);
                self.disk.plan(until, Mishap::IndexFull);
                self.disk.plan(until + more, Mishap::Free);
                if self.rng.chance(50) {
                    let meanwhile = self.rng.below(more);
                    self.disk.plan(until + 1 + meanwhile, Mishap::PowerLoss);
                }
            }
            _ => self.disk.plan(until, Mishap::PowerLoss),
        }
    }

    /// Power may go while the store is being opened, too.
    fn open(&mut self) -> Result<RocksStore, Broken> {
        loop {
            let disk = Disk::Simulated(self.disk.clone());
            let opened = open_on(disk, Stepping::Manual, &self.dir, self.options.clone());
            let error = match opened {
                Ok(store) => {
                    self.note(|_| "opened".into());
                    return Ok(store);
                }
                Err(error) => error,
            };
            self.note(|_| "not opened".into());
            if self.disk.is_without_power() {
                self.disk.power_on();
                self.leeway.start_may_be_ahead = self.options.durability != Durability::Fsync;
                self.ends.power_losses += 1;
                self.ends.while_opening += 1;
            } else if self.disk.calm() {
                self.ends.disk_errors += 1;
            } else {
                return Err(Broken(format!("the store is not opened: {error}")));
            }
        }
    }

    /// What is there is what must be there.
    fn begin(&mut self, store: &RocksStore) -> Result<(), Broken> {
        let found = self.contents(store)?;
        let survived = self.submitted.prefix(&found, self.leeway);
        let survived = survived.map_err(Broken)?;
        self.note(|_| format!("{survived} commands survived"));
        self.outstanding.clear();
        self.incarnations.clear();
        self.ear.take();
        for id in found.keys() {
            self.attach(store, *id, 1);
        }
        self.submitted = Submitted::after(found);
        self.leeway = Leeway::NONE;
        Ok(())
    }

    /// All that a store holds. Where a read fails it is tried again: that is no reason to
    /// hold anything else.
    fn contents(&mut self, store: &RocksStore) -> Result<Logs, Broken> {
        loop {
            let found = contents(store);
            if found.is_ok() || !self.disk.has_misread() {
                return found;
            }
            self.note(|_| "a read fails".into());
        }
    }

    fn attach(&mut self, store: &RocksStore, log: LogId, incarnation: u64) {
        self.incarnations.insert(log, incarnation);
        store.attach(log, incarnation, self.ear.listener(log));
    }

    /// Some operations as one group, or something beside them.
    fn round(&mut self, store: &RocksStore, job: &mut Job) -> Result<(), Broken> {
        match self.rng.below(20) {
            0 | 1 => self.step(store, Wanted::Durable)?,
            2 => self.step(store, Wanted::Turn)?,
            3 => {
                self.note(|_| "the index is flushed".into());
                // It can only fail where memory does, or without power.
                let flushed = store.flush_index();
                if !self.disk.is_without_power() {
                    flushed.map_err(Broken)?;
                }
            }
            4 => self.compare(store)?,
            5 | 6 => self.rewrite(store, job)?,
            7 => self.compact(store),
            _ => {
                for _ in 0..=self.rng.below(4) {
                    self.submit(store)?;
                }
                store.work();
                self.step(store, Wanted::Turn)?;
            }
        }
        Ok(())
    }

    /// A few steps of the rewrite job, beside which nothing else happens.
    fn rewrite(&mut self, store: &RocksStore, job: &mut Job) -> Result<(), Broken> {
        for _ in 0..=self.rng.below(12) {
            match job.step() {
                Ok(Step::Worked { bytes }) => self.note(|_| format!("{bytes} bytes are rewritten")),
                Ok(Step::Idle | Step::Waiting) => return self.listen(store),
                Err(error) => {
                    self.note(|_| format!("rewriting fails: {error}"));
                    return self.listen(store);
                }
            }
        }
        self.listen(store)
    }

    /// From now on a log is compacted up to where it ends now.
    fn compact(&mut self, store: &RocksStore) {
        let now = self.submitted.now.iter();
        let keyed = now.filter(|(_, log)| is_keyed(log.tp));
        let keyed: Vec<_> = keyed.map(|(id, log)| (*id, log.end)).collect();
        let Some((log, end)) = keyed.get(self.below(keyed.len())).copied() else {
            return;
        };
        self.note(|_| format!("compact {log} up to {end}"));
        self.compacted.insert(log, end);
        let rules = Compaction {
            now: Millis(2_000_000),
            until: end,
            segment_bytes: 4 * 1024,
            segment_ms: i64::MAX,
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            min_dirty_ratio: 0.0,
            delete_retention_ms: 500,
            producer_expiration_ms: i64::MAX,
        };
        store.set_compaction(log, Some(rules));
    }

    fn step(&mut self, store: &RocksStore, wanted: Wanted) -> Result<(), Broken> {
        if wanted == Wanted::Durable {
            store.want_durable();
        }
        store.step();
        self.listen(store)?;
        if wanted == Wanted::Durable && store.failure().is_none() {
            self.note(|_| "drained".into());
            self.submitted.mark_all_durable();
        }
        Ok(())
    }

    fn submit(&mut self, store: &RocksStore) -> Result<(), Broken> {
        let logs: Vec<LogId> = self.submitted.now.keys().copied().collect();
        let chosen = logs.get(self.below(logs.len())).copied();
        let Some(log) = chosen.filter(|_| logs.len() >= LOGS_MAX || !self.rng.chance(4)) else {
            return self.create(store);
        };
        let end = self.submitted.now[&log].end;
        let somewhere =
            Offset(i64::try_from(self.below(1 + usize::try_from(end.0).unwrap_or(0))).unwrap_or(0));
        match self.rng.below(100) {
            0..80 => self.append(store, log, end),
            80..88 => {
                let key = Bytes::from_static(KEYS[self.below(KEYS.len())]);
                let value = self.value();
                self.queue(store, Op::State { log, key, value })
            }
            88..91 => {
                let batches = &self.submitted.now[&log].batches;
                let batch = batches.range(somewhere..).next();
                // What was compacted is committed, and is not cut off.
                let compacted = self.compacted.get(&log).copied().unwrap_or(Offset::ZERO);
                let to = batch.map_or(end, |(base, _)| *base).max(compacted);
                self.queue(store, Op::Truncate { log, to })
            }
            91..97 => {
                let ahead = if self.rng.chance(10) { 3 } else { 0 };
                let to = Offset(somewhere.0 + ahead);
                self.queue(store, Op::StartOffset { log, to })
            }
            _ => self.queue(store, Op::Drop { log }),
        };
        Ok(())
    }

    fn create(&mut self, store: &RocksStore) -> Result<(), Broken> {
        self.next_tp += 1;
        let tp = TopicPartition {
            topic: if self.rng.chance(40) {
                KEYED
            } else {
                TopicId([7; 16])
            },
            partition: PartitionId(self.next_tp),
        };
        match store.create(tp) {
            Ok(log) => {
                self.note(|_| format!("create {log}"));
                self.submitted.push(Command::Create { log, tp });
                self.attach(store, log, 1);
                // Creating works at once.
                self.listen(store)
            }
            Err(_) if store.failure().is_some() => Ok(()),
            Err(error) => Err(Broken(format!("no log is created: {error}"))),
        }
    }

    fn append(&mut self, store: &RocksStore, log: LogId, base: Offset) -> usize {
        let several = i32::try_from(1 + self.rng.below(3)).expect("up to three");
        let (records, payload) = match self.rng.below(100) {
            0 => (several, 70_000),
            1..15 => (several, self.below(20_000)),
            // Entries that take each other's places without a gap.
            15..75 => (1, self.usual_payload),
            _ => (several, self.below(1_500)),
        };
        let timestamp = i64::try_from(self.rng.below(1_000_000)).expect("below a million");
        let sync = self.rng.chance(10);
        let batch = if is_keyed(self.submitted.now[&log].tp) {
            self.keyed(base, records, timestamp, payload)
        } else {
            batch(base, records, timestamp, payload)
        };
        let incarnation = self.incarnations[&log];
        let op = Op::Append {
            log,
            incarnation,
            batch,
            sync,
        };
        let number = self.queue(store, op);
        self.outstanding.entry(log).or_default().push_back(number);
        number
    }

    /// Records of few keys, some of them without a value, some of a producer.
    fn keyed(&mut self, base: Offset, records: i32, timestamp: i64, payload: usize) -> RecordBatch {
        let codec = Compression::ALL[self.below(Compression::ALL.len())];
        let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
        if self.rng.chance(30) {
            let id = ProducerId(i64::try_from(self.below(3)).expect("below three"));
            let sequence = i32::try_from(base.0).expect("a short log");
            builder = builder.producer(id, ProducerEpoch(0), Sequence(sequence));
        }
        for record in 0..records {
            let key = [b'a' + u8::try_from(self.below(12)).expect("below twelve")];
            let value = format!("{base}-{record}").repeat(1 + payload / 20);
            let value = (!self.rng.chance(10)).then_some(value.as_bytes());
            builder.push(Millis(timestamp), Some(&key), value);
        }
        let batch = builder.build().expect("there are records");
        batch.at(base, LeaderEpoch(1))
    }

    fn queue(&mut self, store: &RocksStore, op: Op) -> usize {
        self.note(|_| line(&op));
        store.queue(op.clone());
        self.submitted.push(Command::Op(op))
    }

    fn value(&mut self) -> Bytes {
        let length = match self.rng.below(10) {
            0 => 0,
            1 => 1 + self.below(6_000),
            _ => 1 + self.below(100),
        };
        let byte = u8::try_from(self.rng.below(256)).expect("below 256");
        Bytes::from(vec![byte; length])
    }

    /// What the store said about appends.
    fn listen(&mut self, store: &RocksStore) -> Result<(), Broken> {
        for heard in self.ear.take() {
            self.note(|_| format!("{} heard {:?}", heard.log, heard.what));
            let outstanding = self.outstanding.entry(heard.log).or_default();
            match heard.what {
                Verdict::Flushed(end) => loop {
                    let Some(number) = outstanding.pop_front() else {
                        return Err(Broken(format!("{}: nothing ends at {end}", heard.log)));
                    };
                    let Command::Op(Op::Append { batch, sync, .. }) = self.submitted.get(number)
                    else {
                        unreachable!("only appends are outstanding");
                    };
                    let next = batch.header().next_offset();
                    if *sync || self.options.durability == Durability::Fsync {
                        self.submitted.mark_durable(number);
                    }
                    if next == end {
                        break;
                    }
                },
                Verdict::Failed(StoreFailure::Full) => {
                    let refused: Vec<usize> = outstanding.drain(..).collect();
                    self.submitted.forget(&refused);
                    let again = self.incarnations[&heard.log] + 1;
                    if self.submitted.now.contains_key(&heard.log) {
                        self.attach(store, heard.log, again);
                    }
                }
                Verdict::StartMoved(start) => {
                    if self.options.durability == Durability::Fsync {
                        self.submitted.mark_start_durable(heard.log, start);
                    }
                }
                Verdict::Failed(StoreFailure::Io(_)) => {}
                Verdict::Failed(failure) => {
                    return Err(Broken(format!("{}: {failure}", heard.log)));
                }
            }
        }
        Ok(())
    }

    /// Reads see everything that was carried out.
    fn compare(&mut self, store: &RocksStore) -> Result<(), Broken> {
        if self.disk.is_without_power() {
            return Ok(());
        }
        let found = self.contents(store)?;
        if store.failure().is_some() || found == self.submitted.now {
            return Ok(());
        }
        if !explain(&self.submitted.now, &found) {
            let mut text = String::from("reads do not see what was written\n");
            describe("submitted", &self.submitted.now, &found, &mut text);
            return Err(Broken(text));
        }
        self.note(|_| "what was superseded is gone".into());
        Ok(())
    }

    fn end(&mut self, store: RocksStore) -> Result<(), Broken> {
        let has_failed = store.failure().is_some();
        if !self.disk.is_without_power() {
            self.disk.calm();
            if has_failed {
                self.ends.disk_errors += 1;
            }
        }
        if !has_failed && self.rng.chance(20) {
            return self.close(store);
        }
        let end = if self.disk.is_without_power() || self.rng.chance(60) {
            End::PowerLoss
        } else {
            End::Kill
        };
        self.note(|_| format!("{end:?}"));
        self.leeway.state_may_differ = self.is_to_fill_up;
        drop(store);
        match end {
            End::PowerLoss => {
                self.leeway.start_may_be_ahead = self.options.durability != Durability::Fsync;
                self.disk.power_on();
                self.ends.power_losses += 1;
            }
            End::Kill => self.ends.kills += 1,
        }
        Ok(())
    }

    /// A store that was closed is whole.
    fn close(&mut self, store: RocksStore) -> Result<(), Broken> {
        self.step(&store, Wanted::Durable)?;
        store.close();
        // What was submitted last, and then the end.
        store.step();
        store.step();
        if let Some(failure) = store.failure() {
            return Err(Broken(format!("the store did not close: {failure}")));
        }
        self.note(|_| "closed".into());
        drop(store);
        let disk = Disk::Simulated(self.disk.clone());
        let report = check_on(&disk, &self.dir, &mut |_| {});
        let report = report.map_err(|error| Broken(error.to_string()))?;
        if !report.faults.is_empty() {
            let faults = report.faults;
            return Err(Broken(format!("a check finds faults: {faults:?}")));
        }
        Ok(())
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.rng.below(count as u64)).expect("below a count")
    }

    /// A line of the trace, behind what the disk did before it.
    fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let done = self.disk.take_trace();
        let line = line(self);
        if let Some(trace) = &mut self.trace {
            trace.extend(done);
            trace.push(line);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Turn,
    Durable,
}

fn line(op: &Op) -> String {
    let log = op.log();
    match op {
        Op::Append { batch, sync, .. } => {
            let header = batch.header();
            let sync = if *sync { " sync" } else { "" };
            let (base, next) = (header.base_offset, header.next_offset());
            format!(
                "append {base}..{next} to {log}, {} bytes{sync}",
                header.size
            )
        }
        Op::Truncate { to, .. } => format!("truncate {log} to {to}"),
        Op::StartOffset { to, .. } => format!("start {log} at {to}"),
        Op::Drop { .. } => format!("drop {log}"),
        Op::Flush { .. } => format!("flush {log}"),
        Op::State { key, value, .. } => {
            let (key, first) = (key.escape_ascii(), value.first());
            format!("state {key} of {log}: {first:?} times {}", value.len())
        }
    }
}

/// All that a store holds.
fn contents(store: &RocksStore) -> Result<Logs, Broken> {
    let mut logs = Logs::new();
    for summary in store.logs() {
        let id = summary.id;
        if summary.damaged {
            return Err(Broken(format!("{id} is offline")));
        }
        let mut log = Log::new(summary.tp);
        (log.start, log.end) = (summary.start, summary.end);
        let mut next = log.start;
        let mut size = 0;
        loop {
            let mode = ReadMode::Blocking;
            let read = store.read(id, next, log.end, 100_000, true, mode);
            let batches = match read {
                Ok(ReadOutcome::Ready(batches)) => batches,
                Ok(ReadOutcome::WouldBlock) => {
                    return Err(Broken(format!("{id}: a blocking read would block")));
                }
                Err(error) => return Err(Broken(format!("{id} from {next}: {error}"))),
            };
            let Some(last) = batches.last() else { break };
            next = last.header().next_offset();
            for batch in batches {
                size += batch.size().0;
                log.batches.insert(batch.header().base_offset, batch);
            }
        }
        if size != summary.size.0 {
            let counted = summary.size;
            return Err(Broken(format!(
                "{id}: {size} bytes are counted as {counted}"
            )));
        }
        for key in KEYS {
            let value = store.state(id, key);
            let value = value.map_err(|error| Broken(format!("{id}: {error}")))?;
            if let Some(value) = value {
                log.state.insert(Bytes::from_static(key), value);
            }
        }
        logs.insert(id, log);
    }
    Ok(logs)
}

/// What the store says, in order.
#[derive(Clone, Debug, Default)]
struct Ear(Arc<Mutex<Vec<Heard>>>);

#[derive(Debug)]
struct Heard {
    log: LogId,
    what: Verdict,
}

#[derive(Debug)]
enum Verdict {
    Flushed(Offset),
    StartMoved(Offset),
    Failed(StoreFailure),
}

impl Ear {
    fn take(&self) -> Vec<Heard> {
        let mut heard = std::mem::take(&mut *self.all());
        // Within a group the logs are told in no order.
        heard.sort_by_key(|heard| heard.log);
        heard
    }

    fn all(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.0.lock().expect("no holder panics")
    }

    fn listener(&self, log: LogId) -> Arc<dyn LogListener> {
        let ear = self.clone();
        Arc::new(Listener { log, ear })
    }
}

struct Listener {
    log: LogId,
    ear: Ear,
}

impl LogListener for Listener {
    fn on_flushed(&self, _: u64, end: Offset) {
        self.ear.all().push(Heard {
            log: self.log,
            what: Verdict::Flushed(end),
        });
    }

    fn on_start_moved(&self, start: Offset) {
        self.ear.all().push(Heard {
            log: self.log,
            what: Verdict::StartMoved(start),
        });
    }

    fn on_failed(&self, _: u64, failure: StoreFailure) {
        self.ear.all().push(Heard {
            log: self.log,
            what: Verdict::Failed(failure),
        });
    }
}
