//! What the rewrite job does to a store, and what a kill in the middle of it does.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::channel;

use super::*;
use crate::commit::disk::Disk as AnyDisk;
use crate::commit::entry::{HEADER_SIZE, Outgoing, batch_entry_size};
use crate::commit::file::CommitFile;
use crate::rewrite::{Destination, Job, JobCommand, MovedRow, Moves, Purpose, Step};

/// What the active file of a store at rest takes here.
const RESTED: u64 = 128 * 1024;

pub(super) type Contents = BTreeMap<LogId, Vec<RecordBatch>>;

pub(super) fn job(disk: &Disk) -> Job {
    disk.store.job(Duration::ZERO)
}

/// Lets the job work until nothing is left to be done.
pub(super) fn finish(job: &mut Job) {
    wait_until(|| {
        for _ in 0..100_000 {
            match job.step().unwrap() {
                Step::Worked { .. } => {}
                Step::Waiting => return false,
                Step::Idle => return true,
            }
        }
        panic!("the job never comes to an end");
    });
}

/// At most so many steps; whether there were that many.
pub(super) fn steps(job: &mut Job, count: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut done = 0;
    while done < count {
        assert!(Instant::now() < deadline, "it took too long");
        match job.step().unwrap() {
            Step::Worked { .. } => done += 1,
            Step::Waiting => std::thread::sleep(Duration::from_millis(1)),
            Step::Idle => return false,
        }
    }
    true
}

pub(super) fn contents(disk: &Disk) -> Contents {
    let logs = disk.store.logs();
    let logs = logs.iter().map(|log| log.id);
    logs.map(|log| (log, read_all(&disk.store, log).unwrap()))
        .collect()
}

/// Logs whose batches alternate in several files, of which much is dead then. The
/// last log has small batches, and many.
fn mixed(options: Options) -> (Disk, Contents) {
    let disk = Disk::new(Options {
        commit_file: ByteSize(128 * 1024),
        tail_cache: ByteSize(0),
        ..options
    });
    let logs: Vec<_> = (1..=6).map(|number| create(&disk, number)).collect();
    for base in 0..120 {
        for log in &logs[..5] {
            append(&disk.store, *log, batch(Offset(base), 1, base, KIB / 2));
        }
        for small in base * 6..base * 6 + 6 {
            append(&disk.store, logs[5], batch(Offset(small), 1, small, 5));
        }
    }
    disk.store.drain();
    disk.store.submit(Op::Drop { log: logs[0] });
    disk.store.submit(Op::StartOffset {
        log: logs[1],
        to: Offset(50),
    });
    disk.store.submit(Op::Truncate {
        log: logs[2],
        to: Offset(60),
    });
    append(&disk.store, logs[2], batch(Offset(60), 4, 7, 2 * KIB));
    disk.store.drain();
    let contents = contents(&disk);
    (disk, contents)
}

/// Bytes on disk of the commit log's directory.
pub(super) fn disk_bytes(disk: &Disk) -> u64 {
    let files = fs::read_dir(disk.dir.path().join("commit")).unwrap();
    let sizes = files.map(|file| match file.unwrap().metadata() {
        Ok(file) => file.blocks() * 512,
        // It has gone since the directory was listed.
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => panic!("{error}"),
    });
    sizes.sum()
}

fn live_bytes(contents: &Contents) -> u64 {
    let batches = contents.values().flatten();
    batches
        .map(|batch| batch.size().0 + HEADER_SIZE as u64)
        .sum()
}

pub(super) fn sound(disk: Disk) {
    let dir = disk.closed();
    let report = check(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.faults, []);
}

#[test]
fn what_is_dead_gives_its_space_back_and_what_lives_stays() {
    for options in [options(), page_cache()] {
        let (disk, expected) = mixed(options);
        let mut job = job(&disk);
        finish(&mut job);
        let bound = live_bytes(&expected) * 3 / 2 + RESTED;
        wait_until(|| {
            finish(&mut job);
            disk_bytes(&disk) <= bound
        });
        assert_eq!(contents(&disk), expected);
        // The old files are gone for good: nothing may need them after a kill.
        drop(job);
        let disk = disk.killed(|_| {});
        assert_eq!(contents(&disk), expected);
        sound(disk);
    }
}

