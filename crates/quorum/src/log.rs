//! Raft's log and vote in a log store: one entry is one batch of one record, at the
//! offset that is its index.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{EntryPayload, LogState, OptionalSend, RaftLogReader};
use ottla_base::{LeaderEpoch, Millis, Offset};
use ottla_controller::Record;
use ottla_protocol::records::{BatchBuilder, BatchError, RecordBatch};
use ottla_store::{
    LogId as StoreLog, LogListener, LogStore, Op, ReadError, ReadMode, ReadOutcome, StoreFailure,
};
use tokio::sync::oneshot;

use crate::codec::{self, CodecError};
use crate::raft::{Entry, LogId, NodeId, StorageError, StorageIOError, TypeConfig, Vote};

const VOTE: &[u8] = b"raft.vote";
const PURGED: &[u8] = b"raft.purged";

/// Bytes that are read or sent at once, if they are more than one entry.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Why something that was kept cannot be had back.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a stored batch is damaged: {0}")]
    Batch(#[from] BatchError),
    #[error("an entry cannot be read: {0}")]
    Codec(#[from] CodecError),
    #[error("the entry at {0} is not there")]
    Absent(u64),
}

/// The log of one voter. A clone is the same log.
#[derive(Clone, Debug)]
pub(crate) struct RaftLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn LogStore>,
    log: StoreLog,
    incarnation: u64,
    state: Mutex<State>,
}

/// What is known of the log without reading it.
#[derive(Debug)]
struct State {
    /// The entries are those in `start..end`; nothing below is read any more.
    start: u64,
    end: u64,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The last entries of the log, those that are not applied yet.
    tail: VecDeque<Entry>,
    /// Bytes that were ever appended, or were there at the start.
    appended: u64,
    /// How many of these the last snapshot covers.
    covered: u64,
    flushing: Vec<(Offset, Flushing)>,
}

/// openraft's callback, which has nothing to show.
struct Flushing(LogFlushed<TypeConfig>);

impl Debug for Flushing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flushing")
    }
}

