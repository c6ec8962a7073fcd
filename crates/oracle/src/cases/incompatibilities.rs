//! What broke clients on other brokers; see INCOMPATIBILITIES.md. Each case states
//! its promise, which Apache Kafka was seen to keep.

mod admin;
mod fetch;
mod groups;
mod offsets;
mod produce;
mod wire;

use crate::case::Case;
use crate::session::Session;

pub(super) fn cases() -> Vec<Case> {
    let parts = [
        wire::cases(),
        produce::cases(),
        fetch::cases(),
        offsets::cases(),
        groups::cases(),
        admin::cases(),
    ];
    parts.into_iter().flatten().collect()
}

/// A case that needs no settings.
fn case(name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>) -> Case {
    Case::new("incompatibilities", name, steps)
}
