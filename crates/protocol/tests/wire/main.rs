//! The crate from outside: bytes in, bytes out.

mod golden;
mod groups;
mod hostile;
mod messages;
mod records;
mod stream;

/// The crate that most messages come from reserves by array lengths off the
/// wire. This allocator, the broker's own, only touches what is written; the
/// system's gives up on the first such frame and ends the process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
