//! The queue of timed events, and what each event does.

use std::collections::BTreeMap;

use ottla_base::testing::Rng;
use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::{Append, Effect, Input, Lead, Reply, Settings};

use crate::broker::{Broker, next_epoch};
use crate::client::{Answer, Client};
use crate::disk::{Completion, Heard};
use crate::fact::{Fact, Value, trace_line};
use crate::invariants::{Invariants, Scope};
use crate::member::{GroupMember, MemberRequest};
use crate::network::{Network, milliseconds};
use crate::reader::Reader;
use crate::story::Violation;
use crate::workload::{IdempotentProducer, PlainProducer, Request, Wish, index};

/// Faults come until now.
const CALM_AT: Millis = Millis(20_000);
/// Whoever is not done by now is not served.
const END_AT: Millis = Millis(60_000);

const PRODUCERS: u32 = 4;
const BROKER: BrokerId = BrokerId(1);
/// What producers write to and readers read.
pub(crate) const PARTITIONS: [PartitionId; 2] = [PartitionId(0), PartitionId(1)];
/// What the groups' records are in.
pub(crate) const GROUPS: PartitionId = PartitionId(2);
const ALL: [PartitionId; 3] = [PARTITIONS[0], PARTITIONS[1], GROUPS];
const MEMBERS: usize = 3;

/// Everything there is. Owned by a story.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) rng: Rng,
    serial: u64,
    /// The last event that was planned before this moment began.
    serial_of_moment: u64,
    queue: BTreeMap<(Millis, u64), Event>,
    pub(crate) network: Network,
    pub(crate) broker: Broker,
    epochs: BTreeMap<PartitionId, LeaderEpoch>,
    producers: Vec<IdempotentProducer>,
    /// When each producer is woken next; other wakings are void.
    wakings: Vec<Option<Millis>>,
    plain: PlainProducer,
    readers: Vec<Reader>,
    pub(crate) members: Vec<GroupMember>,
    pub(crate) members_rest: bool,
    /// Who asked with which token.
    pub(crate) owed: BTreeMap<ReplyToken, Client>,
    next_token: u64,
    invariants: Invariants,
    trace: Option<Vec<String>>,
    violation: Option<Violation>,
}

#[derive(Debug)]
pub(crate) enum Event {
    Deliver(Box<Request>),
    Answer(Answer),
    WakeProducer(usize),
    WakeMember(usize),
    AskGroups(Box<MemberRequest>),
    PlainSend,
    Administer,
    Read(usize),
    Disk { life: u32 },
    Tick { life: u32, partition: PartitionId },
    Reload { life: u32, partition: PartitionId },
    Crash,
    Restart,
    DiskPace,
    DiskRefuses(bool),
    Calm,
}

