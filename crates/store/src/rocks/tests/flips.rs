//! One flipped bit anywhere: it is named by a check, no reader is ever given it, and
//! whatever it does not concern is served.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::rewriting::{finish, job};
use super::*;
use crate::commit::file::CommitFile;

/// What a store held before a bit of it was flipped.
struct Original {
    dir: TempDir,
    options: Options,
    contents: BTreeMap<LogId, Vec<RecordBatch>>,
}

/// What a bit was flipped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sealed,
    Active,
    Rewritten,
    Table,
    Manifest,
    Current,
    /// The index's log of what RocksDB did, its name and its lock: nobody reads them.
    Unread,
    CopiedTable,
    CopiedList,
    CopiedFlush,
}

impl Kind {
    const fn is_of_index(self) -> bool {
        matches!(self, Self::Table | Self::Manifest | Self::Current)
    }

    const fn is_of_copy(self) -> bool {
        matches!(
            self,
            Self::CopiedTable | Self::CopiedList | Self::CopiedFlush
        )
    }
}

const KINDS: [Kind; 10] = [
    Kind::Sealed,
    Kind::Active,
    Kind::Rewritten,
    Kind::Table,
    Kind::Manifest,
    Kind::Current,
    Kind::Unread,
    Kind::CopiedTable,
    Kind::CopiedList,
    Kind::CopiedFlush,
];

/// Logs whose batches alternate, in sealed files, one that was rewritten and one that
/// is being written.
fn original() -> Original {
    let options = Options {
        commit_file: ByteSize(64 * 1024),
        tail_cache: ByteSize(0),
        index_verified: ByteSize(0),
        rewrites: Rewrites::Never,
        ..options()
    };
    let disk = Disk::new(options.clone());
    let logs = [create(&disk, 1), create(&disk, 2), create(&disk, 3)];
    let gone = create(&disk, 4);
    for _ in 0..8 {
        fill(&disk, gone, 3, 3_000);
        for log in logs {
            fill(&disk, log, 2, 900);
        }
    }
    disk.store.submit(Op::Drop { log: gone });
    disk.store.drain();
    finish(&mut job(&disk));
    for _ in 0..14 {
        for log in logs {
            fill(&disk, log, 2, 900);
        }
    }
    let contents = logs.map(|log| (log, read_all(&disk.store, log).unwrap()));
    let dir = disk.closed();
    Original {
        dir,
        options,
        contents: contents.into(),
    }
}

impl Original {
    /// Every file of one kind.
    fn files(&self, kind: Kind) -> Vec<PathBuf> {
        let commit = self.files_in("commit", |name| name.ends_with(".log"));
        let (active, sealed) = commit.split_last().unwrap();
        let files = match kind {
            Kind::Sealed => sealed.to_vec(),
            Kind::Active => vec![active.clone()],
            Kind::Rewritten => self.files_in("commit", |name| name.ends_with(".sorted")),
            Kind::Table => self.files_in("index", |name| name.ends_with(".sst")),
            Kind::Manifest => self.files_in("index", |name| name.starts_with("MANIFEST")),
            Kind::Current => self.files_in("index", |name| name == "CURRENT"),
            Kind::Unread => self.files_in("index", |name| {
                ["LOG", "IDENTITY", "OPTIONS"]
                    .iter()
                    .any(|known| name.starts_with(known))
            }),
            Kind::CopiedTable => self.files_in("index.copy", |name| name.ends_with(".sst")),
            Kind::CopiedList => self.files_in("index.copy", |name| {
                name.starts_with("MANIFEST") || name == "CURRENT"
            }),
            Kind::CopiedFlush => self.files_in("index.copy", |name| name == "FLUSH"),
        };
        assert!(!files.is_empty(), "there is no file of kind {kind:?}");
        files
    }

