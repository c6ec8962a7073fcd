//! One simulated broker: partitions over a store, driven as the real broker
//! drives them, without its threads.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_base::testing::Rng;
use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, TopicId, TopicPartition};
use ottla_partition::{CHECKPOINT_KEY, Effect, Input, Partition, Recovery, Settings, View};
use ottla_protocol::records::{BatchHeader, RecordBatch};
use ottla_store::memory::{self, MemoryStore};
use ottla_store::{Durability, LogId, LogStore, Op, ReadMode, ReadOutcome, StoreFailure};

use crate::disk::{Disk, Ear, Heard};
use crate::fact::{Stamp, Value};
use crate::host::{Host, Replies};
use crate::value;

/// The one topic of a world.
pub(crate) const TOPIC: TopicId = TopicId([7; 16]);

pub(crate) const fn topic_partition(partition: PartitionId) -> TopicPartition {
    TopicPartition {
        topic: TOPIC,
        partition,
    }
}

/// A broker: what survives a crash, and what does not. Owned by the world.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) id: BrokerId,
    /// Counts crashes; what was meant for an earlier life is void.
    pub(crate) life: u32,
    pub(crate) is_up: bool,
    pub(crate) disk: Disk,
    settings: Settings,
    store: MemoryStore,
    ear: Ear,
    cells: BTreeMap<PartitionId, Cell>,
    /// Never used twice, in any life.
    next_incarnation: u64,
}

/// A partition and what its driver keeps beside it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) partition: Partition,
    pub(crate) published: View,
    /// When a tick is on its way; none earlier is needed.
    pub(crate) tick_at: Option<Millis>,
    /// Steps since the last check that a recovery agrees.
    pub(crate) unchecked_steps: u32,
    pub(crate) shadow: Shadow,
    /// The groups that live here, once they are loaded.
    pub(crate) host: Option<Host>,
    log: LogId,
    incarnation: u64,
}

/// What a cell has written, kept aside to recover from at any moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    start: Offset,
    end: Offset,
    checkpoint: Option<Bytes>,
    /// Those behind the checkpoint.
    headers: Vec<BatchHeader>,
}

impl Broker {
    pub(crate) fn new(id: BrokerId, settings: Settings, partitions: &[PartitionId]) -> Self {
        let store = memory::open(memory::Options {
            durability: Durability::Fsync,
            stepping: memory::Stepping::Manual,
        });
        for partition in partitions {
            let created = store.create(topic_partition(*partition));
            created.expect("a fresh store has no logs");
        }
        Self {
            id,
            life: 0,
            is_up: true,
            disk: Disk::new(),
            settings,
            store,
            ear: Ear::default(),
            cells: BTreeMap::new(),
            next_incarnation: 1,
        }
    }

    pub(crate) fn cell(&mut self, partition: PartitionId) -> Option<&mut Cell> {
        self.cells.get_mut(&partition)
    }

    /// One step of a partition, and of the groups that live in it.
    pub(crate) fn step(
        &mut self,
        now: Millis,
        partition: PartitionId,
        input: Input,
    ) -> (Vec<Effect>, Replies) {
        let Some(cell) = self.cells.get_mut(&partition) else {
            return Default::default();
        };
        let mut out = Vec::new();
        let is_tick = matches!(input, Input::Tick);
        cell.partition.step(now, input, &mut out);
        let mut replies = cell.pass_on_commits(&out);
        if let Some(host) = &mut cell.host
            && is_tick
            && cell.partition.can_append_hosted().is_ok()
        {
            replies.extend(host.call(now, None, &mut cell.partition, &mut out));
        }
        out.iter()
            .for_each(|effect| cell.carry_out(effect, &self.store));
        (out, replies)
    }

    /// Lets the groups of a partition answer. `None` if none live there now.
    pub(crate) fn ask_groups(
        &mut self,
        now: Millis,
        partition: PartitionId,
        input: ottla_coordinator::Input,
    ) -> Option<(Vec<Effect>, Replies)> {
        let cell = self.cells.get_mut(&partition)?;
        cell.partition.can_append_hosted().ok()?;
        let host = cell.host.as_mut()?;
        let mut out = Vec::new();
        let replies = host.call(now, Some(input), &mut cell.partition, &mut out);
        out.iter()
            .for_each(|effect| cell.carry_out(effect, &self.store));
        Some((out, replies))
    }

