//! LeaveGroup: v0-5.
//!
//! - v1: throttle time. v3: several members at once, also by the names of their
//!   instances, and one result for each (KIP-345); before, the request has one
//!   member, whose result is that of the request. v4: flexible encodings. v5: a
//!   reason, which is not used.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, MemberId};
use ottla_coordinator::group::{Leave, LeaveError, Leaving};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{ask, group_id, instance_id};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

/// The first version with a list of members.
const BATCH_SINCE: i16 = 3;

#[derive(Debug)]
pub(in crate::api) struct LeaveGroup;

impl Handler for LeaveGroup {
    type Request = LeaveGroupRequest;
    const SERVED: RangeInclusive<i16> = 0..=5;

    async fn handle(cx: Cx, request: LeaveGroupRequest) -> Result<LeaveGroupResponse, Refusal> {
        let group = group_id(&request.group_id);
        let members = members(cx.version, request);
        let leaving = members.iter().map(from_wire).collect();
        let leave = |token| {
            Input::Leave(Leave {
                token,
                group: group.clone(),
                members: leaving,
            })
        };
        let Reply::Leave(result) = ask(&cx, &group, leave).await? else {
            unreachable!("a leave is answered as one");
        };
        let results = result.map_err(|error| error.code())?;
        let members = members.into_iter().zip(results);
        let members = members.map(|(member, result)| to_wire(member, result));
        Ok(LeaveGroupResponse::default().with_members(members.collect()))
    }

    fn refuse(error: ErrorCode) -> LeaveGroupResponse {
        LeaveGroupResponse::default().with_error_code(error.code())
    }
}

fn members(version: i16, request: LeaveGroupRequest) -> Vec<MemberIdentity> {
    if version >= BATCH_SINCE {
        return request.members;
    }
    vec![MemberIdentity::default().with_member_id(request.member_id)]
}

fn from_wire(member: &MemberIdentity) -> Leaving {
    Leaving {
        member: Some(&member.member_id)
            .filter(|id| !id.is_empty())
            .map(|id| MemberId::from(id.as_str())),
        instance: instance_id(member.group_instance_id.clone()),
    }
}

fn to_wire(member: MemberIdentity, result: Result<(), LeaveError>) -> MemberResponse {
    let code = result.map_or_else(|error| error.code(), |()| ErrorCode::None);
    MemberResponse::default()
        .with_member_id(member.member_id)
        .with_group_instance_id(member.group_instance_id)
        .with_error_code(code.code())
}
