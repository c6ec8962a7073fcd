//! Every API in every version: valid, borderline and wrong.

use crate::case::Case;

pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
