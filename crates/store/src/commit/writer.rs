//! The one place that changes anything: whatever was submitted while the disk was
//! busy becomes one write, one sync and one change of the index.
//!
//! A thread of its own does it, which may wait for the disk. What needs no more
//! than a write to the page cache is done by the very thread that submitted it, for
//! which that takes less time than waking another.

mod job;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::entry::{Entry, FileNumber, Outgoing, Position};
use super::file::{CommitFile, is_full};
use super::remover::{Dead, Remover};
use super::space;
use super::syncer::Syncer;
use crate::audience::Call;
use crate::keys;
use crate::memory::Stepping;
use crate::queue::{Command, Outlook, Wake};
use crate::rocks::changes::Changes;
use crate::rocks::fold::{Fold, Origin};
use crate::rocks::index::IndexError;
use crate::rocks::log::Log;
use crate::rocks::shared::Shared;
use crate::rocks::standby::{Flush, Places, Standby};
use crate::rocks::tail_cache::TailCache;
use crate::{Durability, LogId, Op, StoreFailure};

/// A group is closed when it holds this much.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Room for the entry that seals a file.
const SEAL_BYTES: u32 = 32;
/// What only entries that free space, or are needed to, may fill when the disk is
/// full; at most a sixteenth of a file.
const RESERVE_MAX: u32 = 1024 * 1024;
/// What of a file is allocated at first, unless it is smaller; and the smallest file
/// that is worth having where a disk is nearly full.
pub(crate) const FILE_BYTES_LEAST: u32 = 4 * 1024 * 1024;
/// Dead files that are kept for reuse.
const SPARES_MAX: usize = 2;
/// How often a full disk is asked again on behalf of an entry that must be written.
const FULL_RETRY: Duration = Duration::from_millis(50);
/// Between two looks at whether a dead file may go.
const HOUSEKEEPING: Duration = Duration::from_millis(200);
/// How long state that nobody waits for stays in the page cache.
const IDLE_SYNC: Duration = Duration::from_secs(1);

/// How the writer works.
#[derive(Clone, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) durability: Durability,
    pub(crate) file_bytes: u32,
    pub(crate) disk: Disk,
    pub(crate) stepping: Stepping,
    /// Where copies of the index are kept, if they are.
    pub(crate) copies: Option<Places>,
}

/// Owned by whoever carries out what was taken from the queue; [`run`] is the thread
/// that may wait for the disk.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    options: WriterOptions,
    fold: Fold,
    tails: TailCache,
    active: Active,
    outgoing: Outgoing,
    /// The group must be durable before anybody hears of it.
    group_syncs: bool,
    /// There is state that only the index has.
    index_is_alone: bool,
    /// Everything below is durable.
    synced: Position,
    /// Files with bytes that may not be.
    dirty: Vec<Arc<CommitFile>>,
    dirty_since: Option<Instant>,
    /// Somebody wants all that is dirty durable by then.
    sync_by: Option<Instant>,
    syncer: Option<Syncer>,
    remover: Option<Remover>,
    standby: Option<Standby>,
    /// When what is due beside the operations was last looked for.
    house_kept: Instant,
    /// Where it happened was not the place to end the store.
    fatal: Option<Fatal>,
    spares: Vec<PathBuf>,
    /// The last file ended because it was full, or more is stored than a file holds.
    wants_spares: bool,
    /// A flush of the index that was begun, and where a replay begins after it. It ends
    /// when the index has been copied.
    flushing: Option<Flush>,
    /// The last flush that was begun.
    flushes: u64,
    /// A flush is due as soon as there is room for it, and no other under way.
    flush_again: bool,
    /// No replay begins before this, also with the copy of the index.
    flushed: Position,
    /// Files that the index on disk or its copy may still point at, until the flush under
    /// way is done.
    leaving: BTreeSet<FileNumber>,
    /// What of the next file is allocated before it is used.
    first_bytes: u32,
}

