//! The commit log: one sequence of files that every change of every log goes
//! through, in one order.

pub(crate) mod disk;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod flush_first;
pub(crate) mod recovery;
mod remover;
pub(crate) mod scan;
pub(crate) mod space;
mod syncer;
pub(crate) mod writer;
