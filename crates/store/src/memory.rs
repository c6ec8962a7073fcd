//! The log store without a disk: for brokers that need not survive, and for the
//! simulator, which decides itself when operations are carried out and what a
//! crash loses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use ottla_base::{ByteSize, Offset, TopicPartition};
use ottla_protocol::records::{BatchHeader, RecordBatch};

use crate::audience::{Audience, Call};
use crate::names::Names;
use crate::queue::{Command, Outlook, Queue, Wake};
use crate::{
    Bounds, Compaction, Durability, LogId, LogListener, LogStore, LogSummary, Op, ReadError,
    ReadMode, ReadOutcome, Rewriting, StoreError, StoreFailure,
};

/// How a memory store works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What `lose_unflushed` leaves.
    pub durability: Durability,
    pub stepping: Stepping,
}

/// Who carries out what was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepping {
    /// A thread, at once.
    Thread,
    /// The caller, by [`MemoryStore::flush_now`] and [`MemoryStore::step`].
    Manual,
}

/// No disk is waited for, so anyone may carry out whatever comes.
const ANYTHING: Outlook = Outlook {
    here_bytes_max: u64::MAX,
    deadline: None,
};

pub fn open(options: Options) -> MemoryStore {
    let inner = Arc::new(Inner {
        options,
        queue: Queue::default(),
        names: Mutex::new(Names::new(std::iter::empty(), 1)),
        state: Mutex::default(),
    });
    let writer = match options.stepping {
        Stepping::Manual => None,
        Stepping::Thread => {
            let inner = inner.clone();
            let builder = std::thread::Builder::new().name("ottla-store".into());
            let writer = builder.spawn(move || inner.run());
            Some(writer.expect("a process may start one more thread"))
        }
    };
    MemoryStore {
        inner,
        writer: Mutex::new(writer),
    }
}

/// Logs in maps.
#[derive(Debug)]
pub struct MemoryStore {
    inner: Arc<Inner>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    queue: Queue,
    names: Mutex<Names>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    visible: Logs,
    audiences: BTreeMap<LogId, Audience>,
    /// What a crash leaves; follows only where a caller can ask for a crash.
    durable: Logs,
    /// Carried out in `visible` and not yet in `durable`.
    unsynced: Vec<Command>,
    /// Every append is refused for this reason.
    refusal: Option<StoreFailure>,
}

type Logs = BTreeMap<LogId, MemoryLog>;

#[derive(Clone, Debug)]
struct MemoryLog {
    tp: TopicPartition,
    bounds: Bounds,
    size: u64,
    /// By base offset.
    batches: BTreeMap<Offset, RecordBatch>,
    state: BTreeMap<Bytes, Bytes>,
}

impl MemoryStore {
    /// Carries out everything that was submitted, as one group. Listeners are
    /// called before it returns.
    pub fn flush_now(&self) {
        let commands = self.inner.queue.take_some(usize::MAX);
        self.inner.carry_out(&commands, false);
    }

    /// Carries out at most `count` operations, as one group; returns how many.
    pub fn step(&self, count: usize) -> usize {
        let commands = self.inner.queue.take_some(count);
        self.inner.carry_out(&commands, false);
        commands.len()
    }

    /// How many operations wait.
    pub fn waiting(&self) -> usize {
        self.inner.queue.waiting()
    }

    /// A crash with a loss of power: only what is durable remains, nobody listens
    /// any more. For a store that is stepped manually.
    pub fn lose_unflushed(&self) {
        assert_eq!(
            self.inner.options.stepping,
            Stepping::Manual,
            "only a manually stepped store knows what is durable"
        );
        self.inner.queue.take_some(usize::MAX);
        let mut state = self.inner.state();
        state.visible = state.durable.clone();
        state.unsynced.clear();
        state.audiences.clear();
        let next = self.inner.names().next();
        let logs = state.visible.iter().map(|(id, log)| (log.tp, *id));
        let names = Names::new(logs, next);
        *self.inner.names() = names;
    }

