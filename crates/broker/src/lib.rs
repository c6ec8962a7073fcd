//! Ottla: broker.

pub mod cli;
