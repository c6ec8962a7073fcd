//! How much may pass in a second of what is throttled.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is throttled comes in portions of a sixteenth of a second, but not in tiny ones,
/// nor in larger ones than there are anyway.
const PORTIONS_PER_SECOND: u64 = 16;
const PORTION_MIN: u32 = 16 << 10;
const PORTION_MAX: u32 = 1 << 20;

/// A bucket of bytes that fills at a rate and holds what fits into a second. Whoever
/// takes more than there is leaves a debt that the others wait for too.
#[derive(Debug)]
pub struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes per second.
    rate: f64,
    bytes: f64,
    portion: NonZeroU32,
    at: Instant,
}

impl Throttle {
    pub fn new(bytes_per_second: u64) -> Self {
        let rate = to_float(bytes_per_second);
        Self {
            state: Mutex::new(State {
                rate,
                bytes: rate,
                portion: portion(bytes_per_second),
                at: Instant::now(),
            }),
        }
    }

    pub fn set_rate(&self, bytes_per_second: u64) {
        let mut state = self.lock();
        state.fill();
        state.rate = to_float(bytes_per_second);
        state.portion = portion(bytes_per_second);
        state.bytes = state.bytes.min(state.rate);
    }

    /// When something may pass; none if that is now.
    pub(crate) fn wait_until(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.fill();
        if state.bytes > 0.0 {
            return None;
        }
        // No rate at all is a second's wait, again and again.
        let wait = (1.0 - state.bytes) / state.rate.max(1.0);
        Some(state.at + Duration::from_secs_f64(wait.clamp(0.001, 1.0)))
    }

    pub(crate) fn take(&self, bytes: usize) {
        let mut state = self.lock();
        state.fill();
        state.bytes -= to_float(bytes as u64);
    }

    /// Some of what was taken is not needed.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.lock();
        state.fill();
        state.bytes = (state.bytes + to_float(bytes as u64)).min(state.rate);
    }

    /// How much of one partition passes at once.
    pub(crate) fn portion(&self) -> NonZeroU32 {
        self.lock().portion
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fill(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.bytes = (self.bytes + passed * self.rate).min(self.rate);
    }
}

fn portion(bytes_per_second: u64) -> NonZeroU32 {
    let fair = u32::try_from(bytes_per_second / PORTIONS_PER_SECOND).unwrap_or(u32::MAX);
    let portion = fair.clamp(PORTION_MIN, PORTION_MAX);
    NonZeroU32::new(portion).expect("the least portion is something")
}

#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn to_float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_paid_at_the_rate() {
        let throttle = Throttle::new(1_000);
        assert_eq!(throttle.wait_until(), None);
        throttle.take(1_500);
        let start = Instant::now();
        let until = throttle.wait_until().expect("a debt");
        assert_eq!((until - start).as_millis(), 501);
        tokio::time::sleep_until(until).await;
        assert_eq!(throttle.wait_until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_up_is_no_more_than_a_second_of_the_rate() {
        let throttle = Throttle::new(1_000_000);
        throttle.set_rate(1_000);
        tokio::time::advance(Duration::from_secs(60)).await;
        throttle.take(1_001);
        assert!(throttle.wait_until().is_some());
    }
}