/// The file that entries are added to.
#[derive(Debug)]
struct Active {
    file: Arc<CommitFile>,
    at: u32,
    capacity: u32,
}

/// The store can go no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Index(#[from] IndexError),
    /// The store ended while the writer waited.
    #[error("the store was given up")]
    Abandoned,
}

/// What the writer starts from.
pub(crate) struct Start {
    pub(crate) fold: Fold,
    pub(crate) tails: TailCache,
    pub(crate) file: Arc<CommitFile>,
    pub(crate) capacity: u32,
    pub(crate) end: Position,
    /// What the index surely holds, and its copy too.
    pub(crate) flushed: Position,
    /// The last flush that was begun.
    pub(crate) flushes: u64,
    /// There is a copy of the index.
    pub(crate) is_copied: bool,
    pub(crate) spares: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Found,
    Full,
}

/// The writer's thread: carries out what nobody else may, until the store ends.
pub(crate) fn run(shared: &Arc<Shared>, writer: &Mutex<Writer>) {
    // Whoever waits for the writer must not wait for ever should it die.
    let _guard = Abandon(shared.clone());
    work(shared, writer);
    // Whoever ends the store finds its directory at rest.
    let mut writer = locked(writer);
    writer.remover = None;
    writer.standby = None;
}

fn work(shared: &Arc<Shared>, writer: &Mutex<Writer>) {
    let mut commands = Vec::new();
    loop {
        let outlook = locked(writer).outlook();
        shared.queue.put_down(outlook);
        let wake = shared.queue.take(&mut commands);
        let mut writer = locked(writer);
        match writer.turn(wake, &mut commands) {
            Ok(Turn::GoOn) => {}
            Ok(Turn::Stop) | Err(Fatal::Abandoned) => return,
            Err(fatal) => return writer.fail(&fatal),
        }
    }
}

/// What the writer's thread does next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    GoOn,
    Stop,
}

