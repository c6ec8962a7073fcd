//! One connection: frames in, answers out, in order.
//!
//! Owned by the task that runs [`serve`]. It must not know what any request
//! means; that is `api`'s.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::future::BoxFuture;
use ottla_protocol::frame::Frames;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tracing::debug;

use super::ConnectionFacts;
use crate::api::gate::{self, Reply};
use crate::broker::Broker;
use crate::limits;
use crate::tasks::Stop;

/// Serves one client until it leaves, errs, idles too long or the broker stops.
pub(crate) async fn serve<S>(stream: S, facts: ConnectionFacts, broker: Arc<Broker>, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let peer = facts.peer;
    let settings = broker.settings();
    let settings = &settings.broker;
    let idle_ms = u64::try_from(settings.connections_max_idle_ms).unwrap_or(u64::MAX);
    let connection = Connection {
        stream,
        frames: Frames::new(usize::try_from(settings.socket_request_max_bytes).unwrap_or(0)),
        next_frame: None,
        owed: VecDeque::new(),
        exclusive: false,
        idle_max: Duration::from_millis(idle_ms),
        facts: Arc::new(facts),
        broker,
    };
    match connection.run(stop).await {
        Ok(()) => debug!(?peer, "connection closed"),
        Err(end) => debug!(?peer, %end, "connection closed"),
    }
}

/// Why a connection ends other than by the client's leave.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Gate(#[from] gate::CloseReason),
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
}

struct Connection<S> {
    stream: S,
    frames: Frames,
    /// A whole frame that waits for its share of the byte budget.
    next_frame: Option<Bytes>,
    /// Answers in the order of their requests.
    owed: VecDeque<Owed>,
    /// The last request of `owed` lets no other start before it is answered.
    exclusive: bool,
    idle_max: Duration,
    facts: Arc<ConnectionFacts>,
    broker: Arc<Broker>,
}

enum Owed {
    Ready(Result<Reply, gate::CloseReason>),
    Waiting(BoxFuture<'static, Result<Reply, gate::CloseReason>>),
}

/// What the connection woke up for.
enum Event {
    Stop,
    /// The client closed its sending side, and has waited long enough.
    Gone,
    Answer(Result<Reply, gate::CloseReason>),
    Read(usize),
    Idle,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(mut self, mut stop: Stop) -> Result<(), End> {
        let mut closed_at = None;
        loop {
            // An answer that left may have been what the next frame waited for.
            loop {
                self.accept_frames().await?;
                if !self.write_ready().await? {
                    break;
                }
            }
            if self.owed.is_empty() && (closed_at.is_some() || stop.is_requested()) {
                return Ok(());
            }
            match self.event(&mut stop, closed_at).await? {
                Event::Stop => (),
                Event::Gone => return Ok(()),
                Event::Answer(answer) => {
                    self.owed.pop_front();
                    self.owed.push_front(Owed::Ready(answer));
                }
                // The client sends no more, but may still read what it is owed.
                Event::Read(0) => closed_at = Some(Instant::now()),
                Event::Read(_) => (),
                Event::Idle => return Err(End::Idle),
            }
        }
    }

    async fn event(&mut self, stop: &mut Stop, closed_at: Option<Instant>) -> io::Result<Event> {
        let stopping = stop.is_requested();
        let may_read = closed_at.is_none() && !stopping && self.may_read();
        let patience = Duration::from_millis(limits::HALF_CLOSED_MS_MAX);
        let idle = self.owed.is_empty();
        let front = self.owed.front_mut();
        let stream = &mut self.stream;
        let buffer = self.frames.space();
        tokio::select! {
            biased;
            () = stop.requested(), if !stopping => Ok(Event::Stop),
            answer = Owed::answer(front) => Ok(Event::Answer(answer)),
            read = stream.read_buf(buffer), if may_read => Ok(Event::Read(read?)),
            () = tokio::time::sleep(self.idle_max), if idle => Ok(Event::Idle),
            () = sleep_until(closed_at.map(|at| at + patience)) => Ok(Event::Gone),
        }
    }

