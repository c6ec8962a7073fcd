//! Asking the active controller, which may be this node.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_base::ErrorCode;
use ottla_control::{Answer, Client, Forward, Refused, Request};
use ottla_controller::BrokerEpoch;
use ottla_protocol::header::{RequestHeader, decode_response_header};
use ottla_protocol::messages::WireClient;
use tokio::time::Instant;
use tracing::debug;

use super::answer;
use super::departures::Departures;
use super::lease::Lease;
use super::watch::Ended;
use crate::api::error::unexpected;
use crate::broker::Broker;
use crate::net::ConnectionFacts;

/// How long a client's request waits for an active controller. Clients wait for
/// 30 seconds before they give up, and are told sooner that they may ask again.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an answer waits until this node knows what it depends on.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// How this node reaches the active controller. Owned by the broker.
#[derive(Debug)]
pub(crate) struct ClusterHandle {
    client: Client,
    /// That of this broker's registration; -1 before there is one.
    epoch: AtomicI64,
    /// It waits until others lead what it led.
    hands_over: AtomicBool,
    /// Whoever reports writes, everybody reads.
    lease: Mutex<Lease>,
    /// Whose process seems to be gone.
    pub(crate) ended: Ended,
    pub(crate) departures: Departures,
}

impl ClusterHandle {
    pub(crate) fn new(client: Client, session: Duration) -> Self {
        Self {
            client,
            epoch: AtomicI64::new(-1),
            hands_over: AtomicBool::new(false),
            lease: Mutex::new(Lease::new(session)),
            ended: Ended::default(),
            departures: Departures::default(),
        }
    }

    pub(crate) fn epoch(&self) -> BrokerEpoch {
        BrokerEpoch(self.epoch.load(Ordering::Relaxed))
    }

    /// From now on every report says that this broker wants to stop: one that did not
    /// would have it lead again.
    pub(super) fn begin_handover(&self) {
        self.hands_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn hands_over(&self) -> bool {
        self.hands_over.load(Ordering::Relaxed)
    }

    /// Says whether that is another one than before.
    pub(super) fn set_epoch(&self, epoch: BrokerEpoch) -> bool {
        self.epoch.swap(epoch.0, Ordering::Relaxed) != epoch.0
    }

    pub(crate) fn lease(&self) -> Lease {
        *self.lock_lease()
    }

    /// A report that left then was heard, see [`Lease::renewed`].
    pub(super) fn renew_lease(&self, sent: Instant, metadata_end: i64) {
        let mut lease = self.lock_lease();
        *lease = lease.renewed(sent, metadata_end);
    }

    fn lock_lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until an active controller answers: forever, so the caller bounds the time.
///
/// # Errors
/// What the controller refuses with.
pub(crate) async fn ask(broker: &Arc<Broker>, request: Request) -> Result<Answer, ErrorCode> {
    let mut activity = broker.controller.activity();
    loop {
        if *activity.borrow_and_update() {
            match answer::answer(broker, request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Refused::Code(code)) => return Err(code),
                Err(Refused::NotActive(_)) => debug!("this node decides no more"),
            }
        }
        let client = &broker.cluster.client;
        tokio::select! {
            biased;
            _ = activity.wait_for(|is_active| *is_active) => (),
            answer = client.ask(request.clone()) => return answer,
            () = stay_turned(broker) => (),
        }
    }
}

/// Has the node asked that the quorum elected, as soon as this node knows of it: the one
/// before may never answer. Returns when the node's controller is gone.
async fn stay_turned(broker: &Broker) {
    let mut activity = broker.controller.activity();
    loop {
        if let Some(active) = broker.controller.active() {
            broker.cluster.client.turn_to(active.address);
        }
        if activity.changed().await.is_err() {
            return;
        }
    }
}

/// Lets the active controller answer a client's request: header and body, each without
/// the length before them.
pub(crate) async fn forward(
    broker: &Arc<Broker>,
    frame: Bytes,
    facts: &ConnectionFacts,
) -> Result<Bytes, ErrorCode> {
    let client = facts.peer.map(|peer| peer.to_string());
    answer_to(
        broker,
        Forward {
            frame,
            listener: facts.listener.to_string(),
            client: client.unwrap_or_default(),
            broker: broker.id,
        },
    )
    .await
}

/// Sends the active controller a request of this node's own, as a client would.
pub(crate) async fn submit<R: WireClient>(
    broker: &Arc<Broker>,
    request: &R,
    version: i16,
) -> Result<R::Response, ErrorCode> {
    let mut frame = BytesMut::new();
    let header = RequestHeader {
        key: R::KEY,
        version,
        correlation_id: 0,
        client_id: None,
    };
    header.encode(&mut frame);
    let encoded = request.encode_request(version, &mut frame);
    encoded.map_err(|error| unexpected(&error))?;
    let forward = Forward {
        frame: frame.freeze(),
        listener: broker.inter_broker.clone(),
        client: String::new(),
        broker: broker.id,
    };
    let mut answer = answer_to(broker, forward).await?;
    decode_response_header(R::KEY, version, &mut answer)
        .and_then(|_| R::decode_response(&mut answer, version))
        .map_err(|error| unexpected(&error))
}

async fn answer_to(broker: &Arc<Broker>, forward: Forward) -> Result<Bytes, ErrorCode> {
    let request = Request::Forward(forward);
    let asked = tokio::time::timeout(FORWARD_TIMEOUT, ask(broker, request)).await;
    match asked.map_err(|_elapsed| ErrorCode::RequestTimedOut)?? {
        Answer::Forwarded(forwarded) => {
            let known = broker.metadata_reaches(forwarded.metadata_end);
            // A client that sees the answer before its effect asks again.
            let _late = tokio::time::timeout(CATCH_UP_TIMEOUT, known).await;
            Ok(forwarded.frame)
        }
        other @ (Answer::Registered(_)
        | Answer::Heartbeat { .. }
        | Answer::Altered(_)
        | Answer::ProducerIds(_)) => {
            unreachable!("a forwarded request was answered with {other:?}")
        }
    }
}
