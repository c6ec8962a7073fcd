//! Brokers whose replicas are lists of batches.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, TopicId, TopicPartition};
use ottla_partition::{FollowPosition, Place};
use ottla_protocol::records::{BatchBuilder, RecordBatch};
use ottla_replication::{
    Following, Leaders, Leading, Limits, Link, Links, News, Node, Read, ReadMode, Replicas, Role,
    Round, Task, Throttle,
};
use ottla_rpc::{Address, Channels};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

const LEADER: BrokerId = BrokerId(1);
const FOLLOWER: BrokerId = BrokerId(2);

/// Everything happens within milliseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn partition(id: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([7; 16]),
        partition: PartitionId(id),
    }
}

/// A value that tests wait for.
#[derive(Debug)]
struct Watched<T>(watch::Sender<T>);

impl<T: std::fmt::Debug> Watched<T> {
    fn new(value: T) -> Self {
        Self(watch::Sender::new(value))
    }

    fn lock(&self, change: impl FnOnce(&mut T)) {
        self.0.send_modify(change);
    }

    fn get<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }

    async fn until(&self, holds: impl Fn(&T) -> bool) {
        let mut changes = self.0.subscribe();
        let holds = tokio::time::timeout(PATIENCE, changes.wait_for(|value| holds(value))).await;
        let value = self.0.borrow();
        assert!(holds.is_ok(), "it stays {value:?}");
    }
}

#[derive(Debug)]
pub(crate) struct NodeFake {
    id: BrokerId,
    blocked: AtomicUsize,
    stop: watch::Sender<bool>,
}

impl NodeFake {
    fn new(id: BrokerId) -> Arc<Self> {
        Arc::new(Self {
            id,
            blocked: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
        })
    }

    pub(crate) fn blocked(&self) -> usize {
        self.blocked.load(Ordering::SeqCst)
    }
}

impl Node for NodeFake {
    fn id(&self) -> BrokerId {
        self.id
    }

    fn broker_epoch(&self) -> i64 {
        0
    }

    #[expect(clippy::disallowed_methods, reason = "a test has no tracker of tasks")]
    fn spawn(&self, _: &'static str, task: Task) {
        tokio::spawn(task);
    }

    /// As that of the broker: asked from a task, and the job runs where there is none.
    fn block(&self, job: Box<dyn FnOnce() + Send>) {
        let _of_a_task = Handle::current();
        self.blocked.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(job);
    }

    fn stopping(&self) -> Task {
        let mut stop = self.stop.subscribe();
        Box::pin(async move {
            let _gone = stop.wait_for(|stop| *stop).await;
        })
    }
}

/// A broker that leads, on a port of its own.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) node: Arc<NodeFake>,
    pub(crate) throttle: Arc<Throttle>,
    address: Address,
    cut: watch::Sender<u32>,
}

#[derive(Debug)]
struct Logs(HashMap<TopicPartition, Arc<LogFake>>);

impl Replicas for Logs {
    fn leading(&self, partition: TopicPartition) -> Option<Arc<dyn Leading>> {
        let log = self.0.get(&partition)?;
        Some(log.clone())
    }
}

impl Leader {
    pub(crate) async fn start(
        limits: Limits,
        logs: impl IntoIterator<Item = (TopicPartition, Arc<LogFake>)>,
    ) -> Self {
        let node = NodeFake::new(LEADER);
        let throttle = Arc::new(Throttle::new(u64::MAX));
        let replicas = Arc::new(Logs(logs.into_iter().collect()));
        let leaders = Leaders::new(node.clone(), replicas, limits, throttle.clone());
        let routes = tonic::service::Routes::new(leaders.service());
        let (handoff, incoming) = ottla_rpc::incoming();
        let stopping = node.stopping();
        let serve = ottla_rpc::serve(routes, incoming, stopping);
        node.spawn(
            "serve",
            Box::pin(async move { serve.await.expect("what a test makes itself works") }),
        );
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("what a test makes itself works");
        let port = listener
            .local_addr()
            .expect("what a test makes itself works")
            .port();
        let cut = watch::Sender::new(0);
        let mut cuts = cut.subscribe();
        let relay = node.clone();
        // A relay, so that connections can be cut.
        node.spawn(
            "accept",
            Box::pin(async move {
                let inner = TcpListener::bind(("127.0.0.1", 0)).await.expect("what a test makes itself works");
                let behind = inner.local_addr().expect("what a test makes itself works");
                loop {
                    let (mut outer, _) = listener.accept().await.expect("what a test makes itself works");
                    let mut connection = tokio::net::TcpStream::connect(behind).await.expect("what a test makes itself works");
                    handoff.put(inner.accept().await.expect("what a test makes itself works").0);
                    cuts.mark_unchanged();
                    let mut cuts = cuts.clone();
                    relay.spawn(
                        "relay",
                        Box::pin(async move {
                            tokio::select! {
                                _ = cuts.changed() => (),
                                _ = tokio::io::copy_bidirectional(&mut outer, &mut connection) => (),
                            }
                        }),
                    );
                }
            }),
        );
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port,
        };
        Self {
            node,
            throttle,
            address,
            cut,
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

/// A broker that follows.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) link: Arc<Link>,
    pub(crate) throttle: Arc<Throttle>,
}

impl Follower {
    pub(crate) fn of(leader: &Leader) -> Self {
        let node = NodeFake::new(FOLLOWER);
        let throttle = Arc::new(Throttle::new(u64::MAX));
        let links = Links::new(node, Channels::default(), throttle.clone());
        links.set_address(LEADER, Some(leader.address.clone()));
        Self {
            link: links.to(LEADER),
            throttle,
        }
    }

