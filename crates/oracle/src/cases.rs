//! Every case. A file of cases ends in a function `cases` and has a row here.

mod apis;
mod batches;
mod classic_groups;
mod fetch_sessions;
mod idempotence;
mod incompatibilities;
mod kit;
mod offsets;
mod topic_lives;
mod wire;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    [
        apis::cases(),
        batches::cases(),
        classic_groups::cases(),
        fetch_sessions::cases(),
        idempotence::cases(),
        incompatibilities::cases(),
        offsets::cases(),
        topic_lives::cases(),
        wire::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
