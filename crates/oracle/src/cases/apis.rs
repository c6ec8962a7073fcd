//! Every API in every version: valid, borderline and wrong.

mod cluster;
mod configs;
mod groups;
mod modern_groups;
mod records;
mod security;
mod topics;
mod transactions;

use crate::case::Case;

pub(super) fn cases() -> Vec<Case> {
    [
        cluster::cases(),
        configs::cases(),
        groups::cases(),
        modern_groups::cases(),
        records::cases(),
        security::cases(),
        topics::cases(),
        transactions::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
