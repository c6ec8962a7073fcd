//! The queue of timed events of a cluster, and what each event does.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::testing::Rng;
use ottla_base::{BrokerId, LeaderEpoch, Millis, PartitionId, ReplyToken};
use ottla_controller::{AlterPartitionError, Heartbeat, IsrChange, Partition, Reply as Decision};
use ottla_coordinator::Reply as GroupReply;
use ottla_partition::{
    AppendError, Appended, Effect, Input, Lead, Reply, RoleKind, Settings, View,
};

use super::links::{Links, Message, Place};
use super::node::{Life, Node, Proposal};
use super::quorum::{About, Ask, Asker, Quorum};
use crate::broker::{TOPIC, topic_partition};
use crate::disk::{Completion, Heard};
use crate::fact::{Fact, Value, trace_line};
use crate::invariants::{Invariants, Scope};
use crate::member::{GroupMember, MemberRequest};
use crate::network::{Network, milliseconds};
use crate::reader::Reader;
use crate::story::Violation;
use crate::workload::{IdempotentProducer, PlainProducer, Request, index};
use crate::world::{GROUPS, PARTITIONS};

/// Faults come until now.
pub(super) const CALM_AT: Millis = Millis(14_000);
/// Whoever is not done by now is not served.
const END_AT: Millis = Millis(70_000);
const PRODUCERS: u32 = 4;
const MEMBERS: usize = 2;
pub(super) const ALL: [PartitionId; 3] = [PARTITIONS[0], PARTITIONS[1], GROUPS];
const HEARTBEAT_MS: i64 = 400;
const HOUSEKEEPING_MS: i64 = 150;

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
    nodes: BTreeMap<BrokerId, Node>,
    pub(super) quorum: Quorum,
    /// When the controller is woken next; other wakings are void.
    controller_at: Option<Millis>,
    pub(super) assignments: BTreeMap<PartitionId, Vec<BrokerId>>,
    /// Leaders whose logs were looked through.
    scanned: BTreeSet<(PartitionId, LeaderEpoch)>,
    pub(super) producers: Vec<IdempotentProducer>,
    pub(super) wakings: Vec<Option<Millis>>,
    pub(super) plain: PlainProducer,
    pub(super) readers: Vec<Reader>,
    pub(super) members: Vec<GroupMember>,
    pub(super) members_rest: bool,
    /// Who asked which broker with which token.
    pub(super) owed: BTreeMap<ReplyToken, (BrokerId, Client)>,
    pub(super) next_token: u64,
    invariants: Invariants,
    trace: Option<Vec<String>>,
    violation: Option<Violation>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Client {
    Producer { client: u32, batch_number: u32 },
    Member { member: usize, number: u32 },
    Nobody,
}