    /// Loads the groups of a partition, all of whose records are committed.
    pub(crate) fn load_groups(&mut self, now: Millis, partition: PartitionId, seed: u64) {
        let Some(cell) = self.cells.get_mut(&partition) else {
            return;
        };
        let view = cell.partition.view();
        let (start, end) = (view.log_start, view.high_watermark);
        let read = self
            .store
            .read(cell.log, start, end, usize::MAX, true, ReadMode::Blocking);
        if let ReadOutcome::Ready(batches) = read.expect("the range is within the log") {
            cell.host = Some(Host::load(now, end, &batches, seed));
        }
    }

    /// Loads a partition from the store, as after a start or a failure of its
    /// log. It waits for its role. Returns what the machine before it leaves to be done.
    pub(crate) fn recover(&mut self, now: Millis, partition: PartitionId) -> Vec<Effect> {
        let summaries = self.store.logs();
        let tp = topic_partition(partition);
        let log = summaries.into_iter().find(|summary| summary.tp == tp);
        let log = log.expect("the log was created at the start").id;
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        self.store.attach(log, incarnation, self.ear.listener(tp));
        self.store.drain();
        let mut shadow = Shadow::load(&self.store, log);
        let mut machine = shadow.recover(now, self.id, self.settings);
        let mut out = Vec::new();
        if let Some(before) = self.cells.get_mut(&partition) {
            machine.succeed(&mut before.partition, &mut out);
        }
        if let Some(to) = machine.excess(shadow.end) {
            shadow.end = to;
            self.store.submit(Op::Truncate { log, to });
            self.store.drain();
        }
        let cell = Cell {
            published: machine.view(),
            partition: machine,
            tick_at: None,
            unchecked_steps: 0,
            shadow,
            host: None,
            log,
            incarnation,
        };
        self.cells.insert(partition, cell);
        out
    }

