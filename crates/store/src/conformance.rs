//! One suite for every implementation of [`LogStore`]: what the trait's words mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ottla_base::testing::Rng;
use ottla_base::{ByteSize, Offset, PartitionId, TopicId, TopicPartition};
use ottla_protocol::records::{BatchHeader, RecordBatch};

use crate::testing::batch;
use crate::{
    Bounds, LogId, LogListener, LogStore, Op, ReadError, ReadMode, ReadOutcome, StoreError,
    StoreFailure,
};

/// A store under test.
pub trait Subject {
    fn store(&self) -> &dyn LogStore;

    /// Ends the store in good order and opens what it left.
    fn reopen(&mut self);

    /// Lets the store die where it stands and opens what it left. Everything that
    /// was drained has survived.
    fn crash(&mut self);
}

type Case = fn(&mut dyn Subject);

/// Every promise with the code that checks it.
pub const CASES: &[(&str, Case)] = &[
    ("batches_are_read_as_they_were_appended", reads),
    ("a_read_keeps_to_its_limits", limits),
    ("a_read_outside_of_the_bounds_is_refused", bounds),
    ("listeners_hear_how_far_appends_are_done", flushes),
    (
        "appends_of_an_earlier_incarnation_are_dropped",
        incarnations,
    ),
    ("a_partition_has_one_log", names),
    ("truncated_batches_never_come_back", truncation),
    ("the_start_moves_and_takes_batches_with_it", start_offsets),
    ("listeners_hear_of_a_start_that_stays", announced_starts),
    ("a_dropped_log_is_gone", drops),
    ("state_is_kept_by_key", states),
    ("batches_are_found_by_time", times),
    ("everything_agrees_with_a_simple_model", model),
];

/// Runs every case on a fresh subject.
pub fn run(mut fresh: impl FnMut() -> Box<dyn Subject>) {
    for (name, case) in CASES {
        tracing::info!(name, "conformance case");
        case(fresh().as_mut());
    }
}

/// Keeps what it hears.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Heard>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Flushed {
        incarnation: u64,
        end: Offset,
    },
    StartMoved {
        start: Offset,
    },
    Failed {
        incarnation: u64,
        failure: StoreFailure,
    },
}

impl Recorder {
    /// What was heard since the last call.
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().expect("no holder panics"))
    }

    fn add(&self, heard: Heard) {
        self.0.lock().expect("no holder panics").push(heard);
    }
}

impl LogListener for Recorder {
    fn on_flushed(&self, incarnation: u64, end: Offset) {
        self.add(Heard::Flushed { incarnation, end });
    }

    fn on_start_moved(&self, start: Offset) {
        self.add(Heard::StartMoved { start });
    }

    fn on_failed(&self, incarnation: u64, failure: StoreFailure) {
        self.add(Heard::Failed {
            incarnation,
            failure,
        });
    }
}

/// A partition by number.
pub fn tp(number: u8) -> TopicPartition {
    TopicPartition {
        topic: TopicId([number; 16]),
        partition: PartitionId(i32::from(number)),
    }
}

/// Appends to a log at its end, wherever that is.
pub fn append(store: &dyn LogStore, log: LogId, batch: RecordBatch) {
    store.submit(Op::Append {
        log,
        incarnation: 1,
        batch,
        sync: false,
    });
}

/// Everything that a log holds.
pub fn read_all(store: &dyn LogStore, log: LogId) -> Result<Vec<RecordBatch>, ReadError> {
    let Bounds { start, end } = store.bounds(log)?;
    read(store, log, start, end)
}

fn read(
    store: &dyn LogStore,
    log: LogId,
    from: Offset,
    until: Offset,
) -> Result<Vec<RecordBatch>, ReadError> {
    read_some(store, log, from, until, usize::MAX, true)
}

