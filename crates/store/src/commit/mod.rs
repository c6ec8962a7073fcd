//! The commit log: one sequence of files that every change of every log goes
//! through, in one order.

pub(crate) mod entry;
