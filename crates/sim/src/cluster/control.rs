//! What brokers and controllers tell each other.

use std::collections::BTreeMap;

use ottla_base::{BrokerId, PartitionId, TopicName};
use ottla_controller::{NewTopic, Partition, Reply as Decision};

use super::event::{Event, ProcessEvent};
use super::links::Place;
use super::quorum::{About, Ask, Asker};
use super::world::{ALL, ClusterWorld};
use crate::broker::TOPIC;
use crate::fact::Fact;
use crate::network::milliseconds;

const HEARTBEAT_MS: i64 = 400;
const HOUSEKEEPING_MS: i64 = 150;

impl ClusterWorld {
    pub(super) fn on_housekeep(&mut self, broker: BrokerId) {
        self.plan(broker, HOUSEKEEPING_MS, ProcessEvent::Housekeep);
        let (now, node) = (self.now, self.node(broker));
        let ask = match node.life.epoch {
            None => Some((About::Registration, Ask::Register(node.registration()))),
            Some(_) if now < node.life.heartbeat_at => None,
            Some(epoch) => {
                node.life.heartbeat_at = now.plus_ms(HEARTBEAT_MS);
                let heartbeat = node.heartbeat(epoch);
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
            self.plan(broker, delay, ProcessEvent::Decisions);
        }
    }

    pub(super) fn ask(&mut self, broker: BrokerId, about: About, ask: Ask) {
        let life = self.node(broker).broker.life;
        let asker = Asker {
            broker,
            life,
            about,
        };
        let delay = match ask {
            Ask::Alter { .. } | Ask::Heartbeat(_) => {
                self.links.deliver_in_order(&mut self.rng, self.now, broker)
            }
            Ask::Register(_)
            | Ask::Lost(..)
            | Ask::Create(_)
            | Ask::Reassign(_)
            | Ask::Elect(_) => {
                let (here, there) = (Place::Broker(broker), Place::Controller);
                self.links.deliver(&mut self.rng, here, there)
            }
        };
        if let Some(delay) = delay {
            let ask = Box::new(ask);
            self.after(delay, Event::ToController { asker, ask });
        }
    }

    pub(super) fn on_ask(&mut self, asker: Asker, ask: Ask) {
        if let Ask::Lost(broker, _) = ask
            && !self.lives_not(broker, asker.life)
        {
            return;
        }
        let pending = self.quorum.pending();
        let replies = self.quorum.ask(self.now, asker, ask);
        self.after_controller(pending, replies);
    }

    pub(super) fn wake_controller(&mut self) {
        let pending = self.quorum.pending();
        let replies = self.quorum.tick(self.now);
        self.after_controller(pending, replies);
    }

    /// Sends what the controller has said, and brings what it has decided to its log.
    fn after_controller(&mut self, pending: usize, replies: Vec<(Asker, Decision)>) {
        for (asker, reply) in replies {
            let (there, here) = (Place::Controller, Place::Broker(asker.broker));
            if let Some(delay) = self.links.deliver(&mut self.rng, there, here) {
                let Asker {
                    broker,
                    life,
                    about,
                } = asker;
                let reply = Box::new(reply);
                let event = ProcessEvent::Decision { about, reply };
                self.after(
                    delay,
                    Event::Process {
                        broker,
                        life,
                        event,
                    },
                );
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

    pub(super) fn on_commit(&mut self, count: usize) {
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
                let what = told(partition, before.as_ref(), known);
                self.observe(&Fact::Decided {
                    partition,
                    before: before.as_ref(),
                    after: known,
                    what: &what,
                });
                self.look_at_members(partition);
            }
        }
    }

    /// A broker hears what the controller has said to its question.
    pub(super) fn on_decision(&mut self, broker: BrokerId, about: About, reply: Decision) {
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
            (About::HandOver { attempt }, Decision::Heartbeat(answer)) => {
                let may = answer.ok().map(|answer| answer.may_shut_down);
                self.on_hand_over_answer(broker, attempt, may);
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

    /// Creates the one topic as soon as all brokers take part.
    pub(super) fn on_create_topic(&mut self) {
        if self.decided(ALL[0]).is_some() {
            return;
        }
        self.after(100, Event::CreateTopic);
        let ids = self.ids();
        let ready = self.quorum.thought().is_some_and(|image| {
            ids.iter().all(|id| image.active_broker(*id).is_some())
                && image.topic_by_id(TOPIC).is_none()
        });
        if ready {
            let assignments = self.assignments.clone();
            let two = Some("2".to_owned());
            let topic = NewTopic {
                name: TopicName::from("t"),
                id: TOPIC,
                partitions: None,
                replication_factor: None,
                assignments: assignments.into_iter().collect(),
                configs: BTreeMap::from([("min.insync.replicas".to_owned(), two)]),
            };
            self.ask(ids[0], About::Nothing, Ask::Create(topic));
        }
    }
}

/// A partition as the controllers have decided that it is.
fn told(partition: PartitionId, before: Option<&Partition>, known: &Partition) -> String {
    let numbers = |ids: &[BrokerId]| format!("{:?}", ids.iter().map(|id| id.0).collect::<Vec<_>>());
    let what = format!(
        "p{partition} is led by {:?} in {}.{}, in sync {} of {}, eligible {}",
        known.leader.map(|leader| leader.0),
        known.leader_epoch,
        known.partition_epoch,
        numbers(&known.isr),
        numbers(&known.replicas),
        numbers(&known.elr),
    );
    let moves = if known.is_reassigning() {
        let (adding, removing) = (numbers(&known.adding), numbers(&known.removing));
        format!(", adding {adding}, removing {removing}")
    } else {
        String::new()
    };
    let came_of_it = before.map_or("", |before| outcome(before, known));
    format!("{what}{moves}{came_of_it}")
}

/// What a change was the end of.
fn outcome(before: &Partition, after: &Partition) -> &'static str {
    let is_preferred = after.leader.is_some() && after.leader == after.replicas.first().copied();
    let mut left = before.leader.into_iter();
    if before.is_reassigning() && !after.is_reassigning() {
        let mut added = before.adding.iter();
        match added.all(|id| after.replicas.contains(id)) {
            true => ": its reassignment is complete",
            false => ": its reassignment is taken back",
        }
    } else if is_preferred && left.any(|id| after.leader != Some(id) && after.isr.contains(&id)) {
        ": its preferred leader leads again"
    } else {
        ""
    }
}
