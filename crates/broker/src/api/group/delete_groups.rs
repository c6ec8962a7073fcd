//! DeleteGroups: v0-2.
//!
//! - v1: throttle time. v2: flexible encodings.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use futures::future::join_all;
use ottla_base::{ErrorCode, ReplyToken};
use ottla_coordinator::group::Delete;
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::{ask, group_id};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct DeleteGroups;

impl Handler for DeleteGroups {
    type Request = DeleteGroupsRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;

    async fn handle(cx: Cx, request: DeleteGroupsRequest) -> Result<DeleteGroupsResponse, Refusal> {
        let mut seen = BTreeSet::new();
        let groups = request.groups_names.into_iter();
        let groups = groups.filter(|group| seen.insert(group.clone()));
        let results = groups.map(|group| delete(&cx, group));
        let results = join_all(results).await;
        Ok(DeleteGroupsResponse::default().with_results(results))
    }

    fn refuse(_error: ErrorCode) -> DeleteGroupsResponse {
        // Every refusal is a group's.
        DeleteGroupsResponse::default()
    }
}

async fn delete(cx: &Cx, id: GroupId) -> DeletableGroupResult {
    let group = group_id(&id);
    let delete = |token: ReplyToken| {
        Input::Delete(Delete {
            token,
            group: group.clone(),
        })
    };
    let code = match ask(cx, &group, delete).await {
        Ok(Reply::Delete(result)) => result.map_or_else(|error| error.code(), |()| ErrorCode::None),
        Ok(other) => unreachable!("a deletion was answered with {other:?}"),
        Err(code) => code,
    };
    DeletableGroupResult::default()
        .with_group_id(id)
        .with_error_code(code.code())
}
