//! Connections that turned out to be gRPC, handed to the server of it.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;

/// What an HTTP/2 connection begins with; enough of it to tell it from a Kafka
/// frame, of which it would be an impossible length.
pub const PREFACE: [u8; 4] = *b"PRI ";

const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(1_000);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(2_000);

/// Where listeners put connections whose first bytes, still unread, are
/// [`PREFACE`].
#[derive(Clone, Debug)]
pub struct Handoff(mpsc::UnboundedSender<TcpStream>);

/// What was put there.
#[derive(Debug)]
pub struct IncomingStream(mpsc::UnboundedReceiver<TcpStream>);

/// A pair of ends; the listener's bounds hold for what passes here.
pub fn incoming() -> (Handoff, IncomingStream) {
    let (put, taken) = mpsc::unbounded_channel();
    (Handoff(put), IncomingStream(taken))
}

impl Handoff {
    /// Hands a connection over; it is closed if there is no server any more.
    pub fn put(&self, stream: TcpStream) {
        let _stopping = self.0.send(stream);
    }
}

/// Serves `routes` to whoever comes, until `stop`.
pub async fn serve(
    routes: Routes,
    incoming: IncomingStream,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let streams = UnboundedReceiverStream::new(incoming.0).map(Ok::<_, io::Error>);
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(streams, stop)
        .await
}