#[test]
fn a_kill_between_any_two_steps_loses_nothing() {
    for flushes in [false, true] {
        let mut count = 0;
        loop {
            let (disk, mut expected) = mixed(page_cache());
            let is_more = steps(&mut job(&disk), count);
            if flushes {
                disk.store.shared.index.flush().unwrap();
            }
            let disk = disk.killed(|_| {});
            assert_eq!(contents(&disk), expected, "killed after {count} steps");
            for (log, batches) in &mut expected {
                batches.extend(fill(&disk, *log, 1, 100));
            }
            finish(&mut job(&disk));
            assert_eq!(contents(&disk), expected, "rewritten after {count} steps");
            sound(disk);
            if !is_more {
                break;
            }
            // All of them once, and some of them again.
            count += if flushes { 7 } else { 1 };
        }
        assert!(count > 20, "only {count} steps were seen");
    }
}

#[test]
fn logs_may_be_cut_between_any_two_steps() {
    let mut count = 0;
    loop {
        let (disk, mut expected) = mixed(page_cache());
        let mut job = job(&disk);
        let is_more = steps(&mut job, count);
        let logs: Vec<_> = expected.keys().copied().collect();
        disk.store.submit(Op::Drop { log: logs[0] });
        expected.remove(&logs[0]);
        disk.store.submit(Op::Truncate {
            log: logs[1],
            to: Offset(9),
        });
        disk.store.submit(Op::StartOffset {
            log: logs[2],
            to: Offset(100),
        });
        append(&disk.store, logs[1], batch(Offset(9), 40, 7, 2 * KIB));
        disk.store.drain();
        let now = contents(&disk);
        finish(&mut job);
        assert_eq!(contents(&disk), now, "cut after {count} steps");
        drop(job);
        let disk = disk.killed(|_| {});
        assert_eq!(contents(&disk), now, "killed after {count} steps");
        sound(disk);
        if !is_more {
            return;
        }
        count += 1;
    }
}

/// The power goes when a batch was copied to a durable file, and was not durable itself.
#[test]
fn no_copy_outlives_what_was_written_before_it() {
    let disk = Disk::simulated(page_cache());
    let (log, earlier) = (create(&disk, 1), create(&disk, 2));
    let batches = [earlier, log].map(|log| {
        let recorder = Arc::new(Recorder::default());
        disk.store.attach(log, 1, recorder.clone());
        let batch = batch(Offset(0), 1, 0, 100);
        append(&disk.store, log, batch.clone());
        wait_until(|| !recorder.take().is_empty());
        batch
    });
    let from = *disk.entries(1).last().unwrap();
    let target = FileNumber::sorted(1);
    let target_length = copy_alone(&disk, log, &batches[1..], target);
    let to = Destination::Verbatim { at: 0 };
    relocate(
        &disk,
        Moves {
            log,
            first: Offset(0),
            through: Offset(0),
            target,
            target_length,
            rows: vec![moved(0, from, to)],
            purpose: Purpose::Copy,
        },
    );
    disk.store.shared.index.flush().unwrap();
    let faults = disk.faults().clone();
    let disk = disk.killed(|_| faults.lose_all_unsynced());
    for (log, batch) in [earlier, log].into_iter().zip(batches) {
        assert_eq!(read_all(&disk.store, log), Ok(vec![batch]));
    }
}

/// Had the piece that moves the offsets that are gone, it would share them with what is
/// appended next.
#[test]
fn what_moves_ends_where_the_log_was_cut_meanwhile() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    let batches = fill(&disk, log, 3, 100);
    truncate(&disk, log, Offset(1));
    compact(&disk, log, &batches, 0..0);
    grows_and_moves_on(disk, log);
}

/// The same where a compaction left nothing at the offset that the log is cut to.
#[test]
fn what_was_moved_ends_where_the_log_is_cut() {
    for gone in [1..3, 1..4] {
        let disk = Disk::new(options());
        let log = create(&disk, 1);
        let batches = fill(&disk, log, 4, 100);
        compact(&disk, log, &batches, gone);
        truncate(&disk, log, Offset(1));
        grows_and_moves_on(disk, log);
    }
}

