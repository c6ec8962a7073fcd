//! The log store on disk: one commit log for everything, and a RocksDB index that
//! is a fold over it.

pub(crate) mod changes;
mod check;
mod dump;
pub(crate) mod fold;
pub(crate) mod index;
mod inspect;
pub(crate) mod log;
mod manifest;
mod overlay;
pub(crate) mod reader;
pub(crate) mod shared;
pub(crate) mod standby;
pub(crate) mod tail_cache;

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::check::check_on;
pub use self::check::{Fault, FaultKind, Place, Progress, Report, check};
pub use self::dump::{Dump, DumpRow, dump};
pub use crate::commit::entry::{Entry, FileNumber, NoEntry, Position};

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use ottla_base::{BrokerId, ByteSize, ClusterId, Offset, TopicPartition};
use ottla_protocol::records::BatchHeader;

use self::changes::Changes;
use self::index::{Index, IndexError, IndexMemory};
use self::log::Log;
use self::reader::Wanted;
use self::shared::Shared;
use self::standby::{Flush, Places};
use self::tail_cache::TailCache;
use crate::commit::disk::Disk;
use crate::commit::recovery::{self, RecoveryError};
use crate::commit::space;
use crate::commit::writer::{self, Start, Writer, WriterOptions};
use crate::keys;
use crate::memory::Stepping;
use crate::meta_properties::{MetaError, MetaProperties};
use crate::names::Names;
use crate::queue::Command;
use crate::rewrite::{Job, JobOptions, Runner};
use crate::{
    Bounds, Compaction, Durability, LogId, LogListener, LogStore, LogSummary, Op, ReadError,
    ReadMode, ReadOutcome, Rewriting, StoreError, StoreFailure,
};

/// The format of the index and of the commit log together.
const FORMAT_VERSION: u32 = 2;
/// Smallest useful commit file.
const FILE_BYTES_MIN: u32 = 64 * 1024;
/// When next to nothing was written for so long, unused space is given back.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// How a store on disk works.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: BrokerId,
    pub cluster: ClusterId,
    pub durability: Durability,
    /// Size of a commit file; a batch that is larger gets a file of its own size.
    pub commit_file: ByteSize,
    /// The newest batches that stay in memory, over all logs.
    pub tail_cache: ByteSize,
    /// Blocks of the index that stay in memory.
    pub index_cache: ByteSize,
    /// Rows of the index that are collected before they become a file.
    pub index_memtable: ByteSize,
    /// An index up to this size is read through at a start, so that damage is healed
    /// before anybody meets it.
    pub index_verified: ByteSize,
    pub rewrites: Rewrites,
}

/// Who rewrites files that are mostly dead, or in which logs lie mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrites {
    /// A thread of the store.
    InBackground,
    /// Nobody.
    Never,
}

impl Options {
    pub fn new(node: BrokerId, cluster: ClusterId) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            node,
            cluster,
            durability: Durability::Fsync,
            commit_file: ByteSize(256 * MIB),
            tail_cache: ByteSize(16 * MIB),
            index_cache: ByteSize(8 * MIB),
            index_memtable: ByteSize(8 * MIB),
            index_verified: ByteSize(32 * MIB),
            rewrites: Rewrites::InBackground,
        }
    }
}

/// Why a directory is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("{dir} is no data directory: it holds nothing that a broker wrote")]
    NotAStore { dir: PathBuf },
    #[error("{dir} is in use by another process: stop that one, or use another directory")]
    Locked { dir: PathBuf },
    #[error(
        "{dir} belongs to cluster {found}, and this node is of cluster {wanted}: set CLUSTER_ID={found} or leave it out, or use another directory"
    )]
    OtherCluster {
        dir: PathBuf,
        found: ClusterId,
        wanted: ClusterId,
    },
    #[error(
        "{dir} belongs to node {found}, and this is node {wanted}: set node.id={found}, or use another directory"
    )]
    OtherNode {
        dir: PathBuf,
        found: BrokerId,
        wanted: BrokerId,
    },
    #[error(
        "{dir} has format version {found}, and this release knows version {FORMAT_VERSION} only: use the release that wrote it"
    )]
    UnknownFormat { dir: PathBuf, found: u32 },
    #[error("{dir}: {error}")]
    Meta { dir: PathBuf, error: MetaError },
    #[error("{dir} cannot be used: {reason}")]
    Io { dir: PathBuf, reason: String },
}

