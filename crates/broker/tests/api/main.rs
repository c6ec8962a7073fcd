//! The broker in process: real requests over an in-memory connection, a store in
//! memory, no socket and no disk.

mod admin;
mod harness;
mod produce_fetch;
