//! Everything there is in a cluster, the queue of its timed events, and when it is over.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::testing::Rng;
use ottla_base::{BrokerId, LeaderEpoch, Millis, PartitionId, ReplyToken};
use ottla_controller::Partition;
use ottla_partition::{RoleKind, Settings, View};

use super::event::{Event, ProcessEvent};
use super::links::{Links, Place};
use super::node::Node;
use super::quorum::Quorum;
use crate::broker::topic_partition;
use crate::client::Client;
use crate::fact::{Fact, Value, trace_line};
use crate::invariants::{Invariants, Scope};
use crate::member::GroupMember;
use crate::network::{Network, milliseconds};
use crate::reader::Reader;
use crate::story::Violation;
use crate::workload::{IdempotentProducer, PlainProducer, index};
use crate::world::{GROUPS, PARTITIONS};

/// Faults come until now.
pub(super) const CALM_AT: Millis = Millis(14_000);
/// Whoever is not done by now is not served.
const END_AT: Millis = Millis(70_000);
const PRODUCERS: u32 = 4;
const MEMBERS: usize = 2;
pub(super) const ALL: [PartitionId; 3] = [PARTITIONS[0], PARTITIONS[1], GROUPS];

/// Everything there is. Owned by a story.
#[derive(Debug)]
pub(crate) struct ClusterWorld {
    pub(super) now: Millis,
    pub(super) rng: Rng,
    serial: u64,
    /// The last event that was planned before this moment began.
    serial_of_moment: u64,
    queue: BTreeMap<(Millis, u64), Event>,
    /// Between clients and brokers.
    pub(super) network: Network,
    /// Among brokers and controllers.
    pub(super) links: Links,
    pub(super) nodes: BTreeMap<BrokerId, Node>,
    pub(super) quorum: Quorum,
    /// When the controller is woken next; other wakings are void.
    pub(super) controller_at: Option<Millis>,
    pub(super) assignments: BTreeMap<PartitionId, Vec<BrokerId>>,
    /// Leaders whose logs were looked through.
    pub(super) scanned: BTreeSet<(PartitionId, LeaderEpoch)>,
    pub(super) producers: Vec<IdempotentProducer>,
    pub(super) wakings: Vec<Option<Millis>>,
    pub(super) plain: PlainProducer,
    pub(super) readers: Vec<Reader>,
    pub(super) members: Vec<GroupMember>,
    pub(super) members_rest: bool,
    /// When the last broker is asked to stop.
    pub(super) last_stop_at: Millis,
    /// Who asked which broker with which token.
    pub(super) owed: BTreeMap<ReplyToken, (BrokerId, Client)>,
    pub(super) next_token: u64,
    pub(super) invariants: Invariants,
    trace: Option<Vec<String>>,
    violation: Option<Violation>,
}