    /// Relative to the store's directory, in order.
    fn files_in(&self, dir: &str, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let items = fs::read_dir(self.dir.path().join(dir)).unwrap();
        let names = items.map(|item| item.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = names
            .filter(|name| is_it(name))
            .map(|name| Path::new(dir).join(name))
            .filter(|path| fs::metadata(self.dir.path().join(path)).unwrap().len() > 0)
            .collect();
        files.sort();
        files
    }

    /// The same store with one bit flipped.
    fn flipped(&self, file: &Path, bit: usize) -> TempDir {
        let copy = TempDir::new().unwrap();
        for dir in ["", "commit", "index", "index.copy"] {
            fs::create_dir_all(copy.path().join(dir)).unwrap();
            for item in fs::read_dir(self.dir.path().join(dir)).unwrap() {
                let item = item.unwrap();
                if item.file_type().unwrap().is_file() {
                    fs::copy(item.path(), copy.path().join(dir).join(item.file_name())).unwrap();
                }
            }
        }
        let path = copy.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        copy
    }
}

/// Up to where a file says something. Behind a commit file's last entry may lie some
/// of its blocks' former life.
fn meaningful(dir: &Path, path: &Path, kind: Kind) -> usize {
    let path = dir.join(path);
    let number = match kind {
        Kind::Sealed | Kind::Active => |number| FileNumber(number),
        Kind::Rewritten => FileNumber::sorted,
        Kind::Table
        | Kind::Manifest
        | Kind::Current
        | Kind::Unread
        | Kind::CopiedTable
        | Kind::CopiedList
        | Kind::CopiedFlush => {
            return fs::read(path).unwrap().len();
        }
    };
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let number = number(stem.parse().unwrap());
    let file = CommitFile::open_read_only(&disk::Disk::Real, path.parent().unwrap(), number);
    let file = file.unwrap();
    let mut scanner = Scanner::new(&file, 0).unwrap();
    while let Ok(found) = scanner.next().unwrap() {
        if found.entry == Entry::Seal {
            break;
        }
    }
    usize::try_from(scanner.position().at).unwrap()
}

#[test]
fn a_flipped_bit_is_named_and_never_served() {
    let original = original();
    let mut rng = Rng::new(7);
    let mut below = |count: usize| usize::try_from(rng.below(count as u64)).unwrap();
    for kind in KINDS {
        for _ in 0..20 {
            let files = original.files(kind);
            let file = &files[below(files.len())];
            let bytes = meaningful(original.dir.path(), file, kind);
            let bit = below(bytes * 8);
            let place = format!("bit {} of byte {} of {}", bit % 8, bit / 8, file.display());
            let copy = original.flipped(file, bit);
            let notice = noticed(copy.path(), kind, file, &place);
            is_not_served(&original, copy.path(), kind, notice, &place);
        }
    }
}

/// RocksDB itself would read without end.
#[test]
fn a_flipped_kind_in_the_list_of_files_is_named() {
    let original = original();
    let list = &original.files(Kind::Manifest)[0];
    let bytes = fs::read(original.dir.path().join(list)).unwrap();
    let mut at = 0;
    while at + 7 <= bytes.len() {
        let place = format!("the record at {at}");
        let copy = original.flipped(list, (at + 6) * 8 + 2);
        let notice = noticed(copy.path(), Kind::Manifest, list, &place);
        assert_eq!(notice, Notice::Named, "{place}");
        is_not_served(&original, copy.path(), Kind::Manifest, notice, &place);
        let length = [bytes[at + 4], bytes[at + 5]];
        at += 7 + usize::from(u16::from_le_bytes(length));
    }
    assert!(at > 100, "a list of {at} bytes");
}

/// What a check says of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Named,
    /// Nobody reads it.
    Irrelevant,
    /// It looks as if the last write had been torn: the index is taken as it was before
    /// that, and the commit log brings it up to date.
    TakenForTorn,
}

fn noticed(dir: &Path, kind: Kind, file: &Path, place: &str) -> Notice {
    let name = file.file_name().unwrap().to_str().unwrap();
    let report = match check(dir, &mut |_| {}) {
        Err(error) => {
            let text = error.to_string();
            assert!(
                kind.is_of_index(),
                "{place}: nothing could be looked at: {text}"
            );
            // An index whose list of files is damaged says so in its own words.
            let names = [name, "MANIFEST", "CURRENT", "index"];
            assert!(
                names.iter().any(|name| text.contains(name)),
                "{place}: {text}"
            );
            return Notice::Named;
        }
        Ok(report) => report,
    };
    if kind == Kind::Unread {
        assert_eq!(report.faults, [], "{place}");
        return Notice::Irrelevant;
    }
    if matches!(kind, Kind::Manifest | Kind::CopiedList) && report.faults.is_empty() {
        return Notice::TakenForTorn;
    }
    let is_named = |fault: &Fault| match fault.place {
        Place::Entry(position) => position.file.file_name() == name,
        Place::IndexCopy => kind.is_of_copy() || kind == Kind::Manifest,
        Place::File(_) | Place::Partition(_) | Place::Batch { .. } => false,
    };
    assert!(
        report.faults.iter().any(is_named),
        "{place}: the check finds {:?}",
        report.faults
    );
    Notice::Named
}

/// Whatever is damaged, the store opens, and serves what was written or nothing.
fn is_not_served(original: &Original, dir: &Path, kind: Kind, notice: Notice, place: &str) {
    let refused = refused(original, dir, place);
    if kind.is_of_index() {
        // The index has a copy, which is taken where the damage was met.
        assert_eq!(self::refused(original, dir, place), 0, "{place}");
    } else if kind.is_of_copy() {
        assert_eq!(refused, 0, "{place}");
    } else {
        assert!(refused <= 1, "{place}: {refused} logs are not served");
    }
    if notice != Notice::Named {
        assert_eq!(
            refused, 0,
            "{place}: nothing is wrong, and not all is served"
        );
    }
}

/// How many logs cannot be read to their ends.
fn refused(original: &Original, dir: &Path, place: &str) -> u32 {
    let store = open(dir, original.options.clone());
    let store = store.unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut refused = 0;
    for (log, batches) in &original.contents {
        let (read, error) = read_on(&store, *log);
        assert!(batches.starts_with(&read), "{place}: {log}");
        match error {
            None => assert_eq!(read.len(), batches.len(), "{place}: {log}"),
            Some(ReadError::Damaged(_) | ReadError::Io(_)) => refused += 1,
            Some(error) => panic!("{place}: {log}: {error}"),
        }
    }
    refused
}

/// All that can be read, and why no more.
fn read_on(store: &RocksStore, log: LogId) -> (Vec<RecordBatch>, Option<ReadError>) {
    let mut all = Vec::new();
    let mut next = Offset::ZERO;
    loop {
        let mode = ReadMode::Blocking;
        let until = Offset(i64::MAX);
        match store.read(log, next, until, 10_000, true, mode) {
            Ok(ReadOutcome::WouldBlock) => panic!("a blocking read said that it would block"),
            Ok(ReadOutcome::Ready(batches)) => {
                let Some(last) = batches.last() else {
                    return (all, None);
                };
                next = last.header().next_offset();
                all.extend(batches);
            }
            Err(error) => return (all, Some(error)),
        }
    }
}