impl World {
    pub(crate) fn new(seed: u64, with_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            checkpoint_batches: 2 + u32::try_from(rng.below(40)).expect("below forty"),
            ..Settings::default()
        };
        let mut world = Self {
            now: Millis(0),
            network: Network::new(&mut rng),
            serial: 0,
            serial_of_moment: 0,
            queue: BTreeMap::new(),
            broker: Broker::new(BROKER, settings, &ALL),
            epochs: PARTITIONS
                .map(|partition| (partition, LeaderEpoch(0)))
                .into(),
            producers: (0..PRODUCERS)
                .map(|client| {
                    let partition = PARTITIONS[index(&mut rng, PARTITIONS.len())];
                    IdempotentProducer::new(client, partition, &mut rng)
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
            invariants: Invariants::new(Scope::OneBroker),
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
            self.on_event(event);
            self.plan_disk();
            if CALM_AT < at && self.is_over() {
                break;
            }
        }
        self.end();
        (self.trace.unwrap_or_default(), self.violation)
    }

    /// Who asks to be woken at once, for ever, keeps everybody else waiting.
    fn expect_progress(&mut self, at: Millis) {
        const MANY: u64 = 10_000;
        if self.now < at {
            self.serial_of_moment = self.serial;
        }
        if self.serial_of_moment + MANY < self.serial {
            let events = format!("{MANY} events");
            self.note(Err(("time passes", events)));
        }
    }

    fn begin(&mut self) {
        for partition in ALL {
            self.recover(partition);
        }
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
        self.after(500, Event::DiskPace);
        let first_crash = milliseconds(&mut self.rng, 8_000);
        self.after(first_crash, Event::Crash);
        let first_refusal = milliseconds(&mut self.rng, 12_000);
        self.after(first_refusal, Event::DiskRefuses(true));
        self.queue.insert((CALM_AT, u64::MAX), Event::Calm);
    }

    /// Everybody has what they want. Then members ask for nothing more, and the
    /// story is over when the last answer is out.
    fn is_over(&mut self) -> bool {
        self.members_rest |= self.producers.iter().all(IdempotentProducer::is_done)
            && self.members.iter().all(GroupMember::is_content);
        self.members_rest && self.owed.is_empty()
    }

    fn end(&mut self) {
        for partition in PARTITIONS {
            self.scan(partition);
        }
        let waiting = self.producers.iter().filter(|producer| !producer.is_done());
        let mut waiting: Vec<_> = waiting.map(|producer| format!("{producer:?}")).collect();
        // Who rests has had what they want, whatever came after that.
        let restless = self.members.iter().filter(|member| !member.is_content());
        let restless = restless.filter(|_| !self.members_rest);
        waiting.extend(restless.map(|member| format!("{member:?}")));
        self.observe(&Fact::Ended { waiting: &waiting });
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Deliver(request) => self.on_request(*request),
            Event::Answer(answer) => self.on_answer(answer),
            Event::WakeProducer(at) => self.on_wake_producer(at),
            Event::WakeMember(at) => self.on_wake_member(at),
            Event::AskGroups(request) => self.on_group_request(*request),
            Event::PlainSend => self.on_plain_send(),
            Event::Administer => self.on_administer(),
            Event::Read(at) => self.on_read(at),
            Event::Disk { life } => self.on_disk(life),
            Event::Tick { life, partition } => self.on_tick(life, partition),
            Event::Reload { life, partition } => self.on_reload(life, partition),
            Event::Crash => self.on_crash(),
            Event::Restart => self.on_restart(),
            Event::DiskPace => self.on_disk_pace(),
            Event::DiskRefuses(refuses) => self.on_disk_refuses(refuses),
            Event::Calm => self.on_calm(),
        }
    }

