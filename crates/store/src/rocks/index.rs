//! RocksDB, as far as the store uses it: one sorted space of rows without a log of
//! its own.
//!
//! A change is collected in memory first, where many changes of one row become one,
//! and taken in before anything is read or flushed. It is as safe there as in
//! RocksDB's own memory: the commit log brings both back.
//!
//! Where RocksDB has no disk for them, they stay there and are laid over what it
//! holds, until it has.

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use ottla_base::ByteSize;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, FlushOptions, LogLevel,
    Options, ReadOptions, ReadTier, WriteOptions,
};

use super::changes::{Changes, Collected};
use super::manifest;
use super::overlay::{Overlay, Way};
use crate::commit::disk::Disk;
#[cfg(any(test, feature = "testing"))]
use crate::commit::disk::simulated;
use crate::commit::file::is_full;
use crate::keys::MalformedRow;
use crate::{ReadError, ReadMode};

/// Rows are collected until there are so many of them. Taking them in takes a few
/// hundred microseconds, for which somebody waits.
const COLLECTED_BYTES_MAX: usize = 32 * 1024;

/// So much is kept while the disk is full, by what is done on a full disk too.
const REFUSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How RocksDB's errors speak of a full disk. It tries again by itself, every few
/// seconds.
const NO_SPACE: &str = "No space left on device";

/// What is allocated at a time for the index's list of files.
const MANIFEST_BYTES: usize = 64 * 1024;

/// How much memory the index may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexMemory {
    /// Blocks that were read.
    pub(crate) cache_bytes: usize,
    /// Rows that are not in a file yet.
    pub(crate) memtable_bytes: usize,
}

impl IndexMemory {
    /// For reading through it once.
    pub(crate) const LITTLE: Self = Self {
        cache_bytes: 8 * 1024 * 1024,
        memtable_bytes: 1024 * 1024,
    };
}

/// Why the index did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("the answer is not in memory")]
    WouldBlock,
    #[error("the disk has no room for the index")]
    Full,
    #[error("the index: {0}")]
    Rocks(String),
    /// Bytes of it do not pass their checks.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Malformed(#[from] MalformedRow),
}

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        if error.kind() == rocksdb::ErrorKind::Incomplete {
            return Self::WouldBlock;
        }
        let kind = error.kind();
        let text = error.into_string();
        if text.contains(NO_SPACE) {
            Self::Full
        } else if kind == rocksdb::ErrorKind::Corruption {
            Self::Damaged(text)
        } else {
            Self::Rocks(text)
        }
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Rocks(error.to_string())
        }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        Self::Io(error.to_string())
    }
}

#[derive(Debug)]
pub(crate) struct Index {
    db: DB,
    flushes: Flushes,
    /// What RocksDB does not know yet.
    collected: Mutex<Collected>,
    /// There was no room when RocksDB was to be told of it last.
    is_refused: AtomicBool,
    damage: Damage,
}

/// Whether the index is known to be damaged. What it says of other rows still holds, and
/// it is not used again after this process.
#[derive(Debug)]
struct Damage {
    is_known: AtomicBool,
    /// Tells the next start, unless nothing may be changed.
    mark: Option<PathBuf>,
}

impl Damage {
    const fn none(mark: Option<PathBuf>) -> Self {
        Self {
            is_known: AtomicBool::new(false),
            mark,
        }
    }

    fn note(&self, error: &IndexError) {
        if !matches!(error, IndexError::Damaged(_)) || self.is_known.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(
            %error,
            "what needs these rows goes offline: at the next start a copy of the index takes its place"
        );
        let Some(mark) = &self.mark else { return };
        if let Err(error) = fs::write(mark, error.to_string()) {
            tracing::error!(%error, "the next start does not know that the index is damaged");
        }
    }
}

/// When a flush that was begun takes place.
#[derive(Debug)]
enum Flushes {
    InBackground,
    /// When somebody asks whether it is done.
    #[cfg(any(test, feature = "testing"))]
    WhenAsked {
        is_begun: AtomicBool,
        disk: simulated::Disk,
    },
}

