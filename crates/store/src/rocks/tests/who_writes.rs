//! Which thread carries out what was submitted, and that somebody always does.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ottla_base::Offset;

use super::{Disk, Options, create, options, page_cache, wait_until};
use crate::commit::disk::simulated::Mishap;
use crate::commit::entry::FileNumber;
use crate::conformance::{Heard, Recorder, append, read_all, tp};
use crate::testing::batch;
use crate::{Durability, LogId, LogListener, LogStore, Op, StoreFailure};

/// Notes how far a log was said to be done, and on which threads.
#[derive(Default)]
struct Witness {
    seen: Mutex<(Offset, Vec<String>)>,
    moved: Condvar,
}

impl Witness {
    fn threads(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().1)
    }

    fn wait_for(&self, end: Offset) {
        let seen = self.seen.lock().unwrap();
        let patience = Duration::from_secs(10);
        let is_behind = |seen: &mut (Offset, _)| seen.0 < end;
        let (_seen, waited) = self
            .moved
            .wait_timeout_while(seen, patience, is_behind)
            .unwrap();
        assert!(!waited.timed_out(), "nobody carried out an append");
    }
}

impl LogListener for Witness {
    fn on_flushed(&self, _: u64, end: Offset) {
        let mut seen = self.seen.lock().unwrap();
        seen.0 = end;
        let name = thread::current().name().unwrap_or_default().to_owned();
        seen.1.push(name);
        self.moved.notify_all();
    }

    fn on_start_moved(&self, _: Offset) {}

    fn on_failed(&self, _: u64, failure: StoreFailure) {
        panic!("an append failed: {failure}");
    }
}

/// A log of a store whose thread has nothing to do and nothing to wait for.
fn witnessed(disk: &Disk, number: u8) -> (LogId, Arc<Witness>) {
    let log = create(disk, number);
    disk.store.drain();
    wait_until(|| disk.store.shared.queue.thread_sleeps());
    let witness = Arc::new(Witness::default());
    disk.store.attach(log, 1, witness.clone());
    (log, witness)
}

#[test]
fn what_waits_for_no_disk_is_done_when_it_was_submitted() {
    let disk = Disk::new(page_cache());
    let (log, witness) = witnessed(&disk, 1);
    let here = thread::current().name().unwrap().to_owned();
    for base in 0..3 {
        append(&disk.store, log, batch(Offset(base), 1, 0, 10));
        assert_eq!(witness.threads(), [here.as_str()]);
        assert_eq!(disk.store.bounds(log).unwrap().end, Offset(base + 1));
    }
}

#[test]
fn what_must_be_durable_is_left_to_the_writers_thread() {
    for (options, sync) in [(options(), false), (page_cache(), true)] {
        let disk = Disk::new(options);
        let (log, witness) = witnessed(&disk, 1);
        disk.store.submit(Op::Append {
            log,
            incarnation: 1,
            batch: batch(Offset(0), 1, 0, 10),
            sync,
        });
        witness.wait_for(Offset(1));
        assert_eq!(witness.threads(), ["ottla-store"]);
    }
}

#[test]
fn an_append_that_could_not_be_written_is_refused_and_not_acknowledged() {
    let disk = Disk::simulated(page_cache());
    let log = create(&disk, 1);
    disk.store.drain();
    let recorder = Arc::new(Recorder::default());
    disk.store.attach(log, 1, recorder.clone());
    disk.faults().plan(0, Mishap::Error);
    append(&disk.store, log, batch(Offset(0), 1, 0, 10));
    append(&disk.store, log, batch(Offset(1), 1, 0, 10));
    disk.store.drain();
    let heard = recorder.take();
    let [Heard::Failed { failure, .. }] = &heard[..] else {
        panic!("unexpected: {heard:?}");
    };
    assert!(matches!(failure, StoreFailure::Io(_)));
    assert_eq!(disk.store.failure(), Some(failure.clone()));
    assert_eq!(read_all(&disk.store, log), Ok(vec![]));
    assert!(disk.store.create(tp(2)).is_err());
}

/// The thread sleeps without an end when the first append comes.
#[test]
fn what_was_written_without_the_thread_becomes_durable_in_time() {
    let flush_interval = Duration::from_millis(20);
    let disk = Disk::new(Options {
        durability: Durability::PageCache { flush_interval },
        ..options()
    });
    let (log, _witness) = witnessed(&disk, 1);
    append(&disk.store, log, batch(Offset(0), 1, 0, 10));
    let written = disk.entries(1).last().copied().unwrap();
    let mut base = 1;
    wait_until(|| {
        append(&disk.store, log, batch(Offset(base), 1, 0, 10));
        base += 1;
        disk.synced_at_last_entry(1) > written
    });
}

#[test]
fn a_flush_that_was_asked_for_comes_in_time() {
    let disk = Disk::new(page_cache());
    let (log, _witness) = witnessed(&disk, 1);
    append(&disk.store, log, batch(Offset(0), 1, 0, 10));
    let within = Duration::from_millis(20);
    disk.store.submit(Op::Flush { log, within });
    let later = Duration::MAX;
    disk.store.submit(Op::Flush { log, within: later });
    let written = disk.entries(1).last().copied().unwrap();
    let mut base = 1;
    wait_until(|| {
        append(&disk.store, log, batch(Offset(base), 1, 0, 10));
        base += 1;
        disk.synced_at_last_entry(1) > written
    });
}

/// Nothing is left behind until a later operation takes it along: not where several
/// submit at once, not where a file is full, not behind what is for the thread.
#[test]
fn no_operation_waits_for_another_one_to_be_submitted() {
    const APPENDS: i64 = 1_500;
    let disk = Disk::new(page_cache());
    let logs = [1, 2, 3, 4].map(|number| witnessed(&disk, number));
    thread::scope(|scope| {
        for (log, _) in &logs {
            let (store, logs) = (&disk.store, &logs);
            scope.spawn(move || {
                for base in 0..APPENDS {
                    append(store, *log, batch(Offset(base), 1, base, 700));
                    if base % 100 == 7 {
                        store.submit(Op::StartOffset {
                            log: *log,
                            to: Offset(base),
                        });
                    }
                    if base % 10 == 3 {
                        store.submit(Op::State {
                            log: *log,
                            key: "key".into(),
                            value: Bytes::copy_from_slice(&base.to_be_bytes()),
                        });
                    }
                    // Whoever is done does not help the others.
                    for (_, witness) in logs {
                        witness.wait_for(Offset(base + 1));
                    }
                }
            });
        }
    });
    let third = disk.store.shared.file(FileNumber(3));
    assert!(third.is_some(), "several files were filled");
    for (log, _) in &logs {
        assert_eq!(disk.store.bounds(*log).unwrap().end, Offset(APPENDS));
    }
}
