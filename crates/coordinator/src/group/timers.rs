//! What wakes the groups: one deadline per thing that waits, and the next of
//! all of them at hand.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{GroupId, MemberId, Millis};

/// Something that happens when nobody prevents it in time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Expired offsets and empty groups are looked for.
    Sweep,
    /// The join phase closes, or is extended.
    JoinPhase(GroupId),
    /// Members that did not ask for their assignment are removed.
    SyncPhase(GroupId),
    /// A member, or an id that was handed out, was not heard of.
    Session(GroupId, MemberId),
}

/// Owned by the machine. Setting, cancelling and taking are O(log n).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The same pairs in both, once by time and once by timer.
    by_time: BTreeSet<(Millis, Timer)>,
    by_timer: BTreeMap<Timer, Millis>,
}

impl Timers {
    /// Lets `timer` run `delay_ms` from `now`, and not when it was to run
    /// before. At the earliest in a millisecond, so that no timer can set itself
    /// again for a moment that has already come.
    pub(crate) fn set(&mut self, timer: Timer, now: Millis, delay_ms: i64) {
        let at = now.plus_ms(delay_ms.max(1));
        let before = self.by_timer.insert(timer.clone(), at);
        match before {
            Some(before) if before == at => (),
            Some(before) => {
                // One allocation less than building the pair anew.
                let mut pair = (before, timer);
                self.by_time.remove(&pair);
                pair.0 = at;
                self.by_time.insert(pair);
            }
            None => {
                self.by_time.insert((at, timer));
            }
        }
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.by_timer.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    pub(crate) fn next(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the timer that is due longest, if any is due.
    pub(crate) fn take_due(&mut self, now: Millis) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }
}
