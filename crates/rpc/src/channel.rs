//! Channels to other nodes, one per address, shared by all who speak to it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// A silent peer is asked so often whether it is there ...
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(1_000);

/// ... and has so long to answer before the connection is given up.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(2_000);

/// What may be on its way unread. Replication bounds what it sends itself, and must
/// not be held up by less than that.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Where a node listens for others: a host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') && !self.host.starts_with('[') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// All channels of one node. A clone is the same set.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    by_address: Arc<Mutex<HashMap<Address, Channel>>>,
}

impl Channels {
    /// The channel to `address`. It connects when it is first used, and again after
    /// the connection was lost. None if the address is no valid one.
    ///
    /// Must be called within a tokio runtime.
    pub fn to(&self, address: &Address) -> Option<Channel> {
        let mut channels = self.lock();
        if let Some(channel) = channels.get(address) {
            return Some(channel.clone());
        }
        let channel = endpoint(address)?.connect_lazy();
        channels.insert(address.clone(), channel.clone());
        Some(channel)
    }

    /// A channel of the caller's own, for traffic that must not share a connection
    /// with anything else.
    pub fn separate(&self, address: &Address) -> Option<Channel> {
        Some(endpoint(address)?.connect_lazy())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Address, Channel>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn endpoint(address: &Address) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    Some(
        endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_urls_have_it() {
        let address = |host: &str| Address {
            host: host.to_owned(),
            port: 9093,
        };
        assert_eq!(address("a.example").to_string(), "a.example:9093");
        assert_eq!(address("10.0.0.1").to_string(), "10.0.0.1:9093");
        assert_eq!(address("::1").to_string(), "[::1]:9093");
        assert_eq!(address("[::1]").to_string(), "[::1]:9093");
    }

    #[tokio::test]
    async fn an_address_that_is_none_has_no_channel() {
        let channels = Channels::default();
        let address = Address {
            host: "no host".to_owned(),
            port: 1,
        };
        assert!(channels.to(&address).is_none());
    }
}
