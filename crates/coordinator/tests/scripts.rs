//! Runs the scripts under `data/`: what members and tools ask, and the records
//! and answers that come of it. After every command the log is replayed, once
//! whole and once compacted, and must lead to the same state.

#[cfg(test)]
mod world;

use std::path::Path;

use world::World;

#[test]
fn groups_act_as_their_scripts_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    ottla_base::testing::run_scripts(dir, World::default);
}
