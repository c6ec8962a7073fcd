//! Ottla: store.