/// Only whoever took something from the queue asks, so nobody waits here.
pub(crate) fn locked(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().expect("no holder panics")
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("active", &self.active)
            .field("synced", &self.synced)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, options: WriterOptions, start: Start) -> Self {
        let standby = options.copies.clone().map(Standby::new);
        Self {
            shared,
            flush_again: standby.is_some() && !start.is_copied,
            standby,
            first_bytes: FILE_BYTES_LEAST,
            leaving: BTreeSet::new(),
            options,
            fold: start.fold,
            tails: start.tails,
            active: Active {
                file: start.file,
                at: start.end.at,
                capacity: start.capacity,
            },
            outgoing: Outgoing::default(),
            group_syncs: false,
            index_is_alone: false,
            synced: start.end,
            dirty: Vec::new(),
            dirty_since: None,
            sync_by: None,
            syncer: None,
            remover: None,
            house_kept: Instant::now(),
            fatal: None,
            spares: start.spares,
            wants_spares: true,
            flushing: None,
            flushes: start.flushes,
            flushed: start.flushed,
        }
    }

    /// Carries out what was taken from the queue on a thread that must not wait for
    /// a disk.
    pub(crate) fn carry_out_here(&mut self, commands: &mut Vec<Command>) -> Outlook {
        self.fatal = self.carry_out(commands, false).err();
        self.outlook()
    }

    /// Does what there is a reason for.
    fn turn(&mut self, wake: Wake, commands: &mut Vec<Command>) -> Result<Turn, Fatal> {
        match (self.fatal.take(), wake) {
            (_, Wake::Abandoned) => return Ok(Turn::Stop),
            (Some(fatal), _) => return Err(fatal),
            (None, Wake::Work { sync }) => {
                self.carry_out(commands, sync)?;
                self.keep_house()?;
            }
            (None, Wake::Deadline) => self.keep_house()?,
            (None, Wake::Closed) => {
                self.finish();
                return Ok(Turn::Stop);
            }
        }
        Ok(Turn::GoOn)
    }

    /// One turn of a writer without a thread of its own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn step(&mut self) {
        let queue = self.shared.clone();
        let queue = &queue.queue;
        queue.put_down(self.outlook());
        let mut commands = Vec::new();
        let wake = queue.take_now(&mut commands).unwrap_or(Wake::Deadline);
        if let Err(fatal) = self.turn(wake, &mut commands) {
            self.give_up(&fatal);
        }
        queue.put_down(self.outlook());
    }

    /// How much may be carried out like that, and when the thread has to look.
    fn outlook(&self) -> Outlook {
        if self.fatal.is_some() {
            return Outlook {
                here_bytes_max: 0,
                deadline: Some(Instant::now()),
            };
        }
        let kept = u64::from(self.reserve()) + u64::from(SEAL_BYTES);
        let room = u64::from(self.active.capacity - self.active.at);
        let here_bytes_max = match self.options.durability {
            Durability::Fsync => 0,
            Durability::PageCache { .. } => room.saturating_sub(kept),
        };
        Outlook {
            here_bytes_max,
            deadline: self.deadline(),
        }
    }

    /// Makes everything durable, index included, so that the next start replays
    /// nothing.
    fn finish(&mut self) {
        let done = self.sync_all().map_err(Fatal::from);
        let done = done.and_then(|()| Ok(self.next_flush()?));
        let done = done.and_then(|flush| Ok(self.shared.index.flush().map(|()| flush)?));
        let done = done.and_then(|flush| {
            if self.index_is_alone {
                return self.forget_copy();
            }
            if let Some(standby) = &mut self.standby {
                standby.ensure(&self.shared, flush);
            }
            Ok(())
        });
        match done {
            Ok(()) => {}
            Err(Fatal::Index(IndexError::Full)) if !self.index_is_alone => {
                tracing::warn!("the disk has no room for the index: the next start replays");
            }
            Err(fatal) => self.fail(&fatal),
        }
    }

    fn carry_out(&mut self, commands: &mut Vec<Command>, sync: bool) -> Result<(), Fatal> {
        for command in commands.drain(..) {
            self.add(command)?;
        }
        self.group_syncs |= sync;
        self.finish_group()?;
        if sync && self.index_is_alone {
            self.force_flush()?;
            self.forget_copy()?;
            self.index_is_alone = false;
        }
        if sync {
            self.shared.queue.mark_durable();
        }
        Ok(())
    }

    fn add(&mut self, command: Command) -> Result<(), Fatal> {
        if self.outgoing.size() >= GROUP_BYTES_MAX {
            self.finish_group()?;
        }
        let op = match command {
            Command::Create { log, .. } => {
                let log = self.shared.logs.get(log);
                return log.map_or(Ok(()), |log| self.ensure_created(&log));
            }
            Command::Job(command) => return self.serve(command),
            Command::SetApart(log) => {
                let log = self.shared.logs.get(log);
                let call = log.and_then(|log| log.state().audience.fail_now(StoreFailure::Damaged));
                return self.announce(call);
            }
            Command::Op(op) => op,
        };
        let Some(log) = self.shared.logs.get(op.log()) else {
            return Ok(());
        };
        match op {
            Op::Append {
                incarnation,
                batch,
                sync,
                ..
            } => self.append(&log, incarnation, Entry::Batch(batch), sync),
            Op::State { key, value, .. } => self.keep_state(&log, key, value),
            Op::Truncate { to, .. } => self.cut(&log, Entry::Truncate(to)),
            Op::StartOffset { to, .. } => self.cut(&log, Entry::StartOffset(to)),
            Op::Drop { .. } => self.cut(&log, Entry::Drop),
            Op::Flush { within, .. } => {
                let by = Instant::now().checked_add(within);
                self.sync_by = self.sync_by.into_iter().chain(by).min();
                Ok(())
            }
        }
    }

    fn append(
        &mut self,
        log: &Arc<Log>,
        incarnation: u64,
        entry: Entry,
        sync: bool,
    ) -> Result<(), Fatal> {
        self.ensure_created(log)?;
        if self.fold.conflicts(log.id, Fold::cuts(&entry)) {
            self.finish_group()?;
        }
        let refusal = {
            let mut state = log.state();
            if !state.audience.admits(incarnation) {
                return Ok(());
            }
            let damaged = state.row.damaged.then_some(StoreFailure::Damaged);
            damaged.map(|failure| state.audience.fail(incarnation, failure))
        };
        if let Some(call) = refusal {
            self.announce(call)?;
            return Ok(());
        }
        let has_room = self.shared.index.has_room()?;
        if !has_room || self.find_room(&entry, self.reserve())? == Room::Full {
            let call = log.state().audience.fail(incarnation, StoreFailure::Full);
            return self.announce(call);
        }
        let position = self.place(log.id, &entry);
        if let Entry::Batch(batch) = &entry {
            let origin = Origin::Machine { incarnation };
            self.fold.append(log, batch, position, origin);
        }
        self.group_syncs |= sync || self.options.durability == Durability::Fsync;
        Ok(())
    }

    /// A refusal comes behind whatever the log was told before.
    fn announce(&mut self, call: Option<Call>) -> Result<(), Fatal> {
        self.finish_group()?;
        if let Some(call) = call {
            call.make();
        }
        Ok(())
    }

    fn keep_state(
        &mut self,
        log: &Arc<Log>,
        key: bytes::Bytes,
        value: bytes::Bytes,
    ) -> Result<(), Fatal> {
        self.ensure_created(log)?;
        if self.fold.conflicts(log.id, false) {
            self.finish_group()?;
        }
        let entry = Entry::State { key, value };
        let mut position = None;
        if self.find_room(&entry, self.reserve())? == Room::Found {
            position = Some(self.place(log.id, &entry));
        } else {
            // The index alone keeps it, and must not be told by a replay what was there
            // before.
            self.finish_group()?;
            self.sync_all()?;
            self.index_is_alone = true;
        }
        if let Entry::State { key, value } = entry {
            self.fold.state(log, key, value, position);
        }
        Ok(())
    }

    fn cut(&mut self, log: &Arc<Log>, entry: Entry) -> Result<(), Fatal> {
        self.ensure_created(log)?;
        if self.fold.conflicts(log.id, true) {
            self.finish_group()?;
        }
        self.force_room(&entry)?;
        self.place(log.id, &entry);
        let index = &self.shared.index;
        let cut = match entry {
            Entry::Truncate(to) => self.fold.truncate(index, log, to),
            Entry::StartOffset(to) => self.fold.start_offset(index, log, to),
            Entry::Drop => self.fold.drop_log(index, log),
            Entry::Create(_) | Entry::Batch(_) | Entry::State { .. } | Entry::Seal => Ok(()),
        };
        if let Err(error) = cut {
            self.do_without(log, error)?;
            if entry == Entry::Drop {
                self.fold.drop_unseen(log);
            }
        }
        // The rows that it removes cannot be brought back, so the index must not hear of
        // it before it is durable. What only moves the start harms nobody.
        let is_final = !matches!(entry, Entry::StartOffset(_));
        self.group_syncs |= is_final || self.options.durability == Durability::Fsync;
        Ok(())
    }

    /// Rows of a log are needed and cannot be had. Where the next start has others, the
    /// log waits for that.
    fn do_without(&self, log: &Log, error: IndexError) -> Result<(), IndexError> {
        if !matches!(error, IndexError::Damaged(_)) || !self.is_to_be_restored() {
            return Err(error);
        }
        self.shared.set_apart(log, &error);
        Ok(())
    }

    /// The commit log names the log before it says anything else about it.
    fn ensure_created(&mut self, log: &Arc<Log>) -> Result<(), Fatal> {
        let tp = {
            let state = log.state();
            if state.is_written || self.fold.touches(log.id) {
                return Ok(());
            }
            state.row.tp
        };
        let entry = Entry::Create(tp);
        self.force_room(&entry)?;
        self.place(log.id, &entry);
        self.fold.create(log, tp);
        self.group_syncs |= self.options.durability == Durability::Fsync;
        Ok(())
    }

    /// Adds an entry to the group, for which there is room.
    fn place(&mut self, log: LogId, entry: &Entry) -> Position {
        let position = self.next_position();
        self.outgoing.push(log, entry, position.file, self.synced);
        position
    }

    /// Where the next entry of the group will lie.
    fn next_position(&self) -> Position {
        let ahead = u32::try_from(self.outgoing.size()).expect("a group fits its file");
        Position {
            file: self.active.file.number,
            at: self.active.at + ahead,
        }
    }

    fn reserve(&self) -> u32 {
        RESERVE_MAX.min(self.active.capacity / 16)
    }

    /// Makes room, and waits until there is some, or until the store ends: then what
    /// does not fit is lost, as in a crash.
    fn force_room(&mut self, entry: &Entry) -> Result<(), Fatal> {
        while self.find_room(entry, 0)? == Room::Full {
            self.wait_for_space()?;
        }
        Ok(())
    }

    /// Makes the index durable, as soon as there is space for it.
    fn force_flush(&mut self) -> Result<(), Fatal> {
        loop {
            match self.shared.index.flush() {
                Err(IndexError::Full) => self.wait_for_space()?,
                flushed => return Ok(flushed?),
            }
        }
    }

    /// The index has state that its copy would not get from the commit log.
    fn forget_copy(&mut self) -> Result<(), Fatal> {
        if self.is_to_be_restored() {
            return Err(IndexError::Damaged("only it has what was last written".into()).into());
        }
        if let Some(standby) = &mut self.standby {
            standby.forget()?;
            self.flush_again = true;
        }
        Ok(())
    }

    /// The next start takes the copy of the index: until then it stays as it is, and so
    /// does whatever it needs.
    fn is_to_be_restored(&self) -> bool {
        let is_damaged = self.shared.index.is_damaged();
        is_damaged && self.standby.as_ref().is_some_and(Standby::can_restore)
    }

    fn wait_for_space(&mut self) -> Result<(), Fatal> {
        if self.shared.queue.is_ending() {
            return Err(Fatal::Abandoned);
        }
        if self.options.stepping == Stepping::Thread {
            std::thread::sleep(FULL_RETRY);
        }
        self.keep_house()
    }

    /// Makes room for an entry that leaves `reserve` free, in another file if need
    /// be.
    fn find_room(&mut self, entry: &Entry, reserve: u32) -> Result<Room, Fatal> {
        let Some(size) = entry.size() else {
            return Ok(Room::Full);
        };
        let needed = u64::from(size) + u64::from(SEAL_BYTES) + u64::from(reserve);
        let at = u64::from(self.next_position().at);
        if at + needed <= u64::from(self.active.capacity) {
            return Ok(Room::Found);
        }
        let Ok(needed) = u32::try_from(needed) else {
            return Ok(Room::Full);
        };
        self.finish_group()?;
        match self.extend(needed)? {
            Room::Found => Ok(Room::Found),
            Room::Full => {
                self.wants_spares = true;
                self.roll(needed)
            }
        }
    }

    /// Allocates more of the active file, so that `needed` bytes fit: a file that little
    /// comes to takes little space.
    fn extend(&mut self, needed: u32) -> Result<Room, Fatal> {
        let Active { file, at, capacity } = &self.active;
        let doubled = capacity.saturating_mul(2).max(at.saturating_add(needed));
        let size = doubled.min(self.options.file_bytes);
        let fits = at.saturating_add(needed) <= size && size > *capacity;
        let more = size.saturating_sub(*capacity);
        let (disk, dir) = (&self.options.disk, &self.shared.commit_dir);
        if !fits || space::fitting(disk, dir, more, more)?.is_none() {
            return Ok(Room::Full);
        }
        match file.extend(*capacity, size) {
            Ok(()) => {
                self.active.capacity = size;
                Ok(Room::Found)
            }
            Err(error) if is_full(&error) => Ok(Room::Full),
            Err(error) => Err(error.into()),
        }
    }

    /// Seals the active file and goes on in a new one, in which `needed` bytes fit.
    fn roll(&mut self, needed: u32) -> Result<Room, Fatal> {
        let number = FileNumber(self.active.file.number.0 + 1);
        let Some((file, size)) = self.new_file(number, needed)? else {
            return Ok(Room::Full);
        };
        self.outgoing
            .push(LogId(0), &Entry::Seal, self.active.file.number, self.synced);
        self.finish_group()?;
        self.fold.on_sealed(self.active.file.number);
        self.first_bytes = FILE_BYTES_LEAST;
        let file = Arc::new(file);
        self.shared.insert_file(file.clone());
        self.active = Active {
            file,
            at: 0,
            capacity: size,
        };
        // A restart replays little more than one file.
        self.begin_flush()?;
        tracing::debug!(file = number.0, "the commit log goes on in a new file");
        Ok(Room::Found)
    }

    /// A file with room for `needed` bytes, and its size; none if the disk is full.
    fn new_file(
        &mut self,
        number: FileNumber,
        needed: u32,
    ) -> Result<Option<(CommitFile, u32)>, Fatal> {
        let spare = self.spares.pop();
        let (disk, dir) = (&self.options.disk, &self.shared.commit_dir);
        let wanted = match spare {
            Some(_) => self.options.file_bytes.max(needed),
            None => self.first_bytes.min(self.options.file_bytes).max(needed),
        };
        let least = FILE_BYTES_LEAST.clamp(needed, wanted);
        let size = match spare {
            Some(_) => wanted,
            None => match space::fitting(disk, dir, wanted, least)? {
                Some(size) => size,
                None => return Ok(None),
            },
        };
        match CommitFile::create(disk, dir, number, size, spare.as_deref()) {
            Ok(file) => Ok(Some((file, size))),
            Err(error) if is_full(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the group, makes it as durable as it must be, indexes it, and tells
    /// those who wait.
    fn finish_group(&mut self) -> Result<(), Fatal> {
        if !self.outgoing.is_empty() {
            self.active
                .file
                .write(self.outgoing.segments(), self.active.at)?;
            self.active.at = self.next_position().at;
            self.outgoing.clear();
            self.mark_dirty();
        }
        if std::mem::take(&mut self.group_syncs) {
            self.sync_all()?;
        }
        if self.fold.is_empty() {
            return Ok(());
        }
        self.commit_positions()?;
        let calls = self.fold.publish(&self.shared.logs, &mut self.tails);
        calls.into_iter().for_each(Call::make);
        Ok(())
    }

    /// What the index is told before it is written out.
    fn next_flush(&mut self) -> Result<Flush, IndexError> {
        self.commit_positions()?;
        self.flushes += 1;
        let mut changes = Changes::default();
        changes.set(keys::FLUSH, self.flushes.to_be_bytes());
        self.shared.index.write(&mut changes)?;
        Ok(Flush {
            number: self.flushes,
            position: self.synced,
        })
    }

    fn commit_positions(&mut self) -> Result<(), IndexError> {
        let end = self.end();
        self.fold.commit(&self.shared.index, end, self.synced)
    }

    fn end(&self) -> Position {
        Position {
            file: self.active.file.number,
            at: self.active.at,
        }
    }

    fn mark_dirty(&mut self) {
        self.dirty_since.get_or_insert_with(Instant::now);
        let number = self.active.file.number;
        if self.dirty.last().map(|file| file.number) != Some(number) {
            self.dirty.push(self.active.file.clone());
        }
    }

    fn sync_all(&mut self) -> Result<(), std::io::Error> {
        if let Some(syncer) = &mut self.syncer {
            syncer.wait()?;
        }
        let mut dirty = self.dirty.drain(..);
        let flushes = &self.shared.flushes;
        flushes.flush(|| dirty.try_for_each(|file| file.sync()))?;
        drop(dirty);
        self.forget_dirt();
        self.synced = self.end();
        Ok(())
    }

    /// When something is due though nothing is submitted.
    fn deadline(&self) -> Option<Instant> {
        let soon = self.house_kept + HOUSEKEEPING;
        let is_busy = self.syncer.as_ref().is_some_and(Syncer::is_busy);
        let sync = match self.dirty_since {
            Some(_) if is_busy => Some(soon),
            Some(since) => Some(self.sync_due(since)),
            None => None,
        };
        let sealed = ..self.active.file.number;
        let is_untidy = self.fold.dead.range(sealed).next().is_some();
        let is_flushing = self.flush_again || self.flushing.is_some();
        let house = (is_untidy || is_flushing).then_some(soon);
        match (sync, house) {
            (Some(sync), Some(house)) => Some(sync.min(house)),
            (sync, house) => sync.or(house),
        }
    }

    /// When something that was written at `since` is to be durable.
    fn sync_due(&self, since: Instant) -> Instant {
        let due = since + self.sync_delay();
        self.sync_by.map_or(due, |by| due.min(by))
    }

    /// Whether what was written then should be durable by now. Without a thread no
    /// clock is looked at.
    fn is_old(&self, since: Instant) -> bool {
        match self.options.stepping {
            Stepping::Thread => Instant::now() >= self.sync_due(since),
            Stepping::Manual => self.sync_delay().is_zero(),
        }
    }

    const fn sync_delay(&self) -> Duration {
        match self.options.durability {
            Durability::Fsync => IDLE_SYNC,
            Durability::PageCache { flush_interval } => flush_interval,
        }
    }

    const fn forget_dirt(&mut self) {
        self.dirty_since = None;
        self.sync_by = None;
    }

    /// What is due beside the operations themselves.
    fn keep_house(&mut self) -> Result<(), Fatal> {
        self.house_kept = Instant::now();
        self.sync_what_is_old()?;
        if self.is_to_be_restored() {
            return Ok(());
        }
        self.follow_flush()?;
        if self.flush_again && self.flushing.is_none() {
            self.begin_flush()?;
        }
        if !self.fold.dead.is_empty() {
            self.remove_dead_files()?;
        }
        Ok(())
    }

    /// What was flushed is copied too, before anything goes that it would need.
    fn follow_flush(&mut self) -> Result<(), Fatal> {
        let Some(flush) = self.flushing else {
            return Ok(());
        };
        let is_done = match &mut self.standby {
            Some(standby) if standby.is_busy() => standby.is_done(),
            standby => {
                let is_flushed = self.shared.index.is_flushed()?;
                if let Some(standby) = standby.as_mut().filter(|_| is_flushed) {
                    standby.begin(self.shared.clone(), flush);
                    return Ok(());
                }
                is_flushed
            }
        };
        if is_done {
            self.flushed = flush.position;
            self.flushing = None;
            self.leaving.clear();
        }
        Ok(())
    }

    fn sync_what_is_old(&mut self) -> Result<(), Fatal> {
        if let Some(syncer) = &mut self.syncer
            && let Some(synced) = syncer.poll()?
        {
            self.synced = self.synced.max(synced);
        }
        if !self.dirty_since.is_some_and(|since| self.is_old(since)) {
            return Ok(());
        }
        self.begin_sync()
    }

    /// What was written becomes durable, soon at least.
    fn begin_sync(&mut self) -> Result<(), Fatal> {
        match self.options.durability {
            Durability::Fsync => self.sync_all()?,
            Durability::PageCache { .. } => {
                let (end, stepping) = (self.end(), self.options.stepping);
                let syncer = self.syncer.get_or_insert_with(|| Syncer::start(stepping));
                if !syncer.is_busy() {
                    syncer.begin(std::mem::take(&mut self.dirty), end);
                    self.forget_dirt();
                }
            }
        }
        Ok(())
    }

    fn begin_flush(&mut self) -> Result<(), Fatal> {
        if self.flushing.is_some() {
            self.flush_again = true;
            return Ok(());
        }
        let flush = self.next_flush()?;
        match self.shared.index.begin_flush() {
            Err(IndexError::Full) => {
                self.flush_again = true;
                return Ok(());
            }
            begun => begun?,
        }
        self.flush_again = false;
        self.flushing = Some(flush);
        self.leaving.append(&mut self.fold.left);
        Ok(())
    }

    /// A file goes when neither the index nor a replay can ask for it again.
    fn remove_dead_files(&mut self) -> Result<(), Fatal> {
        let end = self.end();
        let mut gone = Vec::new();
        let mut waits = false;
        for (number, since) in &mut self.fold.dead {
            let since = *since.get_or_insert(end);
            if *number >= end.file {
                continue;
            }
            let is_left = self.leaving.contains(number) || self.fold.left.contains(number);
            if *number >= self.flushed.file || is_left {
                waits = true;
            } else if since <= self.synced && !self.shared.is_being_filled(*number) {
                gone.push(*number);
            }
        }
        if waits && self.flushing.is_none() {
            self.begin_flush()?;
        }
        for number in gone {
            self.fold.forget_file(number);
            self.remove_file(number)?;
        }
        Ok(())
    }

    fn remove_file(&mut self, number: FileNumber) -> Result<(), Fatal> {
        let Some(file) = self.shared.remove_file(number) else {
            return Ok(());
        };
        // A reader that still holds it must not see it filled anew.
        let is_free = Arc::strong_count(&file) == 1;
        let is_whole = file.length()? == u64::from(self.options.file_bytes);
        let keep = is_free && is_whole && self.wants_spares && self.spares.len() < SPARES_MAX;
        if keep {
            self.spares.extend(file.retire(&self.options.disk, keep)?);
        } else {
            self.discard(Dead::Commit(file))?;
        }
        tracing::debug!(file = %number, keep, "a dead file was removed");
        Ok(())
    }

    fn discard(&mut self, file: Dead) -> Result<(), std::io::Error> {
        let disk = &self.options.disk;
        if self.options.stepping == Stepping::Manual {
            return file.remove(disk);
        }
        let remover = self
            .remover
            .get_or_insert_with(|| Remover::start(disk.clone()));
        remover.remove(file);
        Ok(())
    }

    /// The end of the store: everybody hears why, now and later.
    fn fail(&mut self, fatal: &Fatal) {
        let failure = self.give_up(fatal);
        self.refuse_all(&failure);
    }

    fn give_up(&self, fatal: &Fatal) -> StoreFailure {
        tracing::error!(reason = %fatal, "the log store failed and accepts nothing any more");
        let failure = StoreFailure::Io(fatal.to_string());
        self.shared.set_failure(failure.clone());
        let logs = self.shared.logs.all();
        let calls = logs
            .iter()
            .filter_map(|log| log.state().audience.fail_now(failure.clone()));
        calls.for_each(Call::make);
        failure
    }

    fn refuse_all(&self, failure: &StoreFailure) {
        let mut commands = Vec::new();
        loop {
            self.shared.queue.mark_durable();
            self.shared.queue.put_down(Outlook::default());
            match self.shared.queue.take(&mut commands) {
                Wake::Work { .. } | Wake::Deadline => {}
                Wake::Closed | Wake::Abandoned => return,
            }
            for command in commands.drain(..) {
                self.refuse(&command, failure);
            }
        }
    }

    fn refuse(&self, command: &Command, failure: &StoreFailure) {
        let Command::Op(Op::Append {
            log, incarnation, ..
        }) = command
        else {
            return;
        };
        let Some(log) = self.shared.logs.get(*log) else {
            return;
        };
        let call = {
            let mut state = log.state();
            let is_welcome = state.audience.admits(*incarnation);
            is_welcome.then(|| state.audience.fail(*incarnation, failure.clone()))
        };
        if let Some(call) = call.flatten() {
            call.make();
        }
    }
}

/// Lets go of everybody who waits for the writer.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
