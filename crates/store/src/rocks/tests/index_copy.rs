//! A damaged index gives way to its copy, whatever happened since that was made.

use std::path::PathBuf;

use super::rewriting::{contents, finish, job, sound, steps};
use super::*;

fn small() -> Options {
    Options {
        commit_file: ByteSize(64 * 1024),
        tail_cache: ByteSize(0),
        index_verified: ByteSize(0),
        ..options()
    }
}

#[test]
fn a_small_index_is_healed_before_anybody_meets_the_damage() {
    let (mut disk, logs) = six_logs();
    disk.options.index_verified = ByteSize(1 << 20);
    let disk = disk.killed(|dir| damage(&[largest_table(&dir.join("index"))], 4096));
    assert_eq!(readable(&disk, &logs), [true; 6]);
    sound(disk);
}

/// Flips a bit every so many bytes in the middle of the files of this name.
fn damage(files: &[PathBuf], every: usize) {
    let mut hit = 0;
    for file in files {
        let mut bytes = fs::read(file).unwrap();
        let first = bytes.len() / 3;
        for at in (first..bytes.len() * 2 / 3).step_by(every) {
            bytes[at] ^= 4;
            hit += 1;
        }
        fs::write(file, bytes).unwrap();
    }
    assert!(hit > 0, "nothing is damaged");
}

fn files_in(dir: &Path, name: &str) -> Vec<PathBuf> {
    let items = fs::read_dir(dir).unwrap();
    let paths = items.map(|item| item.unwrap().path());
    let is_named = |path: &PathBuf| path.to_str().unwrap().contains(name);
    paths.filter(is_named).collect()
}

/// What `read_all` says of each log, in the order of their ids.
fn readable(disk: &Disk, logs: &[LogId]) -> Vec<bool> {
    let read = logs.iter().map(|log| read_all(&disk.store, *log).is_ok());
    read.collect()
}

/// Where nearly all rows are.
fn largest_table(dir: &Path) -> PathBuf {
    let tables = files_in(dir, ".sst");
    let largest = tables
        .into_iter()
        .max_by_key(|table| fs::metadata(table).unwrap().len());
    largest.unwrap()
}

/// Rows of six logs in one table.
fn six_logs() -> (Disk, Vec<LogId>) {
    let disk = Disk::new(Options {
        tail_cache: ByteSize(0),
        index_verified: ByteSize(0),
        ..options()
    });
    let logs: Vec<_> = (1..=6).map(|number| create(&disk, number)).collect();
    for log in &logs {
        for base in 0..300 {
            append(&disk.store, *log, batch(Offset(base), 1, base, 10));
        }
        disk.store.drain();
    }
    disk.store.close();
    (disk, logs)
}

#[test]
fn a_damaged_block_stops_only_whose_rows_lie_there_and_only_until_the_next_start() {
    let (disk, logs) = six_logs();
    let disk = disk.killed(|dir| damage(&[largest_table(&dir.join("index"))], 4096));
    let heard = Arc::new(Recorder::default());
    for log in &logs {
        disk.store.attach(*log, 0, heard.clone());
    }
    let whole = readable(&disk, &logs);
    assert!(whole[0] && whole[5], "the middle alone is damaged");
    let apart: Vec<_> = logs
        .iter()
        .zip(&whole)
        .filter(|(_, sound)| !**sound)
        .collect();
    assert!(apart.len() > 1, "some rows are damaged");
    disk.store.drain();
    let failures = heard.take();
    assert_eq!(
        failures.len(),
        apart.len(),
        "each hears of it once: {failures:?}"
    );
    let is_damaged = |heard: &Heard| {
        matches!(
            heard,
            Heard::Failed {
                incarnation: 0,
                failure: StoreFailure::Damaged
            }
        )
    };
    assert!(failures.iter().all(is_damaged), "{failures:?}");
    // What is asked of logs whose rows cannot be read is done when they can.
    let (cut, gone) = (*apart[0].0, *apart[1].0);
    disk.store.submit(Op::StartOffset {
        log: cut,
        to: Offset(200),
    });
    disk.store.submit(Op::Drop { log: gone });
    fill(&disk, logs[0], 5, 100);
    disk.store.drain();
    assert_eq!(disk.store.failure(), None);
    assert_eq!(disk.store.bounds(gone), Err(ReadError::UnknownLog(gone)));
    let disk = disk.killed(|_| {});
    for log in logs.iter().filter(|log| **log != gone) {
        let (from, until) = match *log {
            log if log == cut => (200, 300),
            log if log == logs[0] => (0, 305),
            _ => (0, 300),
        };
        let read = read_all(&disk.store, *log).unwrap();
        let offsets: Vec<_> = read
            .iter()
            .map(|batch| batch.header().base_offset.0)
            .collect();
        assert_eq!(offsets, (from..until).collect::<Vec<_>>(), "{log}");
    }
    assert_eq!(disk.store.bounds(gone), Err(ReadError::UnknownLog(gone)));
    sound(disk);
}