/// Opens the store in `dir`, which becomes one if it is empty, and brings back
/// everything that survived.
pub fn open(dir: &Path, options: Options) -> Result<RocksStore, OpenError> {
    open_on(Disk::Real, Stepping::Thread, dir, options)
}

pub(crate) fn open_on(
    disk: Disk,
    stepping: Stepping,
    dir: &Path,
    options: Options,
) -> Result<RocksStore, OpenError> {
    let opening = Opening { dir };
    fs::create_dir_all(dir).map_err(|error| opening.io(&error))?;
    let lock = opening.lock()?;
    opening.identify(&options)?;
    let commit_dir = dir.join("commit");
    fs::create_dir_all(&commit_dir).map_err(|error| opening.io(&error))?;
    let memory = IndexMemory {
        cache_bytes: to_usize(options.index_cache),
        memtable_bytes: to_usize(options.index_memtable),
    };
    let places = Places::of(dir);
    let file_bytes = u32::try_from(options.commit_file.0).unwrap_or(u32::MAX);
    let start = StartOptions {
        memory,
        verified: options.index_verified,
        tail_bytes: to_usize(options.tail_cache),
        writer: WriterOptions {
            durability: options.durability,
            file_bytes: file_bytes.max(FILE_BYTES_MIN),
            copies: matches!(disk, Disk::Real).then(|| places.clone()),
            disk,
            stepping,
        },
        lock: Arc::new(lock),
    };
    let mut store = opening.start(&places, start)?;
    if options.rewrites == Rewrites::InBackground {
        let job = store.job(IDLE_AFTER);
        let runner = Runner::start(job, store.shared.clone());
        store.runner = Some(runner.map_err(|error| opening.io(&error))?);
    }
    Ok(store)
}

/// What a store starts with, beside its directory.
#[derive(Clone)]
struct StartOptions {
    memory: IndexMemory,
    verified: ByteSize,
    tail_bytes: usize,
    writer: WriterOptions,
    lock: Arc<File>,
}

fn start(
    commit_dir: PathBuf,
    index: Index,
    start: StartOptions,
    copied: Option<Flush>,
) -> Result<RocksStore, RecoveryError> {
    let options = start.writer;
    // On a small disk the first file is smaller. On a full one an old file stays as it
    // is, and for a new one the file system has the last word.
    let wanted = options.file_bytes.min(writer::FILE_BYTES_LEAST);
    let disk = &options.disk;
    let fitting = space::fitting(disk, &commit_dir, wanted, FILE_BYTES_MIN)?;
    let size = fitting.unwrap_or(wanted);
    let recovered = recovery::recover(disk, &commit_dir, &index, copied, size)?;
    let logs = recovered.logs.all();
    let named = logs.iter().map(|log| (log.state().row.tp, log.id));
    let names = Names::new(named, recovered.fold.next_log());
    let file = recovered.files.get(&recovered.end.file).cloned();
    let file = file.expect("recovery leaves a file to write to");
    let capacity = u32::try_from(file.length()?).unwrap_or(u32::MAX);
    let found = Start {
        fold: recovered.fold,
        tails: TailCache::new(start.tail_bytes),
        file,
        capacity,
        end: recovered.end,
        flushed: recovered.flushed,
        flushes: recovered.flushes,
        is_copied: copied.is_some(),
        spares: recovered.spares,
    };
    let shared = Shared::new(commit_dir, index, recovered.logs, names, recovered.files);
    let shared = Arc::new(shared);
    let stepping = options.stepping;
    let disk = options.disk.clone();
    let writer = Arc::new(Mutex::new(Writer::new(shared.clone(), options, found)));
    let thread = match stepping {
        Stepping::Manual => None,
        Stepping::Thread => {
            let builder = std::thread::Builder::new().name("ottla-store".into());
            let (shared, writer) = (shared.clone(), writer.clone());
            Some(builder.spawn(move || writer::run(&shared, &writer))?)
        }
    };
    Ok(RocksStore {
        shared,
        writer,
        disk,
        runner: None,
        thread: Mutex::new(thread),
        #[cfg(any(test, feature = "testing"))]
        is_stepped: stepping == Stepping::Manual,
        _lock: start.lock,
    })
}

