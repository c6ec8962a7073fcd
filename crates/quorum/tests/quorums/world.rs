//! Voters in one process: each behind a door that can be closed, and a wire between
//! each two that can be cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_base::{
    BrokerId, LeaderEpoch, Millis, Offset, PartitionId, ProducerId, TopicId, TopicName,
    TopicPartition,
};
use ottla_controller::{Image, Partition, Record, Resource, Topic};
use ottla_protocol::records::BatchBuilder;
use ottla_quorum::{
    FollowParts, Followed, OpenError, Participant, Parts, Proposer, Tuning, Voter, VoterStatus,
    VoterTask, proposals,
};
use ottla_rpc::{Address, Channels, Handoff};
use ottla_store::{Durability, LogId, LogStore, Op, StoreFailure, memory};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// More than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);

const NOBODY: i32 = 0;

pub(crate) fn id(node: i32) -> BrokerId {
    BrokerId(node)
}

pub(crate) fn producer_ids(next: i64) -> Record {
    Record::ProducerIds {
        next: ProducerId(next),
    }
}

/// A record that takes up room.
pub(crate) fn ballast() -> Record {
    Record::Config {
        resource: Resource::Brokers,
        name: "ballast".to_owned(),
        value: Some("x".repeat(20_000)),
    }
}

pub(crate) fn topic(name: &str) -> Arc<Topic> {
    let partition = Partition::new(vec![id(1)], vec![id(1)]);
    Arc::new(Topic {
        id: TopicId([7; 16]),
        name: TopicName::from(name),
        partitions: [partition].into_iter().collect(),
    })
}

/// All nodes, the stores that survive them, and the wires.
pub(crate) struct World {
    nodes: BTreeMap<i32, Node>,
    stores: BTreeMap<i32, (Arc<memory::MemoryStore>, LogId)>,
    doors: BTreeMap<i32, Door>,
    /// By who calls and who is called.
    wires: BTreeMap<(i32, i32), Wire>,
}

/// What is known of a node from outside.
#[derive(Clone, Debug, Default)]
struct Seen {
    image: Image,
    /// Values of `ProducerIds` in the order in which they were committed.
    heard: Vec<i64>,
    leading: Option<u64>,
    /// The last term in which it led.
    led: u64,
    written: u64,
}

#[derive(Debug)]
struct Witness {
    seen: watch::Sender<Seen>,
    /// A single voter goes on in its term when its store has failed and is back.
    is_alone: bool,
}

impl Participant for Witness {
    fn on_committed(&self, _: Offset, records: &Arc<[Record]>) {
        self.seen.send_modify(|seen| {
            for record in &**records {
                seen.image.apply(record);
                if let Record::ProducerIds { next } = record {
                    seen.heard.push(next.0);
                }
            }
        });
    }

    fn on_leading(&self, term: u64, image: Image) {
        self.seen.send_modify(|seen| {
            assert!(
                seen.led < term || self.is_alone && seen.led == term,
                "term {term} is led again, or by who led a later one"
            );
            seen.led = term;
            seen.leading = Some(term);
            seen.written = 0;
            seen.image = image;
        });
    }

    fn on_following(&self, _: Option<BrokerId>) {
        self.seen.send_modify(|seen| seen.leading = None);
    }

    fn on_written(&self, _: u64, upto: u64) {
        self.seen.send_modify(|seen| seen.written = upto);
    }
}

