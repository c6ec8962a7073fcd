//! A second copy of the index, beside it: as it was when it was flushed last. Where a
//! bit of the index changes, the copy takes its place at the next start, and the commit
//! log brings it up to date as after a crash.
//!
//! Must not know what a row means, but for where a replay begins.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::index::{Index, IndexError, IndexMemory};
use super::shared::Shared;
use crate::commit::disk::Disk;
use crate::commit::entry::Position;
use crate::keys;

/// What the index was written out with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flush {
    /// Grows with every flush.
    pub(crate) number: u64,
    /// From there on the commit log is applied to what was written out.
    pub(crate) position: Position,
}

impl Flush {
    fn write(self) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.extend(self.position.to_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (position, crc) = rest.split_first_chunk()?;
        let flush = Self {
            number: u64::from_be_bytes(*number),
            position: Position::from_bytes(*position),
        };
        (crc.len() == 4 && flush.write() == bytes).then_some(flush)
    }
}

/// Names the list of files that counts.
const CURRENT: &str = "CURRENT";
/// Holds the flush that is copied.
const FLUSH: &str = "FLUSH";

/// The copy's directory, and those that come and go beside it.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) index: PathBuf,
    pub(crate) copy: PathBuf,
    /// What the next copy is made from; it shares its files with the index.
    frozen: PathBuf,
    /// What becomes the index.
    restored: PathBuf,
    /// Is there once damage of the index was met, and says which.
    damage: PathBuf,
}

impl Places {
    pub(crate) fn of(store: &Path) -> Self {
        let index = store.join("index");
        Self {
            copy: index.with_extension("copy"),
            frozen: index.with_extension("frozen"),
            restored: index.with_extension("restored"),
            damage: index.with_extension("damaged"),
            index,
        }
    }

    /// What the copy holds at least. None if there is no copy that could be used.
    pub(crate) fn copied(&self) -> io::Result<Option<Flush>> {
        match self.claimed()? {
            Some(bytes) if self.copy.join(CURRENT).try_exists()? => Ok(Flush::parse(&bytes)),
            Some(_) | None => Ok(None),
        }
    }

    /// The same, if there is a copy, after a look at all of it.
    pub(crate) fn read_copy(&self) -> Result<Option<Flush>, IndexError> {
        let Some(bytes) = self.claimed()? else {
            return Ok(None);
        };
        let Some(flush) = Flush::parse(&bytes) else {
            return Err(IndexError::Damaged(format!("{FLUSH} is not as written")));
        };
        let copy = Index::open_read_only(&self.copy, IndexMemory::LITTLE, &Disk::Real)?;
        copy.read_through()?;
        let held = copy.get(&keys::FLUSH)?;
        if held.is_none_or(|held| held[..] < flush.number.to_be_bytes()[..]) {
            return Err(IndexError::Damaged("it is older than it claims".into()));
        }
        Ok(Some(flush))
    }

