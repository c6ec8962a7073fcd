//! Reads from the disk let a flush go first: somebody waits for every acknowledgement,
//! while whoever reads old records has a long way to go anyhow.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a read waits at most for a flush that does not end.
const PATIENCE: Duration = Duration::from_millis(20);

/// One of a store. The writer flushes, everybody else reads.
#[derive(Debug, Default)]
pub(crate) struct FlushFirst {
    flushes: Mutex<Flushes>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Flushes {
    is_under_way: bool,
    /// How many have ended.
    ended: u64,
}

impl FlushFirst {
    /// Carries a flush out, beside which no read begins.
    pub(crate) fn flush<T>(&self, flush: impl FnOnce() -> T) -> T {
        self.flushes().is_under_way = true;
        let flushed = flush();
        let mut flushes = self.flushes();
        flushes.is_under_way = false;
        flushes.ended += 1;
        self.ended.notify_all();
        flushed
    }

    /// Returns when the flush that is under way has ended. The next one may be under way by
    /// then: where one follows the other, reads go on at their pace.
    pub(crate) fn give_way(&self) {
        self.give_way_for(PATIENCE);
    }

    fn give_way_for(&self, patience: Duration) {
        let flushes = self.flushes();
        let before = flushes.ended;
        let waits = |flushes: &mut Flushes| flushes.is_under_way && flushes.ended == before;
        let waited = self.ended.wait_timeout_while(flushes, patience, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn flushes(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, JoinHandle};

    use super::*;

    /// A flush that lasts until what is returned is dropped, and whoever carries it out.
    fn begin(flushes: &Arc<FlushFirst>) -> (Sender<()>, JoinHandle<()>) {
        let (end, until) = channel::<()>();
        let (begun, begins) = channel();
        let flushes = flushes.clone();
        let thread = thread::spawn(move || {
            flushes.flush(|| {
                begun.send(()).unwrap();
                let _dropped = until.recv();
            });
        });
        begins.recv().unwrap();
        (end, thread)
    }

    #[test]
    fn a_read_begins_when_the_flush_has_ended() {
        let flushes = Arc::new(FlushFirst::default());
        let (end, flush) = begin(&flushes);
        let (begun, begins) = channel();
        let read = thread::spawn(move || {
            begun.send(()).unwrap();
            flushes.give_way_for(Duration::from_secs(60));
            flushes.flushes().ended
        });
        begins.recv().unwrap();
        drop(end);
        flush.join().unwrap();
        assert_eq!(read.join().unwrap(), 1);
    }

    #[test]
    fn no_flush_holds_a_read_for_long() {
        let flushes = Arc::new(FlushFirst::default());
        flushes.give_way();
        let (end, flush) = begin(&flushes);
        flushes.give_way();
        assert!(flushes.flushes().is_under_way);
        drop(end);
        flush.join().unwrap();
        flushes.give_way();
    }
}
