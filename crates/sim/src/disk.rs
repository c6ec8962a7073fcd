//! When a broker's disk gets round to what was submitted, and who hears of it.

use std::sync::{Arc, Mutex, PoisonError};

use ottla_base::testing::Rng;
use ottla_base::{Offset, TopicPartition};
use ottla_store::{LogListener, StoreFailure};

use crate::network::milliseconds;

/// The pace of a broker's disk.
#[derive(Debug)]
pub(crate) struct Disk {
    slow: bool,
    /// A group of operations is under way.
    pub(crate) busy: bool,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            slow: false,
            busy: false,
        }
    }

    pub(crate) fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
    }

    /// Milliseconds until the next group of operations is durable.
    pub(crate) fn delay(&self, rng: &mut Rng) -> i64 {
        milliseconds(rng, if self.slow { 2_000 } else { 4 })
    }
}

/// What the store told the broker, in order.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) tp: TopicPartition,
    /// Whose appends it is about; none where it is about the log itself.
    pub(crate) incarnation: Option<u64>,
    pub(crate) what: Completion,
}

#[derive(Debug)]
pub(crate) enum Completion {
    Flushed(Offset),
    StartMoved(Offset),
    Failed,
}

/// Where the store's words are kept until the world looks at them. It is locked
/// because the store's contract allows other threads; here there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ear(Arc<Mutex<Vec<Heard>>>);

impl Ear {
    pub(crate) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, heard: Heard) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(heard);
    }

    pub(crate) fn listener(&self, tp: TopicPartition) -> Arc<dyn LogListener> {
        let ear = self.clone();
        Arc::new(Listener { tp, ear })
    }
}

struct Listener {
    tp: TopicPartition,
    ear: Ear,
}

impl LogListener for Listener {
    fn on_flushed(&self, incarnation: u64, end: Offset) {
        self.ear.hear(Heard {
            tp: self.tp,
            incarnation: Some(incarnation),
            what: Completion::Flushed(end),
        });
    }

    fn on_start_moved(&self, start: Offset) {
        self.ear.hear(Heard {
            tp: self.tp,
            incarnation: None,
            what: Completion::StartMoved(start),
        });
    }

    fn on_failed(&self, incarnation: u64, _: StoreFailure) {
        self.ear.hear(Heard {
            tp: self.tp,
            incarnation: Some(incarnation),
            what: Completion::Failed,
        });
    }
}
