//! What compaction leaves of a log on disk.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{LeaderEpoch, Millis, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::{BatchBuilder, Compression, Level, Record};

use super::rewriting::{disk_bytes, finish, job, sound, steps};
use super::*;
use crate::Compaction;

const KEYS: u64 = 40;

fn rules(until: Offset) -> Compaction {
    Compaction {
        now: Millis(1_000_000),
        until,
        segment_bytes: 8 * 1024,
        segment_ms: i64::MAX,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        min_dirty_ratio: 0.0,
        delete_retention_ms: 500,
        producer_expiration_ms: i64::MAX,
    }
}

fn compacted_store() -> Options {
    Options {
        tail_cache: ByteSize(0),
        ..page_cache()
    }
}

/// Appends batches of keyed records, some of them markers of deletion, in every codec.
fn fill_keyed(disk: &Disk, log: LogId, batches: i64, rng: &mut Rng) {
    fill_with_keys(disk, log, batches, KEYS, rng);
}

fn fill_with_keys(disk: &Disk, log: LogId, batches: i64, keys: u64, rng: &mut Rng) {
    for _ in 0..batches {
        let base = disk.store.bounds(log).unwrap().end;
        let codec = Compression::ALL[usize::try_from(rng.below(5)).unwrap()];
        let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
        if rng.chance(30) {
            let id = i64::try_from(rng.below(3)).unwrap();
            let sequence = Sequence(i32::try_from(base.0).unwrap());
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), sequence);
        }
        for record in 0..=rng.below(12) {
            let key = format!("key-{}", rng.below(keys));
            let value = format!("{base}-{record}").repeat(10);
            let value = (!rng.chance(8)).then_some(value.as_bytes());
            let time = Millis(i64::try_from(500 + rng.below(500)).unwrap());
            builder.push(time, Some(key.as_bytes()), value);
        }
        let batch = builder.build().unwrap().at(base, LeaderEpoch(0));
        append(&disk.store, log, batch);
        disk.store.drain();
    }
}

fn records(disk: &Disk, log: LogId) -> Vec<Record> {
    let batches = read_all(&disk.store, log).unwrap();
    let records = batches.iter().flat_map(|batch| batch.records().unwrap());
    records.map(Result::unwrap).collect()
}

/// What a consumer that keeps the last value of each key ends up with.
fn replayed(records: &[Record]) -> BTreeMap<String, String> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut state = BTreeMap::new();
    for record in records {
        let key = text(record.key.as_ref().unwrap());
        match &record.value {
            Some(value) => state.insert(key, text(value)),
            None => state.remove(&key),
        };
    }
    state
}

/// Everything that must be true of a log that held `before` and is compacted.
fn check_compacted(disk: &Disk, log: LogId, before: &[Record]) {
    let after = records(disk, log);
    let mut old = before.iter();
    for record in &after {
        assert!(old.any(|old| old == record), "{record:?} is new, or moved");
    }
    assert_eq!(replayed(&after), replayed(before));
    let row = disk.store.shared.logs.get(log).unwrap().state().row;
    let (mut seen, mut twice) = (BTreeSet::new(), 0);
    for record in after.iter().filter(|record| record.offset < row.clean) {
        twice += usize::from(!seen.insert(record.key.clone()));
    }
    assert_eq!(twice, 0, "keys that come twice in what is compacted");

    let batches = read_all(&disk.store, log).unwrap();
    let headers: Vec<_> = batches.iter().map(|batch| *batch.header()).collect();
    let Bounds { start, end } = disk.store.bounds(log).unwrap();
    assert_eq!(
        disk.store.headers(log, start, usize::MAX),
        Ok(headers.clone())
    );
    let size = headers.iter().map(|header| header.size.0).sum();
    assert_eq!(disk.store.size(log), ByteSize(size));
    let filled = headers.iter().filter(|header| header.record_count > 0);
    let filled: Vec<_> = filled.copied().collect();
    for time in [0, 500, 750, 999, 1_001] {
        let since = filled.iter().find(|header| header.max_timestamp >= time);
        let found = disk.store.first_batch_since(log, time, start, end);
        assert_eq!(found, Ok(since.copied()));
    }
    let greatest = filled.iter().copied().reduce(|best, next| {
        if next.max_timestamp > best.max_timestamp {
            next
        } else {
            best
        }
    });
    assert_eq!(
        disk.store.max_timestamp_batch(log, start, end),
        Ok(greatest)
    );
    for from in (start.0..end.0).step_by(7) {
        let mode = ReadMode::Blocking;
        let read = disk.store.read(log, Offset(from), end, 1, true, mode);
        let ReadOutcome::Ready(read) = read.unwrap() else {
            panic!("a blocking read said that it would block");
        };
        let holder = batches
            .iter()
            .find(|batch| batch.header().last_offset().0 >= from);
        assert_eq!(read.first(), holder);
    }
}

