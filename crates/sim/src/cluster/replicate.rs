//! How records get from leaders to followers: both ends of the streams, driven as the
//! real brokers drive them.

use ottla_base::{BrokerId, LeaderEpoch, Offset, PartitionId};
use ottla_partition::{Input, Place as Placed, RoleKind, View};
use ottla_protocol::records::RecordBatch;

use super::event::{Event, ProcessEvent};
use super::links::{Message, Passage};
use super::node::Session;
use super::world::ClusterWorld;
use crate::network::milliseconds;

/// What is read at once for a follower that is behind.
const CHUNK_BYTES: usize = 600;
/// How far it may be sent ahead of what it has acknowledged.
const WINDOW: i64 = 60;

impl ClusterWorld {
    /// Asks the leader for what follows; calls it first if need be.
    pub(super) fn follow(&mut self, broker: BrokerId, partition: PartitionId) {
        let Some(cell) = self.node(broker).broker.cell(partition) else {
            return;
        };
        let Some(at) = cell.partition.follow_position() else {
            self.node(broker).life.wanted.insert(partition);
            return;
        };
        self.node(broker).life.wanted.remove(&partition);
        if self.links.number(broker, at.leader).is_none() {
            self.call(broker, at.leader);
            return;
        }
        let message = Message::Follow {
            partition,
            epoch: at.epoch,
            end: at.end,
            last_epoch: at.last_epoch,
            log_start: at.log_start,
        };
        self.pass(broker, at.leader, at.leader, message);
    }

    /// Opens a stream to a leader, after a while.
    fn call(&mut self, follower: BrokerId, leader: BrokerId) {
        if self.links.calling.insert((follower, leader)) {
            let pause = 1 + milliseconds(&mut self.rng, 100);
            self.plan(follower, pause, ProcessEvent::Call(leader));
        }
    }

    pub(super) fn on_call(&mut self, follower: BrokerId, leader: BrokerId) {
        self.links.calling.remove(&(follower, leader));
        let followed: Vec<_> = self
            .node(follower)
            .followed()
            .filter(|(_, of)| *of == leader)
            .map(|(partition, _)| partition)
            .collect();
        if followed.is_empty() {
            return;
        }
        let answers = self.reaches(follower, leader) && self.reaches(leader, follower);
        if !answers || !self.node(leader).broker.is_up {
            self.call(follower, leader);
            return;
        }
        self.links.open(follower, leader);
        for partition in followed {
            self.follow(follower, partition);
        }
    }

    /// Puts a message on the stream of `follower` to `leader`, for one of them.
    pub(super) fn pass(
        &mut self,
        follower: BrokerId,
        leader: BrokerId,
        to: BrokerId,
        message: Message,
    ) {
        let ends = (follower, leader);
        let order = message.order();
        match self.links.pass(&mut self.rng, self.now, ends, to, order) {
            Passage::Arrives { number, after_ms } => {
                for delay in after_ms {
                    let event = Event::Stream {
                        ends,
                        number,
                        to,
                        message: Box::new(message.clone()),
                    };
                    self.after(delay, event);
                }
            }
            Passage::Breaks { number } => self.plan_breach(ends, number),
            Passage::Nowhere => (),
        }
    }

    pub(super) fn plan_breach(&mut self, ends: (BrokerId, BrokerId), number: u64) {
        let pause = 50 + milliseconds(&mut self.rng, 500);
        self.after(pause, Event::Breach { ends, number });
    }

    /// Both ends have noticed that their stream is broken.
    pub(super) fn on_breach(&mut self, (follower, leader): (BrokerId, BrokerId), number: u64) {
        if !self.links.close(follower, leader, number) {
            return;
        }
        let sessions = &mut self.node(leader).life.sessions;
        sessions.retain(|(_, of), session| *of != follower || session.stream != number);
        if self.node(follower).broker.is_up {
            self.call(follower, leader);
        }
    }

    pub(super) fn on_stream(
        &mut self,
        (follower, leader): (BrokerId, BrokerId),
        number: u64,
        to: BrokerId,
        message: Message,
    ) {
        if !self.links.is_open(follower, leader, number) || !self.node(to).broker.is_up {
            return;
        }
        if to == leader {
            self.on_from_follower(leader, follower, number, message);
        } else {
            self.on_from_leader(follower, leader, message);
        }
    }

    fn on_from_follower(
        &mut self,
        leader: BrokerId,
        follower: BrokerId,
        stream: u64,
        message: Message,
    ) {
        match message {
            Message::Follow {
                partition,
                epoch,
                end,
                last_epoch,
                log_start,
            } => {
                let has = (end, last_epoch, log_start);
                self.on_follow((leader, follower, stream), partition, epoch, has);
            }
            Message::Acknowledged {
                partition,
                epoch,
                end,
                log_start,
            } => {
                let sessions = &mut self.node(leader).life.sessions;
                let Some(session) = sessions.get_mut(&(partition, follower)) else {
                    return;
                };
                if session.epoch != epoch || session.stream != stream {
                    return;
                }
                session.acknowledged = session.acknowledged.max(end);
                // Where messages overtake each other, an older word is none.
                session.durable = session.durable.max(end);
                session.log_start = session.log_start.max(log_start);
                let input = Input::Replicated {
                    by: follower,
                    epoch,
                    end: session.durable,
                    log_start: session.log_start,
                };
                self.step(leader, partition, input);
                self.pump(leader, partition, follower);
            }
            Message::Append { .. }
            | Message::Position { .. }
            | Message::Diverged { .. }
            | Message::Refused { .. } => unreachable!("a leader says that"),
        }
    }