/// A node that does not run yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) voter: Voter,
    task: VoterTask,
    seen: watch::Receiver<Seen>,
    proposer: Proposer,
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) voter: Voter,
    proposer: Proposer,
    seen: watch::Receiver<Seen>,
    stop: oneshot::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    async fn until(&self, what: &str, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        until(&self.seen, what, is_so).await
    }

    pub(crate) async fn leading(&self) -> u64 {
        let seen = self.until("a leader", |seen| seen.leading.is_some()).await;
        seen.leading.expect("as was waited for")
    }

    pub(crate) async fn not_leading(&self) {
        self.until("no leader", |seen| seen.leading.is_none()).await;
    }

    pub(crate) fn propose(&self, term: u64, number: u64, records: Vec<Record>) {
        self.proposer.propose(term, number, records);
    }

    pub(crate) async fn written(&self, number: u64) {
        self.until("a decision", |seen| seen.written >= number)
            .await;
    }

    pub(crate) async fn decide(&self, term: u64, number: u64, records: Vec<Record>) {
        self.propose(term, number, records);
        self.written(number).await;
    }

    /// Says whether that was written before the term was over.
    async fn try_decide(&self, term: u64, records: Vec<Record>) -> bool {
        let number = self.seen.borrow().written + 1;
        self.propose(term, number, records);
        let is_over = |seen: &Seen| seen.leading != Some(term) || seen.written >= number;
        let seen = self.until("a decision", is_over).await;
        seen.leading == Some(term)
    }

    pub(crate) fn next_producer_id(&self) -> ProducerId {
        self.voter.image().next_producer_id()
    }

    pub(crate) fn heard(&self) -> Vec<i64> {
        self.seen.borrow().heard.clone()
    }

    /// Waits until what this voter knows of another is so.
    pub(crate) async fn knows(&self, other: i32, is_so: impl Fn(&VoterStatus) -> bool) {
        let is_known = || {
            let voters = self.voter.status().voters;
            voters.iter().any(|of| of.id == id(other) && is_so(of))
        };
        let known = async {
            while !is_known() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(LONG, known).await;
        waited.expect("what was waited for");
    }
}

async fn until(seen: &watch::Receiver<Seen>, what: &str, is_so: impl FnMut(&Seen) -> bool) -> Seen {
    let mut seen = seen.clone();
    let waited = tokio::time::timeout(LONG, seen.wait_for(is_so)).await;
    let Ok(Ok(found)) = waited else {
        panic!("{what} did not come: {waited:?}");
    };
    found.clone()
}

impl World {
    pub(crate) fn new(nodes: i32) -> Self {
        Self::made(nodes, memory::Stepping::Thread)
    }

    /// One node, whose store does what it is told when it is told.
    pub(crate) fn stepped() -> Self {
        Self::made(1, memory::Stepping::Manual)
    }

    fn made(nodes: i32, stepping: memory::Stepping) -> Self {
        let mut world = Self {
            nodes: BTreeMap::new(),
            stores: BTreeMap::new(),
            doors: BTreeMap::new(),
            wires: BTreeMap::new(),
        };
        for node in 1..=nodes {
            let store = Arc::new(memory::open(memory::Options {
                durability: Durability::Fsync,
                stepping,
            }));
            let log = store.create(TopicPartition {
                topic: TopicId([1; 16]),
                partition: PartitionId(0),
            });
            world.stores.insert(node, (store, log.expect("a log")));
            world.doors.insert(node, Door::open());
        }
        for (node, door) in &world.doors {
            for from in NOBODY..=nodes {
                world.wires.insert((from, *node), Wire::to(door.address));
            }
        }
        world
    }

    pub(crate) fn node(&self, node: i32) -> &Node {
        &self.nodes[&node]
    }

    pub(crate) fn others(&self, than: i32) -> Vec<i32> {
        let all = self.stores.keys().copied();
        all.filter(|node| *node != than).collect()
    }

    fn addresses(&self, from: i32) -> BTreeMap<BrokerId, Address> {
        let wires = self.wires.iter().filter(|((caller, _), _)| *caller == from);
        wires
            .map(|((_, called), wire)| {
                let address = Address {
                    host: wire.address.ip().to_string(),
                    port: wire.address.port(),
                };
                (id(*called), address)
            })
            .collect()
    }

    pub(crate) fn start_all(&mut self) {
        let all: Vec<_> = self.stores.keys().copied().collect();
        all.into_iter().for_each(|node| self.start(node));
    }

    pub(crate) fn start(&mut self, node: i32) {
        let opened = self.open(node).expect("a log that can be read");
        let Opened {
            voter,
            task,
            seen,
            proposer,
        } = opened;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (handoff, incoming) = ottla_rpc::incoming();
        let routes = tonic::service::Routes::new(voter.service());
        let (close, closed) = oneshot::channel::<()>();
        let tasks = vec![
            spawn(async move {
                task.run(async {
                    let _dropped = (&mut stopped).await;
                })
                .await;
                drop(close);
            }),
            spawn(async move {
                let stop = async {
                    let _dropped = closed.await;
                };
                // Streams that nobody ends would keep it.
                let served = ottla_rpc::serve(routes, incoming, std::future::pending());
                tokio::select! {
                    biased;
                    () = stop => (),
                    served = served => served.expect("a server"),
                }
            }),
        ];
        self.doors[&node].lead_to(Some(handoff));
        let node_of = Node {
            voter,
            proposer,
            seen,
            stop,
            tasks,
        };
        self.nodes.insert(node, node_of);
    }

