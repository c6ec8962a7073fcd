//! The suite on disk, and what only a disk can do to a store.

mod compacting;
mod flips;
mod full_index;
mod index_copy;
mod rewriting;
mod who_writes;

use std::time::{Duration, Instant};

use ottla_base::testing::Rng;
use ottla_protocol::records::RecordBatch;
use tempfile::TempDir;

use super::*;
use crate::commit::disk::{self, simulated, simulated::Mishap};
use crate::commit::entry::{FileNumber, Position};
use crate::commit::scan::Scanner;
use crate::conformance::{self, Heard, Recorder, Subject, append, read_all, tp};
use crate::testing::batch;

const KIB: usize = 1024;

fn options() -> Options {
    Options {
        commit_file: ByteSize(1024 * 1024),
        rewrites: Rewrites::Never,
        ..Options::new(BrokerId(1), ClusterId::from("test-cluster"))
    }
}

fn page_cache() -> Options {
    Options {
        durability: Durability::PageCache {
            flush_interval: Duration::from_secs(3600),
        },
        ..options()
    }
}

/// A store that can be left behind as a kill of its process would leave it.
struct Disk {
    store: RocksStore,
    dir: TempDir,
    options: Options,
    /// Where the commit log lies, if not in `dir`.
    simulated: Option<simulated::Disk>,
}

impl Disk {
    fn new(options: Options) -> Self {
        Self::opened(TempDir::new().unwrap(), options, None)
    }

    /// On a disk that can be made to fail.
    fn simulated(options: Options) -> Self {
        let disk = simulated::Disk::new(1);
        Self::opened(TempDir::new().unwrap(), options, Some(disk))
    }

    fn opened(dir: TempDir, options: Options, simulated: Option<simulated::Disk>) -> Self {
        let disk = match &simulated {
            Some(disk) => disk::Disk::Simulated(disk.clone()),
            None => disk::Disk::Real,
        };
        let store = open_on(disk, Stepping::Thread, dir.path(), options.clone()).unwrap();
        Self {
            store,
            dir,
            options,
            simulated,
        }
    }

    fn faults(&self) -> &simulated::Disk {
        self.simulated.as_ref().unwrap()
    }

    /// What a kill would leave, with a chance to harm it before it is opened.
    fn killed(self, harm: impl FnOnce(&Path)) -> Self {
        drop(self.store);
        harm(self.dir.path());
        Self::opened(self.dir, self.options, self.simulated)
    }

    fn file(&self, number: u32) -> Arc<crate::commit::file::CommitFile> {
        self.store.shared.file(FileNumber(number)).unwrap()
    }

    /// What the last entry of a file says was durable when it was written.
    fn synced_at_last_entry(&self, number: u32) -> Position {
        let file = self.file(number);
        let mut scanner = Scanner::new(&file, 0).unwrap();
        let mut synced = Position::START;
        while let Ok(found) = scanner.next().unwrap() {
            synced = found.synced;
        }
        synced
    }

    /// Where the entries of a file begin.
    /// Ends in peace, and leaves this directory.
    fn closed(self) -> TempDir {
        self.store.close();
        let Self { store, dir, .. } = self;
        drop(store);
        dir
    }

    fn entries(&self, number: u32) -> Vec<Position> {
        let file = self.file(number);
        let mut scanner = Scanner::new(&file, 0).unwrap();
        let mut found = Vec::new();
        loop {
            let position = scanner.position();
            if scanner.next().unwrap().is_err() {
                return found;
            }
            found.push(position);
        }
    }
}

