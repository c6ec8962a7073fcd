//! ListGroups: v0-5.
//!
//! - v1: throttle time. v3: flexible encodings. v4: states, and a filter by them
//!   (KIP-518). v5: types, and a filter by them (KIP-848).

use std::ops::RangeInclusive;

use futures::future::join_all;
use ottla_base::ErrorCode;
use ottla_coordinator::group::{Filter, GroupKind, GroupState, List, ListedGroup};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::list_groups_response;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::{ask_cell, text};
use crate::api::{Cx, Handler, Refusal};
use crate::topics::OFFSETS_TOPIC;

#[derive(Debug)]
pub(in crate::api) struct ListGroups;

impl Handler for ListGroups {
    type Request = ListGroupsRequest;
    const SERVED: RangeInclusive<i16> = 0..=5;

    async fn handle(cx: Cx, request: ListGroupsRequest) -> Result<ListGroupsResponse, Refusal> {
        let states = filter(&request.states_filter, GroupState::from_name);
        let kinds = filter(&request.types_filter, GroupKind::from_name);
        let topic = cx.broker.registry.topic(OFFSETS_TOPIC);
        let mut groups = Vec::new();
        let cells = topic.iter().flat_map(|topic| topic.cells());
        let lists = cells.map(|cell| {
            let (states, kinds) = (states.clone(), kinds.clone());
            let list = |token| {
                Input::List(List {
                    token,
                    states,
                    kinds,
                })
            };
            ask_cell(&cx, cell, list)
        });
        for list in join_all(lists).await {
            match list {
                Ok(Reply::List(listed)) => groups.extend(listed.into_iter().map(to_wire)),
                Ok(other) => unreachable!("a list was answered with {other:?}"),
                // Another broker lists these groups.
                Err(ErrorCode::NotCoordinator) => (),
                Err(code) => return Err(code.into()),
            }
        }
        Ok(ListGroupsResponse::default().with_groups(groups))
    }

    fn refuse(error: ErrorCode) -> ListGroupsResponse {
        ListGroupsResponse::default().with_error_code(error.code())
    }
}

/// Names that stand for nothing let nothing through.
fn filter<T: Ord>(names: &[StrBytes], from_name: fn(&str) -> Option<T>) -> Filter<T> {
    if names.is_empty() {
        return Filter::Any;
    }
    Filter::Only(names.iter().filter_map(|name| from_name(name)).collect())
}

fn to_wire(group: ListedGroup) -> list_groups_response::ListedGroup {
    list_groups_response::ListedGroup::default()
        .with_group_id(text(group.group).into())
        .with_protocol_type(text(group.protocol_type))
        .with_group_state(text(group.state.name()))
        .with_group_type(text(group.kind.name()))
}