    fn claimed(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.copy.join(FLUSH)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// What is damaged, where that was noticed since the start before this one.
    pub(crate) fn known_damage(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.damage) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Puts the copy where the index is. A start that is interrupted here does it again.
    pub(crate) fn restore(&self, reason: &str) -> Result<(), IndexError> {
        tracing::error!(
            reason,
            "the index is damaged: its copy takes its place, and the commit log brings that up to date"
        );
        let is_marked = self.damage.try_exists()?;
        if !is_marked {
            fs::write(&self.damage, reason)?;
        }
        empty(&self.restored)?;
        for (name, path) in files_of(&self.copy)? {
            if name != FLUSH {
                copy_file(&path, &self.restored.join(name))?;
            }
        }
        // The damaged index may have what a damaged copy has not.
        Index::open_read_only(&self.restored, IndexMemory::LITTLE, &Disk::Real)?.read_through()?;
        sync_dir(&self.restored)?;
        remove(&self.index)?;
        fs::rename(&self.restored, &self.index)?;
        fs::remove_file(&self.damage)?;
        if let Some(store) = self.index.parent() {
            sync_dir(store)?;
        }
        Ok(())
    }

    /// Makes the copy equal to what the index has on disk.
    fn renew(&self, index: &Index, flush: Flush) -> Result<(), IndexError> {
        remove(&self.frozen)?;
        index.freeze(&self.frozen)?;
        let renewed = self.take_over(index, flush);
        remove(&self.frozen)?;
        renewed
    }

    fn take_over(&self, index: &Index, flush: Flush) -> Result<(), IndexError> {
        fs::create_dir_all(&self.copy)?;
        let new = files_of(&self.frozen)?;
        // A list never comes before the tables that it names.
        let (tables, lists): (Vec<_>, Vec<_>) = new.iter().partition(|(_, path)| is_table(path));
        for (name, path) in tables {
            let to = self.copy.join(name);
            // A table never changes, and one of the same time is the same.
            if !is_same(path, &to)? {
                copy_file(path, &to)?;
            }
        }
        sync_dir(&self.copy)?;
        if index.is_damaged() {
            return Err(IndexError::Damaged("it changed while it was copied".into()));
        }
        for (name, path) in lists.into_iter().filter(|(name, _)| *name != CURRENT) {
            copy_file(path, &self.copy.join(name))?;
        }
        sync_dir(&self.copy)?;
        copy_file(&self.frozen.join(CURRENT), &self.copy.join(CURRENT))?;
        write_file(&self.copy.join(FLUSH), &flush.write())?;
        sync_dir(&self.copy)?;
        for (name, path) in files_of(&self.copy)? {
            if name != FLUSH && !new.contains_key(&name) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The index stays, damaged or not: there is nothing better.
    pub(crate) fn give_up(&self) -> io::Result<()> {
        self.forget()?;
        match fs::remove_file(&self.damage) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes the copy: it would not bring back what is durable.
    fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.copy.join(CURRENT)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => {
                removed?;
                sync_dir(&self.copy)?;
            }
        }
        remove(&self.copy)
    }
}

/// Makes copies on a thread of their own. Owned by the writer; no thread outlives it.
#[derive(Debug)]
pub(crate) struct Standby {
    places: Places,
    under_way: Option<JoinHandle<()>>,
    /// Whether the next start could take the copy, once that mattered.
    is_sound: OnceCell<bool>,
}

impl Standby {
    pub(crate) const fn new(places: Places) -> Self {
        Self {
            places,
            under_way: None,
            is_sound: OnceCell::new(),
        }
    }

    /// The index has this flush behind it.
    pub(crate) fn begin(&mut self, shared: Arc<Shared>, flush: Flush) {
        self.wait();
        let places = self.places.clone();
        let builder = std::thread::Builder::new().name("ottla-copy".into());
        let thread = builder.spawn(move || renew(&places, &shared, flush));
        self.under_way = Some(thread.expect("a process may start one more thread"));
    }

    pub(crate) const fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether the copy that was begun is there.
    pub(crate) fn is_done(&mut self) -> bool {
        let is_done = self.under_way.as_ref().is_some_and(JoinHandle::is_finished);
        if is_done {
            self.wait();
        }
        is_done
    }

    /// Sees to it that there is a copy.
    pub(crate) fn ensure(&mut self, shared: &Arc<Shared>, flush: Flush) {
        let has_one = self.places.copied().is_ok_and(|copied| copied.is_some());
        if !has_one {
            self.begin(shared.clone(), flush);
        }
        self.wait();
    }

    /// Whether there is a copy for the next start. Asked when the index is damaged: it is
    /// not renewed any more.
    pub(crate) fn can_restore(&self) -> bool {
        *self.is_sound.get_or_init(|| {
            let copy = self.places.read_copy();
            copy.is_ok_and(|copied| copied.is_some())
        })
    }

    pub(crate) fn forget(&mut self) -> io::Result<()> {
        self.wait();
        self.places.forget()
    }

    fn wait(&mut self) {
        if let Some(thread) = self.under_way.take() {
            // The thread's own panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.wait();
    }
}

fn renew(places: &Places, shared: &Shared, flush: Flush) {
    let index = &shared.index;
    if index.has_background_errors() {
        // Where that is what the errors were about, it is known from here on.
        let _noted = index.read_through();
    }
    if index.is_damaged() {
        return;
    }
    let Err(error) = places.renew(index, flush) else {
        return;
    };
    if index.is_damaged() {
        return;
    }
    tracing::warn!(%error, "the index has no copy until it is flushed again");
    if let Err(error) = places.forget() {
        tracing::error!(%error, "an old copy of the index cannot be removed");
    }
}

fn files_of(dir: &Path) -> io::Result<BTreeMap<OsString, PathBuf>> {
    let items = fs::read_dir(dir)?;
    let files = items.map(|item| item.map(|item| (item.file_name(), item.path())));
    files.collect()
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let one = fs::metadata(one)?;
    match fs::metadata(other) {
        Ok(other) => Ok(one.len() == other.len() && one.modified()? == other.modified()?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies a file with its time. It is there whole and durable, or not at all.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let half = to.with_extension("half");
    fs::copy(from, &half)?;
    let file = File::options().write(true).open(&half)?;
    file.set_modified(fs::metadata(from)?.modified()?)?;
    file.sync_all()?;
    fs::rename(&half, to)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let half = path.with_extension("half");
    fs::write(&half, bytes)?;
    File::open(&half)?.sync_all()?;
    fs::rename(&half, path)
}

fn empty(dir: &Path) -> io::Result<()> {
    remove(dir)?;
    fs::create_dir(dir)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