    pub(crate) fn open(&self, node: i32) -> Result<Opened, OpenError> {
        self.open_with(node, self.addresses(node))
    }

    /// As the only voter.
    pub(crate) fn open_alone(&self, node: i32) -> Result<Opened, OpenError> {
        let mut voters = self.addresses(node);
        voters.retain(|voter, _| *voter == id(node));
        self.open_with(node, voters)
    }

    fn open_with(
        &self,
        node: i32,
        voters: BTreeMap<BrokerId, Address>,
    ) -> Result<Opened, OpenError> {
        let is_alone = voters.len() == 1;
        let (store, log) = self.stores[&node].clone();
        let (witness, seen) = watch::channel(Seen::default());
        let (proposer, proposals) = proposals();
        let (voter, task) = Voter::open(Parts {
            node: id(node),
            voters,
            store,
            log,
            channels: Channels::default(),
            tuning: Tuning {
                snapshot_bytes_min: 10_000,
                ..Tuning::default()
            },
            participant: Arc::new(Witness {
                seen: witness,
                is_alone,
            }),
            proposals,
        })?;
        Ok(Opened {
            voter,
            task,
            seen,
            proposer,
        })
    }

    /// Writes records in the form that a node without a quorum had.
    pub(crate) fn write_as_before(&self, node: i32, records: &[Record]) {
        let (store, log) = &self.stores[&node];
        let mut batch = BatchBuilder::new();
        for record in records {
            batch.push(Millis(0), Some(&record.key()), record.value().as_deref());
        }
        let end = store.bounds(*log).expect("a log").end;
        let batch = batch.build().expect("a batch");
        store.submit(Op::Append {
            log: *log,
            incarnation: 0,
            batch: batch.at(end, LeaderEpoch(0)),
            sync: true,
        });
        store.drain();
    }

    pub(crate) fn refuse_appends(&self, node: i32, reason: Option<StoreFailure>) {
        self.stores[&node].0.refuse_appends(reason);
    }

    pub(crate) async fn stop(&mut self, node: i32) {
        let stopped = self.nodes.remove(&node).expect("it runs");
        self.doors[&node].lead_to(None);
        self.each_wire_to(node, Wire::tear);
        drop(stopped.stop);
        for task in stopped.tasks {
            task.await.expect("no panic");
        }
    }

    /// The power goes: what the store had not flushed is gone, and nobody is told.
    pub(crate) fn lose_power(&mut self, node: i32) {
        self.stores[&node].0.lose_unflushed();
        let lost = self.nodes.remove(&node).expect("it runs");
        lost.tasks.iter().for_each(JoinHandle::abort);
    }

    pub(crate) fn flush(&self) {
        self.stores
            .values()
            .for_each(|(store, _)| store.flush_now());
    }

    pub(crate) async fn until_written(&self) {
        let (store, _) = &self.stores[&1];
        let written = async {
            while store.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, written).await.expect("a write");
    }

    pub(crate) async fn flush_when_written(&self) {
        self.until_written().await;
        self.flush();
    }

    fn each_wire_to(&self, node: i32, what: impl Fn(&Wire)) {
        let wires = self.wires.iter().filter(|((_, to), _)| *to == node);
        wires.for_each(|(_, wire)| what(wire));
    }

    /// Nobody reaches the node, and it reaches nobody.
    pub(crate) fn cut_off(&self, node: i32) {
        self.set_wires(node, false);
    }

    /// These two do not reach each other.
    pub(crate) fn part(&self, one: i32, other: i32) {
        self.wires[&(one, other)].set(false);
        self.wires[&(other, one)].set(false);
    }

    /// Nobody reaches the node, but it reaches the others, and hears what they answer.
    pub(crate) fn deafen(&self, node: i32) {
        self.each_wire_to(node, |wire| wire.set(false));
    }

    pub(crate) fn rejoin(&self, node: i32) {
        self.set_wires(node, true);
    }

    fn set_wires(&self, node: i32, is_whole: bool) {
        for ((from, to), wire) in &self.wires {
            if from != to && (*from == node || *to == node) {
                wire.set(is_whole);
            }
        }
    }

    pub(crate) async fn leader_of(&self, nodes: &[i32]) -> (i32, u64) {
        let leading = nodes.iter().map(|node| {
            let leading = self.node(*node).leading();
            Box::pin(async move { (*node, leading.await) })
        });
        let (found, _, _) = futures::future::select_all(leading).await;
        found
    }

