//! The broker's one clock: wall time that never goes back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_base::Millis;

/// Reads the wall clock once and counts monotonically from there, so that a
/// clock that is set back cannot make a deadline wait for hours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    started: Instant,
    started_at: Millis,
}

impl SystemClock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            started: Instant::now(),
            started_at: Millis(saturating_ms(since_epoch)),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.started_at
            .plus_ms(saturating_ms(self.started.elapsed()))
    }

    /// The same moment on tokio's clock; the past if it has gone by.
    pub(crate) fn instant(&self, at: Millis) -> tokio::time::Instant {
        let ms = u64::try_from(at.since(self.started_at)).unwrap_or(0);
        // Ten years ahead stands for "never": tokio cannot add more than that safely.
        const NEVER_MS: u64 = 10 * 365 * 24 * 3600 * 1000;
        (self.started + Duration::from_millis(ms.min(NEVER_MS))).into()
    }

    /// How long it is until then.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        let ms = at.since(self.now());
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

fn saturating_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