#[derive(Debug)]
pub(super) enum Event {
    Deliver(BrokerId, Box<Request>),
    Answer {
        client: u32,
        batch_number: u32,
        result: Result<Appended, AppendError>,
    },
    WakeProducer(usize),
    WakeMember(usize),
    AskGroups(BrokerId, Box<MemberRequest>),
    GroupAnswer {
        member: usize,
        number: u32,
        reply: Option<GroupReply>,
    },
    PlainSend,
    Administer,
    Read(usize),
    Disk {
        broker: BrokerId,
        life: u32,
    },
    Tick {
        broker: BrokerId,
        life: u32,
        partition: PartitionId,
    },
    Reload {
        broker: BrokerId,
        life: u32,
        partition: PartitionId,
    },
    Housekeep {
        broker: BrokerId,
        life: u32,
    },
    Stream {
        ends: (BrokerId, BrokerId),
        number: u64,
        to: BrokerId,
        message: Box<Message>,
    },
    Breach {
        ends: (BrokerId, BrokerId),
        number: u64,
    },
    Call {
        follower: BrokerId,
        life: u32,
        leader: BrokerId,
    },
    FollowAgain {
        follower: BrokerId,
        life: u32,
        partition: PartitionId,
        leader: BrokerId,
    },
    ToController {
        asker: Asker,
        ask: Box<Ask>,
    },
    FromController {
        asker: Asker,
        reply: Box<Decision>,
    },
    Decisions {
        broker: BrokerId,
        life: u32,
    },
    Commit {
        term: u32,
        count: usize,
    },
    ControllerTick,
    ControllerStarts,
    CreateTopic,
    Fault,
    Restart(BrokerId),
    Mend(Vec<(Place, Place)>),
    DiskRecovers(BrokerId),
    DiskPace(BrokerId),
    Calm,
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
        self.queue.insert((CALM_AT, u64::MAX), Event::Calm);
    }

    fn is_over(&mut self) -> bool {
        self.members_rest |= self.producers.iter().all(IdempotentProducer::is_done)
            && self.members.iter().all(GroupMember::is_content);
        self.members_rest && self.owed.is_empty() && self.sick().is_empty()
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

    /// Until when nothing happens where this event would.
    fn stands_still(&self, event: &Event) -> Option<Millis> {
        let broker = match event {
            Event::Deliver(broker, _)
            | Event::AskGroups(broker, _)
            | Event::Disk { broker, .. }
            | Event::Tick { broker, .. }
            | Event::Reload { broker, .. }
            | Event::Housekeep { broker, .. }
            | Event::Stream { to: broker, .. }
            | Event::Call {
                follower: broker, ..
            }
            | Event::FollowAgain {
                follower: broker, ..
            }
            | Event::Decisions { broker, .. } => *broker,
            Event::FromController { asker, .. } => asker.broker,
            Event::Breach { .. }
            | Event::Answer { .. }
            | Event::WakeProducer(_)
            | Event::WakeMember(_)
            | Event::GroupAnswer { .. }
            | Event::PlainSend
            | Event::Administer
            | Event::Read(_)
            | Event::ToController { .. }
            | Event::Commit { .. }
            | Event::ControllerTick
            | Event::ControllerStarts
            | Event::CreateTopic
            | Event::Fault
            | Event::Restart(_)
            | Event::Mend(_)
            | Event::DiskRecovers(_)
            | Event::DiskPace(_)
            | Event::Calm => return None,
        };
        let node = self.nodes.get(&broker)?;
        Some(node.paused_until).filter(|until| self.now < *until)
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Deliver(broker, request) => self.on_request(broker, *request),
            Event::Answer {
                client,
                batch_number,
                result,
            } => self.on_answer(client, batch_number, &result),
            Event::WakeProducer(at) => self.on_wake_producer(at),
            Event::WakeMember(at) => self.on_wake_member(at),
            Event::AskGroups(broker, request) => self.on_group_request(broker, *request),
            Event::GroupAnswer {
                member,
                number,
                reply,
            } => self.on_group_answer(member, number, reply.as_ref()),
            Event::PlainSend => self.on_plain_send(),
            Event::Administer => self.on_administer(),
            Event::Read(at) => self.on_read(at),
            Event::Stream {
                ends,
                number,
                to,
                message,
            } => self.on_stream(ends, number, to, *message),
            Event::Breach { ends, number } => self.on_breach(ends, number),
            Event::Call {
                follower,
                life,
                leader,
            } => self.on_call(follower, life, leader),
            Event::FollowAgain {
                follower,
                life,
                partition,
                leader,
            } => self.on_follow_again(follower, life, partition, leader),
            Event::Disk { .. }
            | Event::Tick { .. }
            | Event::Reload { .. }
            | Event::Housekeep { .. }
            | Event::Decisions { .. } => self.on_broker_event(event),
            Event::ToController { .. }
            | Event::FromController { .. }
            | Event::Commit { .. }
            | Event::ControllerTick
            | Event::ControllerStarts
            | Event::CreateTopic => self.on_controller_event(event),
            Event::Fault => self.on_fault(),
            Event::Restart(broker) => self.on_restart(broker),
            Event::Mend(ways) => self.on_mend(ways),
            Event::DiskRecovers(broker) => self.on_disk_refuses(broker, false),
            Event::DiskPace(broker) => self.on_disk_pace(broker),
            Event::Calm => self.on_calm(),
        }
    }

    fn on_broker_event(&mut self, event: Event) {
        if let Event::Disk { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_disk(broker);
        } else if let Event::Tick {
            broker,
            life,
            partition,
        } = event
            && self.lives(broker, life)
        {
            self.on_tick(broker, partition);
        } else if let Event::Reload {
            broker,
            life,
            partition,
        } = event
            && self.lives(broker, life)
        {
            self.reload(broker, partition);
        } else if let Event::Housekeep { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_housekeep(broker);
        } else if let Event::Decisions { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_decisions(broker);
        }
    }

    fn on_controller_event(&mut self, event: Event) {
        if let Event::ToController { asker, ask } = event {
            self.on_ask(asker, *ask);
        } else if let Event::FromController { asker, reply } = event {
            self.on_decision(asker, *reply);
        } else if let Event::Commit { term, count } = event {
            if term == self.quorum.term {
                self.on_commit(count);
            }
        } else if let Event::ControllerTick = event {
            if self.controller_at == Some(self.now) {
                self.controller_at = None;
                self.wake_controller();
            }
        } else if let Event::ControllerStarts = event {
            let seed = self.rng.below(u64::MAX);
            self.quorum.start(seed);
            let what = format!("a controller starts in term {}", self.quorum.term);
            self.observe(&Fact::Fault { what: &what });
            self.wake_controller();
        } else if let Event::CreateTopic = event {
            self.on_create_topic();
        }
    }

    fn wake_controller(&mut self) {
        let pending = self.quorum.pending();
        let replies = self.quorum.tick(self.now);
        self.after_controller(pending, replies);
    }

    // What happens within a broker.

    fn on_disk(&mut self, broker: BrokerId) {
        let (rng, nodes) = (&mut self.rng, &mut self.nodes);
        let node = nodes.get_mut(&broker).expect("brokers do not vanish");
        node.broker.carry_out_group(rng);
        self.listen(broker);
    }

    /// Passes on what the store has said.
    fn listen(&mut self, broker: BrokerId) {
        for heard in self.node(broker).broker.hear() {
            if !self.node(broker).broker.is_current(&heard) {
                continue;
            }
            let Heard { tp, what, .. } = heard;
            let partition = tp.partition;
            match what {
                Completion::Flushed(end) => {
                    self.step(broker, partition, Input::Flushed { end });
                    self.pump_all(broker, partition);
                }
                Completion::StartMoved(to) => {
                    self.step(broker, partition, Input::StartMoved { to });
                }
                Completion::Failed => self.on_disk_failed(broker, partition),
            }
        }
    }

    fn on_disk_failed(&mut self, broker: BrokerId, partition: PartitionId) {
        let view = self.view(broker, partition);
        if view.role == RoleKind::Leader {
            let lost = &mut self.node(broker).life.lost;
            lost.insert(partition, view.leader_epoch);
        }
        self.step(broker, partition, Input::StorageFailed);
        self.drop_groups(broker, partition);
        let life = self.node(broker).broker.life;
        let pause = milliseconds(&mut self.rng, 500);
        self.after(
            pause,
            Event::Reload {
                broker,
                life,
                partition,
            },
        );
    }

    fn on_tick(&mut self, broker: BrokerId, partition: PartitionId) {
        if let Some(cell) = self.node(broker).broker.cell(partition) {
            cell.tick_at = None;
            self.step(broker, partition, Input::Tick);
        }
    }

    /// Recovers a partition from what the store has, and gives it its role again.
    fn reload(&mut self, broker: BrokerId, partition: PartitionId) {
        self.drop_groups(broker, partition);
        let now = self.now;
        let node = self.node(broker);
        let local = node.clock(now);
        node.broker.recover(local, partition);
        node.life.told.remove(&partition);
        node.life.reported.remove(&partition);
        self.observe(&Fact::Recovered { broker, partition });
        self.listen(broker);
        self.assume_role(broker, partition);
    }

    pub(super) fn step(&mut self, broker: BrokerId, partition: PartitionId, input: Input) {
        let now = self.now;
        let node = self.node(broker);
        let local = node.clock(now);
        let (effects, replies) = node.broker.step(local, partition, input);
        self.carry_out(broker, partition, effects);
        self.answer_members(broker, replies);
    }

    /// Does what steps asked for, in order, and plans what comes of it.
    pub(super) fn carry_out(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        effects: Vec<Effect>,
    ) {
        let mut is_cut = false;
        for effect in effects {
            match effect {
                Effect::Publish(view) => self.on_view(broker, partition, view),
                Effect::Reply { to, reply } => self.on_reply(to, reply),
                Effect::Write { batch } => self.push(broker, partition, &batch),
                Effect::Truncate { .. } => is_cut = true,
                Effect::CommittedLost { from, to } => self.observe(&Fact::CommittedLost {
                    broker,
                    partition,
                    from,
                    to,
                }),
                Effect::Refollow => self.follow(broker, partition),
                Effect::Acknowledge {
                    epoch,
                    end,
                    log_start,
                } => self.acknowledge(broker, partition, epoch, end, log_start),
                Effect::ProposeIsr {
                    epoch,
                    partition_epoch,
                    isr,
                } => self.propose(broker, partition, epoch, partition_epoch, isr),
                Effect::Committed { .. }
                | Effect::StartOffset { .. }
                | Effect::Checkpoint { .. } => (),
            }
        }
        if is_cut {
            self.reload(broker, partition);
            return;
        }
        self.check_recovery(broker, partition);
        self.plan_tick(broker, partition);
    }

    fn on_view(&mut self, broker: BrokerId, partition: PartitionId, view: View) {
        self.observe(&Fact::Published {
            broker,
            partition,
            view: &view,
        });
        self.report(broker, partition, &view);
        if view.role == RoleKind::Leader {
            self.send_positions(broker, partition);
        }
        if partition != GROUPS {
            return;
        }
        let has_groups = |world: &mut Self| {
            let cell = world.node(broker).broker.cell(partition);
            cell.is_some_and(|cell| cell.host.is_some())
        };
        if view.role != RoleKind::Leader {
            self.drop_groups(broker, partition);
        } else if view.knows_latest() && !has_groups(self) {
            let seed = self.rng.below(u64::MAX);
            let local = self.clock(broker);
            self.node(broker).broker.load_groups(local, partition, seed);
            self.plan_tick(broker, partition);
        }
    }

    /// Tells what a replica has learnt to be committed.
    fn report(&mut self, broker: BrokerId, partition: PartitionId, view: &View) {
        let reported = self.node(broker).life.reported.get(&partition).copied();
        let from = reported.unwrap_or_default().max(view.log_start);
        let end = view.high_watermark;
        if reported.is_some_and(|known| end <= known) {
            return;
        }
        let stamps = self.node(broker).broker.stamps(partition, from, end);
        let reached = stamps.last().map_or(from, |stamp| stamp.next);
        self.node(broker).life.reported.insert(partition, reached);
        self.observe(&Fact::Committed {
            broker,
            partition,
            role: view.role,
            stamps: &stamps,
            end,
        });
        if view.role == RoleKind::Leader {
            self.look_at_members(partition);
        }
    }

    /// What the disks of those have that count as in sync.
    fn look_at_members(&mut self, partition: PartitionId) {
        let isr = self.decided(partition).map(|known| known.isr);
        for broker in isr.into_iter().flatten() {
            let durable = self.node(broker).broker.durable_end(partition);
            self.observe(&Fact::InSync {
                broker,
                partition,
                durable,
            });
        }
    }

    fn on_reply(&mut self, token: ReplyToken, reply: Reply) {
        self.observe(&Fact::Answered {
            token,
            reply: &reply,
        });
        let asker = self.owed.remove(&token);
        if let (
            Some((
                _,
                Client::Producer {
                    client,
                    batch_number,
                },
            )),
            Reply::Appended(result),
        ) = (asker, reply)
            && let Some(delay) = self.network.deliver(&mut self.rng)
        {
            let answer = Event::Answer {
                client,
                batch_number,
                result,
            };
            self.after(delay, answer);
        }
    }

    /// A recovery costs a little, so it is not tried after every step.
    fn check_recovery(&mut self, broker: BrokerId, partition: PartitionId) {
        const EVERY: u32 = 16;
        let node = self.nodes.get_mut(&broker).expect("brokers do not vanish");
        let Some(cell) = node.broker.cell(partition) else {
            return;
        };
        cell.unchecked_steps += 1;
        if cell.unchecked_steps < EVERY {
            return;
        }
        cell.unchecked_steps = 0;
        let fact = Fact::Stepped {
            broker,
            partition,
            machine: &cell.partition,
            shadow: &cell.shadow,
        };
        let mut broken = self.invariants.observe(self.now, &fact);
        if let Some(host) = &cell.host
            && broken.is_ok()
        {
            let fact = Fact::GroupStepped { host };
            broken = self.invariants.observe(self.now, &fact);
        }
        self.note(broken);
    }

    // What brokers and controllers tell each other.

    fn on_housekeep(&mut self, broker: BrokerId) {
        let life = self.node(broker).broker.life;
        self.after(HOUSEKEEPING_MS, Event::Housekeep { broker, life });
        let (now, node) = (self.now, self.node(broker));
        let ask = match node.life.epoch {
            None => Some((About::Registration, Ask::Register(node.registration()))),
            Some(_) if now < node.life.heartbeat_at => None,
            Some(epoch) => {
                node.life.heartbeat_at = now.plus_ms(HEARTBEAT_MS);
                let heartbeat = Heartbeat {
                    broker,
                    epoch,
                    caught_up: node.is_caught_up(),
                    wants_fence: node.wants_fence(),
                    wants_shutdown: false,
                };
                Some((About::Heartbeat, Ask::Heartbeat(heartbeat)))
            }
        };
        if let Some((about, ask)) = ask {
            self.ask(broker, about, ask);
        }
        let late: Vec<_> = self
            .node(broker)
            .life
            .proposals
            .iter()
            .filter(|(_, proposal)| proposal.sent_at.plus_ms(400) <= now)
            .map(|(partition, _)| *partition)
            .collect();
        for partition in late {
            self.send_proposal(broker, partition);
        }
        self.tell(broker);
    }

    /// A broker hears what was decided, if it can.
    fn tell(&mut self, broker: BrokerId) {
        let (there, here) = (Place::Controller, Place::Broker(broker));
        if self.links.is_cut(here, there) || !self.quorum.is_active() {
            return;
        }
        if let Some(delay) = self.links.deliver(&mut self.rng, there, here) {
            let life = self.node(broker).broker.life;
            self.after(delay, Event::Decisions { broker, life });
        }
    }

    fn on_decisions(&mut self, broker: BrokerId) {
        let (quorum, nodes) = (&self.quorum, &mut self.nodes);
        let life = &mut nodes.get_mut(&broker).expect("brokers do not vanish").life;
        if life.applied == quorum.committed.len() {
            return;
        }
        for records in &quorum.committed[life.applied..] {
            for record in records {
                life.image.apply(record);
            }
        }
        life.applied = quorum.committed.len();
        for partition in ALL {
            self.assume_role(broker, partition);
        }
    }

    /// Makes a partition what the cluster has decided, if it is not that yet.
    fn assume_role(&mut self, broker: BrokerId, partition: PartitionId) {
        let node = self.node(broker);
        if !node.is_caught_up() {
            return;
        }
        let Some(known) = node.life.image.partition(topic_partition(partition)) else {
            return;
        };
        let known = known.clone();
        let epochs = (known.leader_epoch, known.partition_epoch);
        let life = &mut node.life;
        let is_settled = |proposal: &Proposal| {
            (
                proposal.change.leader_epoch,
                proposal.change.partition_epoch,
            ) < epochs
        };
        if life.proposals.get(&partition).is_some_and(is_settled) {
            life.proposals.remove(&partition);
        }
        if !known.replicas.contains(&broker) {
            self.retire(broker, partition);
            return;
        }
        if life.told.get(&partition) == Some(&epochs) {
            return;
        }
        if node.broker.cell(partition).is_none() {
            self.reload(broker, partition);
            return;
        }
        self.node(broker).life.told.insert(partition, epochs);
        self.play(broker, partition, known);
    }

    fn play(&mut self, broker: BrokerId, partition: PartitionId, known: Partition) {
        let epoch = known.leader_epoch;
        let lost = self.node(broker).life.lost.get(&partition);
        let has_lost = lost.is_some_and(|lost| epoch <= *lost);
        let in_sync = known.isr.contains(&broker);
        let input = if known.leader != Some(broker) {
            Input::Follow {
                epoch,
                leader: known.leader,
                in_sync,
            }
        } else if has_lost {
            Input::Follow {
                epoch,
                leader: None,
                in_sync,
            }
        } else {
            let decided = self.decided(partition).map(|now| now.leader_epoch);
            if decided == Some(epoch) && self.scanned.insert((partition, epoch)) {
                self.scan(broker, partition);
            }
            Input::Lead(Lead {
                epoch,
                partition_epoch: known.partition_epoch,
                replicas: known.replicas,
                isr: known.isr,
            })
        };
        self.step(broker, partition, input);
    }

    fn retire(&mut self, broker: BrokerId, partition: PartitionId) {
        if self.node(broker).broker.cell(partition).is_none() {
            return;
        }
        let view = self.view(broker, partition);
        let input = Input::Follow {
            epoch: view.leader_epoch,
            leader: None,
            in_sync: false,
        };
        self.step(broker, partition, input);
        let node = self.node(broker);
        node.life.told.remove(&partition);
        node.life.reported.remove(&partition);
        node.broker.retire(partition);
        self.observe(&Fact::Recovered { broker, partition });
    }

    fn propose(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        isr: Vec<BrokerId>,
    ) {
        let proposal = Proposal {
            change: IsrChange {
                topic: TOPIC,
                partition,
                leader_epoch,
                partition_epoch,
                isr: isr.into_iter().map(Into::into).collect(),
                recovered: true,
            },
            attempt: 0,
            sent_at: self.now,
        };
        self.node(broker).life.proposals.insert(partition, proposal);
        self.send_proposal(broker, partition);
    }

    fn send_proposal(&mut self, broker: BrokerId, partition: PartitionId) {
        let now = self.now;
        let life = &mut self.node(broker).life;
        let (Some(epoch), Some(proposal)) = (life.epoch, life.proposals.get_mut(&partition)) else {
            return;
        };
        life.attempts += 1;
        let attempt = life.attempts;
        proposal.attempt = attempt;
        proposal.sent_at = now;
        let change = proposal.change.clone();
        let about = About::InSync {
            partition,
            partition_epoch: change.partition_epoch,
            attempt,
        };
        self.ask(broker, about, Ask::Alter { epoch, change });
    }

    pub(super) fn ask(&mut self, broker: BrokerId, about: About, ask: Ask) {
        let life = self.node(broker).broker.life;
        let asker = Asker {
            broker,
            life,
            about,
        };
        let delay = match ask {
            Ask::Alter { .. } => self.links.deliver_in_order(&mut self.rng, self.now, broker),
            Ask::Register(_) | Ask::Heartbeat(_) | Ask::Lost(..) | Ask::Create(_) => {
                let (here, there) = (Place::Broker(broker), Place::Controller);
                self.links.deliver(&mut self.rng, here, there)
            }
        };
        if let Some(delay) = delay {
            let ask = Box::new(ask);
            self.after(delay, Event::ToController { asker, ask });
        }
    }

    fn on_ask(&mut self, asker: Asker, ask: Ask) {
        if let Ask::Lost(broker, _) = ask
            && !self.lives_not(broker, asker.life)
        {
            return;
        }
        let pending = self.quorum.pending();
        let replies = self.quorum.ask(self.now, asker, ask);
        self.after_controller(pending, replies);
    }

    /// Sends what the controller has said, and brings what it has decided to its log.
    fn after_controller(&mut self, pending: usize, replies: Vec<(Asker, Decision)>) {
        for (asker, reply) in replies {
            let (there, here) = (Place::Controller, Place::Broker(asker.broker));
            if let Some(delay) = self.links.deliver(&mut self.rng, there, here) {
                let reply = Box::new(reply);
                self.after(delay, Event::FromController { asker, reply });
            }
        }
        let decided = self.quorum.pending() - pending.min(self.quorum.pending());
        if decided > 0 {
            let slow = self.rng.chance(3);
            let delay = milliseconds(&mut self.rng, if slow { 900 } else { 8 });
            let term = self.quorum.term;
            self.after(
                delay,
                Event::Commit {
                    term,
                    count: decided,
                },
            );
        }
        if let Some(at) = self.quorum.next_deadline() {
            let at = at.max(self.now);
            if self.controller_at.is_none_or(|planned| at < planned) {
                self.controller_at = Some(at);
                self.after(at.since(self.now), Event::ControllerTick);
            }
        }
    }

    fn on_commit(&mut self, count: usize) {
        let before = ALL.map(|partition| self.decided(partition));
        let replies = self.quorum.commit(count);
        self.note_decisions(&before);
        let pending = self.quorum.pending();
        self.after_controller(pending, replies);
        for broker in self.ids() {
            if self.node(broker).broker.is_up {
                self.tell(broker);
            }
        }
    }

    pub(super) fn note_decisions(&mut self, before: &[Option<Partition>; 3]) {
        for (partition, before) in ALL.into_iter().zip(before) {
            let after = self.decided(partition);
            if let Some(known) = &after
                && after != *before
            {
                let what = format!(
                    "p{partition} is led by {:?} in {}.{}, in sync {:?} of {:?}, eligible {:?}",
                    known.leader.map(|leader| leader.0),
                    known.leader_epoch,
                    known.partition_epoch,
                    known.isr.iter().map(|id| id.0).collect::<Vec<_>>(),
                    known.replicas.iter().map(|id| id.0).collect::<Vec<_>>(),
                    known.elr.iter().map(|id| id.0).collect::<Vec<_>>(),
                );
                self.observe(&Fact::Decided { what: &what });
                self.look_at_members(partition);
            }
        }
    }

    /// A broker hears what the controller has said to its question.
    fn on_decision(&mut self, asker: Asker, reply: Decision) {
        let Asker {
            broker,
            life,
            about,
        } = asker;
        if !self.lives(broker, life) {
            return;
        }
        match (about, reply) {
            (About::Registration, Decision::RegisterBroker(Ok(epoch))) => {
                self.node(broker).life.epoch = Some(epoch);
                for partition in ALL {
                    self.assume_role(broker, partition);
                }
            }
            (About::Heartbeat, Decision::Heartbeat(Err(_))) => {
                self.node(broker).life.epoch = None;
            }
            (
                About::InSync {
                    partition,
                    partition_epoch,
                    attempt,
                },
                Decision::AlterPartitions(Ok(mut results)),
            ) => {
                let result = results.pop().expect("one change has one result");
                let outcome = result.map(|_| ());
                self.on_in_sync(broker, partition, (partition_epoch, attempt), &outcome);
            }
            _ => (),
        }
    }

    fn on_in_sync(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        (partition_epoch, attempt): (i32, u32),
        outcome: &Result<(), AlterPartitionError>,
    ) {
        let life = &mut self.node(broker).life;
        let Some(proposal) = life.proposals.get_mut(&partition) else {
            return;
        };
        if proposal.attempt != attempt {
            return;
        }
        match outcome {
            Err(AlterPartitionError::FromTheFuture) => (),
            Err(AlterPartitionError::Ineligible { .. }) => {
                life.proposals.remove(&partition);
                self.step(broker, partition, Input::IsrRefused { partition_epoch });
            }
            // The decision comes by the metadata.
            _ => {
                life.proposals.remove(&partition);
            }
        }
    }

    // What there is, and when.

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

    fn lives_not(&self, broker: BrokerId, life: u32) -> bool {
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

    fn scan(&mut self, broker: BrokerId, partition: PartitionId) {
        if partition == GROUPS {
            return;
        }
        let (start, end, records) = self.node(broker).broker.scan(partition);
        self.observe(&Fact::Scanned {
            broker,
            partition,
            start,
            end,
            records: &records,
        });
    }

    pub(super) fn plan_tick(&mut self, broker: BrokerId, partition: PartitionId) {
        let now = self.now;
        let node = self.node(broker);
        let (life, skew) = (node.broker.life, node.skew_ms);
        let Some(cell) = node.broker.cell(partition) else {
            return;
        };
        let Some(next) = cell.next_deadline() else {
            return;
        };
        if cell.tick_at.is_none_or(|at| next < at) {
            cell.tick_at = Some(next);
            let pause = next.plus_ms(-skew).since(now).max(0);
            self.after(
                pause,
                Event::Tick {
                    broker,
                    life,
                    partition,
                },
            );
        }
    }

    fn plan_disks(&mut self) {
        for broker in self.ids() {
            let (rng, nodes) = (&mut self.rng, &mut self.nodes);
            let node = nodes.get_mut(&broker).expect("brokers do not vanish");
            if node.broker.wants_disk() {
                node.broker.disk.busy = true;
                let life = node.broker.life;
                let delay = node.broker.disk.delay(rng);
                self.after(delay, Event::Disk { broker, life });
            }
        }
    }

    pub(super) fn after(&mut self, delay_ms: i64, event: Event) {
        self.serial += 1;
        let at = self.now.plus_ms(delay_ms);
        self.queue.insert((at, self.serial), event);
    }

    pub(super) fn observe(&mut self, fact: &Fact<'_>) {
        if let Some(trace) = &mut self.trace {
            trace.push(trace_line(self.now, fact));
        }
        let broken = self.invariants.observe(self.now, fact);
        self.note(broken);
    }

    fn note(&mut self, broken: Result<(), (&'static str, String)>) {
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

    /// A process begins, with whatever the disk has.
    pub(super) fn on_restart(&mut self, broker: BrokerId) {
        let node = self.node(broker);
        node.broker.is_up = true;
        node.life = Life::default();
        let life = node.broker.life;
        self.observe(&Fact::Restarted { broker });
        self.after(0, Event::Housekeep { broker, life });
    }
}

/// Whether a replica has all that its leader has, committed. What an earlier leader has
/// deleted may be gone there already.
fn agree(leader: &View, replica: &View) -> bool {
    leader.high_watermark == leader.end
        && (leader.end, leader.high_watermark) == (replica.end, replica.high_watermark)
        && leader.log_start <= replica.log_start
}
