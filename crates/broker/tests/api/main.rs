//! The broker in process: real requests over an in-memory connection, a store in
//! memory, no socket and no disk.

mod groups;
mod harness;
mod offsets;
mod produce_fetch;