    /// A follower asks for what follows what it has.
    fn on_follow(
        &mut self,
        (leader, follower, stream): (BrokerId, BrokerId, u64),
        partition: PartitionId,
        epoch: LeaderEpoch,
        (end, last_epoch, log_start): (Offset, LeaderEpoch, Offset),
    ) {
        let Some(cell) = self.node(leader).broker.cell(partition) else {
            let refused = Message::Refused { partition };
            self.pass(follower, leader, follower, refused);
            return;
        };
        let place = cell.partition.place(follower, epoch, end, last_epoch);
        let base_at = |offset| self.base_at(leader, partition, offset);
        match place.at_base(end, last_epoch, base_at) {
            Placed::From(next) => {
                let session = Session {
                    stream,
                    epoch,
                    next,
                    acknowledged: next,
                    durable: end,
                    log_start,
                };
                self.node(leader)
                    .life
                    .sessions
                    .insert((partition, follower), session);
                let input = Input::Replicated {
                    by: follower,
                    epoch,
                    end,
                    log_start,
                };
                self.step(leader, partition, input);
                self.send_position(leader, partition, follower);
                self.pump(leader, partition, follower);
            }
            Placed::BehindStart(start) => {
                let session = Session {
                    stream,
                    epoch,
                    next: start,
                    acknowledged: start,
                    durable: end,
                    log_start,
                };
                self.begin_anew(leader, partition, follower, session);
            }
            Placed::Diverged {
                epoch: found,
                end: found_end,
            } => {
                self.node(leader)
                    .life
                    .sessions
                    .remove(&(partition, follower));
                let diverged = Message::Diverged {
                    partition,
                    leader_epoch: epoch,
                    epoch: found,
                    end: found_end,
                };
                self.pass(follower, leader, follower, diverged);
            }
            Placed::NotLeader { .. } => {
                let refused = Message::Refused { partition };
                self.pass(follower, leader, follower, refused);
            }
        }
    }

    fn on_from_leader(&mut self, follower: BrokerId, leader: BrokerId, message: Message) {
        match message {
            Message::Append {
                partition,
                epoch,
                mut after,
                batches,
                high_watermark,
            } => {
                for batch in batches {
                    let next = batch.header().next_offset();
                    let input = Input::AppendFrom {
                        epoch,
                        after,
                        batch,
                        high_watermark,
                    };
                    self.step(follower, partition, input);
                    after = next;
                }
            }
            Message::Position {
                partition,
                epoch,
                high_watermark,
                log_start,
            } => {
                let input = Input::Position {
                    epoch,
                    high_watermark,
                    log_start,
                };
                self.step(follower, partition, input);
            }
            Message::Diverged {
                partition,
                leader_epoch,
                epoch,
                end,
            } => {
                let input = Input::Diverged {
                    leader_epoch,
                    epoch,
                    end,
                };
                self.step(follower, partition, input);
            }
            Message::Refused { partition } => {
                let pause = 50 + milliseconds(&mut self.rng, 200);
                let again = ProcessEvent::FollowAgain { partition, leader };
                self.plan(follower, pause, again);
            }
            Message::Follow { .. } | Message::Acknowledged { .. } => {
                unreachable!("a follower says that")
            }
        }
    }

    pub(super) fn on_follow_again(
        &mut self,
        follower: BrokerId,
        partition: PartitionId,
        leader: BrokerId,
    ) {
        let still = self
            .node(follower)
            .followed()
            .any(|followed| followed == (partition, leader));
        if still {
            self.follow(follower, partition);
        }
    }

    /// A follower has made something durable.
    pub(super) fn acknowledge(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    ) {
        if self.node(broker).life.wanted.contains(&partition) {
            self.follow(broker, partition);
            return;
        }
        let leader = self
            .node(broker)
            .followed()
            .find(|(followed, _)| *followed == partition);
        if let Some((_, leader)) = leader {
            let message = Message::Acknowledged {
                partition,
                epoch,
                end,
                log_start,
            };
            self.pass(broker, leader, leader, message);
        }
    }

    /// A leader has written a batch: who has all before it gets it at once.
    pub(super) fn push(&mut self, leader: BrokerId, partition: PartitionId, batch: &RecordBatch) {
        let view = self.view(leader, partition);
        let header = batch.header();
        for follower in self.sessions_of(leader, partition, &view) {
            let session = self.session(leader, partition, follower);
            if session.next != header.base_offset {
                continue;
            }
            session.next = header.next_offset();
            let message = Message::Append {
                partition,
                epoch: view.leader_epoch,
                after: header.base_offset,
                batches: vec![batch.clone()],
                high_watermark: view.high_watermark,
            };
            self.pass(follower, leader, follower, message);
        }
    }