fn read_some(
    store: &dyn LogStore,
    log: LogId,
    from: Offset,
    until: Offset,
    max: usize,
    at_least_one: bool,
) -> Result<Vec<RecordBatch>, ReadError> {
    let mode = ReadMode::Blocking;
    match store.read(log, from, until, max, at_least_one, mode)? {
        ReadOutcome::Ready(batches) => Ok(batches),
        ReadOutcome::WouldBlock => panic!("a blocking read said that it would block"),
    }
}

/// A log with `count` batches of three records, 100 bytes each.
fn filled(store: &dyn LogStore, number: u8, count: i64) -> (LogId, Vec<RecordBatch>) {
    let log = store.create(tp(number)).expect("the partition has no log");
    let batches: Vec<_> = (0..count)
        .map(|index| batch(Offset(index * 3), 3, 1000 + index, 39))
        .collect();
    for batch in &batches {
        append(store, log, batch.clone());
    }
    store.drain();
    (log, batches)
}

fn reads(subject: &mut dyn Subject) {
    let (one, of_one) = filled(subject.store(), 1, 5);
    let (other, of_other) = filled(subject.store(), 2, 300);
    let empty = subject.store().create(tp(3)).expect("a new partition");
    let check = |store: &dyn LogStore| {
        assert_eq!(read_all(store, one), Ok(of_one.clone()));
        assert_eq!(read_all(store, other), Ok(of_other.clone()));
        assert_eq!(read_all(store, empty), Ok(vec![]));
        assert_eq!(store.size(one), ByteSize(500));
        let headers = store.headers(other, Offset(4), 2).expect("it exists");
        assert_eq!(headers, [*of_other[1].header(), *of_other[2].header()]);
        let summaries = store.logs();
        let ends: Vec<_> = summaries.iter().map(|log| (log.tp, log.end.0)).collect();
        assert_eq!(ends, [(tp(1), 15), (tp(2), 900), (tp(3), 0)]);
    };
    check(subject.store());
    subject.store().drain();
    subject.crash();
    check(subject.store());
    subject.reopen();
    check(subject.store());
    append(subject.store(), one, batch(Offset(15), 1, 0, 10));
    subject.store().drain();
    assert_eq!(read_all(subject.store(), one).map(|all| all.len()), Ok(6));
}

fn limits(subject: &mut dyn Subject) {
    let (log, batches) = filled(subject.store(), 1, 6);
    for _ in 0..2 {
        let store = subject.store();
        let some = |from, until, max, at_least_one| {
            let (from, until) = (Offset(from), Offset(until));
            let found = read_some(store, log, from, until, max, at_least_one);
            found.map(|found| {
                let first = found
                    .first()
                    .map_or(-1, |first| first.header().base_offset.0);
                (first, found.len())
            })
        };
        // From the middle of a batch: the whole batch.
        assert_eq!(some(4, 18, 1000, true), Ok((3, 5)));
        // Until the middle of a batch: not that batch.
        assert_eq!(some(0, 8, 1000, true), Ok((0, 2)));
        assert_eq!(some(0, 2, 1000, true), Ok((-1, 0)));
        assert_eq!(some(0, 99, 200, true), Ok((0, 2)));
        assert_eq!(some(0, 99, 199, false), Ok((0, 1)));
        assert_eq!(some(0, 99, 10, true), Ok((0, 1)));
        assert_eq!(some(0, 99, 10, false), Ok((-1, 0)));
        assert_eq!(some(18, 99, 1000, true), Ok((-1, 0)));
        assert_eq!(
            read(store, log, Offset(15), Offset(18)),
            Ok(vec![batches[5].clone()])
        );
        subject.reopen();
    }
}

