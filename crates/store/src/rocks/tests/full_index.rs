//! Somebody else took the space that is left for the index.

use std::collections::BTreeMap;

use super::*;
use crate::commit::disk::Disk as AnyDisk;
use crate::rocks::changes::Changes;

/// Nothing is answered from memory beside the index.
fn without_tails() -> Options {
    Options {
        tail_cache: ByteSize(0),
        ..options()
    }
}

#[test]
fn a_full_index_is_read_and_cut_and_takes_appends_again_when_there_is_room() {
    let disk = Disk::simulated(without_tails());
    let log = create(&disk, 1);
    let mut batches = fill(&disk, log, 4, 100);
    disk.store.shared.index.flush().unwrap();
    disk.faults().set_index_full(true);
    batches.extend(fill(&disk, log, 4, 100));
    assert_eq!(read_all(&disk.store, log), Ok(batches.clone()));

    let recorder = Arc::new(Recorder::default());
    disk.store.attach(log, 1, recorder.clone());
    append(&disk.store, log, batch(Offset(8), 1, 0, 10));
    disk.store.drain();
    let refused = Heard::Failed {
        incarnation: 1,
        failure: StoreFailure::Full,
    };
    assert_eq!(recorder.take(), [refused]);
    disk.store.submit(Op::StartOffset { log, to: Offset(2) });
    disk.store.submit(Op::Truncate { log, to: Offset(6) });
    let other = create(&disk, 2);
    disk.store.drain();
    assert_eq!(disk.store.failure(), None);
    let kept = batches[2..6].to_vec();
    assert_eq!(read_all(&disk.store, log), Ok(kept.clone()));

    // A start needs no room either.
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(kept.clone()));
    assert_eq!(disk.store.bounds(other), Ok(Bounds::EMPTY));
    disk.faults().set_index_full(false);
    let mut all = kept;
    all.extend(fill(&disk, log, 1, 100));
    let disk = disk.killed(|_| {});
    assert_eq!(read_all(&disk.store, log), Ok(all));
}

#[test]
fn a_full_index_is_flushed_when_there_is_room() {
    let disk = Disk::simulated(options());
    let log = create(&disk, 1);
    disk.faults().set_index_full(true);
    // The file is sealed, for which a flush is due.
    fill(&disk, log, 15, 100 * KIB);
    disk.faults().set_index_full(false);
    wait_until(|| {
        disk.store.submit(Op::State {
            log,
            key: "key".into(),
            value: "value".into(),
        });
        disk.store.drain();
        held_durably(&disk).is_some_and(|end| end.file > Position::START.file)
    });
}

/// Up to where the index needs no replay.
fn held_durably(disk: &Disk) -> Option<Position> {
    let any = AnyDisk::Simulated(disk.faults().clone());
    let path = disk.dir.path().join("index");
    let index = Index::open_read_only(&path, MEMORY, &any).unwrap();
    let end = index.get(&keys::POSITION).unwrap()?;
    Some(Position::from_bytes(end.try_into().unwrap()))
}

const MEMORY: IndexMemory = IndexMemory {
    cache_bytes: 1 << 20,
    memtable_bytes: 1 << 20,
};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Whatever RocksDB has no room for, readers see the same.
#[test]
fn rows_read_the_same_whether_there_is_room_for_them_or_not() {
    let dir = TempDir::new().unwrap();
    let faults = simulated::Disk::new(1);
    let disk = AnyDisk::Simulated(faults.clone());
    let index = Index::open(dir.path(), MEMORY, &disk).unwrap();
    let (mut rng, mut model) = (Rng::new(7), Model::new());
    for round in 0..2_000_u32 {
        faults.set_index_full(round % 50 >= 10);
        let mut changes = change(&mut rng, round, &mut model);
        index.write(&mut changes).unwrap();
        let one = key(&mut rng);
        assert_eq!(index.get(&one).unwrap(), model.get(&one).cloned());
        let (first, end) = (key(&mut rng), [100, 20]);
        let seen = Model::from_iter(model.range(first.clone()..end.to_vec()).map(owned));
        let mut rows = index.rows(&first, &end, ReadMode::Blocking).unwrap();
        let (up, down) = (Vec::from_iter(&seen), Vec::from_iter(seen.iter().rev()));
        let mut row = rows.first().unwrap().map(owned);
        let mut next = up.iter();
        while let Some(found) = row {
            assert_eq!(next.next(), Some(&(&found.0, &found.1)), "round {round}");
            row = rows.next().unwrap().map(owned);
        }
        assert_eq!(next.next(), None, "round {round}");
        let mut row = rows.last().unwrap().map(owned);
        let mut next = down.iter();
        while let Some(found) = row {
            assert_eq!(next.next(), Some(&(&found.0, &found.1)), "round {round}");
            row = rows.previous().unwrap().map(owned);
        }
        assert_eq!(next.next(), None, "round {round}");
        let ahead = seen.range(one.clone()..).next().map(owned);
        assert_eq!(rows.seek(&one).unwrap().map(owned), ahead, "round {round}");
        let back = seen.range(..=one.clone()).next_back().map(owned);
        assert_eq!(
            rows.seek_back(&one).unwrap().map(owned),
            back,
            "round {round}"
        );
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    vec![u8::try_from(rng.below(40)).unwrap()]
}

/// Some changes, which the model takes at once.
fn change(rng: &mut Rng, round: u32, model: &mut Model) -> Changes {
    let mut changes = Changes::default();
    for _ in 0..rng.below(4) {
        let (one, value) = (key(rng), round.to_be_bytes().to_vec());
        match rng.below(6) {
            0 => {
                let end = [one[0].saturating_add(5)];
                changes.delete_range(&one, &end);
                model.retain(|key, _| *key < one || key[..] >= end[..]);
            }
            1 => {
                changes.delete(&one);
                model.remove(&one);
            }
            2 => {
                let row = [&[100], &one[..]].concat();
                changes.set(&row, &value);
                model.insert(row, value);
            }
            3 => {
                let row = [&[100], &one[..]].concat();
                changes.unset(&row);
                model.remove(&row);
            }
            _ => {
                changes.put(&one, &value);
                model.insert(one, value);
            }
        }
    }
    changes
}

fn owned<K: AsRef<[u8]>, V: AsRef<[u8]>>((key, value): (K, V)) -> (Vec<u8>, Vec<u8>) {
    (key.as_ref().to_vec(), value.as_ref().to_vec())
}

#[test]
fn a_drain_waits_for_room_for_what_only_the_index_has() {
    let disk = Disk::simulated(options());
    let log = create(&disk, 1);
    let recorder = Arc::new(Recorder::default());
    disk.store.attach(log, 1, recorder.clone());
    disk.faults().set_free(0);
    fill_until_failed(&disk, log, 1, &recorder);
    disk.faults().set_index_full(true);
    disk.faults().keep_trace();
    // The commit log has no room for so much.
    for number in 0..40_u8 {
        disk.store.submit(Op::State {
            log,
            key: vec![number].into(),
            value: vec![7; 40 * KIB].into(),
        });
    }
    let mut tries = 0;
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| disk.store.drain());
        wait_until(|| {
            let trace = disk.faults().take_trace();
            let flushes = trace.iter().filter(|line| line.contains("flush the index"));
            tries += flushes.count();
            tries >= 3
        });
        assert!(!drain.is_finished());
        disk.faults().set_index_full(false);
    });
    let disk = disk.killed(|_| {});
    for number in 0..40_u8 {
        let kept = disk.store.state(log, &[number]).unwrap();
        assert_eq!(kept.map(|value| value.len()), Some(40 * KIB));
    }
}
