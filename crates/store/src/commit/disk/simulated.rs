//! A disk in memory that loses power, fills up and fails when it is told to.
//!
//! What was not synced survives a loss of power page by page, or sector by sector,
//! or not at all; what was done to a directory's names survives one by one. After a
//! sync that failed, nothing of what it should have saved is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ottla_base::testing::Rng;
use rocksdb::Env;
use rustix::io::Errno;

const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// What is free on a disk that nobody filled.
const PLENTY: u64 = 1 << 40;

/// One disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// The index's own files, which nothing happens to but that they may not grow.
    env: Env,
}

/// Owned by the disk, behind its lock.
struct State {
    rng: Rng,
    /// As a running process sees them.
    names: BTreeMap<PathBuf, Inode>,
    durable_names: BTreeMap<PathBuf, Inode>,
    /// What was done to names since they were synced.
    changes: Vec<Change>,
    files: BTreeMap<Inode, Content>,
    next: u64,
    free: u64,
    /// Somebody else took the space that is left for the index.
    is_index_full: bool,
    /// Operations until something happens.
    planned: BTreeMap<u64, Mishap>,
    operations: u64,
    /// An operation failed, though there is power.
    has_failed: bool,
    /// So many of the next reads fail.
    failing_reads: u64,
    has_misread: bool,
    is_without_power: bool,
    trace: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Inode(u64);

#[derive(Clone)]
enum Change {
    Create(PathBuf, Inode),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// Bytes of one file.
#[derive(Clone, Default)]
struct Content {
    /// As a running process sees them.
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Pages that were written since the last sync.
    dirty: BTreeSet<usize>,
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The operation is carried out in part, and every later one fails.
    PowerLoss,
    /// The operation fails, in part.
    Error,
    /// Some of the reads behind it fail.
    Unreadable,
    /// Nothing can be allocated any more.
    Full,
    /// The same to the index, and to it alone.
    IndexFull,
    /// There is space again.
    Free,
}

/// An open file of the disk.
#[derive(Debug)]
pub(crate) struct Handle {
    disk: Disk,
    inode: Inode,
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            next: 0,
            free: PLENTY,
            is_index_full: false,
            planned: BTreeMap::new(),
            operations: 0,
            has_failed: false,
            failing_reads: 0,
            has_misread: false,
            is_without_power: false,
            trace: None,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            env: Env::mem_env().expect("memory is there"),
        }))
    }

    /// Where the index keeps its files.
    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }

    /// Something happens at the operation after `after` others.
    pub(crate) fn plan(&self, after: u64, mishap: Mishap) {
        let mut state = self.state();
        let at = state.operations + after;
        state.planned.insert(at, mishap);
    }

    /// Nothing that was planned happens any more, and there is space. Whether
    /// anything has happened.
    pub(crate) fn calm(&self) -> bool {
        let mut state = self.state();
        state.planned.clear();
        state.free = PLENTY;
        state.is_index_full = false;
        state.failing_reads = 0;
        std::mem::take(&mut state.has_failed)
    }

    /// Whether a read has failed, though there is power, since this was asked last.
    pub(crate) fn has_misread(&self) -> bool {
        std::mem::take(&mut self.state().has_misread)
    }

    #[cfg(test)]
    pub(crate) fn set_free(&self, bytes: u64) {
        self.state().free = bytes;
    }

    pub(crate) fn is_index_full(&self) -> bool {
        self.state().is_index_full
    }

    #[cfg(test)]
    pub(crate) fn set_index_full(&self, is_full: bool) {
        self.state().is_index_full = is_full;
    }

    /// Whether the index can be made durable. Where it cannot, trying takes an operation,
    /// so that it does not stay so.
    pub(crate) fn finds_index_room(&self) -> io::Result<bool> {
        let mut state = self.state();
        if state.is_index_full {
            state.begin(format_args!("flush the index"))?;
        }
        Ok(!state.is_index_full)
    }

    pub(crate) fn is_without_power(&self) -> bool {
        self.state().is_without_power
    }

    /// Power is back: what was not synced survived with some luck.
    pub(crate) fn power_on(&self) {
        self.state().lose_power();
    }

    /// The same without any luck.
    #[cfg(test)]
    pub(crate) fn lose_all_unsynced(&self) {
        let mut state = self.state();
        state.changes.clear();
        for content in state.files.values_mut() {
            content.dirty.clear();
            content.now.clone_from(&content.durable);
        }
        state.lose_power();
    }

    /// Power is back, and of what was not synced only what lies from `at` on survived.
    #[cfg(test)]
    pub(crate) fn lose_unsynced_below(&self, at: u32) {
        let (at, _) = range(u64::from(at), 0);
        for content in self.state().files.values_mut() {
            content.durable.resize(content.now.len(), 0);
            content.now[..at].copy_from_slice(&content.durable[..at]);
            content.durable.clone_from(&content.now);
            content.dirty.clear();
        }
    }

    /// Notes what happens from now on.
    pub(crate) fn keep_trace(&self) {
        self.state().trace = Some(Vec::new());
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        let mut state = self.state();
        state.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<Handle> {
        let mut state = self.state();
        state.begin(format_args!("create {}", name(path)))?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = Inode(state.next);
        state.next += 1;
        state.files.insert(inode, Content::default());
        state.change(Change::Create(path.into(), inode));
        Ok(self.handle(inode))
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Handle> {
        let state = self.state();
        state.expect_power()?;
        let inode = state.names.get(path);
        let inode = inode.ok_or(ErrorKind::NotFound)?;
        Ok(self.handle(*inode))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(format_args!("rename {} to {}", name(from), name(to)))?;
        if !state.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(format_args!("remove {}", name(path)))?;
        if !state.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change(Change::Remove(path.into()));
        Ok(())
    }

    /// There is one directory only.
    pub(super) fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(format_args!("sync the directory"))?;
        state.changes.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        state.expect_power()?;
        let names = state.names.keys();
        let within = names.filter(|path| path.parent() == Some(dir));
        Ok(within.cloned().collect())
    }

    /// Looking takes an operation too, so that a full disk does not stay full.
    pub(super) fn free(&self) -> io::Result<u64> {
        let mut state = self.state();
        state.begin(format_args!("look for space"))?;
        Ok(state.free)
    }

    fn handle(&self, inode: Inode) -> Handle {
        let disk = self.clone();
        Handle { disk, inode }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl fmt::Debug for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl Handle {
    pub(super) fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.expect_power()?;
        Ok(state.files[&self.inode].now.len() as u64)
    }

    pub(super) fn allocate(&self, at: u64, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(format_args!("allocate {length} of {:?}", self.inode))?;
        let (_, end) = range(at, length);
        let free = state.free;
        let content = state.content(self.inode);
        let more = end.saturating_sub(content.now.len());
        if more as u64 > free {
            return Err(Errno::NOSPC.into());
        }
        if more > 0 {
            content.now.resize(end, 0);
        }
        Ok(())
    }

    pub(super) fn shorten(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(format_args!("shorten {:?} to {length}", self.inode))?;
        let (_, end) = range(0, length);
        state.content(self.inode).now.truncate(end);
        Ok(())
    }

    pub(super) fn empty(&self, at: u64, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(format_args!("empty {:?} from {at} on", self.inode))?;
        let (at, end) = range(at, length);
        let content = state.content(self.inode);
        if end > content.now.len() {
            content.now.resize(end, 0);
        }
        content.now[at..end].fill(0);
        content.dirty.extend(at / PAGE..end.div_ceil(PAGE));
        Ok(())
    }

    /// Sometimes less than it could.
    pub(super) fn write(&self, bytes: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let all: Vec<u8> = bytes
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let some = if state.rng.chance(10) {
            state.part(all.len())
        } else {
            all.len()
        };
        let begun = state.begin(format_args!("write {some} of {:?} at {at}", self.inode));
        let count = if begun.is_ok() {
            some
        } else {
            state.part(some)
        };
        let (at, end) = range(at, count as u64);
        let is_full = state.free == 0;
        let content = state.content(self.inode);
        if end > content.now.len() {
            if is_full {
                return Err(Errno::NOSPC.into());
            }
            content.now.resize(end, 0);
        }
        content.now[at..end].copy_from_slice(&all[..count]);
        content.dirty.extend(at / PAGE..end.div_ceil(PAGE));
        begun.map(|()| count)
    }

    /// What it should have saved when it fails is lost as soon as power is.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let begun = state.begin(format_args!("sync {:?}", self.inode));
        let is_without_power = state.is_without_power;
        let content = state.content(self.inode);
        if begun.is_ok() {
            content.save();
        }
        if !is_without_power {
            content.dirty.clear();
        }
        begun
    }

    pub(super) fn read(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.expect_power()?;
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            state.has_misread = true;
            state.has_failed = true;
            return Err(Errno::IO.into());
        }
        let bytes = &state.files[&self.inode].now;
        let (at, _) = range(at, 0);
        let rest = bytes.get(at..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    pub(super) fn read_cached(&self, into: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        if self.disk.state().rng.chance(20) {
            return Ok(None);
        }
        self.read(into, at).map(Some)
    }

    pub(super) fn written_end(&self, at: u64) -> io::Result<u64> {
        let state = self.disk.state();
        state.expect_power()?;
        let bytes = &state.files[&self.inode].now;
        let last = bytes.iter().rposition(|byte| *byte != 0);
        Ok(last.map_or(at, |last| at.max(last as u64 + 1)))
    }
}

impl State {
    /// Counts an operation that changes something. One that fails may have been
    /// carried out in part.
    fn begin(&mut self, what: fmt::Arguments<'_>) -> io::Result<()> {
        self.expect_power()?;
        let mishap = self.planned.remove(&self.operations);
        self.operations += 1;
        if let Some(trace) = &mut self.trace {
            let ends = mishap.map(|mishap| format!(": {mishap:?}"));
            trace.push(format!("  {what}{}", ends.unwrap_or_default()));
        }
        match mishap {
            None => {}
            Some(Mishap::PowerLoss) => {
                self.is_without_power = true;
                return Err(no_power());
            }
            Some(Mishap::Error) => {
                self.has_failed = true;
                return Err(Errno::IO.into());
            }
            Some(Mishap::Unreadable) => self.failing_reads = 1 + self.rng.below(3),
            Some(Mishap::Full) => {
                self.has_failed = true;
                self.free = 0;
            }
            Some(Mishap::IndexFull) => {
                self.has_failed = true;
                self.is_index_full = true;
            }
            Some(Mishap::Free) => {
                self.free = PLENTY;
                self.is_index_full = false;
            }
        }
        Ok(())
    }

    fn expect_power(&self) -> io::Result<()> {
        if self.is_without_power {
            return Err(no_power());
        }
        Ok(())
    }

    fn content(&mut self, inode: Inode) -> &mut Content {
        self.files.entry(inode).or_default()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// At least one of `count`, if there is one.
    fn part(&mut self, count: usize) -> usize {
        let more = self.rng.below(count as u64);
        usize::try_from(more).map_or(count, |more| count.min(more + 1))
    }

    fn lose_power(&mut self) {
        let mut names = self.durable_names.clone();
        for change in std::mem::take(&mut self.changes) {
            if self.rng.chance(50) {
                apply(&mut names, &change);
            }
        }
        let kept: BTreeSet<Inode> = names.values().copied().collect();
        self.files.retain(|inode, _| kept.contains(inode));
        for content in self.files.values_mut() {
            content.lose_power(&mut self.rng);
        }
        self.durable_names.clone_from(&names);
        self.names = names;
        self.is_without_power = false;
        self.failing_reads = 0;
        if let Some(trace) = &mut self.trace {
            let names = self.names.iter();
            let names: Vec<_> = names
                .map(|(path, inode)| format!("{} {inode:?}", name(path)))
                .collect();
            trace.push(format!("  power is back: {}", names.join(", ")));
        }
    }
}

impl Content {
    fn save(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let at = page * PAGE;
            let end = (at + PAGE).min(self.now.len());
            if at < end {
                self.durable[at..end].copy_from_slice(&self.now[at..end]);
            }
        }
    }

    fn lose_power(&mut self, rng: &mut Rng) {
        let mut kept = std::mem::take(&mut self.durable);
        if rng.chance(50) {
            kept.resize(self.now.len(), 0);
        }
        let luck = [0, 50, 90, 100][usize::try_from(rng.below(4)).expect("below four")];
        for page in std::mem::take(&mut self.dirty) {
            let is_torn = rng.chance(25);
            let mut survives = rng.chance(luck);
            for sector in 0..PAGE / SECTOR {
                if is_torn {
                    survives = rng.chance(luck);
                }
                let at = page * PAGE + sector * SECTOR;
                let end = (at + SECTOR).min(kept.len()).min(self.now.len());
                if survives && at < end {
                    kept[at..end].copy_from_slice(&self.now[at..end]);
                }
            }
        }
        self.now.clone_from(&kept);
        self.durable = kept;
    }
}

/// What was done to a name survives only where the name is there.
fn apply(names: &mut BTreeMap<PathBuf, Inode>, change: &Change) {
    match change {
        Change::Create(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Change::Remove(path) => {
            names.remove(path);
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is gone")
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short = name.trim_start_matches('0');
    short.to_owned()
}

fn range(at: u64, length: u64) -> (usize, usize) {
    let at = usize::try_from(at).expect("a file fits into memory");
    let length = usize::try_from(length).expect("a file fits into memory");
    (at, at + length)
}