impl Index {
    pub(crate) fn open(path: &Path, memory: IndexMemory, disk: &Disk) -> Result<Self, IndexError> {
        let mut options = options(memory)?;
        options.create_if_missing(true);
        match disk {
            Disk::Real => {
                refuse_alien_record(path)?;
                let damage = Damage::none(Some(path.with_extension("damaged")));
                let db = DB::open(&options, path)?;
                Ok(Self::of(db, Flushes::InBackground, damage))
            }
            #[cfg(any(test, feature = "testing"))]
            Disk::Simulated(disk) => {
                options.set_env(disk.env());
                let db = DB::open(&options, path)?;
                let flushes = Flushes::WhenAsked {
                    is_begun: AtomicBool::new(false),
                    disk: disk.clone(),
                };
                Ok(Self::of(db, flushes, Damage::none(None)))
            }
        }
    }

    pub(crate) fn open_read_only(
        path: &Path,
        memory: IndexMemory,
        disk: &Disk,
    ) -> Result<Self, IndexError> {
        let options = match disk {
            Disk::Real => {
                refuse_alien_record(path)?;
                options(memory)?
            }
            #[cfg(any(test, feature = "testing"))]
            Disk::Simulated(disk) => {
                let mut options = options(memory)?;
                options.set_env(disk.env());
                options
            }
        };
        let db = DB::open_for_read_only(&options, path, false)?;
        Ok(Self::of(db, Flushes::InBackground, Damage::none(None)))
    }

    fn of(db: DB, flushes: Flushes, damage: Damage) -> Self {
        let collected = Mutex::default();
        Self {
            db,
            flushes,
            collected,
            is_refused: AtomicBool::new(false),
            damage,
        }
    }

