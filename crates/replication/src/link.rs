//! What a follower tells one leader, and the stream's state as its partitions see it.
//!
//! Nothing waits in a queue but names of partitions: what is said of one is looked up
//! when its turn comes, so that a hundred flushes make one acknowledgement.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use ottla_protocol::records::RecordBatch;
use ottla_rpc::{Address, Channels};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::convert::{Acknowledged, FromFollower, FromLeader, LeaderNews, Room, Round};
use crate::pull;
use crate::replica::{Following, Node};
use crate::throttle::Throttle;

/// How soon a partition is asked for again that was refused, at first and at most.
/// Leaders and followers learn of an election within milliseconds of each other.
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(1_000);

/// The links to all leaders that this broker follows. Owned by the broker.
#[derive(Debug)]
pub struct Links {
    node: Arc<dyn Node>,
    channels: Channels,
    throttle: Arc<Throttle>,
    by_leader: Mutex<HashMap<BrokerId, Arc<Link>>>,
}

impl Links {
    pub fn new(node: Arc<dyn Node>, channels: Channels, throttle: Arc<Throttle>) -> Self {
        Self {
            node,
            channels,
            throttle,
            by_leader: Mutex::default(),
        }
    }

    /// The link to a broker. It is there whether the broker is or not.
    pub fn to(&self, leader: BrokerId) -> Arc<Link> {
        let mut links = self
            .by_leader
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let link = Arc::new(Link::new(leader, self.throttle.clone()));
            let run = pull::run(link.clone(), self.node.clone(), self.channels.clone());
            self.node.spawn("leader", Box::pin(run));
            link
        };
        links.entry(leader).or_insert_with(make).clone()
    }

    /// This broker has another epoch, or its first: every stream begins anew and says it.
    pub fn reopen(&self) {
        let links = self.by_leader.lock();
        for link in links.unwrap_or_else(PoisonError::into_inner).values() {
            link.address.send_modify(|_| ());
        }
    }

    /// Where a broker is to be found from now on, if anywhere.
    pub fn set_address(&self, leader: BrokerId, address: Option<Address>) {
        self.to(leader).address.send_if_modified(|known| {
            let is_news = *known != address;
            known.clone_from(&address);
            is_news
        });
    }
}

/// This broker as a follower of another one.
#[derive(Debug)]
pub struct Link {
    pub(crate) leader: BrokerId,
    pub(crate) address: watch::Sender<Option<Address>>,
    throttle: Arc<Throttle>,
    state: Mutex<State>,
    wake: Notify,
    /// Whether anything is followed.
    pub(crate) wanted: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<TopicPartition, Entry>,
    /// Partitions with something to say, each once.
    due: VecDeque<TopicPartition>,
    /// Partitions that are not followed any more.
    dropped: Vec<TopicPartition>,
    /// When which partition is asked for again.
    retries: BTreeSet<(Instant, TopicPartition)>,
    /// Which stream is the present one; none before the first.
    stream: u64,
}

#[derive(Debug)]
struct Entry {
    replica: Arc<dyn Following>,
    stage: Stage,
    acknowledgement: Option<Acknowledged>,
    /// It followed when the leader asked whether it does.
    confirmed: Option<Round>,
    /// What is followed is throttled, and what may be on its way is counted.
    advance: Option<Advance>,
    /// In `due`.
    is_due: bool,
    /// How long the next retry waits.
    retry_after: Duration,
}

/// A portion of what is throttled is counted when it is asked for, and from then on one
/// portion ahead, so that many partitions do not ask for the same.
#[derive(Clone, Copy, Debug)]
struct Advance {
    bytes: usize,
    /// The end of the log that the leader was told.
    end: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be asked for as soon as its position is known.
    Wanted,
    /// The leader was asked.
    Followed,
    /// The leader is to be told to stop, and is asked again later.
    Halting,
    /// It is asked for again later.
    Halted,
}

/// What is said next.
enum Say {
    Now(FromFollower),
    /// This one's position, if it is known.
    Position(TopicPartition, Arc<dyn Following>),
    Wait(Option<Instant>),
    Over,
}

impl Link {
    fn new(leader: BrokerId, throttle: Arc<Throttle>) -> Self {
        Self {
            leader,
            address: watch::Sender::new(None),
            throttle,
            state: Mutex::default(),
            wake: Notify::new(),
            wanted: watch::Sender::new(false),
        }
    }

    /// Follows a partition from its position on.
    pub fn follow(&self, partition: TopicPartition, replica: Arc<dyn Following>) {
        {
            let mut state = self.lock();
            let entry = Entry {
                replica,
                stage: Stage::Wanted,
                acknowledgement: None,
                confirmed: None,
                advance: None,
                is_due: false,
                retry_after: RETRY_MIN,
            };
            state.forget(partition);
            state.partitions.insert(partition, entry);
            state.due(partition);
        }
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        self.wake.notify_one();
    }

