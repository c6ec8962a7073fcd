//! How long nobody else leads what this broker leads, by the controllers' word.
//!
//! Reads no clock, and knows nothing of who asks.

use std::time::Duration;

use tokio::time::Instant;

/// A controller that has just begun fences a broker that it has not heard itself after so
/// much of a session; every other waits for all of it.
const SESSION_DIVISOR: u32 = 2;

/// Until when the controllers do not fence this broker. It is compared with a clock that
/// runs on while the process stands still, so that a process that goes on after a pause
/// knows it before it has heard anything. Owned by the cluster handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    length: Duration,
    /// When the last report left that a controller has heard.
    heard: Option<Instant>,
    /// Before it began another may have been chosen to lead, which is known to who has
    /// carried out the metadata log up to here.
    begins_at: i64,
}

impl Lease {
    /// One that covers nothing yet.
    pub(crate) fn new(session: Duration) -> Self {
        Self {
            length: session / SESSION_DIVISOR,
            heard: None,
            begins_at: 0,
        }
    }

    /// A report that left at `sent` was heard by an active controller, and what had been
    /// decided by then is below `metadata_end`.
    #[must_use]
    pub(crate) fn renewed(self, sent: Instant, metadata_end: i64) -> Self {
        let goes_on = self.end().is_some_and(|end| sent < end);
        Self {
            heard: self.heard.max(Some(sent)),
            begins_at: if goes_on {
                self.begins_at
            } else {
                metadata_end
            },
            ..self
        }
    }

    /// Whether nobody else leads at `now` what a broker leads that has carried out the
    /// metadata log up to `metadata_end`, unless a live leader was asked to give it away.
    pub(crate) fn covers(&self, now: Instant, metadata_end: i64) -> bool {
        self.end().is_some_and(|end| now < end) && self.begins_at <= metadata_end
    }

    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    fn end(&self) -> Option<Instant> {
        self.heard.map(|heard| heard + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(2);

    fn ms(after: Instant, ms: u64) -> Instant {
        after + Duration::from_millis(ms)
    }

    #[test]
    fn a_lease_lasts_as_long_as_every_controller_waits_at_least() {
        let start = Instant::now();
        let lease = Lease::new(SESSION);
        assert!(!lease.covers(start, 10), "nothing was heard");
        let lease = lease.renewed(start, 10);
        assert!(lease.covers(start, 10));
        assert!(lease.covers(ms(start, 999), 10));
        assert!(!lease.covers(ms(start, 1_000), 10));
    }

    #[test]
    fn who_stood_still_has_none_until_it_knows_what_was_decided_meanwhile() {
        let start = Instant::now();
        let lease = Lease::new(SESSION).renewed(start, 10);
        // The answer to a report from before the pause changes nothing.
        let before = lease.renewed(ms(start, 300), 11);
        let after = ms(start, 5_000);
        assert!(!before.covers(after, 11));
        let heard = before.renewed(after, 15);
        assert!(!heard.covers(ms(after, 1), 14), "there is more to know");
        assert!(heard.covers(ms(after, 1), 15));
    }

    #[test]
    fn what_is_decided_while_a_lease_goes_on_need_not_be_known() {
        let start = Instant::now();
        let lease = Lease::new(SESSION).renewed(start, 10);
        let lease = lease.renewed(ms(start, 900), 20);
        assert!(lease.covers(ms(start, 1_800), 10));
        assert!(!lease.covers(ms(start, 1_900), 20));
    }

    #[test]
    fn a_late_answer_takes_nothing_away() {
        let start = Instant::now();
        let lease = Lease::new(SESSION).renewed(ms(start, 900), 10);
        let lease = lease.renewed(start, 12);
        assert!(lease.covers(ms(start, 1_800), 10));
    }
}
