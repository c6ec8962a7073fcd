//! The commit log: one sequence of files that every change of every log goes
//! through, in one order.

pub(crate) mod entry;
#[cfg(feature = "rocksdb")]
pub(crate) mod file;
#[cfg(feature = "rocksdb")]
pub(crate) mod recovery;
#[cfg(feature = "rocksdb")]
pub(crate) mod scan;
#[cfg(feature = "rocksdb")]
pub(crate) mod space;
#[cfg(feature = "rocksdb")]
mod syncer;
#[cfg(feature = "rocksdb")]
pub(crate) mod writer;