    /// A loss of power. Some of what was under way may have become durable.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let waiting = u64::try_from(self.store.waiting()).expect("few operations wait");
        let lucky = rng.below(waiting + 1);
        self.store
            .step(usize::try_from(lucky).expect("few operations wait"));
        self.store.lose_unflushed();
        self.end();
    }

    /// Everything that the disk was asked for is carried out. Says whether there was
    /// anything.
    pub(crate) fn finish_disk(&mut self) -> bool {
        let waiting = self.store.waiting();
        self.store.step(waiting);
        waiting > 0
    }

    /// The process is gone.
    pub(crate) fn end(&mut self) {
        self.ear.take();
        self.cells.clear();
        self.life += 1;
        self.is_up = false;
        self.disk.busy = false;
    }

    /// Whether the disk has something to do and nobody has told it yet.
    pub(crate) fn wants_disk(&self) -> bool {
        self.is_up && !self.disk.busy && self.store.waiting() > 0
    }

    /// The disk carries out a group of operations.
    pub(crate) fn carry_out_group(&mut self, rng: &mut Rng) {
        self.disk.busy = false;
        let waiting = u64::try_from(self.store.waiting()).expect("few operations wait");
        let count = 1 + rng.below(waiting);
        self.store
            .step(usize::try_from(count).expect("few operations wait"));
    }

    /// What the store has said since it was last asked.
    pub(crate) fn hear(&self) -> Vec<Heard> {
        self.ear.take()
    }

    /// Whether what the store said is meant for the machine that runs now.
    pub(crate) fn is_current(&self, heard: &Heard) -> bool {
        let cell = self.cells.get(&heard.tp.partition);
        cell.is_some_and(|cell| {
            heard
                .incarnation
                .is_none_or(|known| known == cell.incarnation)
        })
    }

    pub(crate) fn refuse_appends(&self, refuses: bool) {
        self.store
            .refuse_appends(refuses.then_some(StoreFailure::Full));
    }

    /// The batches of a partition from `from` on, as far as the store has them: at most
    /// `bytes`, but one at least. The log may start within the first one.
    pub(crate) fn batches(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes: usize,
    ) -> Vec<RecordBatch> {
        let Some(cell) = self.cells.get(&partition) else {
            return Vec::new();
        };
        let bounds = self.store.bounds(cell.log).expect("the log exists");
        let from = from.max(bounds.start);
        if bounds.end <= from {
            return Vec::new();
        }
        let read = self
            .store
            .read(cell.log, from, bounds.end, bytes, true, ReadMode::Blocking);
        match read.expect("the range is within the log") {
            ReadOutcome::Ready(batches) => batches,
            ReadOutcome::WouldBlock => unreachable!("a blocking read does not ask to be repeated"),
        }
    }

    /// What the batches of `from..until` look like, as far as the store has them.
    pub(crate) fn stamps(&self, partition: PartitionId, from: Offset, until: Offset) -> Vec<Stamp> {
        let Some(cell) = self.cells.get(&partition) else {
            return Vec::new();
        };
        let bounds = self.store.bounds(cell.log).expect("the log exists");
        let mut next = from.max(bounds.start);
        let mut stamps = Vec::new();
        while next < until.min(bounds.end) {
            let page = self
                .store
                .headers(cell.log, next, 64)
                .expect("within the log");
            let Some(last) = page.last() else {
                break;
            };
            next = last.next_offset();
            let within = page.iter().filter(|header| header.next_offset() <= until);
            stamps.extend(within.map(|header| Stamp {
                base: header.base_offset,
                next: header.next_offset(),
                epoch: header.leader_epoch,
                crc: header.crc,
            }));
        }
        stamps
    }

    /// Where the log of a partition ends on the disk, whether the broker is up or not.
    pub(crate) fn durable_end(&self, partition: PartitionId) -> Offset {
        let mut summaries = self.store.logs().into_iter();
        let tp = topic_partition(partition);
        let log = summaries.rfind(|summary| summary.tp == tp);
        log.map_or(Offset::ZERO, |log| {
            self.store.bounds(log.id).expect("the log exists").end
        })
    }

    /// The partition is another broker's now: what it left behind goes. Says whether
    /// there was anything.
    pub(crate) fn retire(&mut self, partition: PartitionId) -> bool {
        let was_open = self.cells.remove(&partition).is_some();
        let tp = topic_partition(partition);
        let mut logs = self.store.logs().into_iter();
        let log = logs.find(|summary| summary.tp == tp);
        let log = log.expect("the log was created at the start").id;
        let bounds = self.store.bounds(log).expect("the log exists");
        if !was_open && bounds.end == Offset::ZERO {
            return false;
        }
        self.store.submit(Op::Drop { log });
        self.store.drain();
        let created = self.store.create(tp);
        created.expect("the one before it was dropped");
        self.store.drain();
        true
    }

    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.cells.keys().copied().collect()
    }

    /// Everything that the store has of a partition within its bounds.
    pub(crate) fn scan(&self, partition: PartitionId) -> (Offset, Offset, Vec<(Offset, Value)>) {
        let Some(cell) = self.cells.get(&partition) else {
            return (Offset::ZERO, Offset::ZERO, Vec::new());
        };
        let bounds = self.store.bounds(cell.log).expect("the log exists");
        let records = self.read(partition, bounds.start, bounds.end, usize::MAX);
        (bounds.start, bounds.end, records)
    }

    /// The records of `from..until`, in whole batches of at most `bytes`.
    pub(crate) fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        until: Offset,
        bytes: usize,
    ) -> Vec<(Offset, Value)> {
        let Some(cell) = self.cells.get(&partition) else {
            return Vec::new();
        };
        let read = self
            .store
            .read(cell.log, from, until, bytes, true, ReadMode::Blocking);
        let ReadOutcome::Ready(batches) = read.expect("the range is within the log") else {
            return Vec::new();
        };
        let records = batches.iter().flat_map(value::values_of);
        records.filter(|(offset, _)| *offset >= from).collect()
    }
}

