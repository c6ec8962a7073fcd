//! What tests of machines share: a log in memory, the replay check, a seeded
//! random number generator, and scripts with expected traces.

mod script;

pub use script::{Command, Script, run_scripts};

use crate::{Machine, Offset, ShardLog};

/// A log that keeps its records in a vector.
#[derive(Debug)]
pub struct MemoryLog<R> {
    pub records: Vec<R>,
    /// The next append fails.
    pub fail_next: bool,
}

impl<R> Default for MemoryLog<R> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            fail_next: false,
        }
    }
}

impl<R: Clone> ShardLog<R> for MemoryLog<R> {
    type Error = &'static str;

    fn append(&mut self, records: &[R]) -> Result<Offset, Self::Error> {
        if std::mem::take(&mut self.fail_next) {
            return Err("log is gone");
        }
        self.records.extend_from_slice(records);
        let end = i64::try_from(self.records.len()).expect("a vector's length fits");
        Ok(Offset(end))
    }
}

/// Live state and replayed state must agree after every step.
pub fn assert_replay_agrees<M: Machine>(live: &M, mut empty: M, log: &[M::Record]) {
    for record in log {
        empty.apply(record);
    }
    assert_eq!(
        live.hard(),
        empty.hard(),
        "replay of {log:?} differs from the live state"
    );
}

/// A small seeded generator: the same seed gives the same story.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }

    /// True in `percent` of 100 calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