impl RaftLog {
    /// Looks at what `log` holds. `incarnation` is higher than that of any earlier
    /// user. Blocks on the disk.
    pub(crate) fn open(
        store: Arc<dyn LogStore>,
        log: StoreLog,
        incarnation: u64,
    ) -> Result<Self, KeptError> {
        let bounds = store.bounds(log)?;
        let purged: Option<LogId> = kept(&*store, log, PURGED)?;
        let index = |offset: Offset| u64::try_from(offset.0).unwrap_or(0);
        let start = purged.map_or_else(|| index(bounds.start), |purged| purged.index + 1);
        let end = index(bounds.end).max(start);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                start,
                end,
                purged,
                last: purged,
                tail: VecDeque::new(),
                appended: store.size(log).0,
                covered: 0,
                flushing: Vec::new(),
            }),
            store,
            log,
            incarnation,
        });
        let opened = Self { shared };
        if start < end {
            let last = opened.entry(end - 1)?.log_id;
            opened.lock().last = Some(last);
        }
        // A crash may have come between the two halves of a purge.
        if offset(start) > bounds.start {
            opened.submit(Op::StartOffset {
                log,
                to: offset(start),
            });
        }
        let listener: Arc<dyn LogListener> = opened.shared.clone();
        opened.shared.store.attach(log, incarnation, listener);
        Ok(opened)
    }

    /// Entries up to `index` are not needed in memory any more.
    pub(crate) fn applied(&self, index: u64) {
        let mut state = self.lock();
        while state
            .tail
            .front()
            .is_some_and(|entry| entry.log_id.index <= index)
        {
            state.tail.pop_front();
        }
    }

    /// Bytes that were ever appended, or were there when the log was opened.
    pub(crate) fn appended(&self) -> u64 {
        self.lock().appended
    }

    /// A snapshot is kept that was begun when so many bytes were appended.
    pub(crate) fn cover(&self, appended: u64) {
        self.lock().covered = appended;
    }

    /// Bytes that the last snapshot does not cover.
    pub(crate) fn uncovered(&self) -> u64 {
        let state = self.lock();
        state.appended - state.covered
    }

    fn entry(&self, index: u64) -> Result<Entry, KeptError> {
        let entries = self.stored(index, index + 1, 1)?;
        entries.into_iter().next().ok_or(KeptError::Absent(index))
    }

    /// Entries from `start` on: at least one and not much more than `bytes_max`.
    fn entries(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, KeptError> {
        let (start, end, tail_start) = {
            let state = self.lock();
            let tail_start = state.end - u64::try_from(state.tail.len()).unwrap_or(0);
            let (start, end) = (start.max(state.start), end.min(state.end));
            if start >= end {
                return Ok(Vec::new());
            }
            if start >= tail_start {
                let skip = usize::try_from(start - tail_start).unwrap_or(usize::MAX);
                let count = usize::try_from(end - start).unwrap_or(usize::MAX);
                let entries = state.tail.iter().skip(skip).take(count);
                return Ok(entries.cloned().collect());
            }
            (start, end, tail_start)
        };
        // What lies in memory is read by the next call.
        self.stored(start, end.min(tail_start), bytes_max)
    }

    /// The same from the store, where these entries are by now. It answers from
    /// memory or the page cache but for a voter that was away for long.
    fn stored(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, KeptError> {
        let Shared { store, log, .. } = &*self.shared;
        let read = store.read(
            *log,
            offset(start),
            offset(end),
            bytes_max,
            true,
            ReadMode::Blocking,
        )?;
        let ReadOutcome::Ready(batches) = read else {
            unreachable!("a blocking read does not ask to be repeated");
        };
        batches.iter().map(from_batch).collect()
    }

    fn submit(&self, op: Op) {
        self.shared.store.submit(op);
    }

    fn keep(&self, key: &'static [u8], value: Bytes) {
        self.shared.store.queue(Op::State {
            log: self.shared.log,
            key: Bytes::from_static(key),
            value,
        });
    }

    /// Returns once everything that was submitted is durable.
    pub(crate) async fn durable(&self) -> io::Result<()> {
        let (done, drained) = oneshot::channel();
        let store = self.shared.store.clone();
        // It happens once per election or snapshot, and the store has no other way to
        // tell.
        let thread = std::thread::Builder::new().name("ottla-quorum".into());
        thread.spawn(move || {
            store.drain();
            let _gone = done.send(store.failure());
        })?;
        match drained.await {
            Ok(None) => Ok(()),
            Ok(Some(failure)) => Err(io::Error::other(failure)),
            Err(gone) => Err(io::Error::other(gone)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_flushing(&self, is_done: impl Fn(Offset) -> bool) -> Vec<Flushing> {
        let mut state = self.lock();
        let done = state.flushing.extract_if(.., |(end, _)| is_done(*end));
        done.map(|(_, flushing)| flushing).collect()
    }
}

impl LogListener for Shared {
    fn on_flushed(&self, incarnation: u64, end: Offset) {
        if incarnation == self.incarnation {
            for Flushing(callback) in self.take_flushing(|wanted| wanted <= end) {
                callback.log_io_completed(Ok(()));
            }
        }
    }

    fn on_start_moved(&self, _: Offset) {}

    fn on_failed(&self, incarnation: u64, failure: StoreFailure) {
        if incarnation == self.incarnation {
            for Flushing(callback) in self.take_flushing(|_| true) {
                callback.log_io_completed(Err(io::Error::other(failure.clone())));
            }
        }
    }
}

impl RaftLogReader<TypeConfig> for RaftLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let (mut next, end) = half_open(&range);
        let mut all = Vec::new();
        loop {
            let some = self
                .entries(next, end, BYTES_AT_ONCE)
                .map_err(|error| StorageIOError::read_logs(&error))?;
            match some.last() {
                Some(last) => next = last.log_id.index + 1,
                None => return Ok(all),
            }
            all.extend(some);
        }
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let entries = self.entries(start, end, BYTES_AT_ONCE);
        Ok(entries.map_err(|error| StorageIOError::read_logs(&error))?)
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogStorage<TypeConfig> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let state = self.lock();
        Ok(LogState {
            last_purged_log_id: state.purged,
            last_log_id: state.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.keep(VOTE, codec::encode(vote));
        self.shared.store.work();
        let durable = self.durable().await;
        Ok(durable.map_err(|error| StorageIOError::write_vote(&error))?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = kept(&*self.shared.store, self.shared.log, VOTE);
        Ok(vote.map_err(|error: KeptError| StorageIOError::read_vote(&error))?)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let Shared {
            store,
            log,
            incarnation,
            ..
        } = &*self.shared;
        {
            let mut state = self.lock();
            for entry in entries {
                let batch = to_batch(&entry).map_err(|error| StorageIOError::write_logs(&error))?;
                let index = entry.log_id.index;
                if state.start == state.end && index > state.end {
                    let to = offset(index);
                    store.queue(Op::StartOffset { log: *log, to });
                    (state.start, state.end) = (index, index);
                }
                assert_eq!(index, state.end, "a hole in the log");
                state.end += 1;
                state.last = Some(entry.log_id);
                state.appended += batch.size().0;
                state.tail.push_back(entry);
                store.queue(Op::Append {
                    log: *log,
                    incarnation: *incarnation,
                    batch,
                    sync: true,
                });
            }
            let end = offset(state.end);
            state.flushing.push((end, Flushing(callback)));
        }
        store.work();
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let to = log_id.index;
        {
            let mut state = self.lock();
            while state
                .tail
                .back()
                .is_some_and(|entry| entry.log_id.index >= to)
            {
                state.tail.pop_back();
            }
            state.end = to.clamp(state.start, state.end);
        }
        self.submit(Op::Truncate {
            log: self.shared.log,
            to: offset(to),
        });
        let last = self
            .last()
            .map_err(|error| StorageIOError::read_logs(&error))?;
        self.lock().last = last;
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut state = self.lock();
            if state.purged.is_some_and(|purged| purged >= log_id) {
                return Ok(());
            }
            state.purged = Some(log_id);
            state.start = log_id.index + 1;
            state.end = state.end.max(state.start);
            if state.start == state.end {
                state.last = Some(log_id);
            }
        }
        self.applied(log_id.index);
        keep_purged(&*self.shared.store, self.shared.log, log_id);
        self.shared.store.work();
        Ok(())
    }
}

impl RaftLog {
    /// The id of the last entry, or of the last one that was purged.
    fn last(&self) -> Result<Option<LogId>, KeptError> {
        let (last, purged) = {
            let state = self.lock();
            if let Some(entry) = state.tail.back() {
                return Ok(Some(entry.log_id));
            }
            (
                (state.start < state.end).then(|| state.end - 1),
                state.purged,
            )
        };
        match last {
            Some(index) => Ok(Some(self.entry(index)?.log_id)),
            None => Ok(purged),
        }
    }
}

/// What was kept under `key`, if anything.
pub(crate) fn kept<T: codec::Wire>(
    store: &dyn LogStore,
    log: StoreLog,
    key: &[u8],
) -> Result<Option<T>, KeptError> {
    match store.state(log, key)? {
        Some(bytes) => Ok(Some(codec::decode(bytes)?)),
        None => Ok(None),
    }
}

fn to_batch(entry: &Entry) -> Result<RecordBatch, BatchError> {
    let mut batch = BatchBuilder::new();
    batch.push(Millis(0), None, Some(&codec::encode(entry)));
    let epoch = i32::try_from(entry.log_id.leader_id.term).unwrap_or(i32::MAX);
    let built = batch.build()?;
    Ok(built.at(offset(entry.log_id.index), LeaderEpoch(epoch)))
}

fn from_batch(batch: &RecordBatch) -> Result<Entry, KeptError> {
    let index = batch.header().base_offset.0;
    let absent = || KeptError::Absent(u64::try_from(index).unwrap_or(0));
    let record = batch.records()?.next().ok_or_else(absent)??;
    Ok(codec::decode(record.value.unwrap_or_default())?)
}

/// What an entry of the metadata log says, for whoever looks at a log that nobody
/// runs; nothing of one that cannot be read.
pub fn records_in(entry: &RecordBatch) -> Vec<Record> {
    match from_batch(entry).map(|entry| entry.payload) {
        Ok(EntryPayload::Normal(proposed)) => proposed.records.to_vec(),
        Ok(EntryPayload::Blank | EntryPayload::Membership(_)) | Err(_) => Vec::new(),
    }
}

/// Keeps the vote of a quorum that has made `me` its leader.
pub(crate) fn keep_lead(store: &dyn LogStore, log: StoreLog, term: u64, me: NodeId) {
    store.queue(Op::State {
        log,
        key: Bytes::from_static(VOTE),
        value: codec::encode(&Vote::new_committed(term, me)),
    });
}

/// Entries up to `last` are gone. The words come first: without the deed they are
/// made true when the log is opened.
pub(crate) fn keep_purged(store: &dyn LogStore, log: StoreLog, last: LogId) {
    store.queue(Op::State {
        log,
        key: Bytes::from_static(PURGED),
        value: codec::encode(&last),
    });
    let to = offset(last.index + 1);
    store.queue(Op::StartOffset { log, to });
}

/// The offset at which the entry of this index lies.
pub(crate) fn offset(index: u64) -> Offset {
    Offset(i64::try_from(index).expect("indexes count what was written"))
}
