//! SyncGroup: v0-5.
//!
//! - v1: throttle time. v3: static members (KIP-345). v4: flexible encodings.
//! - v5: protocol type and name, in both directions, and mandatory for a member.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, Generation, MemberId, ReplyToken};
use ottla_coordinator::group::{Sync, Synced};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{ask, group_id, instance_id, text};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

/// The first version in which a member says its protocol.
const PROTOCOL_SINCE: i16 = 5;

#[derive(Debug)]
pub(in crate::api) struct SyncGroup;

impl Handler for SyncGroup {
    type Request = SyncGroupRequest;
    const SERVED: RangeInclusive<i16> = 0..=5;

    async fn handle(cx: Cx, request: SyncGroupRequest) -> Result<SyncGroupResponse, Refusal> {
        let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if cx.version >= PROTOCOL_SINCE && !says_protocol {
            return Err(ErrorCode::InconsistentGroupProtocol.into());
        }
        let group = group_id(&request.group_id);
        let sync = |token| Input::Sync(from_wire(request, token));
        let Reply::Sync(result) = ask(&cx, &group, sync).await? else {
            unreachable!("a sync is answered as one");
        };
        Ok(to_wire(result.map_err(|error| error.code())?))
    }

    fn refuse(error: ErrorCode) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_error_code(error.code())
            .with_protocol_type(None)
            .with_protocol_name(None)
    }
}

fn from_wire(request: SyncGroupRequest, token: ReplyToken) -> Sync {
    let assignments = request.assignments.into_iter().map(|assigned| {
        let member = MemberId::from(assigned.member_id.as_str());
        (member, assigned.assignment)
    });
    Sync {
        token,
        group: group_id(&request.group_id),
        member: MemberId::from(request.member_id.as_str()),
        instance: instance_id(request.group_instance_id),
        generation: Generation(request.generation_id),
        protocol_type: request.protocol_type.map(|name| name.as_str().into()),
        protocol: request.protocol_name.map(|name| name.as_str().into()),
        assignments: assignments.collect(),
    }
}

fn to_wire(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(synced.protocol_type.map(text))
        .with_protocol_name(synced.protocol.map(text))
        .with_assignment(synced.assignment)
}
