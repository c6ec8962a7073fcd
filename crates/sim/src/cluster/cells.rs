//! What happens within a broker: its machines take steps, and what they asked for is done.

use ottla_base::{BrokerId, PartitionId, ReplyToken};
use ottla_partition::{Effect, Input, Reply, RoleKind, View};

use super::event::ProcessEvent;
use super::node::Life;
use super::world::ClusterWorld;
use crate::disk::{Completion, Heard};
use crate::fact::Fact;
use crate::network::milliseconds;
use crate::world::GROUPS;

impl ClusterWorld {
    /// A process begins, with whatever the disk has.
    pub(super) fn on_restart(&mut self, broker: BrokerId) {
        let node = self.node(broker);
        node.broker.is_up = true;
        node.life = Life::default();
        self.observe(&Fact::Restarted { broker });
        self.plan(broker, 0, ProcessEvent::Housekeep);
    }

    pub(super) fn on_disk(&mut self, broker: BrokerId) {
        let (rng, nodes) = (&mut self.rng, &mut self.nodes);
        let node = nodes.get_mut(&broker).expect("brokers do not vanish");
        node.broker.carry_out_group(rng);
        self.listen(broker);
    }

    /// Passes on what the store has said.
    pub(super) fn listen(&mut self, broker: BrokerId) {
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
        // Nobody else has anything of an epoch in which there was no other replica.
        let is_copied = self.node(broker).is_copied(partition);
        if view.role == RoleKind::Leader && is_copied {
            let lost = &mut self.node(broker).life.lost;
            lost.insert(partition, view.leader_epoch);
        }
        self.step(broker, partition, Input::StorageFailed);
        self.drop_groups(broker, partition);
        let pause = milliseconds(&mut self.rng, 500);
        self.plan(broker, pause, ProcessEvent::Reload(partition));
    }

    pub(super) fn on_tick(&mut self, broker: BrokerId, partition: PartitionId) {
        if let Some(cell) = self.node(broker).broker.cell(partition) {
            cell.tick_at = None;
            self.step(broker, partition, Input::Tick);
        }
    }

    /// Recovers a partition from what the store has, and gives it its role again.
    pub(super) fn reload(&mut self, broker: BrokerId, partition: PartitionId) {
        self.drop_groups(broker, partition);
        let now = self.now;
        let node = self.node(broker);
        let local = node.clock(now);
        let effects = node.broker.recover(local, partition);
        node.life.told.remove(&partition);
        node.life.reported.remove(&partition);
        self.observe(&Fact::Recovered { broker, partition });
        self.carry_out(broker, partition, effects);
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
    pub(super) fn report(&mut self, broker: BrokerId, partition: PartitionId, view: &View) {
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
    pub(super) fn look_at_members(&mut self, partition: PartitionId) {
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
        let waiting = self.owed.remove(&token);
        self.answer(waiting.and_then(|(_, client)| client.told(reply)));
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

    pub(super) fn scan(&mut self, broker: BrokerId, partition: PartitionId) {
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
        let skew = node.skew_ms;
        let Some(cell) = node.broker.cell(partition) else {
            return;
        };
        let Some(next) = cell.next_deadline() else {
            return;
        };
        if cell.tick_at.is_none_or(|at| next < at) {
            cell.tick_at = Some(next);
            let pause = next.plus_ms(-skew).since(now).max(0);
            self.plan(broker, pause, ProcessEvent::Tick(partition));
        }
    }

    pub(super) fn plan_disks(&mut self) {
        for broker in self.ids() {
            let (rng, nodes) = (&mut self.rng, &mut self.nodes);
            let node = nodes.get_mut(&broker).expect("brokers do not vanish");
            if node.broker.wants_disk() {
                node.broker.disk.busy = true;
                let delay = node.broker.disk.delay(rng);
                self.plan(broker, delay, ProcessEvent::Disk);
            }
        }
    }
}
