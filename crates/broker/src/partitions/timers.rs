//! One task wakes every cell at its deadline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ottla_base::Millis;
use tokio::sync::Notify;

use super::Cell;
use crate::clock::SystemClock;
use crate::tasks::Stop;

/// Which cell wants to be woken when. A cell keeps at most one entry that
/// matters; an entry that came too early is harmless.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: Mutex<Due>,
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Due {
    cells: BTreeMap<(Millis, u64), Weak<Cell>>,
    serial: u64,
}

impl Timers {
    pub(crate) fn schedule(&self, at: Millis, cell: &Arc<Cell>) {
        let is_first = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            due.serial += 1;
            let key = (at, due.serial);
            due.cells.insert(key, Arc::downgrade(cell));
            due.cells
                .first_key_value()
                .is_some_and(|(first, _)| *first == key)
        };
        if is_first {
            self.sooner.notify_one();
        }
    }

    pub(crate) async fn run(self: Arc<Self>, clock: SystemClock, mut stop: Stop) {
        loop {
            let (ready, next) = self.take_due(clock.now());
            for cell in ready {
                cell.tick();
            }
            let until = next.map(|at| clock.instant(at));
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = self.sooner.notified() => (),
                () = sleep_until(until) => (),
            }
        }
    }

    fn take_due(&self, now: Millis) -> (Vec<Arc<Cell>>, Option<Millis>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let later = due.cells.split_off(&(now.plus_ms(1), 0));
        let ready = std::mem::replace(&mut due.cells, later);
        let next = due.cells.first_key_value().map(|((at, _), _)| *at);
        let ready = ready.into_values().filter_map(|cell| cell.upgrade());
        (ready.collect(), next)
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
