//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ottla_base::config::listeners::Listener;
use ottla_rpc::{Handoff, PREFACE};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{ConnectionFacts, serve};
use crate::broker::Broker;
use crate::cluster::Told;
use crate::tasks::{Stop, Tasks};

/// Connections that the kernel may keep waiting for an accept: a restart brings
/// all clients at once.
const BACKLOG: i32 = 4_096;

/// How long accepting pauses when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between two looks at a connection of which only the first bytes have arrived.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

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
    /// Where other nodes may speak gRPC on this listener.
    handoff: Option<Handoff>,
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
        handoff: None,
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
    /// Connections of other nodes to this listener go to `handoff`.
    pub(crate) fn hand_off(&mut self, handoff: Handoff) {
        self.handoff = Some(handoff);
    }

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
                        forwarded_by: None,
                        told: Told::default(),
                    };
                    prepare(&stream, peer);
                    let (broker, stop) = (broker.clone(), tasks.stopping());
                    let connection = welcome(stream, facts, broker, self.handoff.clone(), stop);
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

/// Hands the connection over if another node is there, or serves a client as soon as
/// clients can be served.
async fn welcome(
    stream: TcpStream,
    facts: ConnectionFacts,
    broker: Arc<Broker>,
    handoff: Option<Handoff>,
    mut stop: Stop,
) {
    let settings = broker.settings();
    let idle_ms = u64::try_from(settings.broker.connections_max_idle_ms).unwrap_or(u64::MAX);
    let is_node = async {
        let is_node = match handoff {
            Some(_) => begins_as_grpc(&stream).await?,
            None => false,
        };
        if !is_node {
            broker.ready().await;
        }
        Ok::<_, io::Error>(is_node)
    };
    let is_node = tokio::time::timeout(Duration::from_millis(idle_ms), is_node);
    let is_node = tokio::select! {
        biased;
        () = stop.requested() => return,
        is_node = is_node => is_node,
    };
    match (is_node, handoff) {
        (Ok(Ok(true)), Some(handoff)) => handoff.put(stream),
        (Ok(Ok(_)), _) => serve(stream, facts, broker, stop).await,
        (Ok(Err(error)), _) => debug!(peer = ?facts.peer, %error, "connection closed"),
        (Err(_elapsed), _) => debug!(peer = ?facts.peer, "connection closed: nothing was said"),
    }
}

/// Whether what arrives first, and stays unread, is how a node's connection begins.
async fn begins_as_grpc(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let arrived = stream.peek(&mut seen).await?;
        if arrived == 0 || seen[..arrived] != PREFACE[..arrived] {
            return Ok(false);
        }
        if arrived == PREFACE.len() {
            return Ok(true);
        }
        // What is there stays there, so the socket stays readable: the rest of four
        // bytes that were sent together is looked for in a moment.
        tokio::time::sleep(PREFACE_PAUSE).await;
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
