//! Ottla: controller.
