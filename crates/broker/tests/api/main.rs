//! The broker in process: real requests over an in-memory connection and a store
//! in memory; and the program itself, where it is about directories.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod directories;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod offsets;
#[cfg(test)]
mod produce_fetch;

/// As in the binary: a count from the wire may reserve more memory than there is.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