/// Errors of `open` name the directory.
struct Opening<'a> {
    dir: &'a Path,
}

/// Why a store did not start.
enum Unstarted {
    /// The index is damaged, and its copy may not be.
    Damaged(String),
    ForGood(OpenError),
}

impl From<OpenError> for Unstarted {
    fn from(error: OpenError) -> Self {
        Self::ForGood(error)
    }
}

impl Opening<'_> {
    /// Starts with the index, or with its copy where it is damaged.
    fn start(&self, places: &Places, options: StartOptions) -> Result<RocksStore, OpenError> {
        let reason = match self.try_start(places, options.clone()) {
            Ok(store) => return Ok(store),
            Err(Unstarted::ForGood(error)) => return Err(error),
            Err(Unstarted::Damaged(reason)) => reason,
        };
        if self.copied(&options)?.is_some()
            && let Err(error) = places.restore(&reason)
        {
            tracing::error!(%error, "the copy of the index cannot be used either");
            places.give_up().map_err(|error| self.io(&error))?;
        }
        match self.try_start(places, options) {
            Ok(store) => Ok(store),
            Err(Unstarted::ForGood(error)) => Err(error),
            Err(Unstarted::Damaged(reason)) => Err(OpenError::Io {
                dir: self.dir.into(),
                reason,
            }),
        }
    }

    /// What the copy of the index holds, if one is kept and could be used.
    fn copied(&self, options: &StartOptions) -> Result<Option<Flush>, OpenError> {
        let copies = options.writer.copies.as_ref();
        let copied = copies.map(Places::copied).transpose();
        Ok(copied.map_err(|error| self.io(&error))?.flatten())
    }

    fn try_start(&self, places: &Places, options: StartOptions) -> Result<RocksStore, Unstarted> {
        let copied = self.copied(&options)?;
        let damage = places.known_damage().map_err(|error| self.io(&error))?;
        if let (Some(reason), Some(_)) = (damage, copied) {
            return Err(Unstarted::Damaged(reason));
        }
        let of_index = |error: IndexError| {
            if error == IndexError::Full {
                Unstarted::ForGood(self.io(&error))
            } else {
                Unstarted::Damaged(error.to_string())
            }
        };
        let index = Index::open(&places.index, options.memory, &options.writer.disk);
        let index = index.map_err(of_index)?;
        self.check_format(&index)?;
        if copied.is_some() && index.tables_bytes() <= options.verified {
            index.read_through().map_err(of_index)?;
        }
        let store = start(self.dir.join("commit"), index, options, copied);
        store.map_err(|error| match error {
            RecoveryError::Io(error) => Unstarted::ForGood(self.io(&error)),
            RecoveryError::Index(error) => of_index(error),
            error @ (RecoveryError::IndexMissing
            | RecoveryError::IndexOld
            | RecoveryError::FileMissing(_)) => Unstarted::Damaged(error.to_string()),
        })
    }

    fn io(&self, error: &dyn std::error::Error) -> OpenError {
        OpenError::Io {
            dir: self.dir.into(),
            reason: error.to_string(),
        }
    }

    fn lock(&self) -> Result<File, OpenError> {
        let file = File::create(self.dir.join("LOCK")).map_err(|error| self.io(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                dir: self.dir.into(),
            }),
            Err(TryLockError::Error(error)) => Err(self.io(&error)),
        }
    }

    fn identify(&self, options: &Options) -> Result<(), OpenError> {
        let dir = || self.dir.to_path_buf();
        let of_meta = |error| OpenError::Meta { dir: dir(), error };
        let Some(meta) = MetaProperties::read(self.dir).map_err(of_meta)? else {
            let meta = MetaProperties::fresh(options.node, options.cluster.clone());
            let meta = meta.map_err(|error| self.io(&error))?;
            return meta.write(self.dir).map_err(of_meta);
        };
        if meta.cluster != options.cluster {
            return Err(OpenError::OtherCluster {
                dir: dir(),
                found: meta.cluster,
                wanted: options.cluster.clone(),
            });
        }
        if meta.node != options.node {
            return Err(OpenError::OtherNode {
                dir: dir(),
                found: meta.node,
                wanted: options.node,
            });
        }
        Ok(())
    }

    /// An index without a version is new, or was never flushed.
    fn check_format(&self, index: &Index) -> Result<(), Unstarted> {
        let of_index = |error: IndexError| Unstarted::Damaged(error.to_string());
        let version = index.get(&keys::FORMAT).map_err(of_index)?;
        let Some(version) = version else {
            let mut changes = Changes::default();
            changes.set(keys::FORMAT, FORMAT_VERSION.to_be_bytes());
            return index.write(&mut changes).map_err(of_index);
        };
        let found = version.try_into().map_or(0, u32::from_be_bytes);
        if found != FORMAT_VERSION {
            return Err(Unstarted::ForGood(OpenError::UnknownFormat {
                dir: self.dir.into(),
                found,
            }));
        }
        Ok(())
    }
}

