//! Settings, declared once.