    /// Appends are refused with this reason until it is taken back.
    pub fn refuse_appends(&self, reason: Option<StoreFailure>) {
        self.inner.state().refusal = reason;
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.inner.queue.abandon();
        self.join();
    }
}

impl MemoryStore {
    fn join(&self) {
        let writer = self.writer.lock().expect("no holder panics").take();
        if let Some(writer) = writer {
            // The thread's own panic was reported where it happened.
            let _ = writer.join();
        }
    }
}

impl Inner {
    fn run(&self) {
        let mut commands = Vec::new();
        loop {
            self.queue.put_down(ANYTHING);
            match self.queue.take(&mut commands) {
                Wake::Work { sync } => {
                    self.carry_out(&commands, sync);
                    commands.clear();
                    if sync {
                        self.queue.mark_durable();
                    }
                }
                Wake::Deadline => {}
                Wake::Closed | Wake::Abandoned => return,
            }
        }
    }

    fn work(&self) {
        self.queue.work_here(|commands| {
            self.carry_out(commands, false);
            ANYTHING
        });
    }

    fn carry_out(&self, commands: &[Command], sync: bool) {
        let mut flushed: BTreeMap<LogId, (u64, Offset)> = BTreeMap::new();
        let mut moved: BTreeSet<LogId> = BTreeSet::new();
        let mut calls: Vec<Call> = Vec::new();
        let mut guard = self.state();
        let state = &mut *guard;
        let mut sync = sync || self.options.durability == Durability::Fsync;
        for command in commands {
            if let Command::Op(Op::Append {
                log,
                incarnation,
                batch,
                sync: wanted,
            }) = command
            {
                if !state.admit(*log, *incarnation, &mut calls) {
                    continue;
                }
                sync |= wanted;
                flushed.insert(*log, (*incarnation, batch.header().next_offset()));
            }
            if let Command::Op(Op::StartOffset { log, to }) = command
                && state.starts_below(*log, *to)
            {
                moved.insert(*log);
            }
            apply(&mut state.visible, command);
            if self.options.stepping == Stepping::Manual {
                state.unsynced.push(command.clone());
            }
            // At once is in time.
            sync |= matches!(command, Command::Op(Op::Flush { .. }));
            if let Command::Op(Op::Drop { log }) = command {
                state.audiences.remove(log);
            }
        }
        if sync {
            for command in state.unsynced.drain(..) {
                apply(&mut state.durable, &command);
            }
        }
        for log in moved {
            calls.extend(state.start_moved(log));
        }
        for (log, (incarnation, end)) in flushed {
            let audience = state.audiences.get(&log);
            calls.extend(audience.and_then(|audience| audience.flushed(incarnation, end)));
        }
        drop(guard);
        calls.into_iter().for_each(Call::make);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().expect("no holder panics")
    }
}

impl State {
    fn admit(&mut self, log: LogId, incarnation: u64, calls: &mut Vec<Call>) -> bool {
        if !self.visible.contains_key(&log) {
            return false;
        }
        let audience = self.audiences.entry(log).or_default();
        if !audience.admits(incarnation) {
            return false;
        }
        if let Some(reason) = &self.refusal {
            calls.extend(audience.fail(incarnation, reason.clone()));
            return false;
        }
        true
    }

    fn starts_below(&self, log: LogId, offset: Offset) -> bool {
        let log = self.visible.get(&log);
        log.is_some_and(|log| log.bounds.start < offset)
    }

    fn start_moved(&self, log: LogId) -> Option<Call> {
        let start = self.visible.get(&log)?.bounds.start;
        self.audiences.get(&log)?.start_moved(start)
    }

    fn log(&self, log: LogId) -> Result<&MemoryLog, ReadError> {
        self.visible.get(&log).ok_or(ReadError::UnknownLog(log))
    }
}