    pub(crate) fn follow(&self, partition: TopicPartition, copy: &Arc<Copy>) {
        *lock(&copy.link) = Some((self.link.clone(), partition));
        self.link.follow(partition, copy.clone());
    }
}

/// A log that is led here.
#[derive(Debug)]
pub(crate) struct LogFake {
    state: Watched<Log>,
    followers: Mutex<Vec<News>>,
    blocking_reads: AtomicUsize,
    is_throttled: AtomicBool,
}

#[derive(Debug)]
struct Log {
    epoch: LeaderEpoch,
    batches: Vec<RecordBatch>,
    start: Offset,
    /// Of the batch that holds the start.
    base: Offset,
    high_watermark: Offset,
    /// What lies below is not in memory.
    frozen: Offset,
    diverges_at: Option<Offset>,
    acknowledged: Offset,
    refusals: usize,
    left: usize,
    /// The last round that the follower has confirmed.
    confirmed: Round,
}

impl Log {
    fn end(&self) -> Offset {
        let last = self.batches.last();
        last.map_or(self.start, |last| last.header().next_offset())
    }
}

impl LogFake {
    /// A log with batches of one record of so many bytes.
    pub(crate) fn of(batches: usize, bytes: usize) -> Arc<Self> {
        let log = Arc::new(Self {
            state: Watched::new(Log {
                epoch: LeaderEpoch(0),
                batches: Vec::new(),
                start: Offset(0),
                base: Offset(0),
                high_watermark: Offset(0),
                frozen: Offset(0),
                diverges_at: None,
                acknowledged: Offset(0),
                refusals: 0,
                left: 0,
                confirmed: Round(0),
            }),
            followers: Mutex::default(),
            blocking_reads: AtomicUsize::new(0),
            is_throttled: AtomicBool::new(false),
        });
        log.append(batches, bytes);
        log
    }

    pub(crate) fn append(&self, batches: usize, bytes: usize) {
        self.state.lock(|log| {
            for _ in 0..batches {
                let (end, epoch) = (log.end(), log.epoch);
                let mut batch = BatchBuilder::new();
                let value =
                    vec![u8::try_from(end.0 % 251).expect("what a test makes itself works"); bytes];
                batch.push(Millis(end.0), None, Some(&value));
                log.batches.push(
                    batch
                        .build()
                        .expect("what a test makes itself works")
                        .at(end, epoch),
                );
            }
        });
        self.tell(News::on_records);
    }

    pub(crate) fn batches(&self) -> Vec<RecordBatch> {
        self.state.get(|log| log.batches.clone())
    }

    pub(crate) fn lead(&self, epoch: LeaderEpoch) {
        self.state.lock(|log| log.epoch = epoch);
        self.tell(News::on_records);
    }

    pub(crate) fn commit(&self, high_watermark: i64) {
        self.state
            .lock(|log| log.high_watermark = Offset(high_watermark));
        self.tell(News::on_position);
    }

    pub(crate) fn start_at(&self, start: i64) {
        self.start_within(start, start);
    }

    /// The log starts at an offset within what is sent as one from `base` on.
    pub(crate) fn start_within(&self, base: i64, start: i64) {
        self.state.lock(|log| {
            log.start = Offset(start);
            log.base = Offset(base);
            log.high_watermark = log.high_watermark.max(log.start);
            let base = log.base;
            log.batches
                .retain(|batch| base <= batch.header().last_offset());
        });
        self.tell(News::on_position);
    }

    pub(crate) fn freeze_below(&self, offset: i64) {
        self.state.lock(|log| log.frozen = Offset(offset));
    }

    pub(crate) fn diverges_at(&self, offset: i64) {
        self.state
            .lock(|log| log.diverges_at = Some(Offset(offset)));
    }

