//! The program's allocator, and the one wish that it has to be told.
//!
//! Here and nowhere else is `unsafe`: mimalloc takes its options by a function of C.

use std::ffi::{c_int, c_long};
use std::time::Duration;

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`; its neighbours 14 and 16 have names in
/// Rust.
const PURGE_DELAY: c_int = 15;

/// Gives memory that nobody used for `delay` back to the system. By itself the
/// allocator keeps it for a second, within which a busy broker frees a whole second's
/// requests. Counted in milliseconds.
///
/// To be called once, before the program starts a thread.
pub fn return_freed_memory_after(delay: Duration) {
    let delay = c_long::try_from(delay.as_millis()).unwrap_or(c_long::MAX);
    // SAFETY: the function writes one number into a table of its own, and no other
    // thread is there to read it meanwhile.
    #[expect(unsafe_code, reason = "the allocator is written in C")]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, delay);
    }
}
