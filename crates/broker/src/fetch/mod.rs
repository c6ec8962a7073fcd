//! What Fetch keeps between requests: sessions, waiting fetches, the threads that
//! read from disk.

mod read_pool;
mod session;
mod waiters;

pub(crate) use read_pool::ReadPool;
pub(crate) use session::{Asked, Found, Plan, SessionError, Sessions, Target, TopicKey};
pub(crate) use waiters::{Waiter, Waiters};