    fn on_request(&mut self, request: Request) {
        let Request { partition, wish } = request;
        let Some(view) = self
            .broker
            .cell(partition)
            .map(|cell| cell.partition.view())
        else {
            return; // Nobody is at home; the client will notice.
        };
        let deadline = self.now.plus_ms(500 + milliseconds(&mut self.rng, 2_000));
        let input = match wish {
            Wish::Append {
                client,
                batch_number,
                batch,
                values,
                acks,
            } => {
                let producer = Client::Producer {
                    client,
                    batch_number,
                };
                let token = self.owe(producer);
                self.observe(&Fact::AppendAsked {
                    broker: BROKER,
                    token,
                    partition,
                    acks,
                    values: &values,
                    deadline,
                });
                Input::Append(Append {
                    token,
                    batch,
                    acks,
                    deadline,
                })
            }
            Wish::DeleteBefore(before) => {
                let token = self.owe(Client::Nobody);
                let at = before.unwrap_or(view.high_watermark);
                self.observe(&Fact::DeleteAsked {
                    token,
                    partition,
                    before: at,
                    deadline,
                });
                if at <= view.high_watermark {
                    self.observe(&Fact::MayStart { partition, at });
                }
                Input::DeleteRecords {
                    token,
                    before,
                    deadline,
                }
            }
            Wish::RetainFrom(to) => {
                let at = to.min(view.high_watermark);
                self.observe(&Fact::MayStart { partition, at });
                Input::AdvanceStart { to }
            }
        };
        self.step(partition, input);
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Producer {
                client,
                batch_number,
                result,
            } => {
                let at = usize::try_from(client).expect("clients are few");
                if let Some(producer) = self.producers.get_mut(at) {
                    producer.on_answer(self.now, batch_number, &result);
                    self.plan_producer(at);
                }
            }
            Answer::Member {
                member,
                number,
                reply,
            } => {
                let reply = reply.as_ref();
                self.members[member].on_answer(self.now, number, reply, &mut self.rng);
                self.plan_member(member);
            }
        }
    }

    fn on_wake_producer(&mut self, at: usize) {
        if self.wakings[at] != Some(self.now) {
            return;
        }
        self.wakings[at] = None;
        let requests = self.producers[at].on_wake(self.now, &mut self.rng);
        for request in requests {
            self.send(request);
        }
        self.plan_producer(at);
    }

    fn on_plain_send(&mut self) {
        let partition = PARTITIONS[index(&mut self.rng, PARTITIONS.len())];
        let request = self.plain.send(partition, self.now, &mut self.rng);
        self.send(request);
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 300);
            self.after(pause, Event::PlainSend);
        }
    }

    fn on_administer(&mut self) {
        let partition = PARTITIONS[index(&mut self.rng, PARTITIONS.len())];
        let somewhere = Offset(milliseconds(&mut self.rng, 60));
        let wish = match self.rng.below(4) {
            0 => Wish::DeleteBefore(None),
            1 => Wish::DeleteBefore(Some(somewhere)),
            _ => Wish::RetainFrom(somewhere),
        };
        self.send(Request { partition, wish });
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 4_000);
            self.after(pause, Event::Administer);
        }
    }

    fn on_read(&mut self, at: usize) {
        let bytes = 1 + index(&mut self.rng, 2_000);
        let partition = self.readers[at].partition;
        for (expected, offset, value) in self.readers[at].fetch(&mut self.broker, bytes) {
            self.observe(&Fact::Read {
                partition,
                expected,
                offset,
                value,
            });
        }
        let pause = milliseconds(&mut self.rng, 100);
        self.after(1 + pause, Event::Read(at));
    }

    fn on_disk(&mut self, life: u32) {
        if life != self.broker.life {
            return;
        }
        self.broker.carry_out_group(&mut self.rng);
        self.listen();
    }

    /// Passes on what the store has said.
    fn listen(&mut self) {
        for heard in self.broker.hear() {
            if !self.broker.is_current(&heard) {
                continue;
            }
            let Heard { tp, what, .. } = heard;
            match what {
                Completion::Flushed(end) => self.step(tp.partition, Input::Flushed { end }),
                Completion::StartMoved(to) => {
                    self.step(tp.partition, Input::StartMoved { to });
                }
                Completion::Failed => {
                    self.step(tp.partition, Input::StorageFailed);
                    self.drop_groups(tp.partition);
                    let (life, partition) = (self.broker.life, tp.partition);
                    let pause = milliseconds(&mut self.rng, 500);
                    self.after(pause, Event::Reload { life, partition });
                }
            }
        }
    }

    fn on_tick(&mut self, life: u32, partition: PartitionId) {
        if life != self.broker.life {
            return;
        }
        if let Some(cell) = self.broker.cell(partition) {
            cell.tick_at = None;
            self.step(partition, Input::Tick);
        }
    }

    fn on_reload(&mut self, life: u32, partition: PartitionId) {
        if life == self.broker.life {
            self.recover(partition);
        }
    }

    fn on_crash(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        for token in owed.into_keys() {
            self.observe(&Fact::Orphaned { token });
        }
        self.broker.crash(&mut self.rng);
        self.observe(&Fact::Crashed { broker: BROKER });
        let pause = milliseconds(&mut self.rng, 1_500);
        self.after(pause, Event::Restart);
    }

    fn on_restart(&mut self) {
        self.broker.is_up = true;
        self.observe(&Fact::Restarted { broker: BROKER });
        for partition in ALL {
            self.recover(partition);
        }
        let pause = 500 + milliseconds(&mut self.rng, 6_000);
        if self.now.plus_ms(pause) < CALM_AT {
            self.after(pause, Event::Crash);
        }
    }

    fn on_disk_pace(&mut self) {
        let slow = self.now < CALM_AT && self.rng.chance(30);
        self.broker.disk.set_slow(slow);
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 3_000);
            self.after(pause, Event::DiskPace);
        }
    }

    fn on_disk_refuses(&mut self, refuses: bool) {
        self.broker.refuse_appends(refuses);
        self.observe(&Fact::DiskRefuses {
            broker: BROKER,
            refuses,
        });
        let pause = milliseconds(&mut self.rng, if refuses { 1_000 } else { 12_000 });
        if refuses || self.now.plus_ms(pause) < CALM_AT {
            self.after(pause, Event::DiskRefuses(!refuses));
        }
    }

    fn on_calm(&mut self) {
        self.network.calm();
        self.members.iter_mut().for_each(GroupMember::calm);
        self.observe(&Fact::Calm);
    }

    /// Loads a partition and makes it lead.
    fn recover(&mut self, partition: PartitionId) {
        let effects = self.broker.recover(self.now, partition);
        self.carry_out(partition, effects);
        self.listen();
        let known = self.epochs.entry(partition).or_default();
        *known = next_epoch(*known);
        let epoch = *known;
        self.observe(&Fact::Recovered {
            broker: BROKER,
            partition,
        });
        if partition != GROUPS {
            self.scan(partition);
        }
        let lead = Lead {
            epoch,
            partition_epoch: 0,
            replicas: vec![BROKER],
            isr: vec![BROKER],
        };
        self.step(partition, Input::Lead(lead));
        if partition == GROUPS {
            let seed = self.rng.below(u64::MAX);
            self.broker.load_groups(self.now, partition, seed);
            self.plan_tick(partition);
        }
    }

    fn scan(&mut self, partition: PartitionId) {
        if !self.broker.is_up {
            return;
        }
        let (start, end, records) = self.broker.scan(partition);
        self.observe(&Fact::Scanned {
            broker: BROKER,
            partition,
            start,
            end,
            records: &records,
        });
    }

    fn step(&mut self, partition: PartitionId, input: Input) {
        let (effects, replies) = self.broker.step(self.now, partition, input);
        self.carry_out(partition, effects);
        self.answer_members(replies);
    }

    /// Does what steps asked for, in order, and plans what comes of it.
    pub(crate) fn carry_out(&mut self, partition: PartitionId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(view) => self.observe(&Fact::Published {
                    broker: BROKER,
                    partition,
                    view: &view,
                }),
                Effect::Reply { to, reply } => self.on_reply(to, reply),
                Effect::Committed { .. }
                | Effect::CommittedLost { .. }
                | Effect::Refollow
                | Effect::Acknowledge { .. }
                | Effect::ProposeIsr { .. }
                | Effect::Write { .. }
                | Effect::StartOffset { .. }
                | Effect::Truncate { .. }
                | Effect::Checkpoint { .. } => (),
            }
        }
        self.check_recovery(partition);
        self.plan_tick(partition);
    }

    fn on_reply(&mut self, token: ReplyToken, reply: Reply) {
        self.observe(&Fact::Answered {
            token,
            reply: &reply,
        });
        let client = self.owed.remove(&token);
        self.answer(client.and_then(|client| client.told(reply)));
    }

    pub(crate) fn answer(&mut self, answer: Option<Answer>) {
        if let Some(answer) = answer
            && let Some(delay) = self.network.deliver(&mut self.rng)
        {
            self.after(delay, Event::Answer(answer));
        }
    }

    /// A recovery costs a little, so it is not tried after every step.
    fn check_recovery(&mut self, partition: PartitionId) {
        const EVERY: u32 = 4;
        let Some(cell) = self.broker.cell(partition) else {
            return;
        };
        cell.unchecked_steps += 1;
        if cell.unchecked_steps < EVERY {
            return;
        }
        cell.unchecked_steps = 0;
        let fact = Fact::Stepped {
            broker: BROKER,
            partition,
            machine: &cell.partition,
            shadow: &cell.shadow,
        };
        let mut broken = self.invariants.observe(self.now, &fact);
        if let Some(host) = &cell.host
            && broken.is_ok()
        {
            broken = self
                .invariants
                .observe(self.now, &Fact::GroupStepped { host });
        }
        self.note(broken);
    }

    pub(crate) fn owe(&mut self, client: Client) -> ReplyToken {
        self.next_token += 1;
        let token = ReplyToken(self.next_token);
        self.owed.insert(token, client);
        token
    }

    fn send(&mut self, request: Request) {
        if let Some(delay) = self.network.deliver(&mut self.rng) {
            self.after(delay, Event::Deliver(Box::new(request)));
        }
    }

    fn plan_producer(&mut self, at: usize) {
        let Some(when) = self.producers[at].wake_at() else {
            return;
        };
        let when = when.max(self.now);
        if self.wakings[at].is_none_or(|planned| when < planned) {
            self.wakings[at] = Some(when);
            self.after(when.since(self.now), Event::WakeProducer(at));
        }
    }

    fn plan_disk(&mut self) {
        if self.broker.wants_disk() {
            self.broker.disk.busy = true;
            let life = self.broker.life;
            let delay = self.broker.disk.delay(&mut self.rng);
            self.after(delay, Event::Disk { life });
        }
    }

    fn plan_tick(&mut self, partition: PartitionId) {
        let life = self.broker.life;
        let Some(cell) = self.broker.cell(partition) else {
            return;
        };
        let Some(next) = cell.next_deadline() else {
            return;
        };
        if cell.tick_at.is_none_or(|at| next < at) {
            cell.tick_at = Some(next);
            let pause = next.since(self.now).max(0);
            self.after(pause, Event::Tick { life, partition });
        }
    }

    pub(crate) fn after(&mut self, delay_ms: i64, event: Event) {
        self.serial += 1;
        let at = self.now.plus_ms(delay_ms);
        self.queue.insert((at, self.serial), event);
    }

    pub(crate) fn observe(&mut self, fact: &Fact<'_>) {
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
}