/// What is behind the compacted part is as it was, unless a kill came in between.
fn check_the_rest(disk: &Disk, log: LogId, before: &[Record]) {
    let clean = clean(disk, log);
    let is_behind = |record: &&Record| record.offset >= clean;
    let kept = records(disk, log);
    let kept = kept.iter().filter(is_behind).count();
    assert_eq!(kept, before.iter().filter(is_behind).count());
}

fn clean(disk: &Disk, log: LogId) -> Offset {
    disk.store.shared.logs.get(log).unwrap().state().row.clean
}

#[test]
fn a_compacted_log_replays_to_the_same_and_keeps_its_offsets() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let mut disk = Disk::new(compacted_store());
        let (log, other) = (create(&disk, 1), create(&disk, 2));
        let mut job_of_disk = job(&disk);
        let mut all = Vec::new();
        for round in 0..4 {
            fill_keyed(&disk, log, 100, &mut rng);
            fill_keyed(&disk, other, 20, &mut rng);
            let of_other = records(&disk, other);
            let end = Offset(disk.store.bounds(log).unwrap().end.0 * 2 / 3);
            let known = all.last().map_or(Offset(-1), |last: &Record| last.offset);
            let fresh = records(&disk, log);
            all.extend(fresh.into_iter().filter(|record| record.offset > known));
            disk.store.set_compaction(log, Some(rules(end)));
            let before = clean(&disk, log);
            finish(&mut job_of_disk);
            assert!(
                clean(&disk, log) > before,
                "round {round} compacted nothing"
            );
            check_compacted(&disk, log, &all);
            check_the_rest(&disk, log, &all);
            assert_eq!(records(&disk, other), of_other);
            drop(job_of_disk);
            disk.store.shared.index.flush().unwrap();
            disk = disk.killed(|_| {});
            job_of_disk = job(&disk);
            check_compacted(&disk, log, &all);
        }
        sound(disk);
    }
}

#[test]
fn a_kill_between_any_two_steps_of_a_compaction_loses_nothing() {
    for flushes in [false, true] {
        let mut count = 0;
        loop {
            let mut rng = Rng::new(7);
            let disk = Disk::new(compacted_store());
            let log = create(&disk, 1);
            fill_keyed(&disk, log, 250, &mut rng);
            let end = disk.store.bounds(log).unwrap().end;
            disk.store.set_compaction(log, Some(rules(end)));
            let before = records(&disk, log);
            let is_more = steps(&mut job(&disk), count);
            if flushes {
                disk.store.shared.index.flush().unwrap();
            }
            let disk = disk.killed(|_| {});
            assert_eq!(replayed(&records(&disk, log)), replayed(&before));
            disk.store.set_compaction(log, Some(rules(end)));
            finish(&mut job(&disk));
            check_compacted(&disk, log, &before);
            sound(disk);
            if !is_more {
                break;
            }
            count += 1;
        }
        assert!(count > 5, "only {count} steps were seen");
    }
}

#[test]
fn keys_that_memory_has_no_room_for_take_several_passes() {
    let disk = Disk::new(compacted_store());
    let log = create(&disk, 1);
    fill_keyed(&disk, log, 200, &mut Rng::new(3));
    let before = records(&disk, log);
    disk.store.set_rewriting(Rewriting {
        keys_memory: ByteSize(24 * 30),
        ..Rewriting::default()
    });
    let end = disk.store.bounds(log).unwrap().end;
    disk.store.set_compaction(log, Some(rules(end)));
    let mut job = job(&disk);
    finish(&mut job);
    let after = records(&disk, log);
    assert_eq!(replayed(&after), replayed(&before));
    assert!(
        after.len() < before.len() / 2,
        "{} records stay",
        after.len()
    );
    sound(disk);
}

