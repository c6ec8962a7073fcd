//! Random stories: whatever members do, and whenever the shard is loaded again,
//! the log leads to the state that was served, and everybody gets one answer.

#[cfg(test)]
mod story;

use std::collections::BTreeMap;

use ottla_coordinator::Reply;
use ottla_coordinator::group::GroupState;
use story::{Story, descriptions};

const SEEDS: u64 = 30;
const STEPS: u64 = 300;
/// Longer than any timeout in a story, one after the other.
const LONG: i64 = 2_000_000;

#[test]
fn the_log_leads_to_what_was_served() {
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        for _ in 0..STEPS {
            story.step();
            story.check();
        }
        story.pass_time(LONG);
        story.check();
        assert_eq!(story.open, BTreeMap::new(), "seed {seed} owes answers");
    }
}

#[test]
fn a_reload_serves_what_was_stable() {
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        // A group that has outgrown its limit rebalances after a reload.
        story.settings.members_max = 100;
        story.shard = story.reloaded();
        for _ in 0..STEPS {
            story.step();
            let before = story.descriptions();
            let mut reloaded = story.reloaded();
            let after = descriptions(&mut reloaded, story.now);
            for (group, description) in before {
                let stable = matches!(
                    &description,
                    Reply::Describe(Some(known)) if known.state == GroupState::Stable
                );
                if stable {
                    assert_eq!(Some(&description), after.get(&group), "seed {seed}");
                }
            }
        }
    }
}