fn flip_bit(dir: &Path, position: Position, ahead: u64) {
    use std::os::unix::fs::FileExt;
    let path = dir.join(format!("commit/{:020}.log", position.file.0));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let at = u64::from(position.at) + ahead;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

struct Slot(Option<Disk>);

impl Slot {
    fn disk(&self) -> &Disk {
        self.0.as_ref().unwrap()
    }
}

impl Subject for Slot {
    fn store(&self) -> &dyn LogStore {
        &self.disk().store
    }

    fn reopen(&mut self) {
        let disk = self.0.take().unwrap();
        disk.store.close();
        self.0 = Some(disk.killed(|_| {}));
    }

    fn crash(&mut self) {
        let disk = self.0.take().unwrap();
        self.0 = Some(disk.killed(|_| {}));
    }
}

#[test]
fn it_keeps_the_promises() {
    conformance::run(|| Box::new(Slot(Some(Disk::new(options())))));
}

#[test]
fn it_keeps_the_promises_without_a_tail_cache() {
    let options = Options {
        tail_cache: ByteSize(0),
        commit_file: ByteSize(128 * 1024),
        ..options()
    };
    conformance::run(|| Box::new(Slot(Some(Disk::new(options.clone())))));
}

#[test]
fn it_keeps_the_promises_in_the_page_cache() {
    conformance::run(|| Box::new(Slot(Some(Disk::new(page_cache())))));
}

fn create(disk: &Disk, number: u8) -> LogId {
    disk.store.create(tp(number)).unwrap()
}

/// Appends batches of one record, each its own group.
fn fill(disk: &Disk, log: LogId, count: i64, payload: usize) -> Vec<RecordBatch> {
    let from = disk.store.bounds(log).unwrap().end.0;
    let batches: Vec<_> = (from..from + count)
        .map(|base| batch(Offset(base), 1, base, payload))
        .collect();
    for batch in &batches {
        append(&disk.store, log, batch.clone());
        disk.store.drain();
    }
    batches
}

#[test]
fn a_torn_last_entry_is_cut_off() {
    for cut in [0, 5, 40, 100] {
        let disk = Disk::new(page_cache());
        let log = create(&disk, 1);
        let batches = fill(&disk, log, 3, 200);
        let last = *disk.entries(1).last().unwrap();
        let disk = disk.killed(|dir| {
            let path = dir.join("commit/00000000000000000001.log");
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(u64::from(last.at) + cut).unwrap();
        });
        assert_eq!(read_all(&disk.store, log), Ok(batches[..2].to_vec()));
        fill(&disk, log, 2, 50);
        let disk = disk.killed(|_| {});
        assert_eq!(disk.store.bounds(log).unwrap().end, Offset(4));
    }
}

#[test]
fn a_flipped_bit_in_the_last_entry_is_cut_off() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    let batches = fill(&disk, log, 3, 200);
    let last = *disk.entries(1).last().unwrap();
    let disk = disk.killed(|dir| flip_bit(dir, last, 150));
    assert_eq!(read_all(&disk.store, log), Ok(batches[..2].to_vec()));
}

#[test]
fn a_flipped_bit_before_durable_entries_takes_its_log_offline() {
    for ahead in [2, 9, 50, 150] {
        let disk = Disk::new(options());
        let harmed = create(&disk, 1);
        let sound = create(&disk, 2);
        let first = fill(&disk, sound, 2, 100);
        fill(&disk, harmed, 1, 200);
        let at = *disk.entries(1).last().unwrap();
        let second = fill(&disk, sound, 2, 100);
        fill(&disk, harmed, 1, 200);
        fill(&disk, sound, 1, 100);
        let mut disk = disk.killed(|dir| flip_bit(dir, at, ahead));
        for _ in 0..2 {
            let refusal = ReadError::Damaged(harmed);
            assert_eq!(read_all(&disk.store, harmed), Err(refusal), "byte {ahead}");
            let all = read_all(&disk.store, sound).unwrap();
            assert_eq!(all[..4], [&first[..], &second[..]].concat());
            assert_eq!(all.len(), 5);
            let listed = disk.store.logs();
            let damaged: Vec<_> = listed.iter().map(|log| log.damaged).collect();
            assert_eq!(damaged, [true, false]);
            disk = disk.killed(|_| {});
        }
        let recorder = Arc::new(Recorder::default());
        disk.store.attach(harmed, 1, recorder.clone());
        append(&disk.store, harmed, batch(Offset(2), 1, 0, 10));
        disk.store.drain();
        let failed = Heard::Failed {
            incarnation: 1,
            failure: StoreFailure::Damaged,
        };
        assert_eq!(recorder.take(), [failed]);
        disk.store.submit(Op::Drop { log: harmed });
        disk.store.drain();
        assert_eq!(disk.store.logs().len(), 1);
    }
}

