//! Heartbeat: v0-4.
//!
//! - v1: throttle time. v3: static members (KIP-345). v4: flexible encodings.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, Generation, MemberId, ReplyToken};
use ottla_coordinator::{Input, Reply, group};
use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{ask, group_id, instance_id};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct Heartbeat;

impl Handler for Heartbeat {
    type Request = HeartbeatRequest;
    const SERVED: RangeInclusive<i16> = 0..=4;

    async fn handle(cx: Cx, request: HeartbeatRequest) -> Result<HeartbeatResponse, Refusal> {
        let group = group_id(&request.group_id);
        let beat = |token| Input::Heartbeat(from_wire(request, token));
        match ask(&cx, &group, beat).await {
            Ok(Reply::Heartbeat(result)) => result.map_err(|error| error.code())?,
            Ok(other) => unreachable!("a heartbeat was answered with {other:?}"),
            // Sessions begin anew when the groups are loaded, so all is well.
            Err(ErrorCode::CoordinatorLoadInProgress) => (),
            Err(code) => return Err(code.into()),
        }
        Ok(HeartbeatResponse::default())
    }

    fn refuse(error: ErrorCode) -> HeartbeatResponse {
        HeartbeatResponse::default().with_error_code(error.code())
    }
}

fn from_wire(request: HeartbeatRequest, token: ReplyToken) -> group::Heartbeat {
    group::Heartbeat {
        token,
        group: group_id(&request.group_id),
        member: MemberId::from(request.member_id.as_str()),
        instance: instance_id(request.group_instance_id),
        generation: Generation(request.generation_id),
    }
}
