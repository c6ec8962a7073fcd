//! Seeded stories of a store whose disk loses power, fails and fills up.
//!
//! A story is several lives of one store on disk, over a disk in memory. In each life
//! logs are created, filled, cut, dropped and given state, in groups of operations that
//! the seed chooses; in the middle of some operation of the disk the life ends. The next
//! one begins with what survived, which must be what a prefix of all operations leads
//! to: at least everything that was reported durable.

mod model;
mod story;

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How a story ended.
#[derive(Debug)]
pub struct Outcome {
    /// What happened, line by line; empty if nobody asked for it.
    pub trace: Vec<String>,
    /// Of which kind and how many ends the lives had.
    pub ends: Ends,
    /// The promise that was broken, if one was.
    pub violation: Option<String>,
}

/// What ended the lives of a story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub power_losses: u32,
    /// Of those, how many came before the store was open again.
    pub while_opening: u32,
    pub kills: u32,
    pub disk_errors: u32,
    pub full_disks: u32,
}

impl Ends {
    pub const fn add(&mut self, more: Self) {
        self.power_losses += more.power_losses;
        self.while_opening += more.while_opening;
        self.kills += more.kills;
        self.disk_errors += more.disk_errors;
        self.full_disks += more.full_disks;
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} power losses ({} while opening), {} kills, {} disk errors, {} full disks",
            self.power_losses, self.while_opening, self.kills, self.disk_errors, self.full_disks
        )
    }
}

/// Tells the story of a seed. `dir` is an empty directory, for the few files that are
/// not on the simulated disk.
pub fn run(seed: u64, dir: &Path, with_trace: bool) -> Outcome {
    let _guard = SaySeed(seed);
    story::Story::new(seed, dir, with_trace).run()
}

/// What many stories came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub stories: u64,
    pub ends: Ends,
    /// Seeds of stories in which a promise was broken, and which.
    pub broken: Vec<(u64, String)>,
}

/// Tells stories from the seed `first` on until power was lost `losses` times, on all
/// processors. `new_dir` makes an empty directory for each.
pub fn run_many<D: AsRef<Path>>(
    first: u64,
    losses: u32,
    new_dir: impl Fn() -> D + Sync,
) -> Summary {
    let next = AtomicU64::new(first);
    let summary = Mutex::new(Summary::default());
    let tell = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let outcome = run(seed, new_dir().as_ref(), false);
            let mut summary = summary.lock().expect("no holder panics");
            summary.stories += 1;
            summary.ends.add(outcome.ends);
            let broken = outcome.violation.map(|violation| (seed, violation));
            summary.broken.extend(broken);
            if summary.ends.power_losses >= losses {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(tell);
        }
    });
    summary.into_inner().expect("no holder panics")
}

/// Names the seed when an assertion of the store ends its story.
struct SaySeed(u64);

impl Drop for SaySeed {
    #[expect(
        clippy::print_stderr,
        reason = "a panic on its way cannot carry this text"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}: {}", self.0, replay(self.0));
        }
    }
}

/// The command that tells a story again, with its trace.
pub fn replay(seed: u64) -> String {
    format!("cargo run -p ottla-store --features testing --example power_loss -- --seed {seed}")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn new_dir() -> TempDir {
        TempDir::new().unwrap()
    }

    #[test]
    fn no_story_breaks_a_promise() {
        let summary = run_many(0, 1_000, new_dir);
        let broken = summary.broken.iter();
        let broken: Vec<_> = broken
            .map(|(seed, violation)| format!("{violation}\n{}", replay(*seed)))
            .collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    /// If this fails, no other result of the stories means anything.
    #[test]
    fn a_seed_tells_the_same_story_twice() {
        for seed in 0..5 {
            let tell = || run(seed, new_dir().path(), true).trace;
            assert_eq!(tell(), tell(), "seed {seed}");
        }
    }

    #[test]
    fn stories_are_eventful() {
        let outcomes: Vec<_> = (0..20)
            .map(|seed| run(seed, new_dir().path(), true))
            .collect();
        let mut ends = Ends::default();
        outcomes.iter().for_each(|outcome| ends.add(outcome.ends));
        let Ends {
            power_losses,
            while_opening,
            kills,
            disk_errors,
            full_disks,
        } = ends;
        let least = [power_losses, while_opening, kills, disk_errors, full_disks];
        assert!(least.iter().all(|count| *count >= 5), "{ends}");
        let lines: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.trace).collect();
        for expected in [
            "create",
            "append",
            "sync\n",
            "truncate",
            "start",
            "drop",
            "state",
            "drained",
            "closed",
            "the index is flushed",
            "rename",
            "remove",
            "heard Failed(Full)",
            "heard Flushed",
            "heard Failed(Io",
            "compact",
            "what was superseded is gone",
            "a read fails",
        ] {
            let is_it = |line: &&&String| format!("{line}\n").contains(expected);
            let count = lines.iter().filter(is_it).count();
            assert!(count >= 5, "{expected:?} happened {count} times");
        }
    }
}