    /// Reads on for a follower that is behind, until enough is on its way.
    fn pump(&mut self, leader: BrokerId, partition: PartitionId, follower: BrokerId) {
        let view = self.view(leader, partition);
        if !self
            .sessions_of(leader, partition, &view)
            .contains(&follower)
        {
            return;
        }
        let session = *self.session(leader, partition, follower);
        if session.next < self.base_at(leader, partition, view.log_start) {
            self.begin_anew(leader, partition, follower, session);
            return;
        }
        if !self.pump_once(leader, partition, follower, &view) {
            return;
        }
        if session.next < view.log_start {
            // The start lies in what was sent just now, and could not be told before.
            self.send_position(leader, partition, follower);
        }
        while self.pump_once(leader, partition, follower, &view) {}
    }

    /// Sends what is read at once; whether there was anything.
    fn pump_once(
        &mut self,
        leader: BrokerId,
        partition: PartitionId,
        follower: BrokerId,
        view: &View,
    ) -> bool {
        let session = *self.session(leader, partition, follower);
        if session.acknowledged.plus(WINDOW) < session.next {
            return false;
        }
        let broker = &self.node(leader).broker;
        let batches = broker.batches(partition, session.next, CHUNK_BYTES);
        let Some(last) = batches.last() else {
            return false;
        };
        self.session(leader, partition, follower).next = last.header().next_offset();
        let message = Message::Append {
            partition,
            epoch: view.leader_epoch,
            after: session.next,
            batches,
            high_watermark: view.high_watermark,
        };
        self.pass(follower, leader, follower, message);
        true
    }

    /// More of the log can be read than before.
    pub(super) fn pump_all(&mut self, leader: BrokerId, partition: PartitionId) {
        let view = self.view(leader, partition);
        for follower in self.sessions_of(leader, partition, &view) {
            self.pump(leader, partition, follower);
        }
    }

    /// A follower that ends before the start of the log gets it from there on.
    fn begin_anew(
        &mut self,
        leader: BrokerId,
        partition: PartitionId,
        follower: BrokerId,
        session: Session,
    ) {
        let view = self.view(leader, partition);
        let base = self.base_at(leader, partition, view.log_start);
        let session = Session {
            next: base,
            acknowledged: base,
            ..session
        };
        self.node(leader)
            .life
            .sessions
            .insert((partition, follower), session);
        let message = Message::Position {
            partition,
            epoch: view.leader_epoch,
            high_watermark: view.high_watermark,
            log_start: base,
        };
        self.pass(follower, leader, follower, message);
        self.pump(leader, partition, follower);
    }

    /// Where the batch of a leader's log begins that holds `offset`.
    fn base_at(&mut self, leader: BrokerId, partition: PartitionId, offset: Offset) -> Offset {
        let broker = &self.node(leader).broker;
        let first = broker.batches(partition, offset, 1);
        let base = first.first().map(|batch| batch.header().base_offset);
        base.unwrap_or(offset).min(offset)
    }

    pub(super) fn send_positions(&mut self, leader: BrokerId, partition: PartitionId) {
        let view = self.view(leader, partition);
        for follower in self.sessions_of(leader, partition, &view) {
            self.send_position(leader, partition, follower);
        }
    }

    fn send_position(&mut self, leader: BrokerId, partition: PartitionId, follower: BrokerId) {
        let view = self.view(leader, partition);
        // Beyond what the follower was sent, it would begin anew there.
        let sent = self.session(leader, partition, follower).next;
        let message = Message::Position {
            partition,
            epoch: view.leader_epoch,
            high_watermark: view.high_watermark,
            log_start: view.log_start.min(sent),
        };
        self.pass(follower, leader, follower, message);
    }

    /// The followers that are sent a partition in the epoch of its view.
    fn sessions_of(
        &mut self,
        leader: BrokerId,
        partition: PartitionId,
        view: &View,
    ) -> Vec<BrokerId> {
        if view.role != RoleKind::Leader {
            return Vec::new();
        }
        let sessions = self.node(leader).life.sessions.iter();
        let current = sessions
            .filter(|((of, _), session)| *of == partition && session.epoch == view.leader_epoch);
        current.map(|((_, follower), _)| *follower).collect()
    }

    fn session(
        &mut self,
        leader: BrokerId,
        partition: PartitionId,
        follower: BrokerId,
    ) -> &mut Session {
        let sessions = &mut self.node(leader).life.sessions;
        let session = sessions.get_mut(&(partition, follower));
        session.expect("the session was just looked at")
    }

    pub(super) fn view(&mut self, broker: BrokerId, partition: PartitionId) -> View {
        let cell = self.node(broker).broker.cell(partition);
        cell.expect("a message or a step was for it")
            .partition
            .view()
    }
}
