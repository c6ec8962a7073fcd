//! Every case. A file of cases ends in a function `cases` and has a row here.

mod records;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    [records::cases()].into_iter().flatten().collect()
}
