//! Every case. A file of cases ends in a function `cases` and has a row here.

mod apis;
mod wire;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    [apis::cases(), wire::cases()]
        .into_iter()
        .flatten()
        .collect()
}
