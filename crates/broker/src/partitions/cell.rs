//! A cell owns one replica: the partition machine, the coordinator shard that
//! keeps its records in it, and whoever waits for an answer of either.
//!
//! One short lock. `step` runs under it and its effects are queued, in order,
//! before it is released; answers and wake-ups leave after it, and so does the
//! store's work. No IO happens under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::config::TopicConfig;
use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, ReplyToken, TopicName, TopicPartition};
use ottla_controller::Member;
use ottla_partition::{
    Acks, ActiveProducer, Append, AppendError, Appended, CHECKPOINT_KEY, DeleteError, Effect,
    EpochEnd, Input, Lead, Partition, Reply, RoleKind, View,
};
use ottla_protocol::records::RecordBatch;
use ottla_replication::{Link, News};
use ottla_store::{LogId, LogListener, LogStore, Op, StoreFailure};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::confirmations::Confirmations;
use super::flushes::{Flushes, Urgency};
use super::followers::Followers;
use super::host::{Host, HostLog, HostRefusal};
use super::peers::{IsrProposal, Peers};
use super::timers::{Timers, Wake};
use crate::clock::SystemClock;
use crate::fetch::Waiters;

/// How long the followers may take to say that they follow.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);

/// One local replica. Owned by the registry; shared by whoever has an input.
#[derive(Debug)]
pub(crate) struct Cell {
    pub topic_partition: TopicPartition,
    pub topic: TopicName,
    pub log: LogId,
    pub store: Arc<dyn LogStore>,
    me: Weak<Self>,
    clock: SystemClock,
    timers: Arc<Timers>,
    state: Mutex<State>,
    view: ArcSwap<View>,
    config: ArcSwap<TopicConfig>,
    waiters: Waiters,
    /// Bytes of its log failed their checks.
    is_damaged: AtomicBool,
    /// Who brings a partition back whose store refused an append.
    failures: mpsc::UnboundedSender<Arc<Self>>,
    pub(super) peers: Peers,
}

/// What the cell is made from.
#[derive(Debug)]
pub(crate) struct CellParts {
    pub topic_partition: TopicPartition,
    pub topic: TopicName,
    pub log: LogId,
    pub store: Arc<dyn LogStore>,
    pub partition: Partition,
    pub config: Arc<TopicConfig>,
    pub clock: SystemClock,
    pub timers: Arc<Timers>,
    pub failures: mpsc::UnboundedSender<Arc<Cell>>,
    pub peers: Peers,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) partition: Partition,
    /// Grows when the partition is recovered anew; completions of earlier ones
    /// are stale.
    incarnation: u64,
    /// What the partition was last told to be.
    term: Option<Term>,
    /// The epoch in which this replica led when its store failed. Followers may have what
    /// the store has not, and what it wrote instead would pass for the same, so it never
    /// leads in that epoch again.
    lost: Option<LeaderEpoch>,
    /// Whether it is among the broker's lost leaders.
    is_counted_as_lost: bool,
    pub(super) followers: Followers,
    pub(super) confirmations: Confirmations,
    /// Where the leader is that is followed.
    link: Option<Arc<Link>>,
    host: Hosting,
    last_load: Load,
    last_token: u64,
    waiting: HashMap<ReplyToken, Waiting>,
    /// When the timer task will call; later deadlines need no call of their own,
    /// and a call at another time is not heeded.
    scheduled: Option<Millis>,
    effects: Vec<Effect>,
    flushes: Flushes,
}

/// What a replica is told to be.
#[derive(Clone, Debug)]
enum Term {
    Lead(Lead),
    Follow {
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        /// Whether this replica is in sync, as far as the cluster knows.
        in_sync: bool,
    },
}

impl Term {
    fn input(&self) -> Input {
        match self {
            Self::Lead(lead) => Input::Lead(lead.clone()),
            Self::Follow {
                epoch,
                leader,
                in_sync,
            } => Input::Follow {
                epoch: *epoch,
                leader: *leader,
                in_sync: *in_sync,
            },
        }
    }
}

/// The coordinator that lives in this partition.
#[derive(Debug)]
enum Hosting {
    /// None does.
    Nothing,
    /// Its records are being read, for the time of this number.
    Loading(Load),
    Ready(Host),
}

