//! The machine through its inputs, its log and its image.

mod configs;
mod log;
mod support;
mod topics;
