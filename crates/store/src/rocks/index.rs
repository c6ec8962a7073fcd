//! RocksDB, as far as the store uses it: one sorted space of rows without a log of
//! its own.
//!
//! A change is collected in memory first, where many changes of one row become one,
//! and taken in before anything is read or flushed. It is as safe there as in
//! RocksDB's own memory: the commit log brings both back.

use std::path::Path;
#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, FlushOptions, LogLevel,
    Options, ReadOptions, ReadTier, WriteOptions,
};

use super::changes::{Changes, Collected};
use super::manifest;
use crate::commit::disk::Disk;
use crate::keys::MalformedRow;
use crate::{ReadError, ReadMode};

/// Rows are collected until there are so many of them. Taking them in takes a few
/// hundred microseconds, for which somebody waits.
const COLLECTED_BYTES_MAX: usize = 32 * 1024;

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

/// Why the index did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("the answer is not in memory")]
    WouldBlock,
    #[error("the index: {0}")]
    Rocks(String),
    #[error(transparent)]
    Malformed(#[from] MalformedRow),
}

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        if error.kind() == rocksdb::ErrorKind::Incomplete {
            Self::WouldBlock
        } else {
            Self::Rocks(error.into_string())
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
}

/// When a flush that was begun takes place.
#[derive(Debug)]
enum Flushes {
    InBackground,
    /// When somebody asks whether it is done.
    #[cfg(any(test, feature = "testing"))]
    WhenAsked(AtomicBool),
}

impl Index {
    pub(crate) fn open(path: &Path, memory: IndexMemory, disk: &Disk) -> Result<Self, IndexError> {
        let mut options = options(memory)?;
        options.create_if_missing(true);
        match disk {
            Disk::Real => {
                refuse_alien_record(path)?;
                Ok(Self::of(DB::open(&options, path)?, Flushes::InBackground))
            }
            #[cfg(any(test, feature = "testing"))]
            Disk::Simulated(disk) => {
                options.set_env(disk.env());
                let db = DB::open(&options, path)?;
                Ok(Self::of(db, Flushes::WhenAsked(AtomicBool::new(false))))
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
        Ok(Self::of(db, Flushes::InBackground))
    }

    fn of(db: DB, flushes: Flushes) -> Self {
        let collected = Mutex::default();
        Self {
            db,
            flushes,
            collected,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.take_in()?;
        Ok(self.db.get(key)?)
    }

    /// All of it or nothing, and nothing of it durable before a flush. Leaves
    /// `changes` empty.
    pub(crate) fn write(&self, changes: &mut Changes) -> Result<(), IndexError> {
        let mut collected = self.collected();
        collected.add(changes);
        if collected.rows_bytes() >= COLLECTED_BYTES_MAX {
            self.take_in_all(&mut collected)?;
        }
        Ok(())
    }

    /// Whoever reads sees everything that was written.
    fn take_in(&self) -> Result<(), IndexError> {
        let mut collected = self.collected();
        if collected.is_empty() {
            return Ok(());
        }
        self.take_in_all(&mut collected)
    }

    fn take_in_all(&self, collected: &mut Collected) -> Result<(), IndexError> {
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
        self.take_in()?;
        match &self.flushes {
            Flushes::InBackground => {
                let mut options = FlushOptions::default();
                options.set_wait(false);
                Ok(self.db.flush_opt(&options)?)
            }
            #[cfg(any(test, feature = "testing"))]
            Flushes::WhenAsked(is_begun) => {
                is_begun.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Everything that was written is durable when this returns.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.take_in()?;
        Ok(self.db.flush_opt(&options)?)
    }

    /// Whether every flush that was begun is done.
    pub(crate) fn is_flushed(&self) -> Result<bool, IndexError> {
        #[cfg(any(test, feature = "testing"))]
        if let Flushes::WhenAsked(is_begun) = &self.flushes {
            if is_begun.swap(false, Ordering::Relaxed) {
                self.flush()?;
            }
            return Ok(true);
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
        self.take_in()?;
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(first);
        options.set_iterate_upper_bound(end);
        if mode == ReadMode::NonBlocking {
            options.set_read_tier(ReadTier::BlockCache);
        }
        let inner = self.db.raw_iterator_opt(options);
        Ok(Rows { inner })
    }
}

/// Rows of one range, as of the moment when it was made.
pub(crate) struct Rows<'a> {
    inner: DBRawIterator<'a>,
}

/// A row: key and value.
pub(crate) type Row<'a> = (&'a [u8], &'a [u8]);

impl Rows<'_> {
    pub(crate) fn first(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_to_first();
        self.current()
    }

    pub(crate) fn last(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_to_last();
        self.current()
    }

    /// The first row at or behind `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek(key);
        self.current()
    }

    /// The last row at or before `key`.
    pub(crate) fn seek_back(&mut self, key: &[u8]) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.seek_for_prev(key);
        self.current()
    }

    /// Only behind a row.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.next();
        self.current()
    }

    /// Only behind a row.
    pub(crate) fn previous(&mut self) -> Result<Option<Row<'_>>, IndexError> {
        self.inner.prev();
        self.current()
    }

    /// Where it is.
    pub(crate) fn current(&self) -> Result<Option<Row<'_>>, IndexError> {
        match self.inner.item() {
            Some(row) => Ok(Some(row)),
            None => {
                self.inner.status()?;
                Ok(None)
            }
        }
    }
}

fn refuse_alien_record(path: &Path) -> Result<(), IndexError> {
    match manifest::alien_record(path) {
        Ok(None) => Ok(()),
        Ok(Some(place)) => Err(IndexError::Rocks(place)),
        Err(error) => Err(IndexError::Rocks(error.to_string())),
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
