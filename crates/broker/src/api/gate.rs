//! What every request passes before its handler: header, served version, byte
//! budget.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ottla_base::ErrorCode;
use ottla_protocol::frame::FrameError;
use ottla_protocol::header::{RequestHeader, encode_response_header};
use ottla_protocol::{ApiKey, WireError};
use tokio::sync::OwnedSemaphorePermit;

use super::{Answer, Cx, Route, api_versions, route};
use crate::broker::Broker;
use crate::cluster;
use crate::net::ConnectionFacts;

/// What stands before a frame.
const FRAME_LENGTH_BYTES: usize = 4;

/// A request that may run. Its future must be polled in the order of arrival.
pub(crate) struct Admitted {
    pub answer: BoxFuture<'static, Result<Reply, CloseReason>>,
    pub pipelined: bool,
}

impl std::fmt::Debug for Admitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admitted")
            .field("pipelined", &self.pipelined)
            .finish_non_exhaustive()
    }
}

/// A response, framed, with the share of the byte budget that it gives back when
/// it is dropped.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Empty where the protocol wants silence.
    pub chunks: Vec<Bytes>,
    pub budget: OwnedSemaphorePermit,
}

/// Why a request is answered by closing its connection, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseReason {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("unreadable request header: {0}")]
    Header(WireError),
    #[error("{0:?} is not served")]
    NotServed(ApiKey),
    #[error("{key:?} version {version} is not served")]
    UnsupportedVersion { key: ApiKey, version: i16 },
    #[error("unreadable {key:?} v{version}: {error}")]
    Body {
        key: ApiKey,
        version: i16,
        error: WireError,
    },
    #[error("the answer to {key:?} v{version} is larger than a frame can be")]
    AnswerTooLarge { key: ApiKey, version: i16 },
    #[error("a produce request with acks=0 failed")]
    FailedSilently,
    #[error("the active controller did not answer {key:?}: {}", code.text())]
    NotForwarded { key: ApiKey, code: ErrorCode },
}

/// Lets a request in. `budget` is its share of the bytes that all requests may
/// hold together.
pub(crate) fn admit(
    mut frame: Bytes,
    budget: OwnedSemaphorePermit,
    broker: &Arc<Broker>,
    facts: &Arc<ConnectionFacts>,
) -> Result<Admitted, CloseReason> {
    let whole = frame.clone();
    let header = RequestHeader::decode(&mut frame).map_err(CloseReason::Header)?;
    let key = header.key;
    let route = route(key).ok_or(CloseReason::NotServed(key))?;
    if !route.served.contains(&header.version) {
        return refuse_version(key, &header, budget);
    }
    if route.by_controller && facts.forwarded_by.is_none() && !broker.controller.is_active() {
        return Ok(Admitted {
            answer: forward(key, whole, budget, broker.clone(), facts.clone()).boxed(),
            pipelined: false,
        });
    }
    drop(whole);
    let cx = Cx {
        broker: broker.clone(),
        connection: facts.clone(),
        version: header.version,
        client_id: header.client_id.clone().unwrap_or_default(),
    };
    Ok(Admitted {
        answer: answer(route, cx, frame, header.correlation_id, budget).boxed(),
        pipelined: route.pipelined,
    })
}

async fn answer(
    route: &'static Route,
    cx: Cx,
    body: Bytes,
    correlation_id: i32,
    budget: OwnedSemaphorePermit,
) -> Result<Reply, CloseReason> {
    let (key, version) = (route.key, cx.version);
    let answer = route.run(cx, body).await;
    let chunks = match answer.map_err(|error| CloseReason::Body {
        key,
        version,
        error,
    })? {
        Answer::Body(body) => framed(key, version, correlation_id, body)?,
        Answer::Silent => Vec::new(),
        Answer::Close => return Err(CloseReason::FailedSilently),
    };
    Ok(Reply { chunks, budget })
}

/// Lets the active controller answer, and waits until what the answer may depend on
/// is known here too.
async fn forward(
    key: ApiKey,
    frame: Bytes,
    budget: OwnedSemaphorePermit,
    broker: Arc<Broker>,
    facts: Arc<ConnectionFacts>,
) -> Result<Reply, CloseReason> {
    let answer = cluster::forward(&broker, frame, &facts).await;
    let frame = answer.map_err(|code| CloseReason::NotForwarded { key, code })?;
    let length = i32::try_from(frame.len()).expect("it came in a frame");
    let length = Bytes::copy_from_slice(&length.to_be_bytes());
    Ok(Reply {
        chunks: vec![length, frame],
        budget,
    })
}

/// Answers a request that another node forwarded: header and body, without the length
/// before them.
pub(crate) async fn answer_forwarded(
    frame: Bytes,
    broker: &Arc<Broker>,
    facts: &Arc<ConnectionFacts>,
) -> Result<Bytes, CloseReason> {
    let budget = broker.budget.take(frame.len()).await;
    let reply = admit(frame, budget, broker, facts)?.answer.await?;
    let mut whole = BytesMut::new();
    reply
        .chunks
        .iter()
        .for_each(|chunk| whole.extend_from_slice(chunk));
    Ok(whole
        .split_off(whole.len().min(FRAME_LENGTH_BYTES))
        .freeze())
}

/// Only ApiVersions may come in a version that we do not know: its answer is a
/// version 0 body that names the versions which we do (KIP-511).
fn refuse_version(
    key: ApiKey,
    header: &RequestHeader,
    budget: OwnedSemaphorePermit,
) -> Result<Admitted, CloseReason> {
    let version = header.version;
    if key != ApiKey::ApiVersions {
        return Err(CloseReason::UnsupportedVersion { key, version });
    }
    let body = api_versions::refuse_version(ErrorCode::UnsupportedVersion);
    let body = body.map_err(|error| CloseReason::Body {
        key,
        version,
        error,
    })?;
    let chunks = framed(key, 0, header.correlation_id, body)?;
    Ok(Admitted {
        answer: std::future::ready(Ok(Reply { chunks, budget })).boxed(),
        pipelined: false,
    })
}

/// Puts length and header before a response's body.
///
/// # Errors
/// When the response is larger than a frame can be, as the settings may allow a
/// fetch to be.
fn framed(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: Vec<Bytes>,
) -> Result<Vec<Bytes>, CloseReason> {
    let mut header = BytesMut::new();
    encode_response_header(key, version, correlation_id, &mut header);
    let length = header.len() + body.iter().map(Bytes::len).sum::<usize>();
    let length = i32::try_from(length).map_err(|_| CloseReason::AnswerTooLarge { key, version })?;
    let mut head = BytesMut::with_capacity(4 + header.len());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&header);
    let mut chunks = Vec::with_capacity(1 + body.len());
    chunks.push(head.freeze());
    chunks.extend(body);
    Ok(chunks)
}
