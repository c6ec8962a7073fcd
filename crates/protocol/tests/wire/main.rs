//! The crate from outside: bytes in, bytes out.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod records;
#[cfg(test)]
mod stream;

/// The crate that most messages come from reserves by array lengths off the
/// wire. This allocator, the broker's own, only touches what is written; the
/// system's gives up on the first such frame and ends the process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
