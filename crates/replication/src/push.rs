//! What a leader sends to one follower: who is to be sent what next, and how much may
//! be on its way.
//!
//! Nothing is kept here but positions. A partition with news is marked, and when its
//! turn comes what follows its position is read: what was just appended from memory,
//! before any disk has it, and what is older from the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use ottla_partition::{FollowPosition, Place};
use ottla_protocol::records::RecordBatch;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use crate::convert::{Acknowledged, FromLeader, Hello, LeaderNews, Room, Round};
use crate::replica::{Leading, Node, Read, ReadMode, Role};
use crate::throttle::Throttle;

/// A high watermark that nothing else carries is told so late: in busy times the next
/// records carry it.
const NEWS_DELAY: Duration = Duration::from_millis(5);

/// Partitions of one follower that are read from disk at once.
const DISK_READS_MAX: usize = 2;

/// How much may be on its way to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sent and not yet acknowledged, of all partitions. One alone may take half of
    /// it, and so may all together that are behind.
    pub window_bytes: usize,
    /// In one message.
    pub message_bytes: usize,
}

/// A stream to one follower.
#[derive(Debug)]
pub(crate) struct Push {
    follower: BrokerId,
    broker_epoch: i64,
    limits: Limits,
    node: Arc<dyn Node>,
    throttle: Arc<Throttle>,
    state: Mutex<State>,
    wake: Notify,
    me: std::sync::Weak<Self>,
}

/// How one partition tells one stream that something has happened. Held by the
/// partition.
#[derive(Clone, Debug)]
pub struct News {
    push: Arc<Push>,
    partition: TopicPartition,
}

impl News {
    /// There are records to be read, or the partition leads no more.
    pub fn on_records(&self) {
        self.push.mark(self.partition);
    }

    /// The high watermark or the start of the log has moved.
    pub fn on_position(&self) {
        self.push.mark_moved(self.partition);
    }

    /// Asks whether the follower follows still, unless a later round is asked already.
    pub fn confirm(&self, round: Round) {
        self.push.confirm(self.partition, round);
    }

