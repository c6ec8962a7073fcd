//! DescribeGroups: v0-6.
//!
//! - v1: throttle time. v3: authorized operations (KIP-430). v4: static members.
//!   v5: flexible encodings. v6: a group that does not exist is GROUP_ID_NOT_FOUND,
//!   before it was a dead group without an error (KIP-1043).

use std::ops::RangeInclusive;

use futures::future::join_all;
use ottla_base::{ErrorCode, ReplyToken};
use ottla_coordinator::group::{Describe, DescribedMember, Description, GroupState};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::{ask, group_id, text};
use crate::api::{Cx, Handler, NO_OPERATIONS, Refusal};

/// The first version in which an unknown group is an error.
const UNKNOWN_GROUP_SINCE: i16 = 6;

/// Operations on a group that a client may do: without an authorizer, all.
const GROUP_OPERATIONS: i32 = 0x0d48;

#[derive(Debug)]
pub(in crate::api) struct DescribeGroups;

impl Handler for DescribeGroups {
    type Request = DescribeGroupsRequest;
    const SERVED: RangeInclusive<i16> = 0..=6;

    async fn handle(
        cx: Cx,
        request: DescribeGroupsRequest,
    ) -> Result<DescribeGroupsResponse, Refusal> {
        let operations = match request.include_authorized_operations {
            true => GROUP_OPERATIONS,
            false => NO_OPERATIONS,
        };
        let groups = request.groups.into_iter().map(|id| describe(&cx, id));
        let mut groups = join_all(groups).await;
        for group in &mut groups {
            let is_told = group.error_code == ErrorCode::None.code();
            group.authorized_operations = if is_told { operations } else { NO_OPERATIONS };
        }
        Ok(DescribeGroupsResponse::default().with_groups(groups))
    }

    fn refuse(_error: ErrorCode) -> DescribeGroupsResponse {
        // Every refusal is a group's.
        DescribeGroupsResponse::default()
    }
}

async fn describe(cx: &Cx, id: GroupId) -> DescribedGroup {
    let group = group_id(&id);
    let describe = |token: ReplyToken| {
        Input::Describe(Describe {
            token,
            group: group.clone(),
        })
    };
    match ask(cx, &group, describe).await {
        Ok(Reply::Describe(Some(description))) => to_wire(description),
        Ok(Reply::Describe(None)) => unknown(cx.version, &id),
        Ok(other) => unreachable!("a description was answered with {other:?}"),
        Err(code) => DescribedGroup::default().with_error_code(code.code()),
    }
    .with_group_id(id)
}

fn unknown(version: i16, id: &GroupId) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text(GroupState::Dead.name()));
    if version < UNKNOWN_GROUP_SINCE {
        return dead;
    }
    dead.with_error_code(ErrorCode::GroupIdNotFound.code())
        .with_error_message(Some(text(format_args!("Group {} not found.", id.as_str()))))
}

fn to_wire(description: Description) -> DescribedGroup {
    let members = description.members.into_iter().map(member_to_wire);
    DescribedGroup::default()
        .with_group_state(text(description.state.name()))
        .with_protocol_type(text(description.protocol_type))
        .with_protocol_data(text(description.protocol))
        .with_members(members.collect())
}

fn member_to_wire(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(member.id))
        .with_group_instance_id(member.instance.map(text))
        .with_client_id(text(member.client.id))
        .with_client_host(text(member.client.host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