/// Without a copy nothing better is there than what is left of the index.
#[test]
fn a_damaged_index_without_a_sound_copy_serves_what_it_can() {
    let (disk, logs) = six_logs();
    let mut disk = disk.killed(|dir| {
        damage(&[largest_table(&dir.join("index"))], 4096);
        damage(&files_in(&dir.join("index.copy"), ".sst"), 4096);
    });
    for _ in 0..3 {
        let whole = readable(&disk, &logs);
        assert!(whole[0] && whole[5] && whole.contains(&false), "{whole:?}");
        disk = disk.killed(|_| {});
    }
}

/// A list of files that ends early is taken for one whose last write was torn.
#[test]
fn an_index_older_than_its_copy_gives_way_to_it() {
    let disk = Disk::new(small());
    let logs: Vec<_> = (1..=4).map(|number| create(&disk, number)).collect();
    for base in 0..160 {
        for log in &logs {
            append(&disk.store, *log, batch(Offset(base), 1, base, KIB));
        }
    }
    disk.store.close();
    let before = contents(&disk);
    let old = TempDir::new().unwrap();
    let disk = disk.killed(|dir| copy_files(&dir.join("index"), old.path()));
    finish(&mut job(&disk));
    assert!(!disk.store.shared.sorted_files().is_empty());
    let disk = disk.killed(|dir| {
        fs::remove_dir_all(dir.join("index")).unwrap();
        fs::create_dir(dir.join("index")).unwrap();
        copy_files(old.path(), &dir.join("index"));
        let report = check(dir, &mut |_| {}).unwrap();
        let old = Fault {
            place: Place::IndexCopy,
            what: FaultKind::IndexOld,
        };
        assert!(report.faults.contains(&old), "{:?}", report.faults);
    });
    assert_eq!(contents(&disk), before);
    sound(disk);
}

fn copy_files(from: &Path, to: &Path) {
    for file in files_in(from, "") {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Seeded lives of a store, each of which ends with a kill and a damaged index.
#[test]
fn whatever_was_done_since_the_copy_was_made_is_done_again() {
    for seed in 0..12 {
        live(seed);
    }
}

fn live(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut disk = Disk::new(small());
    let mut logs: Vec<_> = (1..=4).map(|number| create(&disk, number)).collect();
    let mut number = 4;
    for _ in 0..4 {
        let mut job = job(&disk);
        for _ in 0..60 {
            let at = usize::try_from(rng.below(logs.len() as u64)).unwrap();
            let log = logs[at];
            let bounds = disk.store.bounds(log).unwrap();
            let to = |rng: &mut Rng| {
                let held = u64::try_from(bounds.end.0 - bounds.start.0).unwrap();
                bounds
                    .start
                    .plus(i64::try_from(rng.below(held + 1)).unwrap())
            };
            match rng.below(40) {
                0..26 => drop(fill(&disk, log, 2, 700)),
                26..29 => disk.store.submit(Op::Truncate {
                    log,
                    to: to(&mut rng),
                }),
                29..33 => disk.store.submit(Op::StartOffset {
                    log,
                    to: to(&mut rng),
                }),
                33..35 => {
                    disk.store.submit(Op::Drop { log });
                    number += 1;
                    logs[at] = create(&disk, number);
                }
                35..37 => disk.store.submit(Op::State {
                    log,
                    key: Bytes::from_static(b"key"),
                    value: Bytes::from(vec![number; 9]),
                }),
                37 => finish(&mut job),
                _ => drop(steps(&mut job, 3)),
            }
            disk.store.drain();
        }
        drop(job);
        let before = contents(&disk);
        let states = |disk: &Disk| {
            let state = |log: &LogId| disk.store.state(*log, b"key").unwrap();
            logs.iter().map(state).collect::<Vec<_>>()
        };
        let kept = states(&disk);
        let is_copied = disk.dir.path().join("index.copy/FLUSH").exists();
        let name = ["MANIFEST", "CURRENT", ".sst"][usize::try_from(rng.below(3)).unwrap()];
        disk = disk.killed(|dir| {
            let files = files_in(&dir.join("index"), name);
            if is_copied && !files.is_empty() {
                damage(&files, 2000);
            }
        });
        for log in &logs {
            // It may be damaged, which the next start heals.
            let _refused = read_all(&disk.store, *log);
            let _refused = disk.store.state(*log, b"key");
        }
        disk = disk.killed(|_| {});
        assert_eq!(contents(&disk), before, "seed {seed}");
        assert_eq!(states(&disk), kept, "seed {seed}");
    }
    sound(disk);
}