    /// The partition is followed no more, or not here.
    pub fn unfollow(&self, partition: TopicPartition) {
        self.give_back(partition, Offset::ZERO);
        let is_unwanted = {
            let mut state = self.lock();
            if state.forget(partition).is_some() {
                state.dropped.push(partition);
            }
            state.partitions.is_empty()
        };
        if is_unwanted {
            self.wanted
                .send_if_modified(|wanted| std::mem::replace(wanted, false));
        }
        self.wake.notify_one();
    }

    /// The leader is to be asked for what follows the partition's position now.
    pub fn refollow(&self, partition: TopicPartition) {
        self.lock().want(partition);
        self.wake.notify_one();
    }

    /// Everything below `end` is durable here.
    pub fn acknowledge(
        &self,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    ) {
        let done = Acknowledged {
            epoch,
            end,
            log_start,
        };
        if self.lock().acknowledge(partition, done) {
            self.wake.notify_one();
        }
    }

    /// A new stream begins; what an older one still asks for is nothing.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.stream += 1;
        state.dropped.clear();
        state.retries.clear();
        let all: Vec<_> = state.partitions.keys().copied().collect();
        for partition in all {
            state.want(partition);
        }
        let stream = state.stream;
        drop(state);
        self.wake.notify_one();
        stream
    }

    /// The stream is over.
    pub(crate) fn end(&self) {
        self.lock().stream += 1;
        self.wake.notify_one();
    }

    /// The broker stops: nothing is followed any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.stream += 1;
        // They hold this link, and it holds them.
        let followed = std::mem::take(&mut state.partitions);
        drop(state);
        drop(followed);
        self.wake.notify_one();
    }

    /// What `stream` says next; none when it is over.
    pub(crate) async fn next(&self, stream: u64) -> Option<FromFollower> {
        loop {
            let say = self.lock().say(stream);
            match say {
                Say::Now(message) => return Some(message),
                Say::Position(partition, replica) => {
                    // Asked without the lock, because it takes the partition's.
                    let Some(position) = replica.position() else {
                        continue;
                    };
                    self.give_back(partition, Offset::ZERO);
                    let room = match self.admit(&*replica) {
                        Ok(room) => room,
                        Err(until) => {
                            self.lock().postpone(partition, until);
                            continue;
                        }
                    };
                    self.lock().followed(partition, position.end, room);
                    return Some(FromFollower::Follow(partition, position, room));
                }
                Say::Wait(None) => self.wake.notified().await,
                Say::Wait(Some(until)) => {
                    let _either = tokio::time::timeout_at(until, self.wake.notified()).await;
                }
                Say::Over => return None,
            }
        }
    }

    /// Whether a replica may be followed now, and how much it may ask for at once; if
    /// not, when.
    fn admit(&self, replica: &dyn Following) -> Result<Room, Instant> {
        if !replica.is_throttled() {
            return Ok(None);
        }
        if let Some(until) = self.throttle.wait_until() {
            return Err(until);
        }
        let portion = self.throttle.portion();
        self.throttle.take(size(portion));
        Ok(Some(portion))
    }

    /// Carries out what the leader says.
    pub(crate) fn hear(&self, message: FromLeader) {
        let FromLeader {
            partition,
            epoch,
            news,
        } = message;
        let Some(replica) = self.replica(partition, &news) else {
            return;
        };
        match news {
            LeaderNews::Append {
                after,
                batches,
                high_watermark,
            } => {
                if replica.is_throttled() {
                    self.count(partition, &batches);
                }
                self.give_back(partition, high_watermark);
                replica.append(epoch, after, batches, high_watermark);
            }
            LeaderNews::Position {
                high_watermark,
                log_start,
            } => {
                self.give_back(partition, high_watermark);
                replica.on_position(epoch, high_watermark, log_start);
            }
            LeaderNews::Diverged { epoch: of, end } => replica.on_diverged(epoch, of, end),
            LeaderNews::Refused => {
                self.lock().retry(partition);
                self.wake.notify_one();
            }
            LeaderNews::Confirm(round) => {
                // Asked without the lock, because it takes the partition's.
                if replica.follows_in(epoch) {
                    self.lock().confirm(partition, round);
                    self.wake.notify_one();
                }
            }
        }
    }

    /// What was counted ahead is not needed: to whoever has all that is committed, little
    /// will come.
    fn give_back(&self, partition: TopicPartition, high_watermark: Offset) {
        let advance = self.lock().take_advance(partition, high_watermark);
        self.throttle.give_back(advance);
    }

    /// Counts what has come, and asks for no more if that was too much.
    fn count(&self, partition: TopicPartition, batches: &[RecordBatch]) {
        if let Some(last) = batches.last() {
            self.lock().advance(partition, last.header().next_offset());
        }
        let bytes = batches.iter().map(|batch| batch.size().0).sum::<u64>();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.throttle.take(bytes);
        if let Some(until) = self.throttle.wait_until() {
            self.lock().halt(partition, until);
            self.give_back(partition, Offset::ZERO);
            self.wake.notify_one();
        }
    }

    fn replica(&self, partition: TopicPartition, news: &LeaderNews) -> Option<Arc<dyn Following>> {
        let mut state = self.lock();
        let entry = state.partitions.get_mut(&partition)?;
        if *news != LeaderNews::Refused {
            entry.retry_after = RETRY_MIN;
        }
        Some(entry.replica.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn say(&mut self, stream: u64) -> Say {
        if stream != self.stream {
            return Say::Over;
        }
        if let Some(partition) = self.dropped.pop() {
            return Say::Now(FromFollower::Unfollow(partition));
        }
        self.take_retries();
        while let Some(partition) = self.due.pop_front() {
            let Some(entry) = self.partitions.get_mut(&partition) else {
                continue;
            };
            entry.is_due = false;
            match entry.stage {
                Stage::Wanted => return Say::Position(partition, entry.replica.clone()),
                Stage::Halting => {
                    entry.stage = Stage::Halted;
                    return Say::Now(FromFollower::Unfollow(partition));
                }
                Stage::Followed => {
                    if let Some(round) = entry.confirmed.take() {
                        if entry.acknowledgement.is_some() {
                            self.due(partition);
                        }
                        return Say::Now(FromFollower::Confirmed(partition, round));
                    }
                    if let Some(done) = entry.acknowledgement.take() {
                        return Say::Now(FromFollower::Acknowledged(partition, done));
                    }
                }
                Stage::Halted => (),
            }
        }
        Say::Wait(self.retries.first().map(|(at, _)| *at))
    }

    fn take_retries(&mut self) {
        if self.retries.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, partition)) = self.retries.pop_first() {
                self.want(partition);
            }
        }
    }

    /// To be followed anew, from wherever its log ends then.
    fn want(&mut self, partition: TopicPartition) {
        if let Some(entry) = self.partitions.get_mut(&partition) {
            entry.stage = Stage::Wanted;
            entry.acknowledgement = None;
            entry.confirmed = None;
            self.due(partition);
        }
    }

    fn due(&mut self, partition: TopicPartition) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && !entry.is_due
        {
            entry.is_due = true;
            self.due.push_back(partition);
        }
    }

    fn followed(&mut self, partition: TopicPartition, end: Offset, room: Room) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.stage == Stage::Wanted
        {
            entry.stage = Stage::Followed;
            entry.advance = room.map(|room| Advance {
                bytes: size(room),
                end,
            });
        }
    }

    /// It may not be asked for before that time.
    fn postpone(&mut self, partition: TopicPartition, until: Instant) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.stage == Stage::Wanted
        {
            entry.stage = Stage::Halted;
            self.retries.insert((until, partition));
        }
    }

    /// The leader will be told this end.
    fn advance(&mut self, partition: TopicPartition, end: Offset) {
        let entry = self.partitions.get_mut(&partition);
        if let Some(advance) = entry.and_then(|entry| entry.advance.as_mut()) {
            advance.end = end;
        }
    }

    /// What was counted when the partition was asked for, if the leader was told an end
    /// that is not below `end`.
    fn take_advance(&mut self, partition: TopicPartition, end: Offset) -> usize {
        let entry = self.partitions.get_mut(&partition);
        let advance = entry.and_then(|entry| entry.advance.take_if(|advance| end <= advance.end));
        advance.map_or(0, |advance| advance.bytes)
    }

    /// Says whether there is something new to say.
    fn acknowledge(&mut self, partition: TopicPartition, done: Acknowledged) -> bool {
        let Some(entry) = self.partitions.get_mut(&partition) else {
            return false;
        };
        match entry.stage {
            Stage::Followed => {
                // Two threads may come in the wrong order.
                entry.acknowledgement = entry.acknowledgement.max(Some(done));
            }
            // Its position is known now, perhaps.
            Stage::Wanted => (),
            Stage::Halting | Stage::Halted => return false,
        }
        let is_news = !entry.is_due;
        self.due(partition);
        is_news
    }

    fn confirm(&mut self, partition: TopicPartition, round: Round) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.stage == Stage::Followed
        {
            entry.confirmed = Some(round);
            self.due(partition);
        }
    }

    fn halt(&mut self, partition: TopicPartition, until: Instant) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.stage == Stage::Followed
        {
            entry.stage = Stage::Halting;
            entry.acknowledgement = None;
            self.due(partition);
            self.retries.insert((until, partition));
        }
    }

    fn retry(&mut self, partition: TopicPartition) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.stage == Stage::Followed
        {
            entry.stage = Stage::Halted;
            let after = entry.retry_after;
            entry.retry_after = RETRY_MAX.min(after * 2);
            self.retries.insert((Instant::now() + after, partition));
        }
    }

    fn forget(&mut self, partition: TopicPartition) -> Option<Entry> {
        self.retries.retain(|(_, retried)| *retried != partition);
        self.partitions.remove(&partition)
    }
}

fn size(room: NonZeroU32) -> usize {
    usize::try_from(room.get()).unwrap_or(usize::MAX)
}