#[test]
fn damage_in_a_sealed_file_is_found_when_it_is_read_and_never_served() {
    let disk = Disk::new(Options {
        tail_cache: ByteSize(0),
        ..options()
    });
    let log = create(&disk, 1);
    let batches = fill(&disk, log, 12, 200 * KIB);
    disk.store.close();
    let at = disk.entries(1)[3];
    let disk = disk.killed(|dir| flip_bit(dir, at, 100 * 1024));
    let read = |from, until| {
        let mode = ReadMode::Blocking;
        let (from, until) = (Offset(from), Offset(until));
        match disk.store.read(log, from, until, usize::MAX, true, mode)? {
            ReadOutcome::Ready(batches) => Ok(batches),
            ReadOutcome::WouldBlock => panic!("a blocking read said that it would block"),
        }
    };
    assert_eq!(read(8, 12), Ok(batches[8..].to_vec()));
    assert_eq!(read(0, 2), Ok(batches[..2].to_vec()));
    assert_eq!(read(2, 3), Err(ReadError::Damaged(log)));
    assert_eq!(read(0, 2), Err(ReadError::Damaged(log)));
}

#[test]
fn an_index_ahead_of_a_disk_that_lost_power_is_rolled_back() {
    let disk = Disk::new(page_cache());
    let one = create(&disk, 1);
    let other = create(&disk, 2);
    let kept = fill(&disk, one, 3, 100);
    let durable = *disk.entries(1).last().unwrap();
    // Without a drain nothing more is synced, and the index is flushed all the same.
    let recorder = Arc::new(Recorder::default());
    disk.store.attach(other, 1, recorder.clone());
    append(&disk.store, one, batch(Offset(3), 1, 0, 100));
    append(&disk.store, other, batch(Offset(0), 1, 0, 100));
    wait_until(|| !recorder.take().is_empty());
    disk.store.shared.index.flush().unwrap();
    let disk = disk.killed(|dir| {
        let path = dir.join("commit/00000000000000000001.log");
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(u64::from(durable.at) + 32 + 61 + 100).unwrap();
    });
    assert_eq!(read_all(&disk.store, one), Ok(kept));
    assert_eq!(disk.store.bounds(other), Ok(Bounds::EMPTY));
    fill(&disk, one, 2, 100);
    let disk = disk.killed(|_| {});
    assert_eq!(disk.store.bounds(one).unwrap().end, Offset(5));
}

