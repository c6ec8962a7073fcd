//! Every API in every version: valid, borderline and wrong.

mod cluster;
mod configs;
mod fetch;
mod groups;
mod modern_groups;
mod offsets;
mod produce;
mod records;
mod security;
mod topics;
mod transactions;

use crate::case::Case;

pub(super) fn cases() -> Vec<Case> {
    [
        cluster::cases(),
        configs::cases(),
        fetch::cases(),
        groups::cases(),
        modern_groups::cases(),
        offsets::cases(),
        produce::cases(),
        records::cases(),
        security::cases(),
        topics::cases(),
        transactions::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
