//! The log store: every partition's record batches and small state, behind one
//! trait with two implementations.
//!
//! `rocks` (feature `rocksdb`) keeps one append-only commit log for all
//! partitions and an index over it; `memory` keeps the same promises without a
//! disk. Neither knows what a leader, a high watermark or a group is.

mod audience;
#[cfg(feature = "rocksdb")]
mod commit;
#[cfg(feature = "rocksdb")]
mod compaction;
#[cfg(any(feature = "testing", test))]
pub mod conformance;
#[cfg(feature = "rocksdb")]
mod keys;
pub mod memory;
pub mod meta_properties;
mod names;
#[cfg(all(feature = "rocksdb", any(feature = "testing", test)))]
pub mod power_loss;
mod queue;
#[cfg(feature = "rocksdb")]
mod rewrite;
#[cfg(feature = "rocksdb")]
pub mod rocks;
mod store;
#[cfg(any(feature = "testing", test))]
pub mod testing;

pub use store::{
    Bounds, Compaction, Durability, LogId, LogListener, LogStore, LogSummary, Op, ReadError,
    ReadMode, ReadOutcome, Rewriting, StoreError, StoreFailure,
};