    /// Whether bytes of it were met that do not pass their checks.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_known.load(Ordering::SeqCst)
    }

    /// Whether RocksDB could not do what it does by itself. It goes on trying.
    pub(crate) fn has_background_errors(&self) -> bool {
        let errors = self.db.property_int_value("rocksdb.background-errors");
        errors.is_ok_and(|errors| errors.is_some_and(|errors| errors > 0))
    }

    /// What is on disk of it.
    pub(crate) fn tables_bytes(&self) -> ByteSize {
        let bytes = self.db.property_int_value("rocksdb.live-sst-files-size");
        ByteSize(bytes.ok().flatten().unwrap_or(u64::MAX))
    }

    /// RocksDB verifies what it reads.
    pub(crate) fn read_through(&self) -> Result<(), IndexError> {
        let mut rows = self.rows(&[], &[u8::MAX], ReadMode::Blocking)?;
        let mut row = rows.first()?;
        while row.is_some() {
            row = rows.next()?;
        }
        Ok(())
    }

    /// What was flushed, in a directory that shares its tables.
    pub(crate) fn freeze(&self, into: &Path) -> Result<(), IndexError> {
        let checkpoint = Checkpoint::new(&self.db)?;
        Ok(checkpoint.create_checkpoint_with_log_size(into, u64::MAX)?)
    }

    /// Remembers damage.
    fn noted<T>(&self, result: Result<T, rocksdb::Error>) -> Result<T, IndexError> {
        result.map_err(|error| {
            let error = IndexError::from(error);
            self.damage.note(&error);
            error
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let overlay = {
            let mut collected = self.collected();
            match self.take_in(&mut collected) {
                Err(IndexError::Full) => collected.overlay(key, &[key, &[0]].concat()),
                taken => taken.map(|()| Overlay::default())?,
            }
        };
        match overlay.get(key) {
            Some(value) => Ok(value.map(Into::into)),
            None => self.noted(self.db.get(key)),
        }
    }

    /// All of it or nothing, and nothing of it durable before a flush. Leaves
    /// `changes` empty. On a full disk there is an end to it, see
    /// [`Index::has_room`].
    pub(crate) fn write(&self, changes: &mut Changes) -> Result<(), IndexError> {
        let mut collected = self.collected();
        collected.add(changes);
        if collected.rows_bytes() < COLLECTED_BYTES_MAX {
            return Ok(());
        }
        match self.take_in(&mut collected) {
            Err(IndexError::Full) if collected.rows_bytes() < REFUSED_BYTES_MAX => Ok(()),
            taken => taken,
        }
    }

    /// Whether more may be written than must be. Where there was no room it asks again.
    pub(crate) fn has_room(&self) -> Result<bool, IndexError> {
        if !self.is_refused.load(Ordering::Relaxed) {
            return Ok(true);
        }
        match self.take_in(&mut self.collected()) {
            Err(IndexError::Full) => Ok(false),
            taken => taken.map(|()| true),
        }
    }

    /// Whoever reads sees everything that was written. What there is no room for stays
    /// where it is.
    fn take_in(&self, collected: &mut Collected) -> Result<(), IndexError> {
        if collected.is_empty() {
            return Ok(());
        }
        let taken = self.tell_rocks(collected);
        let is_refused = taken == Err(IndexError::Full);
        if self.is_refused.swap(is_refused, Ordering::Relaxed) != is_refused {
            if is_refused {
                tracing::error!(
                    "the disk has no room for the index: until it has, nothing is appended"
                );
            } else {
                tracing::info!("the disk has room for the index again");
            }
        }
        taken
    }

    fn tell_rocks(&self, collected: &mut Collected) -> Result<(), IndexError> {
        #[cfg(any(test, feature = "testing"))]
        if let Flushes::WhenAsked { disk, .. } = &self.flushes
            && disk.is_index_full()
        {
            return Err(IndexError::Full);
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(collected.to_batch(), &options)?;
        collected.clear();
        Ok(())
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().expect("no holder panics")
    }

    /// Begins to make everything that was written durable.
    pub(crate) fn begin_flush(&self) -> Result<(), IndexError> {
        self.take_in(&mut self.collected())?;
        match &self.flushes {
            Flushes::InBackground => {
                let mut options = FlushOptions::default();
                options.set_wait(false);
                Ok(self.db.flush_opt(&options)?)
            }
            #[cfg(any(test, feature = "testing"))]
            Flushes::WhenAsked { is_begun, .. } => {
                is_begun.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Everything that was written is durable when this returns.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        #[cfg(any(test, feature = "testing"))]
        if let Flushes::WhenAsked { disk, .. } = &self.flushes {
            match disk.finds_index_room() {
                Ok(true) => {}
                Ok(false) => return Err(IndexError::Full),
                Err(error) => return Err(IndexError::Rocks(error.to_string())),
            }
        }
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.take_in(&mut self.collected())?;
        Ok(self.db.flush_opt(&options)?)
    }

    /// Whether every flush that was begun is done.
    pub(crate) fn is_flushed(&self) -> Result<bool, IndexError> {
        #[cfg(any(test, feature = "testing"))]
        if let Flushes::WhenAsked { is_begun, .. } = &self.flushes {
            if !is_begun.load(Ordering::Relaxed) {
                return Ok(true);
            }
            return match self.flush() {
                Err(IndexError::Full) => Ok(false),
                flushed => {
                    is_begun.store(false, Ordering::Relaxed);
                    flushed.map(|()| true)
                }
            };
        }
        let waiting = self
            .db
            .property_int_value("rocksdb.num-immutable-mem-table")?;
        Ok(waiting == Some(0))
    }

    /// The rows with `first <= key < end`.
    pub(crate) fn rows(
        &self,
        first: &[u8],
        end: &[u8],
        mode: ReadMode,
    ) -> Result<Rows<'_>, IndexError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(first);
        options.set_iterate_upper_bound(end);
        if mode == ReadMode::NonBlocking {
            options.set_read_tier(ReadTier::BlockCache);
        }
        let mut collected = self.collected();
        match self.take_in(&mut collected) {
            // What is taken in after this must not be seen in part.
            Err(IndexError::Full) => Ok(Rows {
                inner: self.db.raw_iterator_opt(options),
                overlay: Some(collected.overlay(first, end)),
                index: self,
            }),
            taken => {
                taken?;
                drop(collected);
                Ok(Rows {
                    inner: self.db.raw_iterator_opt(options),
                    overlay: None,
                    index: self,
                })
            }
        }
    }
}

/// Rows of one range, as of the moment when it was made.
pub(crate) struct Rows<'a> {
    inner: DBRawIterator<'a>,
    /// What RocksDB has no room for.
    overlay: Option<Overlay>,
    index: &'a Index,
}

/// A row: key and value.
pub(crate) type Row<'a> = (&'a [u8], &'a [u8]);

impl Rows<'_> {
    pub(crate) fn first(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_to_first();
        self.settle(Way::Up, Bound::Unbounded)
    }

    pub(crate) fn last(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_to_last();
        self.settle(Way::Down, Bound::Unbounded)
    }

    /// The first row at or behind `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek(key);
        self.settle(Way::Up, Bound::Included(key))
    }

    /// The last row at or before `key`.
    pub(crate) fn seek_back(&mut self, key: &[u8]) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_for_prev(key);
        self.settle(Way::Down, Bound::Included(key))
    }

    /// Only behind a row.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        let Some(here) = self.overlaid_key()? else {
            self.inner.next();
            return self.current();
        };
        self.inner.seek(&here);
        self.settle(Way::Up, Bound::Excluded(&here))
    }

    /// Only behind a row.
    pub(crate) fn previous(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        let Some(here) = self.overlaid_key()? else {
            self.inner.prev();
            return self.current();
        };
        self.inner.seek_for_prev(&here);
        self.settle(Way::Down, Bound::Excluded(&here))
    }

    /// Where it is.
    pub(crate) fn current(&self) -> Result<Option<Row<'_>>, IndexError> {
        if let Some(row) = self.overlay.as_ref().and_then(Overlay::here) {
            return Ok(Some(row));
        }
        match self.inner.item() {
            Some(row) => Ok(Some(row)),
            None => {
                self.index.noted(self.inner.status())?;
                Ok(None)
            }
        }
    }

    /// Where it is among rows of which RocksDB does not hold all.
    fn overlaid_key(&self) -> Result<Option<Vec<u8>>, IndexError> {
        if self.overlay.is_none() {
            return Ok(None);
        }
        Ok(self.current()?.map(|(key, _)| key.into()))
    }

    /// Goes on from RocksDB's own row to the nearest that counts.
    fn settle(&mut self, way: Way, from: Bound<&[u8]>) -> Result<Option<Row<'_>>, IndexError> {
        if let Some(overlay) = &mut self.overlay {
            let is_passed = |key: &[u8]| from == Bound::Excluded(key) || overlay.get(key).is_some();
            while self.inner.key().is_some_and(is_passed) {
                match way {
                    Way::Up => self.inner.next(),
                    Way::Down => self.inner.prev(),
                }
            }
            self.index.noted(self.inner.status())?;
            overlay.settle(way, from, self.inner.key());
        }
        self.current()
    }
}

