//! FindCoordinator: v0-6.
//!
//! - v0: groups only. v1: transactional ids, throttle time, error messages. v3:
//!   flexible encodings. v4: several keys at once (KIP-699). v5: abortable errors,
//!   which never occur. v6: share groups, which are not served: INVALID_REQUEST.
//!
//! Transactions are not served, and this broker says so where the producer begins
//! one: to that end it names itself as the coordinator of transactional ids.
//!
//! The topic of the groups is created when somebody looks for the first one. The
//! answer waits for it, where Kafka lets the client ask again.

use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode, TopicName};
use ottla_controller::Image;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::group::coordinating_partition;
use super::replicas::Replicas;
use super::{Cx, Handler, Refusal};
use crate::topics::{self, OFFSETS_TOPIC};

/// The first version with a list of keys.
const BATCH_SINCE: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

#[derive(Debug)]
pub(super) struct FindCoordinator;

impl Handler for FindCoordinator {
    type Request = FindCoordinatorRequest;
    const SERVED: RangeInclusive<i16> = 0..=6;

    async fn handle(
        cx: Cx,
        request: FindCoordinatorRequest,
    ) -> Result<FindCoordinatorResponse, Refusal> {
        let keys = match cx.version {
            BATCH_SINCE.. => request.coordinator_keys,
            _ => vec![request.key],
        };
        if request.key_type == GROUP {
            create_topic(&cx).await;
        }
        let image = cx.broker.image();
        let coordinators = keys.into_iter().map(|key| {
            let found = find(&cx, &image, request.key_type, &key);
            let coordinator = to_wire(key, found);
            match (cx.version, coordinator.error_code) {
                // Kafka has no message for these, and this one where all is well.
                (BATCH_SINCE.., _) => coordinator.with_error_message(Some(StrBytes::default())),
                (_, 0) => coordinator.with_error_message(Some("NONE".into())),
                _ => coordinator,
            }
        });
        Ok(FindCoordinatorResponse::default().with_coordinators(coordinators.collect()))
    }

    fn refuse(error: ErrorCode) -> FindCoordinatorResponse {
        let refused = to_wire(StrBytes::default(), Err(error));
        FindCoordinatorResponse::default().with_coordinators(vec![refused])
    }
}

/// Where a client finds a coordinator.
#[derive(Debug)]
struct Found {
    broker: BrokerId,
    host: String,
    port: u16,
}

/// Makes sure that groups have a place to live in.
async fn create_topic(cx: &Cx) {
    let name = TopicName::from(OFFSETS_TOPIC);
    if cx.broker.image().topic(&name).is_none() {
        topics::create(&cx.broker, vec![name]).await;
    }
}

fn find(cx: &Cx, image: &Image, key_type: i8, key: &str) -> Result<Found, ErrorCode> {
    let broker = match key_type {
        GROUP => leader(cx, image, key).ok_or(ErrorCode::CoordinatorNotAvailable)?,
        TRANSACTION => cx.broker.id,
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let endpoint = image
        .broker(broker)
        .and_then(|registered| registered.endpoint(&cx.connection.listener))
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(Found {
        broker,
        host: endpoint.host.clone(),
        port: endpoint.port,
    })
}

/// Who leads the partition in which a group lives.
fn leader(cx: &Cx, image: &Image, group: &str) -> Option<BrokerId> {
    let (topic, id) = coordinating_partition(image, group)?;
    let mut partitions = Replicas::of(cx, image, &topic);
    partitions.find(|replicas| replicas.id == id)?.leader()
}

fn to_wire(key: StrBytes, found: Result<Found, ErrorCode>) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key);
    match found {
        Ok(found) => coordinator
            .with_node_id(found.broker.0.into())
            .with_host(StrBytes::from_string(found.host))
            .with_port(found.port.into())
            .with_error_message(None),
        Err(code) => coordinator
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(code.text()))),
    }
}