fn to_usize(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

/// A store on disk. Dropped without [`LogStore::close`], it leaves the directory as
/// a crash of the process would.
#[derive(Debug)]
pub struct RocksStore {
    shared: Arc<Shared>,
    writer: Arc<Mutex<Writer>>,
    disk: Disk,
    /// Rewrites files, unless nobody shall.
    runner: Option<Runner>,
    thread: Mutex<Option<JoinHandle<()>>>,
    #[cfg(any(test, feature = "testing"))]
    is_stepped: bool,
    _lock: Arc<File>,
}

impl RocksStore {
    pub(crate) fn job(&self, idle_after: Duration) -> Job {
        let options = JobOptions {
            disk: self.disk.clone(),
            idle_after,
            #[cfg(any(test, feature = "testing"))]
            writer: self.is_stepped.then(|| self.writer.clone()),
        };
        Job::new(self.shared.clone(), options)
    }

    fn log(&self, id: LogId) -> Result<Arc<Log>, ReadError> {
        self.shared.logs.get(id).ok_or(ReadError::UnknownLog(id))
    }

    /// The log's bounds, if `from` lies within them and it is sound.
    fn readable(log: &Log, from: Offset) -> Result<Bounds, ReadError> {
        let state = log.state();
        if state.row.damaged {
            return Err(ReadError::Damaged(log.id));
        }
        state.row.bounds.check(from)?;
        Ok(state.row.bounds)
    }

    /// What the writer's thread would do now, in a store without one.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn step(&self) {
        writer::locked(&self.writer).step();
    }

    /// The next step makes everything that was submitted durable.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn want_durable(&self) {
        self.shared.queue.want_durable();
    }

    /// As RocksDB does by itself when it has collected enough and there is room.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn flush_index(&self) -> Result<(), String> {
        match self.shared.index.flush() {
            Ok(()) | Err(IndexError::Full) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn stop_rewriting(&self) {
        if let Some(runner) = &self.runner {
            runner.stop();
        }
    }

    fn join(&self) {
        let thread = self.thread.lock().expect("no holder panics").take();
        if let Some(thread) = thread {
            // The thread's own panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.shared.queue.abandon();
        self.stop_rewriting();
        self.join();
    }
}

impl LogStore for RocksStore {
    fn logs(&self) -> Vec<LogSummary> {
        let logs = self.shared.logs.all();
        logs.iter().map(|log| log.summary()).collect()
    }

    fn create(&self, tp: TopicPartition) -> Result<LogId, StoreError> {
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        let id = {
            let mut names = self.shared.names.lock().expect("no holder panics");
            let id = names.claim(tp)?;
            let log = Log::new(id, keys::LogRow::new(tp), false);
            self.shared.logs.insert(Arc::new(log));
            if !self.shared.queue.push(Command::Create { log: id, tp }) {
                return Err(StoreFailure::Closed.into());
            }
            id
        };
        self.work();
        Ok(id)
    }

    fn attach(&self, log: LogId, incarnation: u64, listener: Arc<dyn LogListener>) {
        if let Some(log) = self.shared.logs.get(log) {
            log.state().audience.attach(incarnation, listener);
        }
    }

    fn queue(&self, op: Op) {
        if let Op::Drop { log } = op
            && let Some(log) = self.shared.logs.get(log)
        {
            let tp = log.state().row.tp;
            let mut names = self.shared.names.lock().expect("no holder panics");
            names.release(tp, log.id);
        }
        self.shared.queue.push(Command::Op(op));
    }

    fn work(&self) {
        let carry_out = |commands: &mut Vec<Command>| {
            let mut writer = writer::locked(&self.writer);
            writer.carry_out_here(commands)
        };
        self.shared.queue.work_here(carry_out);
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
        mode: ReadMode,
    ) -> Result<ReadOutcome, ReadError> {
        let log = self.log(log)?;
        let bounds = Self::readable(&log, from)?;
        let wanted = Wanted {
            from,
            until: until.min(bounds.end),
            max_bytes,
            at_least_one,
            mode,
        };
        if from >= wanted.until {
            return Ok(ReadOutcome::Ready(Vec::new()));
        }
        if let Some(tail) = log.state().tail_from(from) {
            let mut selection = wanted.selection();
            let tail = tail.take_while(|batch| selection.takes(batch.header()));
            return Ok(ReadOutcome::Ready(tail.cloned().collect()));
        }
        reader::read(&self.shared, &log, wanted)
    }

    fn headers(&self, log: LogId, from: Offset, max: usize) -> Result<Vec<BatchHeader>, ReadError> {
        let log = self.log(log)?;
        Self::readable(&log, from)?;
        let headers = reader::headers(&self.shared.index, log.id, from, max);
        headers.map_err(|error| self.shared.unanswered(&log, error))
    }

    fn bounds(&self, log: LogId) -> Result<Bounds, ReadError> {
        Ok(self.log(log)?.state().row.bounds)
    }

    fn size(&self, log: LogId) -> ByteSize {
        let log = self.shared.logs.get(log);
        log.map_or(ByteSize(0), |log| log.state().row.size())
    }

    fn first_batch_since(
        &self,
        log: LogId,
        timestamp: i64,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError> {
        let log = self.log(log)?;
        let bounds = log.state().row.bounds;
        let from = from.max(bounds.start);
        let index = &self.shared.index;
        let first = reader::first_since(index, log.id, timestamp, from, until);
        first.map_err(|error| self.shared.unanswered(&log, error))
    }

    fn max_timestamp_batch(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError> {
        let log = self.log(log)?;
        let from = from.max(log.state().row.bounds.start);
        let index = &self.shared.index;
        let greatest = reader::max_timestamp(index, log.id, from, until);
        greatest.map_err(|error| self.shared.unanswered(&log, error))
    }

    fn state(&self, log: LogId, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let log = self.log(log)?;
        if let Some(held) = log.state().held(key) {
            return Ok(Some(held).filter(|value| !value.is_empty()));
        }
        match self.shared.index.get(&keys::state_key(log.id, key)) {
            Ok(value) => Ok(value.map(Bytes::from)),
            Err(error) => Err(self.shared.unanswered(&log, error)),
        }
    }

    fn set_compaction(&self, log: LogId, compaction: Option<Compaction>) {
        self.shared.set_compaction(log, compaction);
        if let Some(runner) = &self.runner {
            runner.nudge();
        }
    }

    fn set_rewriting(&self, rewriting: Rewriting) {
        self.shared.set_rewriting(rewriting);
        if let Some(runner) = &self.runner {
            runner.nudge();
        }
    }

    fn drain(&self) {
        self.shared.queue.wait_durable();
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.shared.failure()
    }

    fn close(&self) {
        self.stop_rewriting();
        self.shared.queue.close();
        self.join();
    }
}

#[cfg(test)]
mod tests;