    pub(crate) fn throttle(&self) {
        self.is_throttled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn blocking_reads(&self) -> usize {
        self.blocking_reads.load(Ordering::SeqCst)
    }

    pub(crate) async fn acknowledged(&self, end: i64) {
        self.state
            .until(|log| log.acknowledged == Offset(end))
            .await;
    }

    /// Asks whether the follower follows still.
    pub(crate) fn confirm(&self, round: u64) {
        self.tell(|news| news.confirm(Round(round)));
    }

    pub(crate) async fn confirmed(&self, round: u64) {
        self.state.until(|log| log.confirmed == Round(round)).await;
    }

    pub(crate) fn confirmed_round(&self) -> u64 {
        self.state.get(|log| log.confirmed.0)
    }

    pub(crate) async fn refused(&self) {
        self.state.until(|log| log.refusals > 0).await;
    }

    pub(crate) async fn is_left(&self) {
        self.state.until(|log| log.left > 0).await;
    }

    fn tell(&self, tell: impl Fn(&News)) {
        let followers = lock(&self.followers).clone();
        followers.iter().for_each(tell);
    }
}

impl Leading for LogFake {
    fn place(&self, _: BrokerId, position: &FollowPosition, news: News) -> Place {
        let (epoch, base, diverges_at) =
            self.state.get(|log| (log.epoch, log.base, log.diverges_at));
        if position.epoch != epoch {
            self.state.lock(|log| log.refusals += 1);
            return Place::NotLeader { epoch };
        }
        if let Some(end) = diverges_at
            && end < position.end
        {
            return Place::Diverged { epoch, end };
        }
        let mut followers = lock(&self.followers);
        followers.clear();
        followers.push(news);
        if position.end < base {
            Place::BehindStart(base)
        } else {
            Place::From(position.end)
        }
    }

    fn leave(&self, _: BrokerId, news: &News) {
        lock(&self.followers).retain(|known| !known.is_same(news));
        self.state.lock(|log| log.left += 1);
    }

    fn replicated(&self, by: BrokerId, _: LeaderEpoch, end: Offset, _: Offset) {
        assert_eq!(by, FOLLOWER);
        self.state.lock(|log| log.acknowledged = end);
    }

    fn confirmed(&self, by: BrokerId, round: Round) {
        assert_eq!(by, FOLLOWER);
        self.state.lock(|log| log.confirmed = round);
    }

    fn read(&self, epoch: LeaderEpoch, from: Offset, max_bytes: usize, mode: ReadMode) -> Read {
        if mode == ReadMode::Blocking {
            self.blocking_reads.fetch_add(1, Ordering::SeqCst);
        }
        let read = self.state.get(|log| {
            if epoch != log.epoch {
                return Read::NotLeader { epoch: log.epoch };
            }
            if from < log.base {
                return Read::BehindStart(log.base);
            }
            if from < log.frozen && mode == ReadMode::NonBlocking {
                return Read::WouldBlock;
            }
            let mut room = max_bytes as u64;
            let mut batches = Vec::new();
            for batch in &log.batches {
                if batch.header().base_offset < from {
                    continue;
                }
                if batch.size().0 > room && !batches.is_empty() {
                    break;
                }
                room = room.saturating_sub(batch.size().0);
                batches.push(batch.clone());
            }
            Read::Ready {
                batches,
                end: log.end(),
                high_watermark: log.high_watermark,
            }
        });
        if let Read::NotLeader { .. } = read {
            self.state.lock(|log| log.refusals += 1);
        }
        read
    }

    fn role(&self) -> Role {
        self.state.get(|log| Role {
            epoch: log.epoch,
            high_watermark: log.high_watermark,
            log_start: log.start,
        })
    }

