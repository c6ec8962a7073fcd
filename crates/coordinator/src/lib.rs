//! Ottla: coordinator.