fn bounds(subject: &mut dyn Subject) {
    let (log, _) = filled(subject.store(), 1, 2);
    let store = subject.store();
    store.submit(Op::StartOffset { log, to: Offset(3) });
    store.drain();
    let (start, end) = (Offset(3), Offset(6));
    assert_eq!(store.bounds(log), Ok(Bounds { start, end }));
    for offset in [Offset(2), Offset(7), Offset(-1)] {
        let refusal = ReadError::OutOfRange { offset, start, end };
        assert_eq!(read(store, log, offset, Offset(99)), Err(refusal.clone()));
        assert_eq!(store.headers(log, offset, 1), Err(refusal));
    }
    let unknown = LogId(77);
    let refusal = ReadError::UnknownLog(unknown);
    assert_eq!(store.bounds(unknown), Err(refusal.clone()));
    assert_eq!(read(store, unknown, Offset(0), Offset(1)), Err(refusal));
    assert_eq!(store.size(unknown), ByteSize(0));
}

fn flushes(subject: &mut dyn Subject) {
    let store = subject.store();
    let log = store.create(tp(1)).expect("a new partition");
    let recorder = Arc::new(Recorder::default());
    store.attach(log, 1, recorder.clone());
    for base in 0..10 {
        append(store, log, batch(Offset(base), 1, 0, 10));
    }
    store.drain();
    let heard = recorder.take();
    let ends: Vec<_> = heard
        .iter()
        .map(|heard| match heard {
            Heard::Flushed {
                incarnation: 1,
                end,
            } => end.0,
            Heard::Flushed { .. } | Heard::StartMoved { .. } | Heard::Failed { .. } => {
                panic!("unexpected: {heard:?}")
            }
        })
        .collect();
    assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
    assert_eq!(ends.last(), Some(&10));
}

fn incarnations(subject: &mut dyn Subject) {
    let store = subject.store();
    let log = store.create(tp(1)).expect("a new partition");
    let recorder = Arc::new(Recorder::default());
    store.attach(log, 2, recorder.clone());
    append(store, log, batch(Offset(50), 1, 0, 10));
    store.submit(Op::Append {
        log,
        incarnation: 2,
        batch: batch(Offset(0), 1, 0, 10),
        sync: true,
    });
    store.drain();
    let flushed = Heard::Flushed {
        incarnation: 2,
        end: Offset(1),
    };
    assert_eq!(recorder.take(), [flushed]);
    assert_eq!(read_all(store, log).map(|all| all.len()), Ok(1));
}

fn names(subject: &mut dyn Subject) {
    let log = subject.store().create(tp(1)).expect("a new partition");
    subject.store().drain();
    for _ in 0..2 {
        let refusal = StoreError::Exists { tp: tp(1), log };
        assert_eq!(subject.store().create(tp(1)), Err(refusal));
        subject.crash();
    }
    let store = subject.store();
    store.submit(Op::Drop { log });
    let next = store
        .create(tp(1))
        .expect("the partition's log was dropped");
    assert!(next > log, "an id is never given twice");
    store.drain();
    subject.crash();
    let logs = subject.store().logs();
    assert_eq!(logs.iter().map(|log| log.id).collect::<Vec<_>>(), [next]);
    subject.store().submit(Op::Drop { log: next });
    subject.store().drain();
    subject.crash();
    let last = subject.store().create(tp(1)).expect("no log is left");
    assert!(
        last > next,
        "an id is never given twice, also after a crash"
    );
}

fn truncation(subject: &mut dyn Subject) {
    let (log, batches) = filled(subject.store(), 1, 200);
    let store = subject.store();
    // Into the middle of a batch: the batch goes, the end is as asked.
    store.submit(Op::Truncate {
        log,
        to: Offset(31),
    });
    store.drain();
    subject.crash();
    let store = subject.store();
    assert_eq!(read_all(store, log), Ok(batches[..10].to_vec()));
    assert_eq!(store.bounds(log).map(|bounds| bounds.end), Ok(Offset(31)));
    assert_eq!(store.size(log), ByteSize(1000));
    store.submit(Op::Truncate {
        log,
        to: Offset(30),
    });
    let fresh = batch(Offset(30), 5, 7, 500);
    append(store, log, fresh.clone());
    store.submit(Op::Truncate {
        log,
        to: Offset(99),
    });
    store.drain();
    let mut expected = batches[..10].to_vec();
    expected.push(fresh);
    assert_eq!(read_all(store, log), Ok(expected.clone()));
    subject.crash();
    assert_eq!(read_all(subject.store(), log), Ok(expected));
    subject.store().submit(Op::Truncate { log, to: Offset(0) });
    subject.store().drain();
    subject.reopen();
    assert_eq!(read_all(subject.store(), log), Ok(vec![]));
    assert_eq!(subject.store().bounds(log), Ok(Bounds::EMPTY));
}

