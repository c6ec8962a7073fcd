//! What an administrator asks of a cluster: other replicas, other leaders, and that a
//! broker stops once others lead what it leads.

use ottla_base::{BrokerId, PartitionId, TopicName};
use ottla_controller::Reassignment;
use ottla_partition::Input;

use super::event::{Event, ProcessEvent};
use super::node::Stopping;
use super::quorum::{About, Ask};
use super::world::{ALL, CALM_AT, ClusterWorld};
use crate::fact::Fact;
use crate::network::milliseconds;
use crate::workload::index;

/// Between two questions whether others lead by now.
const HANDOVER_PAUSE_MS: i64 = 50;
/// How long each waits for an answer.
const HANDOVER_ANSWER_MS: i64 = 2_000;
/// How often in a row nobody may answer.
const HANDOVER_ATTEMPTS: u32 = 2;
/// How long a broker asks at most.
const HANDOVER_TIMEOUT_MS: i64 = 6_000;

impl ClusterWorld {
    pub(super) fn on_rearrange(&mut self) {
        let partition = ALL[index(&mut self.rng, ALL.len())];
        match self.rng.below(10) {
            0..6 => self.move_replicas(partition),
            6 => self.on_take_back(partition),
            7..9 => {
                let what = format!("p{partition} is led by its preferred leader");
                let ask = Ask::Elect(Some(vec![(TopicName::from("t"), partition)]));
                self.wish(&what, ask);
            }
            _ => self.wish("all are led by their preferred leaders", Ask::Elect(None)),
        }
        let pause = 50 + milliseconds(&mut self.rng, 2_500);
        if self.now.plus_ms(pause) < CALM_AT {
            self.after(pause, Event::Rearrange);
        }
    }

    fn move_replicas(&mut self, partition: PartitionId) {
        let replicas = self.somewhere();
        let what = format!("p{partition} moves to {replicas:?}");
        self.wish(&what, reassign(partition, Some(replicas)));
        if self.rng.chance(40) {
            // Mostly before it is complete.
            let pause = milliseconds(&mut self.rng, 100);
            self.after(pause, Event::TakeBack(partition));
        }
    }

    pub(super) fn on_take_back(&mut self, partition: PartitionId) {
        let what = format!("p{partition} stays where it was");
        self.wish(&what, reassign(partition, None));
    }

    /// Any broker passes it on to the controllers, if it runs.
    fn wish(&mut self, what: &str, ask: Ask) {
        self.observe(&Fact::Wished { what });
        let ids = self.ids();
        let asked = ids[index(&mut self.rng, ids.len())];
        if self.node(asked).broker.is_up {
            self.ask(asked, About::Nothing, ask);
        }
    }

    /// Mostly three brokers, in any order.
    fn somewhere(&mut self) -> Vec<BrokerId> {
        let mut left = self.ids();
        let count = if self.rng.chance(60) {
            3
        } else {
            1 + index(&mut self.rng, left.len())
        };
        let replicas = (0..count).map(|_| {
            let at = index(&mut self.rng, left.len());
            left.swap_remove(at)
        });
        replicas.collect()
    }

    /// A broker is asked to stop.
    pub(super) fn on_stop(&mut self, broker: BrokerId) {
        let now = self.now;
        let node = self.node(broker);
        if !node.broker.is_up || node.life.stopping.is_some() {
            return;
        }
        let what = format!("b{broker} stops");
        let is_alone = node.is_alone();
        node.life.stopping = Some(Stopping {
            since: now,
            attempt: 0,
            unheard: 0,
        });
        self.observe(&Fact::Wished { what: &what });
        if is_alone {
            self.stop(broker, false);
            return;
        }
        self.plan(broker, 0, ProcessEvent::HandOver);
    }

    /// Asks whether others lead what this broker led, once more.
    pub(super) fn on_hand_over(&mut self, broker: BrokerId) {
        let now = self.now;
        let node = self.node(broker);
        let Some(stopping) = &mut node.life.stopping else {
            return;
        };
        let is_late = HANDOVER_TIMEOUT_MS < now.since(stopping.since);
        if is_late || stopping.unheard == HANDOVER_ATTEMPTS {
            self.stop(broker, false);
            return;
        }
        stopping.attempt += 1;
        let attempt = stopping.attempt;
        let epoch = node.life.epoch.unwrap_or_default();
        let heartbeat = node.heartbeat(epoch);
        let about = About::HandOver { attempt };
        self.ask(broker, about, Ask::Heartbeat(heartbeat));
        let unheard = ProcessEvent::HandOverUnheard { attempt };
        self.plan(broker, HANDOVER_ANSWER_MS, unheard);
    }

    /// What the controllers have said to that: whether it may stop, or nothing.
    pub(super) fn on_hand_over_answer(
        &mut self,
        broker: BrokerId,
        attempt: u32,
        may: Option<bool>,
    ) {
        let node = self.node(broker);
        let Some(stopping) = &mut node.life.stopping else {
            return;
        };
        if stopping.attempt != attempt {
            return;
        }
        // Whatever else comes of this question is late.
        stopping.attempt += 1;
        match may {
            Some(true) => {
                self.stop(broker, true);
                return;
            }
            Some(false) => stopping.unheard = 0,
            None => stopping.unheard += 1,
        }
        self.plan(broker, HANDOVER_PAUSE_MS, ProcessEvent::HandOver);
    }

    /// A process ends in peace: what its disk was asked for is done, and whoever waits
    /// for that is answered.
    fn stop(&mut self, broker: BrokerId, may: bool) {
        for partition in self.node(broker).broker.partitions() {
            self.step(broker, partition, Input::Checkpoint);
        }
        while self.node(broker).broker.finish_disk() {
            self.listen(broker);
        }
        let leads = self.led_by(broker);
        self.node(broker).broker.end();
        self.on_end(broker);
        self.observe(&Fact::Stopped {
            broker,
            may,
            leads: &leads,
        });
    }

    /// What a broker leads that another could, as the controllers have agreed.
    fn led_by(&self, broker: BrokerId) -> Vec<PartitionId> {
        let is_led = |partition: &PartitionId| {
            let known = self.decided(*partition);
            known.is_some_and(|known| known.leader == Some(broker) && known.replicas.len() > 1)
        };
        ALL.into_iter().filter(is_led).collect()
    }
}

fn reassign(partition: PartitionId, replicas: Option<Vec<BrokerId>>) -> Ask {
    Ask::Reassign(Reassignment {
        topic: TopicName::from("t"),
        partition,
        replicas,
    })
}