fn refuse_alien_record(path: &Path) -> Result<(), IndexError> {
    match manifest::alien_record(path)? {
        None => Ok(()),
        Some(place) => Err(IndexError::Damaged(place)),
    }
}

fn options(memory: IndexMemory) -> Result<Options, IndexError> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(memory.cache_bytes));
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_format_version(6);
    // What was not flushed is in the commit log: whoever drops a store without closing
    // it leaves what a crash would leave.
    let mut options =
        Options::default().get_options_from_string("avoid_flush_during_shutdown=true")?;
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(memory.memtable_bytes);
    options.set_arena_block_size(128 * 1024);
    options.set_max_write_buffer_number(3);
    options.set_max_background_jobs(2);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(16 * 1024 * 1024);
    // A damaged block stops neither what does not need it nor who writes: that a merge of
    // tables fails is noticed when the index is copied, see `standby`.
    options.set_paranoid_checks(false);
    options.set_level_zero_slowdown_writes_trigger(i32::MAX);
    options.set_level_zero_stop_writes_trigger(i32::MAX);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    // Nothing periodic runs, and opening reads no more than it must.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_max_file_opening_threads(1);
    options.set_keep_log_file_num(2);
    // Of its 4 MiB by default next to nothing is ever written.
    options.set_manifest_preallocation_size(MANIFEST_BYTES);
    options.set_log_level(LogLevel::Warn);
    Ok(options)
}
