//! Clients: idempotent producers that repeat until they are answered, plain
//! producers that do not, and administrators who delete.

use std::collections::VecDeque;

use ottla_base::testing::Rng;
use ottla_base::{Millis, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence};
use ottla_partition::{Acks, AppendError, Appended, SequenceError};
use ottla_protocol::records::RecordBatch;

use crate::fact::Value;
use crate::network::milliseconds;
use crate::value;

/// Something that a client wants of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) partition: PartitionId,
    pub(crate) wish: Wish,
}

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Append {
        /// Whose it is, and which of its batches.
        client: u32,
        batch_number: u32,
        batch: RecordBatch,
        values: Vec<Value>,
        acks: Acks,
    },
    DeleteBefore(Option<Offset>),
    /// Not a client's: housekeeping has looked at the clock.
    RetainFrom(Offset),
}

/// A producer that numbers its batches, has at most five on their way, and sends
/// them again until they are acknowledged. Owned by the world.
#[derive(Debug)]
pub(crate) struct IdempotentProducer {
    client: u32,
    partition: PartitionId,
    /// Batches that it will still make.
    left: u32,
    next_number: u32,
    next_batch: u32,
    unanswered: VecDeque<Unanswered>,
    /// The batch after the last that was acknowledged.
    acknowledged: u32,
    /// Its epoch, and the first record of it.
    epoch: i16,
    epoch_from: u32,
    /// How often it was refused, in this epoch, what follows all that was acknowledged.
    refusals: u32,
    make_at: Millis,
    /// Whether a broker may have forgotten its last batches: one that comes to lead has,
    /// if they were deleted before it had them.
    may_be_forgotten: bool,
}

#[derive(Debug)]
struct Unanswered {
    batch_number: u32,
    values: Vec<Value>,
    send_at: Millis,
}

impl IdempotentProducer {
    const IN_FLIGHT: u32 = 5;
    /// Later than any answer comes that comes at all in quiet times.
    const RETRY_MS: i64 = 1_000;
    /// As often it is told that something is missing before what follows all that was
    /// acknowledged, until it believes that. By then no broker leads that is not to.
    const REFUSALS: u32 = 100;
    /// Near enough to the largest sequence that some stories cross it.
    const NEAR_THE_WRAP: i32 = i32::MAX - 40;

    pub(crate) fn new(client: u32, partition: PartitionId, rng: &mut Rng) -> Self {
        Self {
            client,
            partition,
            left: 40,
            next_number: 0,
            next_batch: 0,
            unanswered: VecDeque::new(),
            acknowledged: 0,
            epoch: 0,
            epoch_from: 0,
            refusals: 0,
            make_at: Millis(milliseconds(rng, 500)),
            may_be_forgotten: false,
        }
    }

    /// One that writes to replicas.
    pub(crate) fn of_replicas(self) -> Self {
        Self {
            may_be_forgotten: true,
            ..self
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && self.unanswered.is_empty()
    }

    /// When it wants to act next.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        let make_at = self.may_make().then_some(self.make_at);
        let send_at = self.unanswered.iter().map(|batch| batch.send_at).min();
        [make_at, send_at].into_iter().flatten().min()
    }

    /// Makes a batch if it is time, and sends what is due.
    pub(crate) fn on_wake(&mut self, now: Millis, rng: &mut Rng) -> Vec<Request> {
        if self.may_make() && self.make_at <= now {
            self.make(now, rng);
        }
        let due = self.unanswered.iter_mut().filter(|b| b.send_at <= now);
        let due: Vec<_> = due
            .map(|batch| {
                batch.send_at = now.plus_ms(Self::RETRY_MS);
                (batch.batch_number, batch.values.clone())
            })
            .collect();
        due.into_iter()
            .map(|(batch_number, values)| self.request(batch_number, values, now))
            .collect()
    }

    /// Says whether it begins a new epoch, because a broker has forgotten the end of this
    /// one.
    pub(crate) fn on_answer(
        &mut self,
        now: Millis,
        batch_number: u32,
        result: &Result<Appended, AppendError>,
    ) -> bool {
        self.refusals += u32::from(self.is_forgotten(batch_number, result));
        match result {
            Ok(_) => {
                self.unanswered.retain(|b| b.batch_number != batch_number);
                self.acknowledged = self.acknowledged.max(batch_number + 1);
                self.refusals = 0;
            }
            // It was written, and deleted with all that the broker knew of it. A broker
            // that leads no more may know later batches only, which nobody acknowledges.
            Err(AppendError::Sequence(SequenceError::OutOfOrder {
                expected, sequence, ..
            })) if self.may_be_forgotten
                && batch_number < self.acknowledged
                && precedes(*sequence, *expected) =>
            {
                self.unanswered.retain(|b| b.batch_number != batch_number);
            }
            // Whatever was wrong, the batch is sent again: a gap closes when the
            // batches before it arrive, and a broker comes back.
            Err(_) => {
                let mut again = self.unanswered.iter_mut();
                if let Some(batch) = again.find(|b| b.batch_number == batch_number) {
                    batch.send_at = batch.send_at.min(now.plus_ms(100));
                }
            }
        }
        let begins = self.refusals == Self::REFUSALS;
        if begins {
            self.begin_epoch();
        }
        begins
    }