    /// Waits until every one of these knows this value and all agree on the rest.
    pub(crate) async fn every_node_has(&self, nodes: &[i32], next: i64) {
        for node in nodes {
            let has = |seen: &Seen| seen.image.next_producer_id() == ProducerId(next);
            self.node(*node).until("a commit", has).await;
        }
        let first = self.node(nodes[0]).voter.image();
        for node in nodes {
            assert_eq!(self.node(*node).voter.image(), first, "node {node}");
        }
    }

    /// Has whoever of these leads decide, and whoever leads next where a term ends before
    /// that is written.
    pub(crate) async fn decide(&self, nodes: &[i32], records: Vec<Record>) {
        loop {
            let (leader, term) = self.leader_of(nodes).await;
            if self.node(leader).try_decide(term, records.clone()).await {
                return;
            }
        }
    }

    /// Where a node's log ends.
    pub(crate) fn end_of(&self, node: i32) -> Offset {
        let (store, log) = &self.stores[&node];
        store.bounds(*log).expect("a log").end
    }

    /// Waits until a node's log cannot be continued any more by one that ends there.
    pub(crate) async fn purged(&self, node: i32, end: Offset) {
        let (store, log) = &self.stores[&node];
        let purged = async {
            while store.bounds(*log).expect("a log").start <= end {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, purged).await.expect("a purge");
    }

    pub(crate) fn follow(&self) -> Follower {
        let (witness, seen) = watch::channel(Seen::default());
        let followed = Followed::default();
        let parts = FollowParts {
            voters: self.addresses(NOBODY).into_values().collect(),
            channels: Channels::default(),
            participant: Arc::new(Witness {
                seen: witness,
                is_alone: false,
            }),
        };
        spawn(followed.clone().run(parts, std::future::pending()));
        Follower { followed, seen }
    }

    pub(crate) fn silence_follower(&self) {
        self.set_wires(NOBODY, false);
    }

    pub(crate) fn let_follower_speak(&self) {
        self.set_wires(NOBODY, true);
    }
}

/// A node that is no voter.
pub(crate) struct Follower {
    followed: Followed,
    seen: watch::Receiver<Seen>,
}

impl Follower {
    pub(crate) async fn has(&self, next: i64) {
        let has = |seen: &Seen| seen.image.next_producer_id() == ProducerId(next);
        until(&self.seen, "a commit at the follower", has).await;
    }

    pub(crate) fn image(&self) -> Image {
        self.followed.image()
    }

    pub(crate) fn heard(&self) -> Vec<i64> {
        self.seen.borrow().heard.clone()
    }
}

/// Where a node is reached, also while it does not run.
struct Door {
    address: SocketAddr,
    to: Arc<Mutex<Option<Handoff>>>,
}

impl Door {
    fn open() -> Self {
        let (listener, address) = listen();
        let to: Arc<Mutex<Option<Handoff>>> = Arc::default();
        let leads = to.clone();
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let leads = leads.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(handoff) = &*leads {
                    handoff.put(stream);
                }
            }
        });
        Self { address, to }
    }

    fn lead_to(&self, handoff: Option<Handoff>) {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = handoff;
    }
}

/// A way from one node to another. Connections that are open break when it is cut.
struct Wire {
    address: SocketAddr,
    /// Whether it is whole, and a count that breaks what is open when it changes.
    state: watch::Sender<(bool, u64)>,
}

impl Wire {
    fn to(target: SocketAddr) -> Self {
        let (listener, address) = listen();
        let (state, seen) = watch::channel((true, 0));
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let mut seen = seen.clone();
                let (is_whole, _) = *seen.borrow_and_update();
                if is_whole {
                    spawn(async move {
                        tokio::select! {
                            _ = seen.changed() => (),
                            () = relay(stream, target) => (),
                        }
                    });
                }
            }
        });
        Self { address, state }
    }

    fn set(&self, is_whole: bool) {
        self.state.send_modify(|(whole, count)| {
            *whole = is_whole;
            *count += 1;
        });
    }

    fn tear(&self) {
        self.state.send_modify(|(_, count)| *count += 1);
    }
}

async fn relay(mut from: TcpStream, target: SocketAddr) {
    if let Ok(mut to) = TcpStream::connect(target).await {
        let _broken = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    (TcpListener::from_std(listener).expect("a runtime"), address)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tasks of a test end with its runtime"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
