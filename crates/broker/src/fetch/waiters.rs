//! Fetches that wait for more data, woken by what was published.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// One fetch that waits. It is told *which* of its partitions moved, so that only
/// those are read again.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    moved: Mutex<BTreeSet<usize>>,
    notify: Notify,
}

impl Waiter {
    /// Waits until a partition moved, and takes those that did, each once.
    pub(crate) async fn moved(&self) -> BTreeSet<usize> {
        loop {
            let moved = std::mem::take(&mut *lock(&self.moved));
            if !moved.is_empty() {
                return moved;
            }
            self.notify.notified().await;
        }
    }

    fn wake(&self, index: usize) {
        lock(&self.moved).insert(index);
        // Stores a permit when nobody waits at the moment, so no wake is lost.
        self.notify.notify_one();
    }
}

/// The fetches that wait for one partition. Owned by its cell.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: Mutex<Vec<(Weak<Waiter>, usize)>>,
}

impl Waiters {
    /// `index` is what the waiter calls this partition.
    pub(crate) fn register(&self, waiter: &Arc<Waiter>, index: usize) {
        let mut waiting = lock(&self.waiting);
        // Fetches that gave up leave a dead entry; they are dropped before the
        // list would grow.
        if waiting.len() == waiting.capacity() {
            waiting.retain(|(waiter, _)| waiter.strong_count() > 0);
            // Room for as many again, or the next ones would each look at all.
            let alive = waiting.len();
            waiting.reserve(alive);
        }
        waiting.push((Arc::downgrade(waiter), index));
    }

    /// Wakes everybody; who still wants more stays registered.
    pub(crate) fn wake(&self) {
        lock(&self.waiting).retain(|(waiter, index)| match waiter.upgrade() {
            Some(waiter) => {
                waiter.wake(*index);
                true
            }
            None => false,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_hears_which_partitions_moved() {
        let (first, second) = (Waiters::default(), Waiters::default());
        let waiter = Arc::new(Waiter::default());
        first.register(&waiter, 7);
        second.register(&waiter, 9);
        second.wake();
        assert_eq!(waiter.moved().await, BTreeSet::from([9]));
        first.wake();
        first.wake();
        second.wake();
        assert_eq!(waiter.moved().await, BTreeSet::from([7, 9]));
        drop(waiter);
        first.wake();
        assert_eq!(lock(&first.waiting).len(), 0);
    }

    #[test]
    fn fetches_that_gave_up_take_no_room_for_long() {
        let waiters = Waiters::default();
        let stays: Vec<_> = (0..10).map(|_| Arc::new(Waiter::default())).collect();
        stays.iter().for_each(|waiter| waiters.register(waiter, 0));
        for _ in 0..1_000 {
            waiters.register(&Arc::new(Waiter::default()), 0);
        }
        assert!(lock(&waiters.waiting).len() <= 40);
    }
}