    /// Whether a broker lacks what was acknowledged before the oldest batch that is not.
    fn is_forgotten(&self, batch_number: u32, result: &Result<Appended, AppendError>) -> bool {
        let Err(AppendError::Sequence(SequenceError::OutOfOrder {
            expected, sequence, ..
        })) = result
        else {
            return false;
        };
        let oldest = self.unanswered.front();
        self.may_be_forgotten
            && batch_number == self.acknowledged
            && oldest.is_some_and(|oldest| oldest.batch_number == batch_number)
            && precedes(*expected, *sequence)
    }

    /// As the Java client's `requestIdempotentEpochBumpForPartition` (KIP-360): a new
    /// epoch, whose first record is the first that was not acknowledged.
    fn begin_epoch(&mut self) {
        self.refusals = 0;
        self.epoch += 1;
        self.epoch_from = self.unanswered.front().map_or(self.next_number, |oldest| {
            oldest.values.first().map_or(0, |value| value.number)
        });
    }

    /// A broker remembers five batches, so none is sent before the fifth last is
    /// answered, whatever was answered since. And a broker that does not know a
    /// producer lets it begin anywhere, so the first batch travels alone.
    fn may_make(&self) -> bool {
        let oldest = self.unanswered.front();
        let oldest = oldest.map_or(self.next_batch, |batch| batch.batch_number);
        let in_flight = if oldest == 0 { 1 } else { Self::IN_FLIGHT };
        self.left > 0 && self.next_batch < oldest + in_flight
    }

    fn make(&mut self, now: Millis, rng: &mut Rng) {
        let count = 1 + u32::try_from(rng.below(4)).expect("below four");
        let numbers = self.next_number..self.next_number + count;
        self.next_number += count;
        self.left -= 1;
        self.unanswered.push_back(Unanswered {
            batch_number: self.next_batch,
            values: numbers.map(|number| self.value(number)).collect(),
            send_at: now,
        });
        self.next_batch += 1;
        // Sometimes as fast as it can, so that all five are in flight.
        let pause = if rng.chance(50) { 2 } else { 700 };
        self.make_at = now.plus_ms(milliseconds(rng, pause));
    }

    fn value(&self, number: u32) -> Value {
        let client = self.client;
        Value { client, number }
    }

    fn request(&self, batch_number: u32, values: Vec<Value>, now: Millis) -> Request {
        let number = i32::try_from(values[0].number - self.epoch_from);
        let producer = (
            ProducerId(i64::from(self.client)),
            ProducerEpoch(self.epoch),
            self.first_sequence()
                .plus(number.expect("a story has few records")),
        );
        Request {
            partition: self.partition,
            wish: Wish::Append {
                client: self.client,
                batch_number,
                batch: value::batch_of(&values, Some(producer), now),
                values,
                acks: Acks::All,
            },
        }
    }

    fn first_sequence(&self) -> Sequence {
        let is_near_the_wrap = self.epoch == 0 && !self.client.is_multiple_of(2);
        Sequence(if is_near_the_wrap {
            Self::NEAR_THE_WRAP
        } else {
            0
        })
    }
}

fn precedes(sequence: Sequence, expected: Sequence) -> bool {
    const MANY: i32 = 1_000;
    (1..MANY).any(|records| sequence.plus(records) == expected)
}

/// A producer that sends everything once.
#[derive(Debug)]
pub(crate) struct PlainProducer {
    client: u32,
    next_number: u32,
}

impl PlainProducer {
    pub(crate) fn new(client: u32) -> Self {
        Self {
            client,
            next_number: 0,
        }
    }

    pub(crate) fn send(&mut self, partition: PartitionId, now: Millis, rng: &mut Rng) -> Request {
        let count = 1 + u32::try_from(rng.below(3)).expect("below three");
        let numbers = self.next_number..self.next_number + count;
        let batch_number = self.next_number;
        self.next_number += count;
        let client = self.client;
        let values: Vec<_> = numbers.map(|number| Value { client, number }).collect();
        let wish = Wish::Append {
            client,
            batch_number,
            batch: value::batch_of(&values, None, now),
            values,
            acks: [Acks::None, Acks::Leader, Acks::All][index(rng, 3)],
        };
        Request { partition, wish }
    }
}

/// A number below `n`, to index with.
pub(crate) fn index(rng: &mut Rng, n: usize) -> usize {
    let n = u64::try_from(n).expect("an index fits 64 bits");
    usize::try_from(rng.below(n)).expect("what is below an index is one")
}
