//! What idempotent producers sent: enough to recognise a repeated batch and to
//! refuse one that does not follow. Knows headers only, never records.

use std::collections::{BTreeMap, VecDeque};

use ottla_base::{Millis, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::BatchHeader;

use crate::error::SequenceError;

/// How many batches of a producer are remembered: as many as an idempotent
/// producer may have in flight.
pub(crate) const WINDOW: usize = 5;

/// Every producer whose batches are in the log, or were until they expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
}

/// What `DescribeProducers` shows of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub last_sequence: Sequence,
    pub last_timestamp: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: ProducerEpoch,
    /// Of the last batch, as the producer or the broker stamped it.
    pub(crate) last_timestamp: i64,
    /// The last batches of this epoch, oldest first, at most [`WINDOW`].
    pub(crate) window: VecDeque<Sent>,
}

/// A batch that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    pub(crate) base: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) timestamp: i64,
}

/// How a batch relates to what its producer sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Next,
    Repeats(Sent),
}

impl Producers {
    /// Whether a client's batch follows what its producer sent before, by the
    /// rules of Kafka's `ProducerAppendInfo`.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Verdict, SequenceError> {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // Retention may have removed what came before, so any sequence will do.
            return Ok(Verdict::Next);
        };
        if let Some(sent) = producer.repeated(header) {
            return Ok(Verdict::Repeats(sent));
        }
        producer.check_next(header).map(|()| Verdict::Next)
    }

    /// Takes a written batch into account. Total, because replay meets whatever
    /// was accepted once.
    pub(crate) fn apply(&mut self, header: &BatchHeader) {
        if !header.has_producer() {
            return;
        }
        let producer = self
            .by_id
            .entry(header.producer_id)
            .or_insert_with(|| Producer::new(header.producer_epoch));
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.window.clear();
        }
        producer.last_timestamp = header.max_timestamp;
        // A transaction marker ends nothing here but earlier epochs.
        if !header.attributes.is_control() {
            producer.remember(header);
        }
    }

    /// What is still known of them as they were before the batches that end at `end` or
    /// beyond it.
    pub(crate) fn below(&self, end: Offset) -> Self {
        let below = self.by_id.iter();
        let below = below.filter_map(|(id, producer)| Some((*id, producer.below(end)?)));
        Self {
            by_id: below.collect(),
        }
    }

    /// Forgets producers that were silent for `after_ms`; says whether any was.
    pub(crate) fn expire(&mut self, now: Millis, after_ms: i64) -> bool {
        let before = self.by_id.len();
        self.by_id
            .retain(|_, producer| now.since(Millis(producer.last_timestamp)) < after_ms);
        self.by_id.len() != before
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn insert(&mut self, id: ProducerId, producer: Producer) {
        self.by_id.insert(id, producer);
    }

    /// Every producer, by rising id.
    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.iter().map(|(id, producer)| ActiveProducer {
            id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
        })
    }
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            last_timestamp: -1,
            window: VecDeque::with_capacity(WINDOW),
        }
    }

    fn below(&self, end: Offset) -> Option<Self> {
        let count = self.window.partition_point(|sent| sent.last_offset < end);
        if count == self.window.len() {
            return Some(self.clone());
        }
        let last = self.window.get(count.checked_sub(1)?)?;
        Some(Self {
            epoch: self.epoch,
            last_timestamp: last.timestamp,
            window: self.window.range(..count).copied().collect(),
        })
    }

    fn last_sequence(&self) -> Sequence {
        self.window.back().map_or(Sequence::NONE, |sent| sent.last)
    }

    fn repeated(&self, header: &BatchHeader) -> Option<Sent> {
        let range = (header.base_sequence, header.last_sequence());
        self.window
            .iter()
            .find(|sent| header.producer_epoch == self.epoch && (sent.first, sent.last) == range)
            .copied()
    }

    fn check_next(&self, header: &BatchHeader) -> Result<(), SequenceError> {
        if header.producer_epoch < self.epoch {
            return Err(SequenceError::StaleEpoch {
                producer: header.producer_id,
                known: self.epoch,
                epoch: header.producer_epoch,
            });
        }
        let expected = if header.producer_epoch == self.epoch {
            self.last_sequence().plus(1)
        } else {
            Sequence(0)
        };
        if self.epoch == ProducerEpoch::NONE || header.base_sequence == expected {
            return Ok(());
        }
        Err(SequenceError::OutOfOrder {
            producer: header.producer_id,
            expected,
            sequence: header.base_sequence,
        })
    }

    fn remember(&mut self, header: &BatchHeader) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(Sent {
            first: header.base_sequence,
            last: header.last_sequence(),
            base: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
    }
}
