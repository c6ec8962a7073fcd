//! Ottla: partition.