    fn is_throttled(&self, _: BrokerId) -> bool {
        self.is_throttled.load(Ordering::SeqCst)
    }
}

/// A log that follows another, and is durable at once.
#[derive(Debug)]
pub(crate) struct Copy {
    state: Watched<CopyState>,
    link: Mutex<Option<(Arc<Link>, TopicPartition)>>,
}

#[derive(Debug)]
struct CopyState {
    epoch: LeaderEpoch,
    start: Offset,
    end: Offset,
    batches: Vec<RecordBatch>,
    high_watermark: Offset,
    withheld: bool,
    throttled: bool,
    asked: Vec<i64>,
}

impl Copy {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Watched::new(CopyState {
                epoch: LeaderEpoch(0),
                start: Offset(0),
                end: Offset(0),
                batches: Vec::new(),
                high_watermark: Offset(0),
                withheld: false,
                throttled: false,
                asked: Vec::new(),
            }),
            link: Mutex::default(),
        })
    }

    pub(crate) fn put(&self, batches: Vec<RecordBatch>) {
        self.state.lock(|copy| {
            copy.end = batches
                .last()
                .expect("what a test makes itself works")
                .header()
                .next_offset();
            copy.batches = batches;
        });
    }

    /// Metadata says that there is a new leader's epoch.
    pub(crate) fn in_epoch(&self, epoch: LeaderEpoch) {
        self.state.lock(|copy| copy.epoch = epoch);
        if let Some((link, partition)) = &*lock(&self.link) {
            link.refollow(*partition);
        }
    }

    /// The same, and the leader is not asked.
    pub(crate) fn learns(&self, epoch: LeaderEpoch) {
        self.state.lock(|copy| copy.epoch = epoch);
    }

    pub(crate) fn throttle(&self) {
        self.state.lock(|copy| copy.throttled = true);
    }

    /// Acknowledges nothing from now on.
    pub(crate) fn withhold(&self) {
        self.state.lock(|copy| copy.withheld = true);
    }

    pub(crate) fn release(&self) {
        self.state.lock(|copy| copy.withheld = false);
        self.acknowledge();
    }

    pub(crate) async fn reaches(&self, end: i64) {
        self.state.until(|copy| copy.end >= Offset(end)).await;
    }

    pub(crate) async fn knows_committed(&self, high_watermark: i64) {
        let wanted = Offset(high_watermark);
        self.state.until(|copy| copy.high_watermark >= wanted).await;
    }

    pub(crate) async fn starts_at(&self, start: i64) {
        self.state.until(|copy| copy.start == Offset(start)).await;
    }

    pub(crate) fn end(&self) -> Offset {
        self.state.get(|copy| copy.end)
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.state.get(|copy| copy.start)
    }

    pub(crate) fn batches(&self) -> Vec<RecordBatch> {
        self.state.get(|copy| copy.batches.clone())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state
            .get(|copy| copy.batches.iter().map(|batch| batch.size().0).sum())
    }

    pub(crate) async fn is_asked_for(&self, ends: impl Into<Vec<i64>>) {
        let ends = ends.into();
        self.state.until(|copy| copy.asked == ends).await;
    }

    /// Which ends the leader was told, in order.
    pub(crate) fn asked(&self) -> Vec<i64> {
        self.state.get(|copy| copy.asked.clone())
    }

    fn acknowledge(&self) {
        let (epoch, end, start, withheld) = self
            .state
            .get(|copy| (copy.epoch, copy.end, copy.start, copy.withheld));
        if let Some((link, partition)) = &*lock(&self.link)
            && !withheld
        {
            link.acknowledge(*partition, epoch, end, start);
        }
    }
}

impl Following for Copy {
    fn position(&self) -> Option<FollowPosition> {
        self.state.lock(|copy| copy.asked.push(copy.end.0));
        Some(self.state.get(|copy| {
            FollowPosition {
                leader: LEADER,
                epoch: copy.epoch,
                end: copy.end,
                last_epoch: copy
                    .batches
                    .last()
                    .map_or(LeaderEpoch::NONE, |last| last.header().leader_epoch),
                log_start: copy.start,
            }
        }))
    }

    fn append(
        &self,
        epoch: LeaderEpoch,
        after: Offset,
        batches: Vec<RecordBatch>,
        high_watermark: Offset,
    ) {
        self.state.lock(|copy| {
            assert_eq!((epoch, after), (copy.epoch, copy.end));
            copy.end = batches
                .last()
                .expect("what a test makes itself works")
                .header()
                .next_offset();
            copy.batches.extend(batches);
            copy.high_watermark = high_watermark;
        });
        self.acknowledge();
    }

    fn on_position(&self, epoch: LeaderEpoch, high_watermark: Offset, log_start: Offset) {
        self.state.lock(|copy| {
            assert_eq!(epoch, copy.epoch);
            copy.high_watermark = high_watermark;
            copy.start = log_start;
            if copy.end < log_start {
                copy.end = log_start;
                copy.batches.clear();
            }
        });
        self.acknowledge();
    }

    fn follows_in(&self, epoch: LeaderEpoch) -> bool {
        self.state.get(|copy| copy.epoch == epoch)
    }

    fn on_diverged(&self, _: LeaderEpoch, _: LeaderEpoch, end: Offset) {
        self.state.lock(|copy| {
            copy.batches
                .retain(|batch| batch.header().last_offset() < end);
            copy.end = end;
        });
        if let Some((link, partition)) = &*lock(&self.link) {
            link.refollow(*partition);
        }
    }

    fn is_throttled(&self) -> bool {
        self.state.get(|copy| copy.throttled)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