fn wait_until(mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_true() {
        assert!(Instant::now() < deadline, "it took too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn commit_files(disk: &Disk) -> usize {
    let files = fs::read_dir(disk.dir.path().join("commit")).unwrap();
    files
        .filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "log")
        .count()
}

#[test]
fn files_without_live_batches_are_removed_and_used_again() {
    let mut disk = Disk::new(options());
    let log = create(&disk, 1);
    let other = create(&disk, 2);
    let mut end = 0;
    for round in 0..4 {
        let batches = fill(&disk, log, 40, 100 * KIB);
        end += 40;
        assert!(commit_files(&disk) >= 4, "round {round}");
        disk.store.submit(Op::StartOffset {
            log,
            to: Offset(end - 2),
        });
        disk.store.drain();
        wait_until(|| commit_files(&disk) <= 2);
        assert_eq!(read_all(&disk.store, log), Ok(batches[38..].to_vec()));
        if round == 1 {
            disk = disk.killed(|_| {});
            assert_eq!(read_all(&disk.store, log), Ok(batches[38..].to_vec()));
        }
    }
    fill(&disk, other, 3, 500 * KIB);
    disk.store.submit(Op::Drop { log });
    disk.store.submit(Op::Truncate {
        log: other,
        to: Offset::ZERO,
    });
    disk.store.drain();
    wait_until(|| commit_files(&disk) == 1);
}

/// What the index has only collected is no reason to remove a file: the next start
/// would look for it.
#[test]
fn a_file_goes_only_when_the_index_on_disk_is_past_it() {
    let disk = Disk::new(page_cache());
    let log = create(&disk, 1);
    let mut number = 0_u32;
    while disk.store.shared.file(FileNumber(3)).is_none() {
        number += 1;
        disk.store.submit(Op::State {
            log,
            key: "key".into(),
            value: number.to_be_bytes().repeat(2_500).into(),
        });
        disk.store.drain();
    }
    wait_until(|| commit_files(&disk) == 1);
    let disk = disk.killed(|_| {});
    let value = disk.store.state(log, b"key").unwrap().unwrap();
    assert_eq!(value[..4], number.to_be_bytes());
}

#[test]
fn files_that_hold_only_state_go_when_no_start_needs_them() {
    let mut disk = Disk::new(options());
    let log = create(&disk, 1);
    for round in 0..30_u8 {
        disk.store.submit(Op::State {
            log,
            key: "key".into(),
            value: vec![round + 1; 100 * KIB].into(),
        });
        disk.store.drain();
        if round % 4 == 3 {
            disk = disk.killed(|_| {});
        }
        let value = disk.store.state(log, b"key").unwrap().unwrap();
        assert_eq!(value, vec![round + 1; 100 * KIB]);
    }
    wait_until(|| commit_files(&disk) == 1);
}

#[test]
fn a_store_closes_also_when_the_disk_stays_full() {
    let disk = Disk::simulated(options());
    disk.faults().set_free(0);
    let log = create(&disk, 1);
    for _ in 0..2_000 {
        for to in 0..20 {
            disk.store.submit(Op::StartOffset {
                log,
                to: Offset(to),
            });
        }
    }
    disk.store.close();
}

#[test]
fn a_full_disk_refuses_appends_and_nothing_else_until_there_is_space() {
    let disk = Disk::simulated(options());
    disk.faults().set_free(0);
    let log = create(&disk, 1);
    let recorder = Arc::new(Recorder::default());
    disk.store.attach(log, 1, recorder.clone());
    let written = fill_until_failed(&disk, log, 1, &recorder);
    assert!(written >= 8, "a file of 1 MiB takes more than {written}");
    // A later append of the same incarnation would leave a gap.
    disk.faults().set_free(1 << 30);
    append(&disk.store, log, batch(Offset(written + 1), 1, 0, 10));
    disk.faults().set_free(0);
    let state = Op::State {
        log,
        key: "key".into(),
        value: "value".into(),
    };
    disk.store.submit(state);
    disk.store.submit(Op::StartOffset {
        log,
        to: Offset(written - 1),
    });
    let small = create(&disk, 2);
    disk.store.drain();
    let start = Offset(written - 1);
    assert_eq!(recorder.take(), [Heard::StartMoved { start }]);
    assert_eq!(read_all(&disk.store, log).map(|all| all.len()), Ok(1));
    assert_eq!(disk.store.bounds(small), Ok(Bounds::EMPTY));
    disk.faults().set_free(1 << 30);
    disk.store.attach(log, 2, recorder.clone());
    disk.store.submit(Op::Append {
        log,
        incarnation: 2,
        batch: batch(Offset(written), 1, 0, 100 * KIB),
        sync: false,
    });
    disk.store.drain();
    let flushed = Heard::Flushed {
        incarnation: 2,
        end: Offset(written + 1),
    };
    assert_eq!(recorder.take(), [flushed]);
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log).map(|all| all.len()), Ok(2));
    assert_eq!(disk.store.logs().len(), 2);
}

