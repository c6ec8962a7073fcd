//! What goes wrong in a cluster, and the calm after it.

use ottla_base::{BrokerId, Millis};

use super::event::Event;
use super::links::Place;
use super::quorum::{About, Ask};
use super::world::{ALL, CALM_AT, ClusterWorld};
use crate::fact::Fact;
use crate::member::GroupMember;
use crate::network::milliseconds;
use crate::workload::index;

impl ClusterWorld {
    pub(super) fn on_fault(&mut self) {
        let ids = self.ids();
        let broker = ids[index(&mut self.rng, ids.len())];
        match self.rng.below(100) {
            0..17 => self.on_crash(broker),
            17..25 => self.on_stop(broker),
            25..27 => ids.into_iter().for_each(|broker| self.on_crash(broker)),
            27..42 => self.on_pause(broker),
            42..62 => self.on_cut(broker),
            62..72 => self.on_isolation(broker),
            72..82 => self.on_controller_fails(),
            82..90 => self.on_disk_refuses(broker, true),
            _ => self.on_clock_jumps(broker),
        }
        let pause = 50 + milliseconds(&mut self.rng, 2_500);
        if self.now.plus_ms(pause) < CALM_AT {
            self.after(pause, Event::Fault);
        }
    }

    /// A loss of power: whoever waits for this broker hears nothing.
    fn on_crash(&mut self, broker: BrokerId) {
        if !self.node(broker).broker.is_up {
            return;
        }
        let (rng, node) = self.node_and_rng(broker);
        node.broker.crash(rng);
        self.on_end(broker);
        self.observe(&Fact::Crashed { broker });
    }

    /// What follows from the end of a process, however it came.
    pub(super) fn on_end(&mut self, broker: BrokerId) {
        let its = self.owed.iter().filter(|(_, (of, _))| *of == broker);
        let its: Vec<_> = its.map(|(token, _)| *token).collect();
        for token in its {
            self.owed.remove(&token);
            self.observe(&Fact::Orphaned { token });
        }
        let epoch = self.node(broker).life.epoch;
        self.node(broker).paused_until = Millis(0);
        for (follower, leader, number) in self.links.break_all(broker) {
            self.plan_breach((follower, leader), number);
        }
        self.links
            .calling
            .retain(|(follower, _)| *follower != broker);
        // Somebody may find the port closed.
        if let Some(epoch) = epoch
            && self.rng.chance(50)
        {
            let witness = self.ids().into_iter().find(|other| *other != broker);
            let ask = Ask::Lost(broker, epoch);
            self.ask(witness.unwrap_or(broker), About::Nothing, ask);
        }
        let pause = milliseconds(&mut self.rng, 3_500);
        self.after(pause, Event::Restart(broker));
    }

    fn on_pause(&mut self, broker: BrokerId) {
        let pause = 20 + milliseconds(&mut self.rng, 4_500);
        let until = self.now.plus_ms(pause);
        self.node(broker).paused_until = until;
        let what = format!("b{broker} is paused until {until}");
        self.observe(&Fact::Fault { what: &what });
    }

    /// Between two brokers, or a broker and the controllers; both ways or one.
    fn on_cut(&mut self, broker: BrokerId) {
        let mut others: Vec<_> = self.ids().into_iter().map(Place::Broker).collect();
        others.retain(|other| *other != Place::Broker(broker));
        others.push(Place::Controller);
        let (here, there) = (
            Place::Broker(broker),
            others[index(&mut self.rng, others.len())],
        );
        let ways = match self.rng.below(3) {
            0 => vec![(here, there)],
            1 => vec![(there, here)],
            _ => vec![(here, there), (there, here)],
        };
        self.cut(ways);
    }

    /// A broker from all others, perhaps from the controllers too; clients reach it.
    fn on_isolation(&mut self, broker: BrokerId) {
        let mut others: Vec<_> = self.ids().into_iter().map(Place::Broker).collect();
        others.retain(|other| *other != Place::Broker(broker));
        if self.rng.chance(50) {
            others.push(Place::Controller);
        }
        let here = Place::Broker(broker);
        let outward = others.iter().map(|there| (here, *there));
        let inward = others.iter().map(|there| (*there, here));
        let ways = match self.rng.below(4) {
            0 => outward.collect(),
            1 => inward.collect(),
            _ => outward.chain(inward).collect(),
        };
        self.cut(ways);
    }

    fn cut(&mut self, ways: Vec<(Place, Place)>) {
        let what = format!("cut {ways:?}");
        self.observe(&Fact::Fault { what: &what });
        for (from, to) in &ways {
            self.links.cut(*from, *to);
        }
        let pause = 50 + milliseconds(&mut self.rng, 4_000);
        self.after(pause, Event::Mend(ways));
    }

    pub(super) fn on_mend(&mut self, ways: Vec<(Place, Place)>) {
        for (from, to) in ways {
            self.links.mend(from, to);
        }
    }

    fn on_controller_fails(&mut self) {
        if !self.quorum.is_active() {
            return;
        }
        let pending = self.quorum.pending();
        let lucky = index(&mut self.rng, pending + 1);
        let what = format!("the controller fails with {lucky} of {pending} decisions in the log");
        self.observe(&Fact::Fault { what: &what });
        let before = ALL.map(|partition| self.decided(partition));
        self.quorum.fail(lucky);
        self.note_decisions(&before);
        let pause = 50 + milliseconds(&mut self.rng, 1_500);
        self.after(pause, Event::ControllerStarts);
    }

    pub(super) fn on_disk_refuses(&mut self, broker: BrokerId, refuses: bool) {
        self.node(broker).broker.refuse_appends(refuses);
        self.observe(&Fact::DiskRefuses { broker, refuses });
        if refuses {
            let pause = milliseconds(&mut self.rng, 1_500);
            self.after(pause, Event::DiskRecovers(broker));
        }
    }

    pub(super) fn on_disk_pace(&mut self, broker: BrokerId) {
        let slow = self.now < CALM_AT && self.rng.chance(20);
        self.node(broker).broker.disk.set_slow(slow);
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 3_000);
            self.after(pause, Event::DiskPace(broker));
        }
    }

    fn on_clock_jumps(&mut self, broker: BrokerId) {
        let jump = milliseconds(&mut self.rng, 8_000) - 4_000;
        self.node(broker).skew_ms += jump;
        let what = format!("the clock of b{broker} jumps by {jump}");
        self.observe(&Fact::Fault { what: &what });
        for partition in self.node(broker).broker.partitions() {
            if let Some(cell) = self.node(broker).broker.cell(partition) {
                cell.tick_at = None;
            }
            self.plan_tick(broker, partition);
        }
    }

    pub(super) fn on_calm(&mut self) {
        self.network.calm();
        self.links.calm();
        self.members.iter_mut().for_each(GroupMember::calm);
        self.observe(&Fact::Calm);
        // Also where nothing fails brokers stop.
        if self.rng.chance(20) {
            const AFTER_ALL_THAT_FAILED_MS: i64 = 6_200;
            let ids = self.ids();
            let broker = ids[index(&mut self.rng, ids.len())];
            self.last_stop_at = self.now.plus_ms(AFTER_ALL_THAT_FAILED_MS);
            self.after(AFTER_ALL_THAT_FAILED_MS, Event::Stop(broker));
        }
    }
}