fn apply(logs: &mut Logs, command: &Command) {
    let op = match command {
        Command::Create { log, tp } => {
            logs.entry(*log).or_insert_with(|| MemoryLog::new(*tp));
            return;
        }
        Command::Op(op) => op,
        #[cfg(feature = "rocksdb")]
        Command::Job(_) | Command::SetApart(_) => return,
    };
    if let Op::Drop { log } = op {
        logs.remove(log);
        return;
    }
    let Some(log) = logs.get_mut(&op.log()) else {
        return;
    };
    match op {
        Op::Append { batch, .. } => log.append(batch.clone()),
        Op::Truncate { to, .. } => log.truncate(*to),
        Op::StartOffset { to, .. } => log.start_at(*to),
        Op::State { key, value, .. } if value.is_empty() => {
            log.state.remove(key);
        }
        Op::State { key, value, .. } => {
            log.state.insert(key.clone(), value.clone());
        }
        Op::Drop { .. } | Op::Flush { .. } => {}
    }
}

impl MemoryLog {
    const fn new(tp: TopicPartition) -> Self {
        Self {
            tp,
            bounds: Bounds::EMPTY,
            size: 0,
            batches: BTreeMap::new(),
            state: BTreeMap::new(),
        }
    }

    fn append(&mut self, batch: RecordBatch) {
        let header = batch.header();
        assert!(
            self.bounds.end <= header.base_offset,
            "an append begins before the end"
        );
        self.bounds.end = header.next_offset();
        self.size += header.size.0;
        self.batches.insert(header.base_offset, batch);
    }

    fn truncate(&mut self, to: Offset) {
        if to >= self.bounds.end {
            return;
        }
        while let Some(last) = self.batches.last_entry() {
            if last.get().header().last_offset() < to {
                break;
            }
            self.size -= last.remove().size().0;
        }
        self.bounds.end = to;
        self.bounds.start = self.bounds.start.min(to);
    }

    fn start_at(&mut self, to: Offset) {
        if to <= self.bounds.start {
            return;
        }
        while let Some(first) = self.batches.first_entry() {
            if first.get().header().last_offset() >= to {
                break;
            }
            self.size -= first.remove().size().0;
        }
        self.bounds.start = to;
        self.bounds.end = self.bounds.end.max(to);
    }

    /// Batches from the one that holds `from` on.
    fn batches_from(&self, from: Offset) -> impl Iterator<Item = &RecordBatch> {
        let holder = self.batches.range(..=from).next_back();
        let first = holder.map_or(from, |(base, _)| *base);
        self.batches
            .range(first..)
            .map(|(_, batch)| batch)
            .filter(move |batch| batch.header().last_offset() >= from)
    }
}

/// The batch with the greater timestamp; of equals the first.
fn later_and_first(best: BatchHeader, next: BatchHeader) -> BatchHeader {
    if next.max_timestamp > best.max_timestamp {
        next
    } else {
        best
    }
}

impl LogStore for MemoryStore {
    fn logs(&self) -> Vec<LogSummary> {
        let state = self.inner.state();
        let logs = state.visible.iter().map(|(id, log)| LogSummary {
            id: *id,
            tp: log.tp,
            start: log.bounds.start,
            end: log.bounds.end,
            size: ByteSize(log.size),
            damaged: false,
        });
        logs.collect()
    }

    fn create(&self, tp: TopicPartition) -> Result<LogId, StoreError> {
        let log = self.inner.names().claim(tp)?;
        self.inner.state().visible.insert(log, MemoryLog::new(tp));
        if !self.inner.queue.push(Command::Create { log, tp }) {
            return Err(StoreFailure::Closed.into());
        }
        self.work();
        Ok(log)
    }

    fn attach(&self, log: LogId, incarnation: u64, listener: Arc<dyn LogListener>) {
        let mut state = self.inner.state();
        if state.visible.contains_key(&log) {
            let audience = state.audiences.entry(log).or_default();
            audience.attach(incarnation, listener);
        }
    }

