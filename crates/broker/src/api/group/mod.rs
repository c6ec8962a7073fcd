//! Groups: every API that a group's coordinator answers.

mod delete_groups;
mod describe_groups;
mod heartbeat;
mod join;
mod leave;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync;

use std::num::NonZeroU32;
use std::sync::Arc;

use ottla_base::{ErrorCode, GroupId, InstanceId, PartitionId, ReplyToken, TopicName};
use ottla_controller::{Image, Topic};
use ottla_coordinator::{Input, Reply, partition_for};
use ottla_protocol::{StrBytes, messages};
use tokio::sync::oneshot;

pub(super) use delete_groups::DeleteGroups;
pub(super) use describe_groups::DescribeGroups;
pub(super) use heartbeat::Heartbeat;
pub(super) use join::JoinGroup;
pub(super) use leave::LeaveGroup;
pub(super) use list_groups::ListGroups;
pub(super) use offset_commit::OffsetCommit;
pub(super) use offset_delete::OffsetDelete;
pub(super) use offset_fetch::OffsetFetch;
pub(super) use sync::SyncGroup;

use super::error::KafkaError as _;
use super::{Cx, surely_leads};
use crate::partitions::Cell;
use crate::topics::OFFSETS_TOPIC;

/// The partition that coordinates a group, once there is one.
pub(super) fn coordinating_partition(
    image: &Image,
    group: &str,
) -> Option<(Arc<Topic>, PartitionId)> {
    let topic = image.topic(&TopicName::from(OFFSETS_TOPIC))?;
    let partitions = u32::try_from(topic.partitions().count()).ok()?;
    let partition = partition_for(group, NonZeroU32::new(partitions)?);
    Some((topic.clone(), partition))
}

/// Asks the coordinator of a group, if it is here, and waits for its answer,
/// which comes when what it rests on is in the log.
async fn ask(
    cx: &Cx,
    group: &GroupId,
    input: impl FnOnce(ReplyToken) -> Input,
) -> Result<Reply, ErrorCode> {
    let (_, partition) = coordinating_partition(&cx.broker.image(), group.as_str())
        .ok_or(ErrorCode::NotCoordinator)?;
    let topic = cx.broker.registry.topic(OFFSETS_TOPIC);
    let cell = topic.as_ref().and_then(|topic| topic.cell(partition));
    ask_cell(cx, cell.ok_or(ErrorCode::NotCoordinator)?, input).await
}

/// Asks the coordinator that lives in a partition.
async fn ask_cell(
    cx: &Cx,
    cell: &Arc<Cell>,
    input: impl FnOnce(ReplyToken) -> Input,
) -> Result<Reply, ErrorCode> {
    let surely = surely_leads(cx, cell).await;
    surely.map_err(|_| ErrorCode::NotCoordinator)?;
    let (to, reply) = oneshot::channel();
    cell.host(to, input).map_err(|refusal| refusal.code())?;
    // Whoever drops the question no longer coordinates.
    reply.await.map_err(|_gone| ErrorCode::NotCoordinator)
}

fn group_id(group: &messages::GroupId) -> GroupId {
    GroupId::from(group.as_str())
}

fn instance_id(instance: Option<StrBytes>) -> Option<InstanceId> {
    instance.map(|instance| InstanceId::from(instance.as_str()))
}

fn text(text: impl ToString) -> StrBytes {
    StrBytes::from_string(text.to_string())
}