/// One reading of a coordinator's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load(u64);

/// Who waits for the reply to a token. Dropping it says that the partition, or
/// its coordinator, has gone from here.
#[derive(Debug)]
enum Waiting {
    Append(oneshot::Sender<Result<Appended, AppendError>>),
    Delete(oneshot::Sender<Result<Offset, DeleteError>>),
    Host(oneshot::Sender<ottla_coordinator::Reply>),
}

/// Another replica may lead by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not all followers say that they follow this leader")]
pub(crate) struct Unconfirmed;

/// What is left to do once the lock is released.
#[derive(Debug, Default)]
struct After {
    replies: Vec<(Waiting, Outcome)>,
    wake: bool,
    schedule: Option<Wake>,
    /// The store has something to do.
    store_works: bool,
    /// There are records for followers, or they have to hear who leads.
    records: bool,
    /// They have to hear how far this leader has come.
    moved: bool,
    /// Whoever is told so.
    streams: Option<Arc<[(BrokerId, News)]>>,
    /// What the leader hears of this follower.
    link: Option<Arc<Link>>,
    acknowledgement: Option<(LeaderEpoch, Offset, Offset)>,
    refollows: bool,
    is_cut: bool,
    proposal: Option<(LeaderEpoch, i32, Vec<Member>)>,
}

#[derive(Debug)]
enum Outcome {
    Partition(Reply),
    Host(ottla_coordinator::Reply),
}

impl Cell {
    pub(crate) fn new(parts: CellParts) -> Arc<Self> {
        let cell = Arc::new_cyclic(|me| Self {
            topic_partition: parts.topic_partition,
            topic: parts.topic,
            log: parts.log,
            store: parts.store,
            me: me.clone(),
            clock: parts.clock,
            timers: parts.timers,
            view: ArcSwap::from_pointee(parts.partition.view()),
            state: Mutex::new(State {
                partition: parts.partition,
                incarnation: 0,
                term: None,
                lost: None,
                is_counted_as_lost: false,
                followers: Followers::default(),
                confirmations: Confirmations::default(),
                link: None,
                host: Hosting::Nothing,
                last_load: Load::default(),
                last_token: 0,
                waiting: HashMap::new(),
                scheduled: None,
                effects: Vec::new(),
                flushes: Flushes::default(),
            }),
            config: ArcSwap::new(parts.config),
            waiters: Waiters::default(),
            is_damaged: AtomicBool::new(false),
            failures: parts.failures,
            peers: parts.peers,
        });
        let listener: Arc<dyn LogListener> = cell.clone();
        cell.store.attach(cell.log, 0, listener);
        cell
    }

    /// What readers may see at this moment.
    pub(crate) fn view(&self) -> View {
        **self.view.load()
    }

    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Appends a batch that passed the rules of produce requests.
    pub(crate) fn append(
        &self,
        batch: RecordBatch,
        acks: Acks,
        deadline: Millis,
    ) -> oneshot::Receiver<Result<Appended, AppendError>> {
        let (answer, waiting) = oneshot::channel();
        self.with(|state, now| {
            let token = state.expect(Waiting::Append(answer));
            let append = Append {
                token,
                batch,
                acks,
                deadline,
            };
            state.step(now, Input::Append(append));
        });
        waiting
    }

    /// Deletes the records below `before`, or all that are committed.
    pub(crate) fn delete_records(
        &self,
        before: Option<Offset>,
        deadline: Millis,
    ) -> oneshot::Receiver<Result<Offset, DeleteError>> {
        let (answer, waiting) = oneshot::channel();
        self.with(|state, now| {
            let token = state.expect(Waiting::Delete(answer));
            let input = Input::DeleteRecords {
                token,
                before,
                deadline,
            };
            state.step(now, input);
        });
        waiting
    }

    /// Hands an input to the coordinator that lives here. `input` gets the token
    /// that its reply will carry.
    pub(crate) fn host(
        &self,
        answer: oneshot::Sender<ottla_coordinator::Reply>,
        input: impl FnOnce(ReplyToken) -> ottla_coordinator::Input,
    ) -> Result<(), HostRefusal> {
        self.with(|state, now| {
            state.admit_host()?;
            let token = state.expect(Waiting::Host(answer));
            let input = input(token);
            state.run_host(now, |host, now, log| host.handle(now, input, log));
            Ok(())
        })
    }

