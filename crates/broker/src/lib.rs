//! Ottla: broker.

pub mod cli;
pub mod format;
pub mod identity;
pub mod logging;
