//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ottla_base::config::listeners::Listener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use super::{ConnectionFacts, serve};
use crate::broker::Broker;
use crate::tasks::{Stop, Tasks};

/// Connections that the kernel may keep waiting for an accept: a restart brings
/// all clients at once.
const BACKLOG: i32 = 4_096;

/// How long accepting pauses when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
#[error("listener {name} cannot listen on {host}:{port}")]
pub struct BindError {
    name: String,
    host: String,
    port: u16,
    source: io::Error,
}

/// A socket that listens; nobody accepts from it yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub name: Arc<str>,
    /// With the real port where the settings said 0.
    pub address: SocketAddr,
    socket: TcpListener,
}

/// Binds one listener of the settings. An empty host means every interface.
pub(crate) async fn bind(listener: &Listener) -> Result<Bound, BindError> {
    let refused = |source| BindError {
        name: listener.name.clone(),
        host: listener.host.clone().unwrap_or_default(),
        port: listener.port,
        source,
    };
    let host = listener.host.as_deref();
    let socket = listen(host, listener.port).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok(Bound {
        name: listener.name.as_str().into(),
        address,
        socket,
    })
}

async fn listen(host: Option<&str>, port: u16) -> io::Result<TcpListener> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses(host, port).await? {
        match listen_on(address) {
            Ok(socket) => return TcpListener::from_std(socket.into()),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

async fn addresses(host: Option<&str>, port: u16) -> io::Result<Vec<SocketAddr>> {
    let Some(host) = host else {
        // IPv6 with IPv4 mapped into it; IPv4 alone where the kernel has no IPv6.
        let any_v4 = SocketAddr::from(([0, 0, 0, 0], port));
        return Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            any_v4,
        ]);
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

fn listen_on(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

impl Bound {
    /// Accepts until the broker stops, one task per connection.
    pub(crate) async fn accept(self, broker: Arc<Broker>, tasks: Tasks, mut stop: Stop) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.requested() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let facts = ConnectionFacts {
                        listener: self.name.clone(),
                        peer: Some(peer),
                    };
                    prepare(&stream, peer);
                    let connection = serve(stream, facts, broker.clone(), tasks.stopping());
                    tasks.spawn("connection", connection);
                }
                Err(error) => {
                    warn!(listener = %self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn prepare(stream: &TcpStream, peer: SocketAddr) {
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(stream).set_keepalive(true));
    if let Err(error) = prepared {
        warn!(%peer, %error, "cannot set the options of a connection");
    }
}