#[test]
fn a_compacted_log_can_be_cut_anywhere() {
    let mut rng = Rng::new(11);
    for case in 0..30 {
        let disk = Disk::new(compacted_store());
        let log = create(&disk, 1);
        fill_keyed(&disk, log, 80, &mut rng);
        let end = disk.store.bounds(log).unwrap().end;
        disk.store.set_compaction(log, Some(rules(end)));
        finish(&mut job(&disk));
        let whole = read_all(&disk.store, log).unwrap();
        let to = Offset(i64::try_from(rng.below(end.0.unsigned_abs())).unwrap());
        let is_left = |batch: &RecordBatch| match case % 2 {
            0 => batch.header().last_offset() < to,
            _ => batch.header().last_offset() >= to,
        };
        let left: Vec<_> = whole.into_iter().filter(is_left).collect();
        let cut = match case % 2 {
            0 => Op::Truncate { log, to },
            _ => Op::StartOffset { log, to },
        };
        disk.store.submit(cut);
        disk.store.drain();
        assert_eq!(read_all(&disk.store, log), Ok(left.clone()));
        let size = left.iter().map(|batch| batch.size().0).sum();
        assert_eq!(disk.store.size(log), ByteSize(size), "case {case}");
        fill_keyed(&disk, log, 60, &mut rng);
        let before = records(&disk, log);
        let end = disk.store.bounds(log).unwrap().end;
        disk.store.set_compaction(log, Some(rules(end)));
        finish(&mut job(&disk));
        check_compacted(&disk, log, &before);
        sound(disk);
    }
}

#[test]
fn batches_of_a_compacted_log_are_found_by_time() {
    let disk = Disk::new(compacted_store());
    let log = create(&disk, 1);
    let mut rng = Rng::new(2);
    for _ in 0..3 {
        fill_with_keys(&disk, log, 300, 400, &mut rng);
        let before = records(&disk, log);
        let end = Offset(disk.store.bounds(log).unwrap().end.0 * 2 / 3);
        disk.store.set_compaction(log, Some(rules(end)));
        finish(&mut job(&disk));
        check_compacted(&disk, log, &before);
    }
}

#[test]
fn what_was_superseded_gives_its_space_back() {
    let disk = Disk::new(compacted_store());
    let log = create(&disk, 1);
    for _ in 0..6 {
        fill_keyed(&disk, log, 200, &mut Rng::new(5));
    }
    let end = disk.store.bounds(log).unwrap().end;
    disk.store.set_compaction(log, Some(rules(end)));
    let mut job = job(&disk);
    finish(&mut job);
    wait_until(|| {
        finish(&mut job);
        disk_bytes(&disk) <= 1_200 * 1024
    });
    sound(disk);
}

#[test]
fn little_that_is_compacted_again_and_again_keeps_no_space_for_later() {
    let disk = Disk::new(Options {
        commit_file: ByteSize(4 * 1024 * 1024),
        ..compacted_store()
    });
    let log = create(&disk, 1);
    // Never idle for so long that unused space would be given back.
    let mut job = disk.store.job(Duration::from_secs(3600));
    for (records, key_count) in [(200, 4), (8, 4)] {
        fill_with_large(&disk, log, records, key_count);
        let end = disk.store.bounds(log).unwrap().end;
        disk.store.set_compaction(log, Some(rules(end)));
        wait_until(|| {
            job.step().unwrap();
            clean(&disk, log) >= end.plus(-2)
        });
    }
    wait_until(|| {
        job.step().unwrap();
        disk_bytes(&disk) <= 2 * 1024 * 1024
    });
    sound(disk);
}

/// Appends records of 64 KiB with so many keys in turn.
fn fill_with_large(disk: &Disk, log: LogId, records: u8, key_count: u8) {
    let value = vec![7; 64 * 1024];
    for record in 0..records {
        let base = disk.store.bounds(log).unwrap().end;
        let mut builder = BatchBuilder::new();
        builder.push(Millis(1_000), Some(&[record % key_count]), Some(&value));
        let batch = builder.build().unwrap().at(base, LeaderEpoch(0));
        append(&disk.store, log, batch);
        disk.store.drain();
    }
}

#[test]
fn the_tail_shows_nothing_that_was_superseded() {
    let disk = Disk::new(page_cache());
    let log = create(&disk, 1);
    fill_keyed(&disk, log, 120, &mut Rng::new(9));
    let before = records(&disk, log);
    let end = disk.store.bounds(log).unwrap().end;
    disk.store.set_compaction(log, Some(rules(end)));
    finish(&mut job(&disk));
    check_compacted(&disk, log, &before);
}