    fn queue(&self, op: Op) {
        if let Op::Drop { log } = op {
            let tp = self.inner.state().visible.get(&log).map(|log| log.tp);
            if let Some(tp) = tp {
                self.inner.names().release(tp, log);
            }
        }
        self.inner.queue.push(Command::Op(op));
    }

    fn work(&self) {
        if self.inner.options.stepping == Stepping::Thread {
            self.inner.work();
        }
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
        _: ReadMode,
    ) -> Result<ReadOutcome, ReadError> {
        let state = self.inner.state();
        let log = state.log(log)?;
        log.bounds.check(from)?;
        let mut room = max_bytes as u64;
        let mut batches: Vec<RecordBatch> = Vec::new();
        for batch in log.batches_from(from) {
            let exempt = at_least_one && batches.is_empty();
            if batch.header().next_offset() > until || (batch.size().0 > room && !exempt) {
                break;
            }
            room = room.saturating_sub(batch.size().0);
            batches.push(batch.clone());
        }
        Ok(ReadOutcome::Ready(batches))
    }

    fn headers(&self, log: LogId, from: Offset, max: usize) -> Result<Vec<BatchHeader>, ReadError> {
        let state = self.inner.state();
        let log = state.log(log)?;
        log.bounds.check(from)?;
        let headers = log.batches_from(from).map(|batch| *batch.header());
        Ok(headers.take(max).collect())
    }

    fn bounds(&self, log: LogId) -> Result<Bounds, ReadError> {
        Ok(self.inner.state().log(log)?.bounds)
    }

    fn size(&self, log: LogId) -> ByteSize {
        let state = self.inner.state();
        ByteSize(state.visible.get(&log).map_or(0, |log| log.size))
    }

    fn first_batch_since(
        &self,
        log: LogId,
        timestamp: i64,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError> {
        let state = self.inner.state();
        let mut headers = state.log(log)?.batches_from(from).map(RecordBatch::header);
        let found = headers.find(|header| header.max_timestamp >= timestamp);
        Ok(found.filter(|header| header.base_offset < until).copied())
    }

    fn max_timestamp_batch(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError> {
        let state = self.inner.state();
        let headers = state.log(log)?.batches_from(from).map(RecordBatch::header);
        let below = headers.take_while(|header| header.next_offset() <= until);
        Ok(below.copied().reduce(later_and_first))
    }

    fn state(&self, log: LogId, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.inner.state().log(log)?.state.get(key).cloned())
    }

    fn set_compaction(&self, _: LogId, _: Option<Compaction>) {}

    fn set_rewriting(&self, _: Rewriting) {}

    fn drain(&self) {
        match self.inner.options.stepping {
            Stepping::Thread => self.inner.queue.wait_durable(),
            Stepping::Manual => {
                let commands = self.inner.queue.take_some(usize::MAX);
                self.inner.carry_out(&commands, true);
            }
        }
    }

    fn failure(&self) -> Option<StoreFailure> {
        None
    }

    fn close(&self) {
        self.drain();
        self.inner.queue.close();
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Subject};

    struct Memory(MemoryStore);

    impl Subject for Memory {
        fn store(&self) -> &dyn LogStore {
            &self.0
        }

        fn reopen(&mut self) {
            self.0.drain();
            self.0.lose_unflushed();
        }

        fn crash(&mut self) {
            self.0.lose_unflushed();
        }
    }

    #[test]
    fn it_keeps_the_promises() {
        for durability in [Durability::Fsync, PAGE_CACHE] {
            conformance::run(|| {
                Box::new(Memory(open(Options {
                    durability,
                    stepping: Stepping::Manual,
                })))
            });
        }
    }

    const PAGE_CACHE: Durability = Durability::PageCache {
        flush_interval: std::time::Duration::from_secs(1),
    };
}
