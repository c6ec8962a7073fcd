//! One task wakes every cell at its deadline.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ottla_base::Millis;
use ottla_store::LogId;
use tokio::sync::Notify;

use super::Cell;
use crate::clock::SystemClock;
use crate::tasks::Stop;

/// Which cell wants to be woken when: one wake per cell, the last that it asked for.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: Mutex<Due>,
    last_number: AtomicU64,
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Due {
    cells: BTreeMap<(Millis, LogId), Weak<Cell>>,
    /// One for each in `cells`.
    wakes: HashMap<LogId, Wake>,
}

/// A wake that a cell asks for, in the place of the one before. It is numbered under the
/// cell's lock and comes here without it, so that another thread's may overtake it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake {
    at: Millis,
    number: u64,
}

impl Timers {
    /// A wake that is later than all before it, to be scheduled.
    pub(crate) fn wake(&self, at: Millis) -> Wake {
        let number = 1 + self.last_number.fetch_add(1, Ordering::Relaxed);
        Wake { at, number }
    }

    /// Wakes a cell then, unless it has asked for another time since.
    pub(crate) fn schedule(&self, wake: Wake, cell: &Arc<Cell>) {
        if self.lock().put(wake, cell) {
            self.sooner.notify_one();
        }
    }

    pub(crate) async fn run(self: Arc<Self>, clock: SystemClock, mut stop: Stop) {
        loop {
            let (ready, next) = self.take_due(clock.now());
            for (at, cell) in ready {
                cell.tick(at);
            }
            // Whatever is due next, sockets and other timers have their turn before.
            tokio::task::coop::consume_budget().await;
            let until = next.map(|at| clock.instant(at));
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = self.sooner.notified() => (),
                () = sleep_until(until) => (),
            }
        }
    }

    pub(super) fn take_due(&self, now: Millis) -> (Vec<(Millis, Arc<Cell>)>, Option<Millis>) {
        let mut due = self.lock();
        let later = due.cells.split_off(&(now.plus_ms(1), LogId(0)));
        let ready = std::mem::replace(&mut due.cells, later);
        for (_, log) in ready.keys() {
            due.wakes.remove(log);
        }
        let next = due.cells.first_key_value().map(|((at, _), _)| *at);
        let ready = ready.into_iter();
        let ready = ready.filter_map(|((at, _), cell)| Some((at, cell.upgrade()?)));
        (ready.collect(), next)
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    /// Says whether it is the first of all now.
    fn put(&mut self, wake: Wake, cell: &Arc<Cell>) -> bool {
        let log = cell.log;
        if let Some(known) = self.wakes.get(&log) {
            if wake.number < known.number {
                return false;
            }
            self.cells.remove(&(known.at, log));
        }
        let key = (wake.at, log);
        self.wakes.insert(log, wake);
        self.cells.insert(key, Arc::downgrade(cell));
        let first = self.cells.first_key_value();
        first.is_some_and(|(first, _)| *first == key)
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};
    use ottla_partition::{Acks, Lead};
    use ottla_protocol::records::BatchBuilder;
    use ottla_store::memory::Stepping;

    use super::*;
    use crate::partitions::testing::{NODE, cell_in, memory};

    fn leading_cell(timers: &Arc<Timers>) -> Arc<Cell> {
        let cell = cell_in(memory(Stepping::Thread), timers);
        cell.lead(Lead {
            epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: vec![NODE],
            isr: vec![NODE],
        });
        cell
    }

    fn append(cell: &Cell, sequence: i32, deadline: Millis) {
        let builder = BatchBuilder::new();
        let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
        let mut batch = builder.producer(id, epoch, Sequence(sequence));
        batch.push(Millis(0), None, Some(b"x"));
        let batch = batch.build().expect("a batch");
        drop(cell.append(batch, Acks::All, deadline));
    }

    #[test]
    fn a_cell_has_one_wake_whatever_it_asked_for_before() {
        let timers = Arc::default();
        let cell = leading_cell(&timers);
        let start = SystemClock::start().now();
        for sequence in 0..100 {
            // Each is due before the one that is planned.
            append(
                &cell,
                sequence,
                start.plus_ms(500_000 - i64::from(sequence)),
            );
            assert_eq!(timers.lock().cells.len(), 1, "after append {sequence}");
        }
    }
}
