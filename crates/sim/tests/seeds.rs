//! Stories that are told in every run of the tests.

#![cfg(test)]

use std::thread;

use ottla_sim::run;

const SEEDS: u64 = 1_000;

#[test]
fn no_seed_breaks_a_promise() {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                let step = usize::try_from(threads).unwrap();
                for seed in (first..SEEDS).step_by(step) {
                    if let Some(violation) = run(seed, false).violation {
                        panic!("{violation}\ncargo run -p ottla-sim -- --seed {seed}");
                    }
                }
            });
        }
    });
}

/// If this fails, no other result of the simulation means anything.
#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..5 {
        assert_eq!(run(seed, true), run(seed, true), "seed {seed}");
    }
}

/// A world in which nothing happens keeps every promise.
#[test]
fn stories_are_eventful() {
    let traces: Vec<String> = (0..20).flat_map(|seed| run(seed, true).trace).collect();
    for expected in [
        "crashed",
        "restarted",
        "disk refuses: true",
        "is orphaned",
        "comes next",
        "not confirmed in time",
        "the store of this replica failed",
        "deleted up to",
        "may start at",
        "<- Sync(Ok",
        "<- Commit(Ok",
        "<- FetchOffsets",
        "RebalanceInProgress",
        "UnknownMember",
        "not the coordinator",
        "calm",
        "is paused until",
        "cut [(",
        "the clock of",
        "the controller fails",
        "is led by None",
        "eligible [1",
        "knows",
        ", adding [",
        ": its reassignment is complete",
        ": its reassignment is taken back",
        ": its preferred leader leads again",
        "stops as it may",
    ] {
        let count = traces.iter().filter(|line| line.contains(expected)).count();
        assert!(count >= 5, "{expected:?} happened {count} times");
    }
}