impl ClusterWorld {
    pub(crate) fn new(seed: u64, brokers: i32, with_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            min_insync_replicas: 2,
            replica_lag_time_max_ms: 1_500,
            checkpoint_batches: 2 + u32::try_from(rng.below(40)).expect("below forty"),
            ..Settings::default()
        };
        let ids: Vec<_> = (1..=brokers).map(BrokerId).collect();
        let nodes = ids.iter().map(|id| (*id, Node::new(*id, settings, &ALL)));
        // Three replicas, or sometimes more where there are more brokers.
        let count = if rng.chance(30) { ids.len() } else { 3 };
        let assignments = ALL.map(|partition| {
            let first = index(&mut rng, ids.len());
            let replicas = ids.iter().cycle().skip(first).take(count);
            (partition, replicas.copied().collect())
        });
        let mut world = Self {
            now: Millis(0),
            network: Network::new(&mut rng),
            links: Links::new(&mut rng),
            serial: 0,
            serial_of_moment: 0,
            queue: BTreeMap::new(),
            nodes: nodes.collect(),
            quorum: Quorum::new(&mut rng),
            controller_at: None,
            assignments: assignments.into(),
            scanned: BTreeSet::new(),
            producers: (0..PRODUCERS)
                .map(|client| {
                    let partition = PARTITIONS[index(&mut rng, PARTITIONS.len())];
                    IdempotentProducer::new(client, partition, &mut rng).of_replicas()
                })
                .collect(),
            wakings: vec![None; PRODUCERS as usize],
            plain: PlainProducer::new(Value::FIRST_PLAIN_CLIENT),
            readers: PARTITIONS.map(Reader::new).into(),
            members: (0..MEMBERS)
                .map(|at| GroupMember::new(at, &mut rng))
                .collect(),
            members_rest: false,
            last_stop_at: Millis(0),
            owed: BTreeMap::new(),
            next_token: 0,
            invariants: Invariants::new(Scope::Cluster),
            trace: with_trace.then(Vec::new),
            violation: None,
            rng,
        };
        world.begin();
        world
    }

    /// Tells the story to its end, or to the first broken promise.
    pub(crate) fn run(mut self) -> (Vec<String>, Option<Violation>) {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if self.violation.is_some() || END_AT < at {
                break;
            }
            self.expect_progress(at);
            self.now = at;
            if let Some(until) = self.stands_still(&event) {
                self.after(until.since(at), event);
                continue;
            }
            self.on_event(event);
            self.plan_disks();
            if CALM_AT < at && self.is_over() {
                break;
            }
        }
        self.end();
        (self.trace.unwrap_or_default(), self.violation)
    }

    /// Who asks to be woken at once, for ever, keeps everybody else waiting.
    fn expect_progress(&mut self, at: Millis) {
        const MANY: u64 = 20_000;
        if self.now < at {
            self.serial_of_moment = self.serial;
        }
        if self.serial_of_moment + MANY < self.serial {
            let events = format!("{MANY} events");
            self.note(Err(("time passes", events)));
        }
    }

    fn begin(&mut self) {
        for broker in self.ids() {
            self.on_restart(broker);
            let pace = milliseconds(&mut self.rng, 2_000);
            self.after(pace, Event::DiskPace(broker));
        }
        self.after(1, Event::ControllerStarts);
        self.after(100, Event::CreateTopic);
        for at in 0..self.producers.len() {
            self.plan_producer(at);
        }
        for at in 0..self.members.len() {
            self.plan_member(at);
        }
        for at in 0..self.readers.len() {
            self.after(0, Event::Read(at));
        }
        self.after(50, Event::PlainSend);
        self.after(300, Event::Administer);
        let first = 1_000 + milliseconds(&mut self.rng, 2_000);
        self.after(first, Event::Fault);
        let first = 500 + milliseconds(&mut self.rng, 2_000);
        self.after(first, Event::Rearrange);
        self.queue.insert((CALM_AT, u64::MAX), Event::Calm);
    }

    fn is_over(&mut self) -> bool {
        self.members_rest |= self.producers.iter().all(IdempotentProducer::is_done)
            && self.members.iter().all(GroupMember::is_content);
        let mut nodes = self.nodes.values();
        let nobody_stops =
            self.last_stop_at < self.now && nodes.all(|node| node.life.stopping.is_none());
        self.members_rest && nobody_stops && self.owed.is_empty() && self.sick().is_empty()
    }

    /// Partitions that are not whole.
    fn sick(&mut self) -> Vec<String> {
        let mut sick = Vec::new();
        for partition in ALL {
            let Some(known) = self.decided(partition) else {
                sick.push(format!("p{partition} is not there"));
                continue;
            };
            let Some(leader) = known.leader else {
                sick.push(format!("p{partition} has no leader: {known:?}"));
                continue;
            };
            if known.is_reassigning() {
                sick.push(format!("p{partition} is being reassigned: {known:?}"));
                continue;
            }
            if self.quorum.rebalances() && known.replicas.first() != Some(&leader) {
                sick.push(format!("p{partition} is led by another: {known:?}"));
                continue;
            }
            if known.isr.len() != known.replicas.len() {
                sick.push(format!("p{partition} is not in sync: {known:?}"));
                continue;
            }
            let views = known.replicas.iter().map(|replica| {
                let cell = self.nodes.get_mut(replica)?.broker.cell(partition)?;
                Some((*replica, cell.partition.view()))
            });
            let views: Option<BTreeMap<_, _>> = views.collect();
            let whole = views.as_ref().is_some_and(|views| {
                let view = views[&leader];
                view.role == RoleKind::Leader && views.values().all(|v| agree(&view, v))
            });
            if !whole {
                sick.push(format!("p{partition} differs: {known:?} {views:?}"));
            }
            for broker in self.ids() {
                let is_here = self.node(broker).broker.cell(partition).is_some();
                if is_here && !known.replicas.contains(&broker) {
                    sick.push(format!("p{partition} is still on b{broker}: {known:?}"));
                }
            }
        }
        sick
    }

    fn end(&mut self) {
        for partition in ALL {
            let leader = self.decided(partition).and_then(|known| known.leader);
            if let Some(leader) = leader
                && partition != GROUPS
            {
                self.scan(leader, partition);
            }
            for broker in self.ids() {
                let node = self.node(broker);
                let Some(cell) = node.broker.cell(partition) else {
                    continue;
                };
                let view = cell.partition.view();
                node.life.reported.remove(&partition);
                self.report(broker, partition, &view);
            }
        }
        let waiting = self.producers.iter().filter(|producer| !producer.is_done());
        let mut waiting: Vec<_> = waiting.map(|producer| format!("{producer:?}")).collect();
        // Who rests has had what they want, whatever came after that.
        let restless = self.members.iter().filter(|member| !member.is_content());
        let restless = restless.filter(|_| !self.members_rest);
        waiting.extend(restless.map(|member| format!("{member:?}")));
        waiting.extend(self.sick());
        self.observe(&Fact::Ended { waiting: &waiting });
    }

    pub(super) fn ids(&self) -> Vec<BrokerId> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn node(&mut self, broker: BrokerId) -> &mut Node {
        self.nodes.get_mut(&broker).expect("brokers do not vanish")
    }

    /// The time by a broker's own clock.
    pub(super) fn clock(&self, broker: BrokerId) -> Millis {
        self.nodes[&broker].clock(self.now)
    }

    pub(super) fn node_and_rng(&mut self, broker: BrokerId) -> (&mut Rng, &mut Node) {
        let node = self.nodes.get_mut(&broker);
        (&mut self.rng, node.expect("brokers do not vanish"))
    }

    pub(super) fn node_and_readers(&mut self, broker: BrokerId) -> (&mut Node, &mut [Reader]) {
        let node = self.nodes.get_mut(&broker);
        (node.expect("brokers do not vanish"), &mut self.readers)
    }

    /// Whether the process is the one that was meant.
    pub(super) fn lives(&self, broker: BrokerId, life: u32) -> bool {
        let broker = &self.nodes[&broker].broker;
        broker.is_up && broker.life == life
    }

    pub(super) fn lives_not(&self, broker: BrokerId, life: u32) -> bool {
        self.nodes[&broker].broker.life != life
    }

    pub(super) fn reaches(&self, from: BrokerId, to: BrokerId) -> bool {
        !self.links.is_cut(Place::Broker(from), Place::Broker(to))
    }

    /// What the controllers have agreed on.
    pub(super) fn decided(&self, partition: PartitionId) -> Option<Partition> {
        let image = &self.quorum.image;
        image.partition(topic_partition(partition)).cloned()
    }

    pub(super) fn after(&mut self, delay_ms: i64, event: Event) {
        self.serial += 1;
        let at = self.now.plus_ms(delay_ms);
        self.queue.insert((at, self.serial), event);
    }

    /// Plans what happens to the process of a broker that runs now.
    pub(super) fn plan(&mut self, broker: BrokerId, delay_ms: i64, event: ProcessEvent) {
        let life = self.nodes[&broker].broker.life;
        self.after(
            delay_ms,
            Event::Process {
                broker,
                life,
                event,
            },
        );
    }

    pub(super) fn observe(&mut self, fact: &Fact<'_>) {
        if let Some(trace) = &mut self.trace {
            trace.push(trace_line(self.now, fact));
        }
        let broken = self.invariants.observe(self.now, fact);
        self.note(broken);
    }

    pub(super) fn note(&mut self, broken: Result<(), (&'static str, String)>) {
        if let Err((invariant, what)) = broken
            && self.violation.is_none()
        {
            self.violation = Some(Violation {
                at: self.now,
                invariant,
                what,
            });
        }
    }
}

/// Whether a replica has all that its leader has, committed. What an earlier leader has
/// deleted may be gone there already.
fn agree(leader: &View, replica: &View) -> bool {
    leader.high_watermark == leader.end
        && (leader.end, leader.high_watermark) == (replica.end, replica.high_watermark)
        && leader.log_start <= replica.log_start
}
