//! How long a message is on its way, and whether it arrives.

use ottla_base::testing::Rng;

/// The faults of the network between clients and brokers.
#[derive(Debug)]
pub(crate) struct Network {
    loss_percent: u64,
    /// A message may take long enough for its sender to have given up, and
    /// arrive all the same.
    delay_percent: u64,
}

impl Network {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            loss_percent: rng.below(10),
            delay_percent: rng.below(5),
        }
    }

    pub(crate) fn calm(&mut self) {
        self.loss_percent = 0;
        self.delay_percent = 0;
    }

    /// Milliseconds until a message arrives; `None` if it never does.
    pub(crate) fn deliver(&self, rng: &mut Rng) -> Option<i64> {
        if rng.chance(self.loss_percent) {
            return None;
        }
        let most = if rng.chance(self.delay_percent) {
            5_000
        } else {
            10
        };
        Some(milliseconds(rng, most))
    }
}

/// 0 to below `n` milliseconds.
pub(crate) fn milliseconds(rng: &mut Rng, n: u64) -> i64 {
    i64::try_from(rng.below(n)).expect("a story lasts less than 2^63 milliseconds")
}