/// Moves all batches of a log to a sorted file, as if a compaction had left nothing of those
/// in `gone`.
fn compact(disk: &Disk, log: LogId, batches: &[RecordBatch], gone: Range<u8>) {
    let from = disk.entries(1).split_off(1);
    let target = FileNumber::sorted(1);
    let size = u32::try_from(batch_entry_size(batches[0].header())).unwrap();
    let row = |base: u8| {
        let at = u32::from(base) * size;
        let to = if gone.contains(&base) {
            Destination::Nowhere
        } else {
            Destination::Verbatim { at }
        };
        moved(base, from[usize::from(base)], to)
    };
    let end = u8::try_from(batches.len()).unwrap();
    relocate(
        disk,
        Moves {
            log,
            first: Offset(0),
            through: Offset(i64::from(end) - 1),
            target,
            target_length: copy_alone(disk, log, batches, target),
            rows: (0..end).map(row).collect(),
            purpose: Purpose::CompactedTo(Offset(end.into())),
        },
    );
}

/// A log of which the batch at 0 alone is left, in a sorted file, grows, is compacted up
/// to a place in between, and grows on in the next file. Nothing is counted wrong then.
fn grows_and_moves_on(disk: Disk, log: LogId) {
    let kept = read_all(&disk.store, log).unwrap();
    let before = disk.entries(1).len();
    let grown = fill(&disk, log, 3, 100);
    let batches: Vec<_> = kept.into_iter().chain(grown.iter().cloned()).collect();
    let target = FileNumber::sorted(2);
    let size = u32::try_from(batch_entry_size(batches[0].header())).unwrap();
    let first = Position {
        file: FileNumber::sorted(1),
        at: 0,
    };
    relocate(
        &disk,
        Moves {
            log,
            first: Offset(0),
            through: Offset(1),
            target,
            target_length: copy_alone(&disk, log, &batches[..2], target),
            rows: vec![
                moved(0, first, Destination::Verbatim { at: 0 }),
                moved(
                    1,
                    disk.entries(1)[before],
                    Destination::Verbatim { at: size },
                ),
            ],
            purpose: Purpose::Copy,
        },
    );
    fill(&disk, log, 1, 1000 * KIB);
    fill(&disk, log, 1, 1000 * KIB);
    sound(disk);
}

fn truncate(disk: &Disk, log: LogId, to: Offset) {
    disk.store.submit(Op::Truncate { log, to });
    disk.store.drain();
}

fn moved(base: u8, from: Position, to: Destination) -> MovedRow {
    MovedRow {
        base: Offset(base.into()),
        from,
        to,
    }
}

/// Asks the writer for it as the job does.
fn relocate(disk: &Disk, moves: Moves) {
    let (answer, answered) = channel();
    let queue = &disk.store.shared.queue;
    queue.push(Command::Job(JobCommand::Move(Arc::new(moves), answer)));
    queue.wake();
    answered.recv_timeout(Duration::from_secs(10)).unwrap();
}

/// Makes a durable sorted file of some batches; returns its length.
fn copy_alone(disk: &Disk, log: LogId, batches: &[RecordBatch], number: FileNumber) -> u32 {
    let any = match &disk.simulated {
        Some(disk) => AnyDisk::Simulated(disk.clone()),
        None => AnyDisk::Real,
    };
    let shared = &disk.store.shared;
    let file = CommitFile::create_growing(&any, &shared.commit_dir, number).unwrap();
    let mut outgoing = Outgoing::default();
    for batch in batches {
        outgoing.push(log, &Entry::Batch(batch.clone()), number, Position::START);
    }
    outgoing.push(LogId(0), &Entry::Seal, number, Position::START);
    file.write(outgoing.segments(), 0).unwrap();
    file.sync().unwrap();
    shared.insert_file(Arc::new(file));
    u32::try_from(outgoing.size()).unwrap()
}

#[test]
fn readers_never_miss_what_moves() {
    let (disk, expected) = mixed(page_cache());
    // A file that goes between a reader's looks at the index and at the file.
    *disk.store.shared.goes_once.lock().unwrap() = Some(FileNumber(1));
    assert_eq!(contents(&disk), expected);
    assert_eq!(*disk.store.shared.goes_once.lock().unwrap(), None);
    std::thread::scope(|scope| {
        let rewriter = scope.spawn(|| finish(&mut job(&disk)));
        while !rewriter.is_finished() {
            assert_eq!(contents(&disk), expected);
        }
    });
    assert_eq!(contents(&disk), expected);
}

