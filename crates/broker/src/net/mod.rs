//! Sockets: listeners and the one task that each connection has.

mod connection;
mod listener;

use std::net::SocketAddr;
use std::sync::Arc;

use ottla_base::BrokerId;

use crate::cluster::Told;

pub(crate) use connection::serve;
pub use listener::BindError;
pub(crate) use listener::{Bound, bind};

/// What is known of a connection for as long as it lasts.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    /// Name of the listener that accepted it: answers name this listener's
    /// endpoints.
    pub listener: Arc<str>,
    /// `None` for a connection that is not a socket (tests).
    pub peer: Option<SocketAddr>,
    /// The broker that the client asked, where that is another node which forwards
    /// its requests: they are not forwarded once more.
    pub forwarded_by: Option<BrokerId>,
    /// Of which brokers the client knows that they have left.
    pub told: Told,
}
