//! The broker in process: real requests over an in-memory connection and a store
//! in memory; and the program itself, where it is about directories.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod directories;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod log_watch;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod offsets;
#[cfg(test)]
mod one_node;
#[cfg(test)]
mod positions;
#[cfg(test)]
mod produce;
#[cfg(test)]
mod produce_fetch;
#[cfg(test)]
mod replication;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod scram;
#[cfg(test)]
mod tools;

/// As in the binary: a count from the wire may reserve more memory than there is.
#[global_allocator]
static ALLOCATOR: ottla_allocator::MiMalloc = ottla_allocator::MiMalloc;