/// How many batches were taken before the first refusal.
fn fill_until_failed(disk: &Disk, log: LogId, incarnation: u64, recorder: &Recorder) -> i64 {
    for base in 0..100 {
        disk.store.submit(Op::Append {
            log,
            incarnation,
            batch: batch(Offset(base), 1, 0, 100 * KIB),
            sync: false,
        });
        disk.store.drain();
        match &recorder.take()[..] {
            [Heard::Flushed { .. }] => {}
            [Heard::Failed { failure, .. }] => {
                assert_eq!(*failure, StoreFailure::Full);
                return base;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    panic!("the disk never filled up")
}

#[test]
fn a_disk_that_fails_ends_the_store_for_writing() {
    let disk = Disk::simulated(options());
    let log = create(&disk, 1);
    let idle = create(&disk, 2);
    let (heard, heard_too) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let batches = fill(&disk, log, 2, 100);
    disk.store.attach(log, 1, heard.clone());
    disk.store.attach(idle, 4, heard_too.clone());
    disk.faults().plan(0, Mishap::Error);
    append(&disk.store, log, batch(Offset(2), 1, 0, 10));
    disk.store.drain();
    assert!(matches!(
        heard.take()[..],
        [Heard::Failed { incarnation: 1, .. }]
    ));
    assert!(matches!(
        heard_too.take()[..],
        [Heard::Failed { incarnation: 4, .. }]
    ));
    assert!(matches!(disk.store.failure(), Some(StoreFailure::Io(_))));
    assert!(matches!(
        disk.store.create(tp(3)),
        Err(StoreError::Failed(_))
    ));
    disk.store.attach(log, 2, heard.clone());
    disk.store.submit(Op::Append {
        log,
        incarnation: 2,
        batch: batch(Offset(2), 1, 0, 10),
        sync: false,
    });
    disk.store.drain();
    assert!(matches!(
        heard.take()[..],
        [Heard::Failed { incarnation: 2, .. }]
    ));
    assert_eq!(read_all(&disk.store, log), Ok(batches.clone()));
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

/// The system takes for saved what a failed sync did not save.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_again() {
    let disk = Disk::simulated(options());
    let log = create(&disk, 1);
    let mut batches = fill(&disk, log, 2, 100);
    // The write succeeds, and the sync behind it does not.
    disk.faults().plan(1, Mishap::Error);
    // More than a page: what is emptied behind it brings its last page to the disk.
    batches.extend(fill(&disk, log, 1, 20 * KIB));
    assert!(disk.store.failure().is_some());
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(batches.clone()));
    let faults = disk.faults().clone();
    let disk = disk.killed(|_| faults.power_on());
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

/// What power left behind a lost entry must not come back behind one of the same
/// size that takes its place.
#[test]
fn what_lies_behind_the_end_never_comes_back() {
    let disk = Disk::simulated(page_cache());
    let log = create(&disk, 1);
    let mut batches = fill(&disk, log, 1, 100);
    append(&disk.store, log, batch(Offset(1), 1, 7, 100));
    append(&disk.store, log, batch(Offset(2), 1, 7, 100));
    wait_until(|| disk.store.bounds(log).unwrap().end == Offset(3));
    let stray = *disk.entries(1).last().unwrap();
    let faults = disk.faults().clone();
    let disk = disk.killed(|_| faults.lose_unsynced_below(stray.at));
    assert_eq!(read_all(&disk.store, log), Ok(batches.clone()));
    batches.extend(fill(&disk, log, 1, 100));
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

/// A process that ended between making a file and saving its name leaves a file that
/// the next one finds and fills.
#[test]
fn a_file_that_was_found_keeps_its_name() {
    let dir = TempDir::new().unwrap();
    let faults = simulated::Disk::new(1);
    // Space is looked for, the file created and allocated, and its name not saved.
    faults.plan(3, Mishap::Error);
    let ground = disk::Disk::Simulated(faults.clone());
    let opened = open_on(ground, Stepping::Thread, dir.path(), options());
    assert!(opened.is_err());
    let disk = Disk::opened(dir, options(), Some(faults.clone()));
    let log = create(&disk, 1);
    let batches = fill(&disk, log, 2, 100);
    let disk = disk.killed(|_| faults.power_on());
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

#[test]
fn a_file_that_power_took_from_a_log_is_counted_no_more() {
    let disk = Disk::simulated(page_cache());
    let log = create(&disk, 1);
    fill(&disk, log, 3, 100);
    let other = create(&disk, 2);
    disk.store.drain();
    // What comes next goes to another file, and power takes it.
    let recorder = Arc::new(Recorder::default());
    disk.store.attach(log, 1, recorder.clone());
    append(&disk.store, other, batch(Offset(0), 1, 0, 900 * KIB));
    append(&disk.store, log, batch(Offset(3), 1, 0, 200 * KIB));
    wait_until(|| !recorder.take().is_empty());
    disk.store.shared.index.flush().unwrap();
    let faults = disk.faults().clone();
    let disk = disk.killed(|_| faults.lose_all_unsynced());
    assert_eq!(disk.store.bounds(log).unwrap().end, Offset(3));
    fill(&disk, log, 3, 100);
    let dir = disk.closed();
    let report = check_on(&disk::Disk::Simulated(faults), dir.path(), &mut |_| {});
    assert_eq!(report.unwrap().faults, []);
}

#[test]
fn a_batch_larger_than_a_file_gets_a_file_of_its_own_size() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    let mut batches = fill(&disk, log, 1, 10);
    batches.extend(fill(&disk, log, 1, 5 * KIB * KIB));
    batches.extend(fill(&disk, log, 1, 10));
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

#[test]
fn a_directory_has_one_user_and_one_owner() {
    let disk = Disk::new(options());
    let dir = disk.dir.path().to_path_buf();
    let again = open(&dir, options()).map(|_| ());
    assert_eq!(again, Err(OpenError::Locked { dir: dir.clone() }));
    disk.store.close();
    drop(disk.store);
    let other = Options::new(BrokerId(2), options().cluster);
    let refusal = OpenError::OtherNode {
        dir: dir.clone(),
        found: BrokerId(1),
        wanted: BrokerId(2),
    };
    assert_eq!(open(&dir, other).map(|_| ()), Err(refusal));
    let other = Options::new(BrokerId(1), ClusterId::from("another"));
    let refusal = open(&dir, other).map(|_| ()).unwrap_err().to_string();
    assert!(refusal.contains("set CLUSTER_ID=test-cluster"), "{refusal}");
    assert!(open(&dir, options()).is_ok());
}

#[test]
fn an_unknown_format_is_refused() {
    let disk = Disk::new(options());
    let mut row = Changes::default();
    row.set(keys::FORMAT, 9_u32.to_be_bytes());
    disk.store.shared.index.write(&mut row).unwrap();
    disk.store.close();
    drop(disk.store);
    let dir = disk.dir.path();
    let refusal = OpenError::UnknownFormat {
        dir: dir.into(),
        found: 9,
    };
    assert_eq!(open(dir, options()).map(|_| ()), Err(refusal));
}

#[test]
fn a_missing_commit_file_takes_its_logs_offline() {
    let disk = Disk::new(options());
    let lost = create(&disk, 1);
    let kept = create(&disk, 2);
    fill(&disk, lost, 12, 100 * KIB);
    let batches = fill(&disk, kept, 1, 10);
    disk.store.close();
    let disk = disk.killed(|dir| {
        fs::remove_file(dir.join("commit/00000000000000000001.log")).unwrap();
    });
    assert_eq!(read_all(&disk.store, lost), Err(ReadError::Damaged(lost)));
    assert_eq!(read_all(&disk.store, kept), Ok(batches));
}

/// What lies behind a gap is no unfinished write, and is not removed as one.
#[test]
fn a_missing_commit_file_that_a_start_must_read_is_refused() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    fill(&disk, log, 30, 100 * KIB);
    let dir = disk.closed();
    lose_index(dir.path());
    let commit = dir.path().join("commit");
    fs::remove_file(commit.join("00000000000000000002.log")).unwrap();
    let refusal = open(dir.path(), options()).map(|_| ()).unwrap_err();
    assert!(
        refusal.to_string().contains("commit file 2 is missing"),
        "{refusal}"
    );
    assert!(commit.join("00000000000000000003.log").exists());
}

fn lose_index(dir: &Path) {
    for index in ["index", "index.copy"] {
        fs::remove_dir_all(dir.join(index)).unwrap();
    }
}

/// The commit log makes its index again as long as nothing of it is gone.
#[test]
fn an_index_that_is_lost_is_made_again_from_a_whole_commit_log() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    let batches = fill(&disk, log, 30, 100 * KIB);
    disk.store.close();
    let disk = disk.killed(lose_index);
    assert_eq!(read_all(&disk.store, log), Ok(batches));
}

#[test]
fn readers_see_whole_batches_while_writers_write_and_cut() {
    let disk = Disk::new(Options {
        tail_cache: ByteSize(64 * 1024),
        ..page_cache()
    });
    let log = create(&disk, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rng = Rng::new(1);
            for base in 0..3_000 {
                let payload = usize::try_from(rng.below(4_000)).unwrap();
                append(&disk.store, log, batch(Offset(base), 1, base, payload));
                if base % 500 == 499 {
                    let to = Offset(base - 300);
                    disk.store.submit(Op::StartOffset { log, to });
                }
            }
            disk.store.drain();
        });
        while !writer.is_finished() {
            let Bounds { start, end } = disk.store.bounds(log).unwrap();
            let mut next = start;
            let mode = ReadMode::Blocking;
            match disk.store.read(log, start, end, usize::MAX, true, mode) {
                Ok(ReadOutcome::WouldBlock) => panic!("a blocking read said that it would block"),
                Ok(ReadOutcome::Ready(batches)) => {
                    for batch in batches {
                        assert_eq!(batch.header().base_offset, next, "offsets are dense");
                        next = batch.header().next_offset();
                    }
                }
                Err(ReadError::OutOfRange { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert_eq!(disk.store.bounds(log).unwrap().end, Offset(3_000));
}

#[test]
fn a_check_finds_nothing_in_a_sound_store_and_every_fault_in_a_harmed_one() {
    let disk = Disk::new(options());
    let one = create(&disk, 1);
    let other = create(&disk, 2);
    fill(&disk, one, 30, 100 * KIB);
    fill(&disk, other, 300, 10);
    disk.store.submit(Op::StartOffset {
        log: one,
        to: Offset(3),
    });
    disk.store.submit(Op::Truncate {
        log: other,
        to: Offset(200),
    });
    disk.store.close();
    let at = disk.entries(1)[5];
    let missing = disk.entries(2)[0];
    let dir = disk.dir;
    let locked = check(dir.path(), &mut |_| {}).map(|_| ());
    assert_eq!(
        locked,
        Err(OpenError::Locked {
            dir: dir.path().into()
        })
    );
    drop(disk.store);
    let mut shown = Vec::new();
    let report = check(dir.path(), &mut |progress| shown.push(progress)).unwrap();
    assert_eq!(report.faults, []);
    assert_eq!((report.logs, report.batches), (2, 227));
    assert!(shown.is_sorted_by_key(|progress| progress.done.0));
    let end = shown.last().unwrap();
    assert_eq!(end.done, end.total);

    flip_bit(dir.path(), at, 50);
    let report = check(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.faults, damaged_batch(at, tp(1), Offset(3)));
    flip_bit(dir.path(), at, 50);
    let path = format!("commit/{:020}.log", missing.file.0);
    fs::remove_file(dir.path().join(path)).unwrap();
    let report = check(dir.path(), &mut |_| {}).unwrap();
    let lost = Fault {
        place: Place::File(missing.file),
        what: FaultKind::FileMissing,
    };
    assert!(report.faults.contains(&lost));
}

#[test]
fn a_check_finds_damage_behind_which_nothing_was_written() {
    let disk = Disk::new(options());
    let log = create(&disk, 1);
    fill(&disk, log, 3, 10);
    let last = *disk.entries(1).last().unwrap();
    let dir = disk.closed();
    flip_bit(dir.path(), last, 50);
    let report = check(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.faults, damaged_batch(last, tp(1), Offset(2)));
}

fn damaged_batch(at: Position, partition: TopicPartition, base: Offset) -> [Fault; 2] {
    let entry = Fault {
        place: Place::Entry(at),
        what: FaultKind::Entry(NoEntry::Checksum),
    };
    let batch = Fault {
        place: Place::Batch { partition, base },
        what: FaultKind::Batch(at),
    };
    [entry, batch]
}

#[test]
fn a_dump_shows_what_was_written() {
    let disk = Disk::new(options());
    let one = create(&disk, 1);
    let other = create(&disk, 2);
    fill(&disk, one, 2, 10);
    disk.store.submit(Op::State {
        log: one,
        key: "a\nb".into(),
        value: "value".into(),
    });
    disk.store.submit(Op::Truncate {
        log: one,
        to: Offset(1),
    });
    disk.store.submit(Op::Drop { log: other });
    let dir = disk.closed();
    let rows = dump(dir.path()).unwrap();
    let printed: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
    let name = tp(1);
    let of_one = [
        format!("1:0 {name} create"),
        format!(
            "1:104 {name} batch offsets 0..1 records 1 bytes 71 epoch 1 time 0 attributes 0x0000"
        ),
        format!(
            "1:207 {name} batch offsets 1..2 records 1 bytes 71 epoch 1 time 1 attributes 0x0000"
        ),
        format!("1:310 {name} state \"a\\nb\" bytes 5"),
        format!("1:354 {name} truncate to 1"),
    ];
    assert_eq!(printed.len(), 7);
    let of_one_printed = printed.iter().filter(|row| row.contains(&name.to_string()));
    assert!(of_one_printed.eq(&of_one));
}
