//! Which way messages between nodes get through, and the streams that carry records.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::testing::Rng;
use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId};
use ottla_protocol::records::RecordBatch;

use crate::network::milliseconds;

/// One end of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Broker(BrokerId),
    Controller,
}

/// The ways between nodes. Owned by the world.
#[derive(Debug)]
pub(crate) struct Links {
    /// Nothing gets through from the one to the other.
    cut: BTreeMap<(Place, Place), u32>,
    loss_permille: u64,
    slow_percent: u64,
    /// Messages overtake each other even within a stream, and come twice.
    disorder: bool,
    streams: BTreeMap<(BrokerId, BrokerId), Stream>,
    /// When the last question about replicas in sync arrives: each broker asks in order,
    /// so that an answer says what became of all that it asked before.
    asked: BTreeMap<BrokerId, Millis>,
    /// Followers that are about to call their leaders.
    pub(crate) calling: BTreeSet<(BrokerId, BrokerId)>,
    last_number: u64,
}

/// A follower's stream to a leader.
#[derive(Debug)]
struct Stream {
    number: u64,
    /// Something was lost on it, so nothing more arrives. Nobody may have noticed.
    broken: bool,
    /// When the last message to each end arrives.
    last: BTreeMap<BrokerId, Millis>,
}

/// What travels on a stream: `FromFollower` and `FromLeader`.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Follow {
        partition: PartitionId,
        epoch: LeaderEpoch,
        end: Offset,
        last_epoch: LeaderEpoch,
        log_start: Offset,
    },
    Acknowledged {
        partition: PartitionId,
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    },
    Append {
        partition: PartitionId,
        epoch: LeaderEpoch,
        after: Offset,
        batches: Vec<RecordBatch>,
        high_watermark: Offset,
    },
    Position {
        partition: PartitionId,
        epoch: LeaderEpoch,
        high_watermark: Offset,
        log_start: Offset,
    },
    Diverged {
        partition: PartitionId,
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
    },
    Refused {
        partition: PartitionId,
    },
}

/// Whether a message may overtake those before it, where messages do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Free,
    /// It speaks of what was sent before.
    AfterAll,
}

impl Message {
    pub(crate) fn order(&self) -> Order {
        match self {
            Self::Follow { .. } | Self::Position { .. } => Order::AfterAll,
            Self::Acknowledged { .. }
            | Self::Append { .. }
            | Self::Diverged { .. }
            | Self::Refused { .. } => Order::Free,
        }
    }
}

/// What becomes of a message on a stream.
#[derive(Debug)]
pub(crate) enum Passage {
    /// It arrives after so many milliseconds each.
    Arrives { number: u64, after_ms: Vec<i64> },
    /// The stream has broken just now.
    Breaks { number: u64 },
    /// There is no stream, or a broken one.
    Nowhere,
}

impl Links {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            cut: BTreeMap::new(),
            loss_permille: rng.below(8),
            slow_percent: rng.below(5),
            disorder: rng.chance(25),
            streams: BTreeMap::new(),
            asked: BTreeMap::new(),
            calling: BTreeSet::new(),
            last_number: 0,
        }
    }

    pub(crate) fn calm(&mut self) {
        self.cut.clear();
        self.loss_permille = 0;
        self.slow_percent = 0;
        self.disorder = false;
    }

    /// Cuts may overlap, so each is mended by itself.
    pub(crate) fn cut(&mut self, from: Place, to: Place) {
        *self.cut.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn mend(&mut self, from: Place, to: Place) {
        if let Some(count) = self.cut.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.cut.remove(&(from, to));
            }
        }
    }

    pub(crate) fn is_cut(&self, from: Place, to: Place) -> bool {
        self.cut.contains_key(&(from, to))
    }

    /// Milliseconds until a question or an answer arrives; `None` if it never does.
    pub(crate) fn deliver(&self, rng: &mut Rng, from: Place, to: Place) -> Option<i64> {
        let lost = self.is_cut(from, to) || rng.below(1_000) < self.loss_permille;
        (!lost).then(|| self.delay(rng))
    }

    /// The same for a question that none which `broker` asks later overtakes.
    pub(crate) fn deliver_in_order(
        &mut self,
        rng: &mut Rng,
        now: Millis,
        broker: BrokerId,
    ) -> Option<i64> {
        let delay = self.deliver(rng, Place::Broker(broker), Place::Controller)?;
        let last = self.asked.entry(broker).or_default();
        *last = now.plus_ms(delay).max(*last);
        Some(last.since(now))
    }

    /// A fresh stream in the place of the one that was.
    pub(crate) fn open(&mut self, follower: BrokerId, leader: BrokerId) -> u64 {
        self.last_number += 1;
        let stream = Stream {
            number: self.last_number,
            broken: false,
            last: BTreeMap::new(),
        };
        self.streams.insert((follower, leader), stream);
        self.last_number
    }

    /// The stream has been given up; whether it was there.
    pub(crate) fn close(&mut self, follower: BrokerId, leader: BrokerId, number: u64) -> bool {
        let known = self.number(follower, leader) == Some(number);
        if known {
            self.streams.remove(&(follower, leader));
        }
        known
    }

    /// Every stream that `broker` is an end of breaks.
    pub(crate) fn break_all(&mut self, broker: BrokerId) -> Vec<(BrokerId, BrokerId, u64)> {
        let streams = self.streams.iter_mut();
        let its = streams.filter(|((one, other), _)| *one == broker || *other == broker);
        its.map(|((follower, leader), stream)| {
            stream.broken = true;
            (*follower, *leader, stream.number)
        })
        .collect()
    }

    pub(crate) fn number(&self, follower: BrokerId, leader: BrokerId) -> Option<u64> {
        let stream = self.streams.get(&(follower, leader));
        stream.map(|stream| stream.number)
    }

    /// Whether a message of that stream may still be read.
    pub(crate) fn is_open(&self, follower: BrokerId, leader: BrokerId, number: u64) -> bool {
        let stream = self.streams.get(&(follower, leader));
        stream.is_some_and(|stream| stream.number == number && !stream.broken)
    }

    /// Puts a message on the stream of a follower to a leader, for either of them.
    pub(crate) fn pass(
        &mut self,
        rng: &mut Rng,
        now: Millis,
        (follower, leader): (BrokerId, BrokerId),
        to: BrokerId,
        order: Order,
    ) -> Passage {
        let from = if to == leader { follower } else { leader };
        let arrives = self.deliver(rng, Place::Broker(from), Place::Broker(to));
        let again = self.disorder && order == Order::Free && rng.chance(5);
        let again = again.then(|| self.delay(rng));
        let Some(stream) = self.streams.get_mut(&(follower, leader)) else {
            return Passage::Nowhere;
        };
        let number = stream.number;
        if stream.broken {
            return Passage::Nowhere;
        }
        let Some(mut delay) = arrives else {
            stream.broken = true;
            return Passage::Breaks { number };
        };
        let last = stream.last.entry(to).or_default();
        if !self.disorder || order == Order::AfterAll {
            delay = delay.max(last.since(now));
        }
        *last = now.plus_ms(delay.max(again.unwrap_or(0))).max(*last);
        let after_ms = std::iter::once(delay).chain(again).collect();
        Passage::Arrives { number, after_ms }
    }

    fn delay(&self, rng: &mut Rng) -> i64 {
        let slow = rng.chance(self.slow_percent);
        milliseconds(rng, if slow { 1_500 } else { 6 })
    }
}