fn start_offsets(subject: &mut dyn Subject) {
    let (log, batches) = filled(subject.store(), 1, 200);
    let store = subject.store();
    store.submit(Op::StartOffset {
        log,
        to: Offset(31),
    });
    store.submit(Op::StartOffset { log, to: Offset(5) });
    store.drain();
    subject.crash();
    let store = subject.store();
    // The batch that holds the start stays.
    assert_eq!(read_all(store, log), Ok(batches[10..].to_vec()));
    assert_eq!(store.size(log), ByteSize(19_000));
    let end = Offset(600);
    let start = Offset(31);
    assert_eq!(store.bounds(log), Ok(Bounds { start, end }));
    store.submit(Op::StartOffset {
        log,
        to: Offset(700),
    });
    append(store, log, batch(Offset(700), 2, 5, 39));
    store.drain();
    subject.crash();
    let (start, end) = (Offset(700), Offset(702));
    assert_eq!(subject.store().bounds(log), Ok(Bounds { start, end }));
    assert_eq!(subject.store().size(log), ByteSize(100));
    assert_eq!(read_all(subject.store(), log).map(|all| all.len()), Ok(1));
}

fn announced_starts(subject: &mut dyn Subject) {
    let (log, _) = filled(subject.store(), 1, 10);
    let recorder = Arc::new(Recorder::default());
    let store = subject.store();
    store.attach(log, 1, recorder.clone());
    for to in [4, 2, 13] {
        let to = Offset(to);
        store.submit(Op::StartOffset { log, to });
        store.drain();
    }
    let [four, thirteen] = [4, 13].map(|start| Heard::StartMoved {
        start: Offset(start),
    });
    assert_eq!(recorder.take(), [four, thirteen]);
    subject.crash();
    let start = subject.store().bounds(log).map(|bounds| bounds.start);
    assert_eq!(start, Ok(Offset(13)));
}

fn drops(subject: &mut dyn Subject) {
    let (gone, _) = filled(subject.store(), 1, 200);
    let (kept, batches) = filled(subject.store(), 2, 2);
    let store = subject.store();
    let key = Bytes::from_static(b"key");
    store.submit(Op::State {
        log: gone,
        key: key.clone(),
        value: key.clone(),
    });
    store.submit(Op::Drop { log: gone });
    append(store, gone, batch(Offset(600), 1, 0, 10));
    store.drain();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.bounds(gone), Err(ReadError::UnknownLog(gone)));
        assert_eq!(store.state(gone, &key), Err(ReadError::UnknownLog(gone)));
        assert_eq!(read_all(store, kept), Ok(batches.clone()));
        subject.crash();
    }
}

fn states(subject: &mut dyn Subject) {
    let store = subject.store();
    let log = store.create(tp(1)).expect("a new partition");
    let other = store.create(tp(2)).expect("a new partition");
    let put = |store: &dyn LogStore, key: &'static str, value: &'static str| {
        store.submit(Op::State {
            log,
            key: key.into(),
            value: value.into(),
        });
    };
    put(store, "a", "1");
    put(store, "b", "2");
    put(store, "a", "3");
    put(store, "b", "");
    store.drain();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.state(log, b"a"), Ok(Some(Bytes::from_static(b"3"))));
        assert_eq!(store.state(log, b"b"), Ok(None));
        assert_eq!(store.state(other, b"a"), Ok(None));
        subject.crash();
    }
}

