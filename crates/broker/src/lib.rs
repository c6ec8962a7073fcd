//! Ottla: broker.

pub mod cli;
pub mod logging;