impl Cell {
    /// When this cell has something to do by itself.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        // Where the groups cannot write, nothing of theirs is due.
        let can_write = self.partition.can_append_hosted().is_ok();
        let host = self.host.as_ref().filter(|_| can_write);
        let host = host.and_then(Host::next_deadline);
        let deadlines = [self.partition.next_deadline(), host];
        deadlines.into_iter().flatten().min()
    }

    /// Tells the groups what is committed now; what they say to that.
    fn pass_on_commits(&mut self, effects: &[Effect]) -> Replies {
        let Some(host) = &mut self.host else {
            return Replies::new();
        };
        let mut replies = Replies::new();
        for effect in effects {
            if let Effect::Committed { end } = effect {
                replies.extend(host.on_committed(*end));
            }
        }
        replies
    }

    /// Carries out an effect if it concerns the store or readers.
    fn carry_out(&mut self, effect: &Effect, store: &MemoryStore) {
        let log = self.log;
        match effect {
            Effect::Write { batch } => {
                self.shadow.write(*batch.header());
                store.submit(Op::Append {
                    log,
                    incarnation: self.incarnation,
                    batch: batch.clone(),
                    sync: false,
                });
            }
            Effect::StartOffset { to } => {
                self.shadow.begin_anew(*to);
                store.submit(Op::StartOffset { log, to: *to });
            }
            Effect::Truncate { to } => store.submit(Op::Truncate { log, to: *to }),
            Effect::Checkpoint { bytes } => {
                self.shadow.keep_checkpoint(bytes.clone());
                store.submit(Op::State {
                    log,
                    key: Bytes::from_static(CHECKPOINT_KEY),
                    value: bytes.clone(),
                });
            }
            Effect::Publish(view) => self.published = *view,
            Effect::CommittedLost { .. }
            | Effect::Refollow
            | Effect::Acknowledge { .. }
            | Effect::ProposeIsr { .. }
            | Effect::Committed { .. }
            | Effect::Reply { .. } => (),
        }
    }
}

impl Shadow {
    /// What a log has on disk.
    fn load(store: &MemoryStore, log: LogId) -> Self {
        let bounds = store.bounds(log).expect("the log exists");
        let mut shadow = Self {
            start: bounds.start,
            end: bounds.end,
            checkpoint: None,
            headers: Vec::new(),
        };
        let checkpoint = store.state(log, CHECKPOINT_KEY).expect("the log exists");
        if let Some(bytes) = checkpoint {
            shadow.keep_checkpoint(bytes);
        }
        let mut next = shadow.begin().next();
        while next < bounds.end {
            let page = store.headers(log, next, 16).expect("within the log");
            let Some(last) = page.last() else {
                break; // It was cut within a batch, which went whole.
            };
            next = last.next_offset();
            shadow.headers.extend(page);
        }
        shadow
    }

    pub(crate) fn recover(&self, now: Millis, id: BrokerId, settings: Settings) -> Partition {
        let mut recovery = self.begin();
        for header in &self.headers {
            recovery.feed(header);
        }
        recovery.finish(now, id, settings)
    }

    fn begin(&self) -> Recovery {
        match &self.checkpoint {
            Some(bytes) => Recovery::from_checkpoint(bytes, self.start, self.end)
                .expect("a checkpoint is kept as it was written"),
            None => Recovery::from_start(self.start),
        }
    }

    fn begin_anew(&mut self, start: Offset) {
        self.start = start;
        if self.end < start {
            self.end = start;
            self.headers.clear();
        }
    }

    fn write(&mut self, header: BatchHeader) {
        self.end = header.next_offset();
        self.headers.push(header);
    }

    fn keep_checkpoint(&mut self, bytes: Bytes) {
        self.checkpoint = Some(bytes).filter(|bytes| !bytes.is_empty());
        let covered = self.begin().next();
        self.headers.retain(|header| covered < header.next_offset());
    }
}

/// The epoch of a partition's next leader.
pub(crate) const fn next_epoch(epoch: LeaderEpoch) -> LeaderEpoch {
    LeaderEpoch(epoch.0 + 1)
}
