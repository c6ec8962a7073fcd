//! JoinGroup: v0-9.
//!
//! - v1: a rebalance timeout of its own; before, the session timeout holds for
//!   both. v2: throttle time. v4: a new member is sent back with its id (KIP-394).
//! - v5: static members (KIP-345). v6: flexible encodings. v7: the answer has the
//!   protocol type. v8: a reason, which is not used.
//! - v9: a static leader that returns may be told not to assign (KIP-814).

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, MemberId, ReplyToken};
use ottla_coordinator::group::{
    Client, Join, JoinError, Joined, JoinedMember, NewMember, Protocol, ReturningLeader, Timeouts,
};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use uuid::Uuid;

use super::{ask, group_id, instance_id, text};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

/// The first version with a rebalance timeout.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;

/// The first version in which a new member must come back with its id.
const KNOWN_ID_SINCE: i16 = 4;

/// The first version that can say "lead, but do not assign".
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

#[derive(Debug)]
pub(in crate::api) struct JoinGroup;

impl Handler for JoinGroup {
    type Request = JoinGroupRequest;
    const SERVED: RangeInclusive<i16> = 0..=9;

    async fn handle(cx: Cx, request: JoinGroupRequest) -> Result<JoinGroupResponse, Refusal> {
        let group = group_id(&request.group_id);
        let member = request.member_id.clone();
        let join = |token| Input::Join(from_wire(&cx, request, token));
        let Reply::Join(result) = ask(&cx, &group, join).await? else {
            unreachable!("a join is answered as one");
        };
        Ok(match result {
            Ok(joined) => to_wire(joined),
            Err(error) => refused_to_wire(&error, member),
        })
    }

    fn refuse(error: ErrorCode) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_protocol_name(None)
    }
}

fn from_wire(cx: &Cx, request: JoinGroupRequest, token: ReplyToken) -> Join {
    let session_ms = request.session_timeout_ms;
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name.as_str().into(),
        metadata: protocol.metadata,
    });
    let named = request.group_instance_id.as_ref().unwrap_or(&cx.client_id);
    let fresh_member_id = format!("{}-{}", named.as_str(), Uuid::new_v4());
    Join {
        token,
        group: group_id(&request.group_id),
        member: Some(request.member_id)
            .filter(|member| !member.is_empty())
            .map(|member| MemberId::from(member.as_str())),
        fresh_member_id: MemberId::new(fresh_member_id),
        instance: instance_id(request.group_instance_id),
        client: Client {
            id: cx.client_id.as_str().into(),
            host: host(cx).into(),
        },
        timeouts: Timeouts {
            session_ms,
            rebalance_ms: match cx.version {
                REBALANCE_TIMEOUT_SINCE.. => request.rebalance_timeout_ms,
                _ => session_ms,
            },
        },
        protocol_type: request.protocol_type.as_str().into(),
        protocols: protocols.collect(),
        new_member: if cx.version < KNOWN_ID_SINCE {
            NewMember::JoinsAtOnce
        } else {
            NewMember::MustReturnWithId
        },
        returning_leader: if cx.version < SKIP_ASSIGNMENT_SINCE {
            ReturningLeader::ActsAsFollower
        } else {
            ReturningLeader::MaySkipAssignment
        },
    }
}

/// As Java prints an address.
fn host(cx: &Cx) -> String {
    match cx.connection.peer {
        Some(peer) => format!("/{}", peer.ip()),
        None => "/".to_owned(),
    }
}

fn to_wire(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(member_to_wire);
    JoinGroupResponse::default()
        .with_generation_id(joined.generation.0)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(joined.protocol.map(text))
        .with_leader(joined.leader.map(text).unwrap_or_default())
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member))
        .with_members(members.collect())
}

fn member_to_wire(member: JoinedMember) -> JoinGroupResponseMember {
    JoinGroupResponseMember::default()
        .with_member_id(text(member.id))
        .with_group_instance_id(member.instance.map(text))
        .with_metadata(member.metadata)
}

/// `asked` is the id that the member came with.
fn refused_to_wire(error: &JoinError, asked: StrBytes) -> JoinGroupResponse {
    let member = match error {
        JoinError::MemberIdRequired { member } | JoinError::Replaced { member } => text(member),
        // It keeps no id of a group that it is not let into, or is put out of.
        JoinError::GroupFull | JoinError::Removed => StrBytes::default(),
        JoinError::InvalidGroupId
        | JoinError::InvalidSessionTimeout { .. }
        | JoinError::NameTooLong
        | JoinError::InconsistentProtocol
        | JoinError::UnknownMember
        | JoinError::Fenced
        | JoinError::Superseded => asked,
    };
    JoinGroup::refuse(error.code()).with_member_id(member)
}