#[test]
fn logs_that_lie_mixed_are_sorted() {
    let disk = Disk::new(page_cache());
    let logs: Vec<_> = (1..=4).map(|number| create(&disk, number)).collect();
    for base in 0..160 {
        for log in &logs {
            append(&disk.store, *log, batch(Offset(base), 1, base, 4 * KIB));
        }
    }
    disk.store.drain();
    let expected = contents(&disk);
    finish(&mut job(&disk));
    let sorted = disk.store.shared.sorted_files();
    assert!(!sorted.is_empty(), "nothing was sorted");
    for number in sorted {
        let mut owners = Vec::new();
        let file = disk.store.shared.file(number).unwrap();
        let mut scanner = Scanner::new(&file, 0).unwrap();
        while let Ok(found) = scanner.next().unwrap() {
            owners.push(found.log);
        }
        owners.dedup();
        assert_eq!(owners.len(), logs.len() + 1, "each log once, then the seal");
    }
    assert_eq!(contents(&disk), expected);
    sound(disk);
}

#[test]
fn damage_in_a_sorted_file_is_found_and_never_served() {
    let (disk, expected) = mixed(page_cache());
    finish(&mut job(&disk));
    let number = *disk.store.shared.sorted_files().first().unwrap();
    let file = disk.store.shared.file(number).unwrap();
    let first = Scanner::new(&file, 0).unwrap().next().unwrap().unwrap();
    let harmed = first.log;
    let path = format!("commit/{}", number.file_name());
    disk.store.shared.index.flush().unwrap();
    let disk = disk.killed(|dir| {
        let path = dir.join(&path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEADER_SIZE + 300] ^= 4;
        fs::write(&path, bytes).unwrap();
    });
    for (log, batches) in &expected {
        let sound = if *log == harmed {
            Err(ReadError::Damaged(harmed))
        } else {
            Ok(batches.clone())
        };
        assert_eq!(read_all(&disk.store, *log), sound);
    }
    let dir = disk.closed();
    let report = check(dir.path(), &mut |_| {}).unwrap();
    let at = Position {
        file: number,
        at: 0,
    };
    let entry = Fault {
        place: Place::Entry(at),
        what: FaultKind::Entry(NoEntry::Checksum),
    };
    assert!(report.faults.contains(&entry), "{:?}", report.faults);
}

#[test]
fn damage_is_not_copied_and_the_rest_of_its_file_is() {
    let (disk, expected) = mixed(page_cache());
    let harmed = *expected.keys().last().unwrap();
    let at = disk.entries(1)[20];
    let disk = disk.killed(|dir| {
        let path = dir.join("commit/00000000000000000001.log");
        let mut bytes = fs::read(&path).unwrap();
        bytes[at.at as usize + 300] ^= 4;
        fs::write(&path, bytes).unwrap();
    });
    finish(&mut job(&disk));
    let damaged: Vec<_> = disk
        .store
        .logs()
        .into_iter()
        .filter(|log| log.damaged)
        .collect();
    assert_eq!(
        damaged.len(),
        1,
        "of the logs up to {harmed} one is damaged"
    );
    for (log, batches) in &expected {
        if *log != damaged[0].id {
            assert_eq!(read_all(&disk.store, *log), Ok(batches.clone()));
        }
    }
}

#[test]
fn a_store_at_rest_keeps_no_space_for_what_may_come() {
    let disk = Disk::new(Options {
        commit_file: ByteSize(64 * 1024 * 1024),
        ..options()
    });
    let (log, other) = (create(&disk, 1), create(&disk, 2));
    let batches = fill(&disk, log, 2, KIB);
    assert!(disk_bytes(&disk) <= 5 * 1024 * 1024);
    fill(&disk, other, 40, KIB * KIB);
    disk.store.submit(Op::Drop { log: other });
    disk.store.drain();
    assert!(disk_bytes(&disk) >= 40 * 1024 * 1024);
    finish(&mut job(&disk));
    wait_until(|| disk_bytes(&disk) <= 2 * 1024 * 1024);
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(batches));
    fill(&disk, log, 2, 2 * KIB * KIB);
    sound(disk);
}
