//! The broker in process: real requests over an in-memory connection, a store in
//! memory, no socket and no disk.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod one_node;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod offsets;
#[cfg(test)]
mod produce_fetch;

/// As in the binary: a count from the wire may reserve more memory than there is.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
