//! Ottla: protocol.