    /// Hands an input that nobody waits for to the coordinator that lives here.
    pub(crate) fn tell_host(&self, input: ottla_coordinator::Input) -> Result<(), HostRefusal> {
        self.with(|state, now| {
            state.admit_host()?;
            state.run_host(now, |host, now, log| host.handle(now, input, log));
            Ok(())
        })
    }

    /// Announces a coordinator whose records are about to be read.
    pub(crate) fn host_loading(&self) -> Load {
        self.with(|state, _| {
            let load = Load(state.last_load.0 + 1);
            state.last_load = load;
            state.host = Hosting::Loading(load);
            load
        })
    }

    /// The coordinator has read all records and serves from now on, unless something
    /// has happened since `load` was announced. `host` is told how far the log goes.
    pub(crate) fn host_ready(&self, load: Load, host: impl FnOnce(&View) -> Host) {
        self.with(|state, _| {
            if matches!(state.host, Hosting::Loading(current) if current == load) {
                state.host = Hosting::Ready(host(&state.partition.view()));
            }
        });
    }

    /// The broker stops: whoever waits for the coordinator that lives here hears
    /// that it has gone, and finds it again elsewhere or later.
    pub(crate) fn dismiss_host(&self) {
        self.with(|state, _| state.drop_host());
    }

    /// This broker leads. Says whether that begins now: not where it did before, and not
    /// while the partition waits to be recovered.
    pub(crate) fn lead(&self, lead: Lead) -> bool {
        let (begins, link) = self.with(|state, now| {
            let led = leads(&state.partition.view());
            state.begin(now, Term::Lead(lead));
            let begins = leads(&state.partition.view()) && !led;
            (begins, state.link.take())
        });
        if let Some(link) = link {
            link.unfollow(self.topic_partition);
        }
        begins
    }

    /// Another broker leads, or nobody does.
    pub(crate) fn follow(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        in_sync: bool,
    ) {
        let link = leader.map(|leader| self.peers.links.to(leader));
        let (is_new, before) = self.with(|state, now| {
            let is_new = match &state.term {
                Some(Term::Follow {
                    epoch: known,
                    leader: of,
                    ..
                }) => (*known, *of) != (epoch, leader),
                Some(Term::Lead(_)) | None => true,
            };
            let term = Term::Follow {
                epoch,
                leader,
                in_sync,
            };
            state.begin(now, term);
            if is_new {
                state.drop_host();
            }
            let before = std::mem::replace(&mut state.link, link.clone());
            (is_new, before)
        });
        if !is_new {
            return;
        }
        let goes_on =
            |before: &Arc<Link>| link.as_ref().is_some_and(|link| Arc::ptr_eq(link, before));
        if let Some(before) = before.filter(|before| !goes_on(before)) {
            before.unfollow(self.topic_partition);
        }
        if let Some(link) = link {
            link.follow(self.topic_partition, self.clone());
        }
    }

    /// The controller does not want the in-sync replicas that were proposed.
    pub(crate) fn isr_refused(&self, partition_epoch: i32) {
        self.with(|state, now| state.step(now, Input::IsrRefused { partition_epoch }));
    }

    /// The controllers do not hear of this broker.
    pub(crate) fn unheard(&self) {
        let is_news = self.with(|state, now| {
            let was_doubtful = state.partition.view().is_doubtful;
            state.step(now, Input::Unheard);
            let is_doubtful = state.partition.view().is_doubtful;
            if is_doubtful {
                state.dismiss_hosted();
            }
            is_doubtful && !was_doubtful
        });
        if is_news {
            warn!(topic = %self.topic, partition = %self.topic_partition.partition, "nothing is committed and no controller answers: another broker may lead by now");
        }
    }

