//! One seed's story, from the first event to the last or to the first broken
//! promise.

use std::fmt;

use ottla_base::Millis;

use crate::cluster::ClusterWorld;
use crate::world::World;

/// How a story ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, line by line; empty if nobody asked for it.
    pub trace: Vec<String>,
    pub violation: Option<Violation>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Millis,
    pub invariant: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.invariant, self.at, self.what)
    }
}

/// Tells the story of a seed: of one broker, or of a cluster of three or five.
pub fn run(seed: u64, with_trace: bool) -> Outcome {
    let _guard = SaySeed(seed);
    let (trace, violation) = match seed % 4 {
        0 => World::new(seed, with_trace).run(),
        1 | 2 => ClusterWorld::new(seed, 3, with_trace).run(),
        _ => ClusterWorld::new(seed, 5, with_trace).run(),
    };
    Outcome { trace, violation }
}

/// Names the seed when an assertion of a machine ends its story.
struct SaySeed(u64);

impl Drop for SaySeed {
    #[expect(
        clippy::print_stderr,
        reason = "a panic on its way cannot carry this text"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: cargo run -p ottla-sim -- --seed {0}", self.0);
        }
    }
}