fn times(subject: &mut dyn Subject) {
    let store = subject.store();
    let log = store.create(tp(1)).expect("a new partition");
    // Mostly rising; one batch from the far future, one from the past.
    let time = |index: i64| match index {
        150 => 9_000,
        250 => 1,
        _ => 1_000 + index,
    };
    for index in 0..400 {
        append(store, log, batch(Offset(index * 2), 2, time(index), 10));
    }
    store.drain();
    let check = |store: &dyn LogStore| {
        let since = |timestamp, from, until| {
            let found = store.first_batch_since(log, timestamp, Offset(from), Offset(until));
            found.map(|found| found.map(|found| found.base_offset.0 / 2))
        };
        assert_eq!(since(0, 0, 800), Ok(Some(0)));
        assert_eq!(since(1_100, 0, 800), Ok(Some(100)));
        assert_eq!(since(1_200, 0, 800), Ok(Some(150)));
        assert_eq!(since(1_200, 302, 800), Ok(Some(200)));
        assert_eq!(since(1_200, 302, 400), Ok(None));
        assert_eq!(since(1_399, 302, 800), Ok(Some(399)));
        assert_eq!(since(1_399, 302, 798), Ok(None));
        assert_eq!(since(9_001, 0, 800), Ok(None));
        let greatest = |from, until| {
            let found = store.max_timestamp_batch(log, Offset(from), Offset(until));
            found.map(|found| found.map(|found| found.base_offset.0 / 2))
        };
        assert_eq!(greatest(0, 800), Ok(Some(150)));
        assert_eq!(greatest(0, 301), Ok(Some(149)));
        assert_eq!(greatest(0, 1), Ok(None));
        assert_eq!(greatest(301, 800), Ok(Some(150)));
        assert_eq!(greatest(302, 800), Ok(Some(399)));
        assert_eq!(greatest(800, 800), Ok(None));
    };
    check(store);
    subject.crash();
    check(subject.store());
    let store = subject.store();
    store.submit(Op::Truncate {
        log,
        to: Offset(300),
    });
    append(store, log, batch(Offset(300), 1, 1_050, 10));
    store.submit(Op::StartOffset {
        log,
        to: Offset(120),
    });
    store.drain();
    let found = store.max_timestamp_batch(log, Offset(0), Offset(301));
    assert_eq!(
        found.map(|found| found.map(|found| found.max_timestamp)),
        Ok(Some(1_149))
    );
    let found = store.first_batch_since(log, 0, Offset(0), Offset(301));
    assert_eq!(
        found.map(|found| found.map(|found| found.base_offset)),
        Ok(Some(Offset(120)))
    );
}

/// What a log should be, in the plainest form.
#[derive(Debug, Default)]
struct Model {
    start: i64,
    end: i64,
    batches: Vec<RecordBatch>,
    state: BTreeMap<Bytes, Bytes>,
}

impl Model {
    fn truncate(&mut self, to: i64) {
        if to < self.end {
            self.batches
                .retain(|batch| batch.header().last_offset().0 < to);
            self.end = to;
            self.start = self.start.min(to);
        }
    }

    fn start_at(&mut self, to: i64) {
        if to > self.start {
            self.batches
                .retain(|batch| batch.header().last_offset().0 >= to);
            self.start = to;
            self.end = self.end.max(to);
        }
    }

    fn headers(&self) -> Vec<BatchHeader> {
        self.batches.iter().map(|batch| *batch.header()).collect()
    }
}

fn model(subject: &mut dyn Subject) {
    for seed in 0..8 {
        one_story(subject, seed);
    }
}