    /// Returns when nobody else led this partition at the time of the call: every follower
    /// that may lead next has said since that it follows.
    pub(crate) async fn confirm(&self) -> Result<(), Unconfirmed> {
        let (round, confirmed, streams) = self.with(|state, _| {
            let (round, confirmed) = state.confirmations.begin();
            (round, confirmed, state.followers.streams().clone())
        });
        for (_, news) in streams.iter() {
            news.confirm(round);
        }
        match tokio::time::timeout(CONFIRM_TIMEOUT, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_over)) => Err(Unconfirmed),
            Err(_elapsed) => Err(Unconfirmed),
        }
    }

    /// Whether a follower is in sync, as far as the cluster knows.
    pub(super) fn is_in_sync(&self, follower: BrokerId) -> bool {
        match &self.lock().term {
            Some(Term::Lead(lead)) => lead.isr.contains(&follower),
            Some(Term::Follow { .. }) | None => false,
        }
    }

    /// Whether this replica is in sync with its leader, as far as the cluster knows.
    pub(super) fn counts_as_in_sync(&self) -> bool {
        match &self.lock().term {
            Some(Term::Follow { in_sync, .. }) => *in_sync,
            Some(Term::Lead(_)) | None => true,
        }
    }

    /// Goes on with a partition that was recovered anew, in the role that the one
    /// before had. Completions for that one are stale from now on.
    pub(crate) fn restart(self: &Arc<Self>, partition: Partition) {
        let link = self.with(|state, now| {
            let mut before = std::mem::replace(&mut state.partition, partition);
            state.partition.succeed(&mut before, &mut state.effects);
            state.incarnation += 1;
            state.followers.forget_unflushed();
            let listener: Arc<dyn LogListener> = self.clone();
            self.store.attach(self.log, state.incarnation, listener);
            // What the machine before had asked for may have been done since this one
            // was recovered.
            if let Ok(bounds) = self.store.bounds(self.log) {
                state.step(now, Input::StartMoved { to: bounds.start });
            }
            if let Some(term) = state.term.take() {
                state.begin(now, term);
            }
            state.link.clone()
        });
        if let Some(link) = link {
            link.refollow(self.topic_partition);
        }
    }

    /// Retention has decided where the log may start.
    pub(crate) fn advance_start(&self, to: Offset) {
        self.with(|state, now| state.step(now, Input::AdvanceStart { to }));
    }

    pub(crate) fn reconfigure(
        &self,
        config: Arc<TopicConfig>,
        settings: ottla_partition::Settings,
    ) {
        self.config.store(config);
        self.with(|state, now| state.step(now, Input::Settings(settings)));
    }

    /// Keeps what makes the next start quick.
    pub(crate) fn checkpoint(&self) {
        self.with(|state, now| state.step(now, Input::Checkpoint));
    }

    /// The topic is gone, or this replica of it: everybody who waits is told so, and the
    /// log is dropped.
    pub(crate) fn retire(&self) {
        let link = self.with(|state, now| {
            let epoch = state.partition.view().leader_epoch;
            let follow = Input::Follow {
                epoch,
                leader: None,
                in_sync: false,
            };
            state.step(now, follow);
            state.term = None;
            state.host = Hosting::Nothing;
            state.waiting.clear();
            state.link.take()
        });
        if let Some(link) = link {
            link.unfollow(self.topic_partition);
        }
        self.store.submit(Op::Drop { log: self.log });
        self.waiters.wake();
    }

    /// Whether its log is of no use any more.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// The wake that was planned for `at`. It comes in vain if another has taken
    /// its place since.
    pub(crate) fn tick(&self, at: Millis) {
        self.with(|state, now| {
            if state.scheduled != Some(at) {
                return;
            }
            state.scheduled = None;
            if state.partition.next_deadline().is_some_and(|at| at <= now) {
                state.step(now, Input::Tick);
            }
            if state.admit_host().is_ok() {
                state.run_host(now, Host::tick);
            }
        });
    }

    /// Where the given leader epoch ends in this log (OffsetForLeaderEpoch), and what the
    /// replica was when that was so.
    pub(crate) fn end_offset_for(&self, epoch: LeaderEpoch) -> (View, Option<EpochEnd>) {
        let state = self.lock();
        let partition = &state.partition;
        (partition.view(), partition.end_offset_for(epoch))
    }

    /// The state at this moment, with what is appended and not durable yet.
    pub(crate) fn fresh_view(&self) -> View {
        self.lock().partition.view()
    }

    /// Records below may be compacted: they are committed, and the partition can be
    /// recovered without them.
    pub(crate) fn settled(&self) -> Offset {
        self.lock().partition.settled()
    }

    /// The followers in sync that have what a reader at `offset` wants, and how far each
    /// has come.
    pub(crate) fn in_sync_with(&self, offset: Offset) -> Vec<(BrokerId, Offset)> {
        self.lock().partition.in_sync_with(offset)
    }

    /// Whether anybody waits for an append.
    pub(crate) fn owes_replies(&self) -> bool {
        self.lock().partition.owes_replies()
    }

    /// The idempotent producers that this partition remembers.
    pub(crate) fn describe_producers(&self) -> Vec<ActiveProducer> {
        self.lock().partition.describe_producers().collect()
    }

    /// Runs `work` under the lock, queues its effects, and does the rest after.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, Millis) -> T) -> T {
        let (result, after) = {
            let mut state = self.lock();
            let result = work(&mut state, self.clock.now());
            self.count_if_lost(&mut state);
            (result, self.carry_out(&mut state))
        };
        self.finish(after);
        result
    }

    /// The broker asks to be fenced as long as there are any.
    fn count_if_lost(&self, state: &mut State) {
        let is_lost = state.is_lost_leader();
        let was_lost = std::mem::replace(&mut state.is_counted_as_lost, is_lost);
        let count = &self.peers.lost_leaders;
        match (was_lost, is_lost) {
            (false, true) => count.fetch_add(1, Ordering::Relaxed),
            (true, false) => count.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
    }

    fn carry_out(&self, state: &mut State) -> After {
        let mut after = After::default();
        let mut effects = std::mem::take(&mut state.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Write { batch } => self.write(state, batch, &mut after),
                Effect::StartOffset { to } => {
                    let log = self.log;
                    self.queue(Op::StartOffset { log, to }, &mut after);
                }
                Effect::Truncate { to } => {
                    let log = self.log;
                    self.queue(Op::Truncate { log, to }, &mut after);
                    state.followers.forget_unflushed();
                    after.is_cut = true;
                }
                Effect::Checkpoint { bytes } => {
                    let op = Op::State {
                        log: self.log,
                        key: CHECKPOINT_KEY.into(),
                        value: bytes,
                    };
                    self.queue(op, &mut after);
                }
                Effect::CommittedLost { from, to } => {
                    error!(topic = %self.topic, partition = %self.topic_partition.partition, %from, %to, "committed records are lost: an unclean election has put a replica without them in charge");
                }
                Effect::Refollow => after.refollows = true,
                Effect::Acknowledge {
                    epoch,
                    end,
                    log_start,
                } => after.acknowledgement = Some((epoch, end, log_start)),
                Effect::ProposeIsr {
                    epoch,
                    partition_epoch,
                    isr,
                } => {
                    let member = |id| Member {
                        id,
                        epoch: state.followers.epoch_of(id),
                    };
                    let isr = isr.into_iter().map(member).collect();
                    after.proposal = Some((epoch, partition_epoch, isr));
                }
                Effect::Committed { end } => state.commit(end, &mut after),
                Effect::Publish(view) => {
                    self.view.store(Arc::new(view));
                    after.wake = true;
                    after.moved = true;
                    // Who follows this replica hears that it leads no more.
                    after.records |= !leads(&view);
                }
                Effect::Reply { to, reply } => {
                    if let Some(waiting) = state.waiting.remove(&to) {
                        after.replies.push((waiting, Outcome::Partition(reply)));
                    }
                }
            }
        }
        state.effects = effects;
        state.release(&mut after);
        state.settle_confirmations();
        if after.records || after.moved {
            after.streams = Some(state.followers.streams().clone());
        }
        if after.acknowledgement.is_some() || after.refollows {
            after.link.clone_from(&state.link);
        }
        after.schedule = state.reschedule().map(|at| self.timers.wake(at));
        after
    }

    fn write(&self, state: &mut State, batch: RecordBatch, after: &mut After) {
        let records = batch.header().record_count;
        let urgency = state.flushes.on_append(records, &self.config.load());
        if state.is_copied() {
            state.followers.on_write(&batch);
            after.records = true;
        }
        let log = self.log;
        let append = Op::Append {
            log,
            incarnation: state.incarnation,
            batch,
            sync: urgency == Urgency::AtOnce,
        };
        self.queue(append, after);
        if let Urgency::Within(within) = urgency {
            self.queue(Op::Flush { log, within }, after);
        }
    }

    fn queue(&self, op: Op, after: &mut After) {
        self.store.queue(op);
        after.store_works = true;
    }

    fn finish(&self, after: After) {
        // Other brokers begin while this one's own disk is busy.
        for (_, news) in after.streams.iter().flat_map(|streams| streams.iter()) {
            if after.records {
                news.on_records();
            }
            if after.moved {
                news.on_position();
            }
        }
        for (waiting, outcome) in after.replies {
            waiting.answer(outcome);
        }
        if after.wake {
            self.waiters.wake();
        }
        if let (Some(wake), Some(me)) = (after.schedule, self.me.upgrade()) {
            self.timers.schedule(wake, &me);
        }
        if let Some(link) = after.link {
            if after.refollows {
                link.refollow(self.topic_partition);
            }
            if let Some((epoch, end, log_start)) = after.acknowledgement {
                link.acknowledge(self.topic_partition, epoch, end, log_start);
            }
        }
        if let (Some((epoch, partition_epoch, isr)), Some(cell)) =
            (after.proposal, self.me.upgrade())
        {
            let proposal = IsrProposal {
                cell,
                epoch,
                partition_epoch,
                isr,
            };
            // Nobody listens any more when the broker is stopping.
            let _stopping = self.peers.proposals.send(proposal);
        }
        if after.store_works {
            self.store.work();
        }
        if let (true, Some(me)) = (after.is_cut, self.me.upgrade()) {
            let _stopping = self.peers.cut.send(me);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic aborts the process, so nobody ever sees a half-changed state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogListener for Cell {
    fn on_flushed(&self, incarnation: u64, end: Offset) {
        self.with(|state, now| {
            if incarnation == state.incarnation {
                state.followers.on_flushed(end);
                state.step(now, Input::Flushed { end });
            }
        });
    }

    fn on_start_moved(&self, start: Offset) {
        self.with(|state, now| state.step(now, Input::StartMoved { to: start }));
    }

    fn on_failed(&self, incarnation: u64, failure: StoreFailure) {
        if failure == StoreFailure::Damaged {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        let is_news = self.with(|state, now| {
            let is_news = incarnation == state.incarnation && !state.is_failed();
            if is_news {
                let view = state.partition.view();
                if leads(&view) && state.is_copied() {
                    state.lost = Some(view.leader_epoch);
                }
                state.step(now, Input::StorageFailed);
                state.drop_host();
            }
            is_news
        });
        if !is_news {
            return;
        }
        error!(topic = %self.topic, partition = %self.topic_partition.partition, %failure, "partition is offline");
        if failure == StoreFailure::Full
            && let Some(me) = self.me.upgrade()
        {
            // Nobody listens any more when the broker is stopping.
            let _stopping = self.failures.send(me);
        }
    }
}

impl State {
    pub(super) fn step(&mut self, now: Millis, input: Input) {
        self.partition.step(now, input, &mut self.effects);
    }

    fn begin(&mut self, now: Millis, term: Term) {
        let input = match &term {
            Term::Lead(lead) if self.has_lost(lead) => Input::Follow {
                epoch: lead.epoch,
                leader: None,
                in_sync: true,
            },
            Term::Lead(_) | Term::Follow { .. } => term.input(),
        };
        self.step(now, input);
        self.term = Some(term);
    }

    /// Whether the cluster takes this replica for the leader in an epoch in which it does
    /// not lead any more, or cannot though another could.
    fn is_lost_leader(&self) -> bool {
        let Some(Term::Lead(lead)) = &self.term else {
            return false;
        };
        self.has_lost(lead) || self.is_failed() && lead.isr.len() > 1
    }

    fn has_lost(&self, lead: &Lead) -> bool {
        self.lost.is_some_and(|lost| lead.epoch <= lost)
    }

    /// Whether other brokers have replicas that this one leads, or may lead before what
    /// it writes now is on its disk.
    fn is_copied(&self) -> bool {
        match &self.term {
            Some(Term::Lead(lead)) => lead.replicas.len() > 1,
            Some(Term::Follow { .. }) => true,
            None => false,
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self.partition.view().role, RoleKind::Failed)
    }

    fn expect(&mut self, waiting: Waiting) -> ReplyToken {
        self.last_token += 1;
        let token = ReplyToken(self.last_token);
        self.waiting.insert(token, waiting);
        token
    }

    /// Lets an input in only where its records could be written.
    fn admit_host(&self) -> Result<(), HostRefusal> {
        match &self.host {
            Hosting::Nothing => Err(HostRefusal::NotHere),
            Hosting::Loading(_) => Err(HostRefusal::Loading),
            Hosting::Ready(_) => self
                .partition
                .can_append_hosted()
                .map_err(|_| HostRefusal::NotHere),
        }
    }

    /// Lends the partition to the coordinator for one call.
    fn run_host(
        &mut self,
        now: Millis,
        call: impl FnOnce(&mut Host, Millis, &mut HostLog<'_>) -> Result<(), super::host::MustReload>,
    ) {
        let Hosting::Ready(host) = &mut self.host else {
            return;
        };
        let mut log = HostLog::new(&mut self.partition, &mut self.effects, now);
        if let Err(failed) = call(host, now, &mut log) {
            error!(%failed, "a coordinator cannot write its log");
            self.drop_host();
        }
    }

    /// Whoever waits for the coordinator hears that it is not here any more.
    fn drop_host(&mut self) {
        self.host = Hosting::Nothing;
        self.dismiss_hosted();
    }

    /// Whoever waits for the coordinator looks for it anew.
    fn dismiss_hosted(&mut self) {
        self.waiting
            .retain(|_, waiting| !matches!(waiting, Waiting::Host(_)));
    }

    /// Lets go who waits for the followers' word and has it, or will not have it.
    fn settle_confirmations(&mut self) {
        if !self.confirmations.is_waited_for() {
            return;
        }
        if is_leader(&self.partition.view()) {
            self.confirmations.release(&self.partition.successors());
        } else {
            self.confirmations.give_up();
        }
    }

    fn commit(&mut self, end: Offset, after: &mut After) {
        if let Hosting::Ready(host) = &mut self.host {
            let replies = host.on_committed(end);
            self.route(replies, after);
        }
    }

    /// Replies of the coordinator that wait for nothing.
    fn release(&mut self, after: &mut After) {
        if let Hosting::Ready(host) = &mut self.host {
            let replies = host.released();
            self.route(replies, after);
        }
    }

    fn route(&mut self, replies: Vec<(ReplyToken, ottla_coordinator::Reply)>, after: &mut After) {
        for (token, reply) in replies {
            if let Some(waiting) = self.waiting.remove(&token) {
                after.replies.push((waiting, Outcome::Host(reply)));
            }
        }
    }

    /// The deadline that the timer task has to learn of, if it is news.
    fn reschedule(&mut self) -> Option<Millis> {
        let partition = self.partition.next_deadline();
        // While it may not write it is not called, so its deadline would stay due.
        let host = match &self.host {
            Hosting::Ready(host) if self.admit_host().is_ok() => host.next_deadline(),
            Hosting::Ready(_) | Hosting::Nothing | Hosting::Loading(_) => None,
        };
        let next = partition.into_iter().chain(host).min()?;
        if self.scheduled.is_some_and(|at| at <= next) {
            return None;
        }
        self.scheduled = Some(next);
        Some(next)
    }
}

impl Waiting {
    /// Whoever waited may have gone; then the answer is dropped.
    fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Append(to), Outcome::Partition(Reply::Appended(result))) => {
                let _gone = to.send(result);
            }
            (Self::Delete(to), Outcome::Partition(Reply::Deleted(result))) => {
                let _gone = to.send(result);
            }
            (Self::Host(to), Outcome::Host(reply)) => {
                let _gone = to.send(reply);
            }
            (waiting, outcome) => unreachable!("{waiting:?} was answered with {outcome:?}"),
        }
    }
}

/// Whether this replica serves clients.
pub(crate) fn is_leader(view: &View) -> bool {
    leads(view) && !view.is_doubtful
}

/// Whether this replica leads, as far as it knows.
pub(crate) fn leads(view: &View) -> bool {
    match view.role {
        RoleKind::Leader => true,
        RoleKind::Idle | RoleKind::Follower | RoleKind::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::{ProducerEpoch, ProducerId, Sequence};
    use ottla_coordinator::{Loader, Settings};
    use ottla_protocol::records::BatchBuilder;
    use ottla_store::memory::Stepping;

    use super::*;
    use crate::partitions::testing::{NODE, cell_in, memory};

    const OTHER: BrokerId = BrokerId(2);

    fn append(state: &mut State, now: Millis, sequence: i32, deadline: Millis) {
        let builder = BatchBuilder::new();
        let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
        let mut batch = builder.producer(id, epoch, Sequence(sequence));
        batch.push(Millis(0), None, Some(b"x"));
        let append = Append {
            token: state.expect(Waiting::Append(oneshot::channel().0)),
            batch: batch.build().expect("a batch"),
            acks: Acks::All,
            deadline,
        };
        state.step(now, Input::Append(append));
    }

    #[test]
    fn a_coordinator_that_may_not_write_is_not_woken_again_and_again() {
        let timers = Arc::default();
        let cell = cell_in(memory(Stepping::Thread), &timers);
        let lead = |partition_epoch, isr: &[BrokerId]| Lead {
            epoch: LeaderEpoch(0),
            partition_epoch,
            replicas: vec![NODE, OTHER],
            isr: isr.to_vec(),
        };
        let settings = ottla_partition::Settings {
            min_insync_replicas: 2,
            ..ottla_partition::Settings::default()
        };
        cell.with(|state, now| state.step(now, Input::Settings(settings)));
        cell.lead(lead(0, &[NODE, OTHER]));
        let now = cell.clock.now();
        let load = cell.host_loading();
        cell.host_ready(load, |view| {
            let long_ago = now.plus_ms(-1_000_000_000);
            let groups = Loader::new().finish(Settings::default(), long_ago);
            Host::new(groups, view.end, view.high_watermark, 0)
        });
        cell.lead(lead(1, &[NODE]));
        let wakes = || {
            let (ready, _) = timers.take_due(now);
            let due = ready.len();
            for (at, cell) in ready {
                cell.tick(at);
            }
            due
        };
        assert_eq!(wakes(), 1, "that was planned when it could write");
        assert_eq!(wakes(), 0);
        cell.lead(lead(2, &[NODE, OTHER]));
        assert_eq!(wakes(), 1, "it is late, and can write again");
        assert_eq!(wakes(), 0);
    }

    /// The timers are told without the lock, so that one thread may have moved the wake
    /// back to where another, which is late, has moved it away from.
    #[test]
    fn who_is_late_takes_no_wake_away_that_is_wanted() {
        let (store, timers) = (memory(Stepping::Manual), Arc::default());
        let cell = cell_in(store.clone(), &timers);
        cell.lead(Lead {
            epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: vec![NODE],
            isr: vec![NODE],
        });
        let start = cell.clock.now();
        let soon = start.plus_ms(100_000);
        // When the producer expires, which comes before this append does.
        cell.with(|state, now| append(state, now, 0, start.plus_ms(9_000_000)));
        let expiry = cell.lock().scheduled;
        let late = {
            let mut state = cell.lock();
            append(&mut state, start, 1, start.plus_ms(200_000));
            cell.carry_out(&mut state)
        };
        cell.with(|state, now| append(state, now, 2, soon));
        // All are answered, and the first wake comes: then only the expiry is waited for.
        store.flush_now();
        let (ready, _) = timers.take_due(soon);
        for (at, cell) in ready {
            cell.tick(at);
        }
        assert_eq!(cell.lock().scheduled, expiry);
        cell.finish(late);
        let (wakes, _) = timers.take_due(start.plus_ms(9_000_000));
        let wakes: Vec<_> = wakes.into_iter().map(|(at, _)| Some(at)).collect();
        assert_eq!(wakes, [expiry]);
    }
}