    /// The term of the follower's broker in which it says what it has; negative if it
    /// had none yet.
    pub fn broker_epoch(&self) -> i64 {
        self.push.broker_epoch
    }

    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.push, &other.push)
    }

    /// Another stream of the same follower has taken this one's place: what is still
    /// said on it counts no more.
    pub fn on_replaced(&self) {
        // The partition itself has let go of it already.
        let ended = self.push.lock().end(self.partition);
        if let Some(ended) = ended {
            // It may be the newer one, where what was said on the older came late.
            self.push
                .answer(self.partition, ended.epoch, LeaderNews::Refused);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<TopicPartition, Sending>,
    /// Answers, which wait for nothing.
    answers: VecDeque<FromLeader>,
    /// Those whose follower is to be asked whether it follows still.
    confirms: VecDeque<TopicPartition>,
    /// Partitions whose follower keeps up, with records to send.
    ready: VecDeque<TopicPartition>,
    /// Those whose follower is behind.
    behind: VecDeque<TopicPartition>,
    /// Those whose records are on a disk, while others are being read.
    on_disk: VecDeque<TopicPartition>,
    disk_reads: usize,
    /// Those that wait for the throttle, and until when.
    throttled: Vec<TopicPartition>,
    throttled_until: Option<Instant>,
    /// Those that have a position to tell, and when it is told.
    moved: Vec<TopicPartition>,
    moved_until: Option<Instant>,
    /// Bytes on their way.
    in_flight: usize,
    /// The turn of those that are behind comes next.
    behind_next: bool,
    last_id: u64,
    closed: bool,
}

/// A partition that a follower is sent.
#[derive(Debug)]
struct Sending {
    /// Another one each time that the partition is followed.
    id: u64,
    leading: Arc<dyn Leading>,
    epoch: LeaderEpoch,
    /// The end of what was sent.
    next: Offset,
    /// Ends of what is on its way, and bytes.
    in_flight: VecDeque<(Offset, usize)>,
    in_flight_bytes: usize,
    /// How much may be on its way while its follower is behind.
    room: usize,
    /// It waits until less of it is on its way.
    is_full: bool,
    told_high_watermark: Offset,
    told_log_start: Offset,
    /// The log starts beyond what was sent: that is told with more of it.
    owes_log_start: bool,
    /// In one of the queues, or being read.
    is_queued: bool,
    /// Something happened since it was last looked at.
    is_marked: bool,
    /// From when its follower comes, or a disk had to be read, until all is sent.
    is_behind: bool,
    is_moved: bool,
    /// The question that is asked when its turn in `confirms` comes.
    confirm: Option<Round>,
    /// What was read from a disk, to be sent when its turn comes.
    read: Option<Read>,
}

/// What is to be done next.
enum Step {
    Send(FromLeader),
    /// Read what follows, then decide.
    Read(Turn),
    /// Let it be read where that may wait for a disk.
    ReadFromDisk(Turn),
    Wait(Option<Instant>),
    Closed,
}

/// The turn of a partition.
struct Turn {
    partition: TopicPartition,
    id: u64,
    leading: Arc<dyn Leading>,
    epoch: LeaderEpoch,
    next: Offset,
    /// What is read at most.
    room: usize,
    read: Option<Read>,
}

impl Push {
    pub(crate) fn new(
        hello: &Hello,
        limits: Limits,
        node: Arc<dyn Node>,
        throttle: Arc<Throttle>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            follower: hello.broker,
            broker_epoch: hello.broker_epoch,
            limits,
            node,
            throttle,
            state: Mutex::default(),
            wake: Notify::new(),
            me: me.clone(),
        })
    }

    /// The follower wants a partition from here on, which this broker leads or has led.
    pub(crate) fn follow(
        &self,
        partition: TopicPartition,
        position: &FollowPosition,
        room: Room,
        leading: Option<Arc<dyn Leading>>,
    ) {
        self.unfollow(partition);
        let Some(leading) = leading else {
            let epoch = LeaderEpoch::NONE;
            return self.answer(partition, epoch, LeaderNews::Refused);
        };
        let (follower, epoch) = (self.follower, position.epoch);
        match leading.place(follower, position, self.news(partition)) {
            Place::From(next) => {
                let Acknowledged { end, log_start, .. } = acknowledged(position);
                leading.replicated(follower, epoch, end, log_start);
                let log_start = leading.role().log_start;
                self.begin(partition, leading, epoch, next, log_start, room);
            }
            Place::BehindStart(start) => {
                self.begin(partition, leading, epoch, start, start, room);
            }
            Place::Diverged { epoch: of, end } => {
                self.answer(partition, epoch, LeaderNews::Diverged { epoch: of, end });
            }
            Place::NotLeader { epoch } => self.answer(partition, epoch, LeaderNews::Refused),
        }
    }

    /// Begins with the position: records follow it.
    fn begin(
        &self,
        partition: TopicPartition,
        leading: Arc<dyn Leading>,
        epoch: LeaderEpoch,
        next: Offset,
        log_start: Offset,
        room: Room,
    ) {
        let role = leading.role();
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return leading.leave(self.follower, &self.news(partition));
        }
        state.last_id += 1;
        let sending = Sending {
            id: state.last_id,
            leading,
            epoch,
            next,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            room: room.map_or(usize::MAX, |room| {
                usize::try_from(room.get()).unwrap_or(usize::MAX)
            }),
            is_full: false,
            told_high_watermark: role.high_watermark,
            told_log_start: log_start,
            owes_log_start: false,
            is_queued: false,
            is_marked: false,
            is_behind: true,
            is_moved: false,
            confirm: None,
            read: None,
        };
        state.partitions.insert(partition, sending);
        state.answers.push_back(FromLeader {
            partition,
            epoch,
            news: LeaderNews::Position {
                high_watermark: role.high_watermark,
                log_start,
            },
        });
        // Whatever has happened since its place was found.
        state.mark(partition);
        state.mark_moved(partition);
        drop(state);
        self.wake.notify_one();
    }

    fn answer(&self, partition: TopicPartition, epoch: LeaderEpoch, news: LeaderNews) {
        self.lock().answers.push_back(FromLeader {
            partition,
            epoch,
            news,
        });
        self.wake.notify_one();
    }

    pub(crate) fn unfollow(&self, partition: TopicPartition) {
        let ended = self.lock().end(partition);
        if let Some(ended) = ended {
            ended.leading.leave(self.follower, &self.news(partition));
            self.wake.notify_one();
        }
    }

    pub(crate) fn acknowledged(&self, partition: TopicPartition, done: Acknowledged) {
        let (leading, has_room) = {
            let mut state = self.lock();
            let Some(sending) = state.partitions.get_mut(&partition) else {
                return;
            };
            if sending.epoch != done.epoch {
                return;
            }
            let mut freed = 0;
            while let Some((end, bytes)) = sending.in_flight.front()
                && *end <= done.end
            {
                freed += bytes;
                sending.in_flight.pop_front();
            }
            sending.in_flight_bytes -= freed;
            let leading = sending.leading.clone();
            let was_full = freed > 0 && std::mem::take(&mut sending.is_full);
            state.in_flight -= freed;
            if was_full {
                state.mark(partition);
            }
            (leading, freed > 0 && state.has_waiting())
        };
        leading.replicated(self.follower, done.epoch, done.end, done.log_start);
        if has_room {
            self.wake.notify_one();
        }
    }

    fn confirm(&self, partition: TopicPartition, round: Round) {
        if self.lock().confirm(partition, round) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn confirmed(&self, partition: TopicPartition, round: Round) {
        let leading = {
            let state = self.lock();
            let sending = state.partitions.get(&partition);
            sending.map(|sending| sending.leading.clone())
        };
        if let Some(leading) = leading {
            leading.confirmed(self.follower, round);
        }
    }

    /// The stream is over.
    pub(crate) fn close(&self) {
        let ended: Vec<_> = {
            let mut state = self.lock();
            state.closed = true;
            state.in_flight = 0;
            state.partitions.drain().collect()
        };
        for (partition, sending) in ended {
            sending.leading.leave(self.follower, &self.news(partition));
        }
        self.wake.notify_one();
    }

    /// What is to be sent next; none when the stream is over.
    pub(crate) async fn next(&self) -> Option<FromLeader> {
        loop {
            match self.step() {
                Step::Send(message) => return Some(message),
                Step::Read(turn) => {
                    if let Some(message) = self.take_turn(turn) {
                        return Some(message);
                    }
                }
                Step::ReadFromDisk(turn) => self.read_from_disk(turn),
                Step::Wait(None) => self.wake.notified().await,
                Step::Wait(Some(until)) => {
                    // The one as the other is looked at again.
                    let _either = tokio::time::timeout_at(until, self.wake.notified()).await;
                }
                Step::Closed => return None,
            }
        }
    }

    fn step(&self) -> Step {
        let mut state = self.lock();
        if state.closed {
            return Step::Closed;
        }
        if let Some(answer) = state.answers.pop_front() {
            return Step::Send(answer);
        }
        if let Some(question) = state.next_confirm() {
            return Step::Send(question);
        }
        let now = state.waits().then(Instant::now);
        if let Some(now) = now {
            state.release_throttled(now);
            if let Some(message) = state.next_moved(now) {
                return Step::Send(message);
            }
        }
        if let Some(turn) = state.next_disk_read() {
            return Step::ReadFromDisk(turn);
        }
        if let Some(turn) = state.next_turn(self.limits.window_bytes) {
            return Step::Read(turn);
        }
        let until = [state.throttled_until, state.moved_until];
        Step::Wait(until.into_iter().flatten().min())
    }

    /// Reads what a partition has, without the lock: whatever happens in between marks
    /// it again.
    fn take_turn(&self, turn: Turn) -> Option<FromLeader> {
        let Turn {
            partition,
            id,
            leading,
            epoch,
            next,
            room,
            read,
        } = turn;
        let is_throttled = leading.is_throttled(self.follower);
        if is_throttled && let Some(until) = self.throttle.wait_until() {
            self.lock().hold_back(partition, id, read, until);
            return None;
        }
        let read = match read {
            Some(read) => read,
            None => {
                let bytes = self.read_bytes(room, is_throttled);
                leading.read(epoch, next, bytes, ReadMode::NonBlocking)
            }
        };
        match read {
            Read::Ready {
                batches,
                end,
                high_watermark,
            } => {
                let bytes = size(&batches);
                if is_throttled {
                    self.throttle.take(bytes);
                }
                let after = next;
                let sent = Sent {
                    next: batches.last().map(|last| last.header().next_offset()),
                    bytes,
                    end,
                    high_watermark,
                };
                self.lock().sent(partition, id, after, &sent)?;
                let news = LeaderNews::Append {
                    after,
                    batches,
                    high_watermark,
                };
                (bytes > 0).then_some(FromLeader {
                    partition,
                    epoch,
                    news,
                })
            }
            Read::BehindStart(start) => {
                let Role { high_watermark, .. } = leading.role();
                self.lock().begin_anew(partition, id, start, high_watermark)
            }
            Read::WouldBlock => {
                self.lock().wait_for_disk(partition, id);
                None
            }
            Read::NotLeader { epoch } => {
                debug!(%partition, follower = %self.follower, "nothing more is sent");
                self.unfollow(partition);
                Some(FromLeader {
                    partition,
                    epoch,
                    news: LeaderNews::Refused,
                })
            }
        }
    }

    fn read_from_disk(&self, turn: Turn) {
        let Some(me) = self.me.upgrade() else {
            return;
        };
        self.node.block(Box::new(move || {
            let Turn { epoch, next, .. } = turn;
            let is_throttled = turn.leading.is_throttled(me.follower);
            let bytes = me.read_bytes(turn.room, is_throttled);
            let read = turn.leading.read(epoch, next, bytes, ReadMode::Blocking);
            me.lock().read(turn.partition, turn.id, read);
            // Its own task goes on: here there is none.
            me.wake.notify_one();
        }));
    }

    /// How much one message may hold.
    fn read_bytes(&self, room: usize, is_throttled: bool) -> usize {
        let portion = is_throttled.then(|| self.throttle.portion().get());
        let portion = portion.and_then(|portion| usize::try_from(portion).ok());
        let bytes = self.limits.message_bytes.min(room);
        bytes.min(portion.unwrap_or(usize::MAX))
    }

    fn mark(&self, partition: TopicPartition) {
        if self.lock().mark(partition) {
            self.wake.notify_one();
        }
    }

    fn mark_moved(&self, partition: TopicPartition) {
        if self.lock().mark_moved(partition) {
            self.wake.notify_one();
        }
    }

    fn news(&self, partition: TopicPartition) -> News {
        News {
            push: self.me.upgrade().expect("whoever calls holds it"),
            partition,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was sent of a partition.
struct Sent {
    /// Where it ends, if there was any.
    next: Option<Offset>,
    bytes: usize,
    /// That of the log.
    end: Offset,
    high_watermark: Offset,
}

impl State {
    /// There may be records to send. Says whether that is news.
    fn mark(&mut self, partition: TopicPartition) -> bool {
        let Some(sending) = self.partitions.get_mut(&partition) else {
            return false;
        };
        sending.is_marked = true;
        if sending.is_queued || sending.is_full {
            return false;
        }
        sending.is_queued = true;
        if sending.is_behind {
            self.behind.push_back(partition);
        } else {
            self.ready.push_back(partition);
        }
        true
    }

    fn mark_moved(&mut self, partition: TopicPartition) -> bool {
        let Some(sending) = self.partitions.get_mut(&partition) else {
            return false;
        };
        if sending.is_moved {
            return false;
        }
        sending.is_moved = true;
        self.moved.push(partition);
        if self.moved_until.is_some() {
            return false;
        }
        self.moved_until = Some(Instant::now() + NEWS_DELAY);
        true
    }

    /// Says whether that is news.
    fn confirm(&mut self, partition: TopicPartition, round: Round) -> bool {
        let Some(sending) = self.partitions.get_mut(&partition) else {
            return false;
        };
        let waits = sending.confirm.is_some();
        sending.confirm = sending.confirm.max(Some(round));
        if !waits {
            self.confirms.push_back(partition);
        }
        !waits
    }

    /// What is not followed any more is passed over.
    fn next_confirm(&mut self) -> Option<FromLeader> {
        while let Some(partition) = self.confirms.pop_front() {
            if let Some(sending) = self.partitions.get_mut(&partition)
                && let Some(round) = sending.confirm.take()
            {
                return Some(FromLeader {
                    partition,
                    epoch: sending.epoch,
                    news: LeaderNews::Confirm(round),
                });
            }
        }
        None
    }

    fn waits(&self) -> bool {
        self.throttled_until.is_some() || self.moved_until.is_some()
    }

    /// Whether anything waits for room in the window.
    fn has_waiting(&self) -> bool {
        !self.ready.is_empty() || !self.behind.is_empty()
    }

    /// The partition whose turn it is: those that keep up and those that are behind
    /// take turns, and no turn comes while too much is on its way.
    fn next_turn(&mut self, window_bytes: usize) -> Option<Turn> {
        let half = window_bytes.div_ceil(2);
        let may_ready = self.in_flight < window_bytes;
        let may_behind = self.in_flight < half;
        for _ in 0..2 {
            self.behind_next = !self.behind_next;
            let (may, queue) = if self.behind_next {
                (may_behind, &mut self.behind)
            } else {
                (may_ready, &mut self.ready)
            };
            if !may {
                continue;
            }
            // What is in a queue and not followed any more is passed over.
            while let Some(partition) = queue.pop_front() {
                let Some(sending) = self.partitions.get_mut(&partition) else {
                    continue;
                };
                if !sending.is_queued {
                    continue;
                }
                if sending.in_flight_bytes >= half.min(sending.room()) {
                    sending.is_queued = false;
                    sending.is_full = true;
                    continue;
                }
                sending.is_marked = false;
                return Some(sending.turn(partition));
            }
        }
        None
    }

    /// A turn is over: the partition is queued again if there is more of it.
    fn end_turn(&mut self, partition: TopicPartition, has_more: bool) {
        if let Some(sending) = self.partitions.get_mut(&partition) {
            sending.is_queued = false;
            if sending.is_marked || has_more {
                self.mark(partition);
            }
        }
    }

    fn sent(
        &mut self,
        partition: TopicPartition,
        id: u64,
        after: Offset,
        sent: &Sent,
    ) -> Option<()> {
        // It may have been followed anew while it was read.
        let sending = self.current(partition, id)?;
        if let Some(next) = sent.next {
            assert!(after < next, "a batch that was sent before");
            sending.next = next;
            sending.in_flight.push_back((next, sent.bytes));
            sending.in_flight_bytes += sent.bytes;
            sending.told_high_watermark = sent.high_watermark.max(sending.told_high_watermark);
        }
        // Without a batch it is the store that has to come first: it tells.
        let has_more = sending.next < sent.end && sent.next.is_some();
        sending.is_behind &= has_more;
        let owes_log_start = sending.owes_log_start && sent.next.is_some();
        self.in_flight += sent.bytes;
        self.end_turn(partition, has_more);
        if owes_log_start {
            self.mark_moved(partition);
        }
        Some(())
    }

    /// The log starts beyond the end of the follower's.
    fn begin_anew(
        &mut self,
        partition: TopicPartition,
        id: u64,
        start: Offset,
        high_watermark: Offset,
    ) -> Option<FromLeader> {
        let sending = self.current(partition, id)?;
        let epoch = sending.epoch;
        sending.next = sending.next.max(start);
        sending.told_log_start = start;
        sending.told_high_watermark = high_watermark;
        self.end_turn(partition, true);
        Some(FromLeader {
            partition,
            epoch,
            news: LeaderNews::Position {
                high_watermark,
                log_start: start,
            },
        })
    }

    fn hold_back(
        &mut self,
        partition: TopicPartition,
        id: u64,
        read: Option<Read>,
        until: Instant,
    ) {
        if let Some(sending) = self.current(partition, id) {
            sending.read = read;
            self.throttled.push(partition);
            self.throttled_until = Some(until);
        }
    }

    fn release_throttled(&mut self, now: Instant) {
        if self.throttled_until.is_none_or(|until| now < until) {
            return;
        }
        self.throttled_until = None;
        for partition in std::mem::take(&mut self.throttled) {
            self.behind.push_back(partition);
        }
    }

    fn wait_for_disk(&mut self, partition: TopicPartition, id: u64) {
        if self.current(partition, id).is_some() {
            self.on_disk.push_back(partition);
        }
    }

    /// As many as may be are read at once.
    fn next_disk_read(&mut self) -> Option<Turn> {
        if self.disk_reads >= DISK_READS_MAX {
            return None;
        }
        while let Some(partition) = self.on_disk.pop_front() {
            if let Some(sending) = self.partitions.get_mut(&partition)
                && sending.is_queued
            {
                self.disk_reads += 1;
                return Some(sending.turn(partition));
            }
        }
        None
    }

    /// A read from the disk is done.
    fn read(&mut self, partition: TopicPartition, id: u64, read: Read) {
        self.disk_reads -= 1;
        if let Some(sending) = self.current(partition, id) {
            sending.read = Some(read);
            sending.is_behind = true;
            self.behind.push_back(partition);
        }
    }

    /// The next position that is due and not told by something else.
    fn next_moved(&mut self, now: Instant) -> Option<FromLeader> {
        if self.moved_until.is_none_or(|until| now < until) {
            return None;
        }
        while let Some(partition) = self.moved.pop() {
            let Some(sending) = self.partitions.get_mut(&partition) else {
                continue;
            };
            sending.is_moved = false;
            let role = sending.leading.role();
            let epoch = sending.epoch;
            // Above the follower's end it would begin anew there: that is decided when
            // its records are read.
            let log_start = role.log_start.min(sending.next);
            sending.owes_log_start = log_start < role.log_start;
            let is_told = role.high_watermark <= sending.told_high_watermark
                && log_start <= sending.told_log_start;
            if role.epoch != epoch || is_told {
                continue;
            }
            sending.told_high_watermark = role.high_watermark;
            sending.told_log_start = log_start;
            return Some(FromLeader {
                partition,
                epoch,
                news: LeaderNews::Position {
                    high_watermark: role.high_watermark,
                    log_start,
                },
            });
        }
        self.moved_until = None;
        None
    }

    fn end(&mut self, partition: TopicPartition) -> Option<Sending> {
        let ended = self.partitions.remove(&partition)?;
        for queue in [&mut self.ready, &mut self.behind, &mut self.on_disk] {
            if ended.is_queued {
                queue.retain(|queued| *queued != partition);
            }
        }
        self.throttled.retain(|held| *held != partition);
        if ended.is_moved {
            self.moved.retain(|moved| *moved != partition);
        }
        self.in_flight -= ended.in_flight_bytes;
        Some(ended)
    }

    fn current(&mut self, partition: TopicPartition, id: u64) -> Option<&mut Sending> {
        let sending = self.partitions.get_mut(&partition)?;
        (sending.id == id).then_some(sending)
    }
}

impl Sending {
    fn room(&self) -> usize {
        if self.is_behind {
            self.room
        } else {
            usize::MAX
        }
    }

    fn turn(&mut self, partition: TopicPartition) -> Turn {
        Turn {
            partition,
            id: self.id,
            leading: self.leading.clone(),
            epoch: self.epoch,
            next: self.next,
            room: self.room().saturating_sub(self.in_flight_bytes),
            read: self.read.take(),
        }
    }
}

fn acknowledged(position: &FollowPosition) -> Acknowledged {
    Acknowledged {
        epoch: position.epoch,
        end: position.end,
        log_start: position.log_start,
    }
}

fn size(batches: &[RecordBatch]) -> usize {
    let sizes = batches.iter().map(|batch| batch.size().0);
    usize::try_from(sizes.sum::<u64>()).unwrap_or(usize::MAX)
}
