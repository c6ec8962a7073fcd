//! What Fetch keeps between requests: sessions, waiting fetches, the threads that
//! read from disk.

mod read_pool;
mod session;
mod waiters;

pub use read_pool::ReadPool;
pub use session::{Found, Plan, SessionError, Sessions, Target, TopicKey};
pub use waiters::{Waiter, Waiters};