    /// Starts every request that has arrived whole and may start.
    async fn accept_frames(&mut self) -> Result<(), End> {
        while self.may_accept() {
            if self.next_frame.is_none() {
                self.next_frame = self.frames.next_frame().map_err(gate::CloseReason::from)?;
            }
            let Some(frame) = &self.next_frame else {
                break;
            };
            // Whoever owes answers holds a share of the budget, and must write them
            // before it waits for more: else connections wait for each other.
            let budget = match self.broker.budget.try_take(frame.len()) {
                Some(budget) => budget,
                None if self.owed.is_empty() => self.broker.budget.take(frame.len()).await,
                None => break,
            };
            let Some(frame) = self.next_frame.take() else {
                break;
            };
            let admitted = gate::admit(frame, budget, &self.broker, &self.facts)?;
            self.exclusive = !admitted.pipelined;
            let mut answer = admitted.answer;
            // The first poll does the part that has an order, such as the append.
            let owed = match futures::poll!(&mut answer) {
                std::task::Poll::Ready(reply) => Owed::Ready(reply),
                std::task::Poll::Pending => Owed::Waiting(answer),
            };
            self.owed.push_back(owed);
        }
        Ok(())
    }

    fn may_accept(&self) -> bool {
        let blocked = self.exclusive && !self.owed.is_empty();
        !blocked && self.owed.len() < limits::PIPELINED_REQUESTS_MAX
    }

    /// Reads no more than is about to be accepted, but for a little that tells
    /// whether the client is still there.
    fn may_read(&self) -> bool {
        self.next_frame.is_none()
            && (self.may_accept() || self.frames.pending() < limits::READ_AHEAD_BYTES_MAX)
    }

    /// Writes the answers at the front that are ready, with as few system calls
    /// as possible. False if there were none.
    async fn write_ready(&mut self) -> Result<bool, End> {
        let before = self.owed.len();
        let mut chunks = VecDeque::new();
        let mut held = Vec::new();
        while let Some(Owed::Ready(_)) = self.owed.front() {
            let Some(Owed::Ready(answer)) = self.owed.pop_front() else {
                break;
            };
            match answer {
                Ok(reply) => {
                    chunks.extend(reply.chunks);
                    held.push(reply.budget);
                }
                Err(reason) => {
                    // What was answered before still belongs to the client.
                    write_chunks(&mut self.stream, chunks, self.idle_max).await?;
                    return Err(reason.into());
                }
            }
        }
        if !chunks.is_empty() {
            write_chunks(&mut self.stream, chunks, self.idle_max).await?;
        }
        drop(held);
        Ok(self.owed.len() < before)
    }
}

impl Owed {
    /// The answer at the front once it is there; never, if nothing is owed.
    async fn answer(front: Option<&mut Self>) -> Result<Reply, gate::CloseReason> {
        match front {
            Some(Self::Waiting(answer)) => answer.await,
            Some(Self::Ready(_)) | None => std::future::pending().await,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A client that takes nothing for `stall_max` is as good as gone.
async fn write_chunks<S: AsyncWrite + Unpin>(
    stream: &mut S,
    mut chunks: VecDeque<Bytes>,
    stall_max: Duration,
) -> io::Result<()> {
    chunks.retain(|chunk| !chunk.is_empty());
    while !chunks.is_empty() {
        let written = {
            let slices = next_slices(&chunks);
            tokio::time::timeout(stall_max, stream.write_vectored(&slices)).await??
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        consume(&mut chunks, written);
        if !chunks.is_empty() {
            // Other connections may have become ready in the meantime.
            tokio::task::yield_now().await;
        }
    }
    stream.flush().await
}

/// What is written at once.
fn next_slices(chunks: &VecDeque<Bytes>) -> Vec<IoSlice<'_>> {
    let mut room = limits::WRITE_BYTES_MAX;
    let slices = chunks.iter().map_while(|chunk| {
        let slice = &chunk[..chunk.len().min(room)];
        room -= slice.len();
        (!slice.is_empty()).then(|| IoSlice::new(slice))
    });
    slices.take(limits::WRITE_SLICES_MAX).collect()
}

fn consume(chunks: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(chunk) = chunks.front_mut() {
        if written < chunk.len() {
            chunk.advance(written);
            return;
        }
        written -= chunk.len();
        chunks.pop_front();
    }
}