fn one_story(subject: &mut dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut models: BTreeMap<LogId, Model> = BTreeMap::new();
    let mut old: BTreeSet<LogId> = subject.store().logs().iter().map(|log| log.id).collect();
    for log in std::mem::take(&mut old) {
        subject.store().submit(Op::Drop { log });
    }
    for step in 0..400 {
        match rng.below(100) {
            0..5 if models.len() < 6 => {
                let number = (0..=u8::MAX).find(|number| {
                    let id = subject.store().create(tp(*number));
                    id.map(|id| models.insert(id, Model::default())).is_ok()
                });
                assert!(number.is_some(), "a partition without a log is left");
            }
            5..10 => {
                subject.store().drain();
                check_models(subject.store(), &models, &mut rng);
            }
            10..12 => {
                subject.store().drain();
                subject.crash();
                check_models(subject.store(), &models, &mut rng);
            }
            12 => {
                subject.reopen();
                check_models(subject.store(), &models, &mut rng);
            }
            _ => one_change(subject.store(), &mut models, &mut rng, step),
        }
    }
    subject.store().drain();
    check_models(subject.store(), &models, &mut rng);
}

fn one_change(store: &dyn LogStore, models: &mut BTreeMap<LogId, Model>, rng: &mut Rng, step: i64) {
    let chosen = usize::try_from(rng.below(6)).expect("it is small");
    let Some((&log, model)) = models.iter_mut().nth(chosen) else {
        return;
    };
    let near = |rng: &mut Rng, model: &Model| {
        let length = u64::try_from(model.end - model.start).expect("the end is not below");
        model.start + i64::try_from(rng.below(length + 4)).expect("it is small")
    };
    match rng.below(20) {
        0 => {
            let to = near(rng, model);
            model.truncate(to);
            store.submit(Op::Truncate {
                log,
                to: Offset(to),
            });
        }
        1 => {
            let to = near(rng, model);
            model.start_at(to);
            store.submit(Op::StartOffset {
                log,
                to: Offset(to),
            });
        }
        2 if rng.chance(20) => {
            models.remove(&log);
            store.submit(Op::Drop { log });
        }
        3 | 4 => {
            let key = Bytes::from(vec![b'a', u8::try_from(rng.below(4)).expect("it is small")]);
            let value = Bytes::from(step.to_be_bytes().repeat(usize::from(!rng.chance(20))));
            if value.is_empty() {
                model.state.remove(&key);
            } else {
                model.state.insert(key.clone(), value.clone());
            }
            store.submit(Op::State { log, key, value });
        }
        _ => {
            for _ in 0..rng.below(40) {
                let records = i32::try_from(1 + rng.below(5)).expect("it is small");
                let time = i64::try_from(rng.below(1_000)).expect("it is small");
                let payload = usize::try_from(rng.below(3_000)).expect("it is small");
                let batch = batch(Offset(model.end), records, time, payload);
                model.end += i64::from(records);
                model.batches.push(batch.clone());
                append(store, log, batch);
            }
        }
    }
}

fn check_models(store: &dyn LogStore, models: &BTreeMap<LogId, Model>, rng: &mut Rng) {
    let logs: Vec<_> = store.logs().iter().map(|log| log.id).collect();
    assert_eq!(logs, models.keys().copied().collect::<Vec<_>>());
    for (log, model) in models {
        let log = *log;
        let (start, end) = (Offset(model.start), Offset(model.end));
        assert_eq!(store.bounds(log), Ok(Bounds { start, end }));
        assert_eq!(store.headers(log, start, usize::MAX), Ok(model.headers()));
        assert_eq!(read_all(store, log), Ok(model.batches.clone()));
        let size = model.batches.iter().map(|batch| batch.size().0).sum();
        assert_eq!(store.size(log), ByteSize(size));
        for (key, value) in &model.state {
            assert_eq!(store.state(log, key), Ok(Some(value.clone())));
        }
        let time = i64::try_from(rng.below(1_100)).expect("it is small");
        let headers = model.headers();
        let since = headers.iter().find(|header| header.max_timestamp >= time);
        let found = store.first_batch_since(log, time, start, end);
        assert_eq!(found, Ok(since.copied()));
        let greatest = headers.iter().copied().reduce(|best, next| {
            if next.max_timestamp > best.max_timestamp {
                next
            } else {
                best
            }
        });
        assert_eq!(store.max_timestamp_batch(log, start, end), Ok(greatest));
    }
}
