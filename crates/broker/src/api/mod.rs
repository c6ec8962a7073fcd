//! Requests and their answers: one file and one row of [`ROUTES`] per API.
//!
//! Knows nothing of sockets: a [`Route`] turns the bytes of a request's body into
//! the bytes of its response.

pub(crate) mod error;
pub(crate) mod gate;

mod admin;
mod api_versions;
mod delete_records;
mod describe_producers;
mod fetch;
mod find_coordinator;
mod group;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod produce;
mod replicas;

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ottla_base::{ErrorCode, LeaderEpoch, PartitionId};
use ottla_partition::{RoleKind, View};
use ottla_protocol::{ApiKey, StrBytes, WireError, WireRequest};

use self::error::KafkaError as _;
use crate::broker::Broker;
use crate::net::ConnectionFacts;
use crate::partitions::{Cell, LocalTopic, Place, Unconfirmed};

/// What a handler may use: the broker's services and the facts of this request.
#[derive(Clone, Debug)]
pub(crate) struct Cx {
    pub broker: Arc<Broker>,
    /// The connection that the request came on.
    pub connection: Arc<ConnectionFacts>,
    pub version: i16,
    /// Empty where the client sent none.
    pub client_id: StrBytes,
}

/// One implementation per API, in the file named after it.
pub(crate) trait Handler: 'static {
    type Request: WireRequest;

    /// The versions this broker serves; may be narrower than the codec's.
    const SERVED: RangeInclusive<i16>;

    /// Whether the next request of the connection may start before this one is
    /// answered. Answers leave in the order of the requests all the same.
    const PIPELINED: bool = false;

    /// Whether only the active controller can answer: elsewhere the request is
    /// forwarded to it.
    const BY_CONTROLLER: bool = false;

    fn handle(
        cx: Cx,
        request: Self::Request,
    ) -> impl Future<Output = Result<Response<Self>, Refusal>> + Send;

    /// The whole-request failure, in this API's own shape.
    fn refuse(error: ErrorCode) -> Response<Self>;

    /// The response's body. Only an API that sends record bytes has its own.
    fn encode(response: Response<Self>, version: i16) -> Result<Vec<Bytes>, WireError> {
        let mut body = BytesMut::new();
        Self::Request::encode(&response, version, &mut body)?;
        Ok(vec![body.freeze()])
    }
}

pub(crate) type Response<H> = <<H as Handler>::Request as WireRequest>::Response;

/// Why a request gets no ordinary response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The whole request failed with this code.
    Whole(ErrorCode),
    /// The protocol wants silence (acks=0).
    Silent,
    /// The only signal left is to close the connection.
    Close,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Whole(code)
    }
}

/// What a route makes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The body of the response.
    Body(Vec<Bytes>),
    Silent,
    Close,
}

type Run = fn(Cx, Bytes) -> BoxFuture<'static, Result<Answer, WireError>>;

/// A row of the dispatch table. ApiVersions is answered from the same rows.
#[derive(Clone, Debug)]
pub struct Route {
    pub key: ApiKey,
    pub served: RangeInclusive<i16>,
    pub pipelined: bool,
    pub by_controller: bool,
    run: Run,
}

impl Route {
    const fn of<H: Handler>() -> Self {
        Self {
            key: H::Request::KEY,
            served: H::SERVED,
            pipelined: H::PIPELINED,
            by_controller: H::BY_CONTROLLER,
            run: run::<H>,
        }
    }

    pub(crate) fn run(&self, cx: Cx, body: Bytes) -> BoxFuture<'static, Result<Answer, WireError>> {
        (self.run)(cx, body)
    }
}

fn run<H: Handler>(cx: Cx, mut body: Bytes) -> BoxFuture<'static, Result<Answer, WireError>> {
    async move {
        let version = cx.version;
        let request = H::Request::decode(&mut body, version)?;
        drop(body);
        let response = match H::handle(cx, request).await {
            Ok(response) => response,
            Err(Refusal::Whole(code)) => H::refuse(code),
            Err(Refusal::Silent) => return Ok(Answer::Silent),
            Err(Refusal::Close) => return Ok(Answer::Close),
        };
        H::encode(response, version).map(Answer::Body)
    }
    .boxed()
}

/// The row of an API, if it is served.
pub(crate) fn route(key: ApiKey) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.key == key)
}

/// Every API this broker serves, by key.
pub static ROUTES: &[Route] = &[
    Route::of::<produce::Produce>(),
    Route::of::<fetch::Fetch>(),
    Route::of::<list_offsets::ListOffsets>(),
    Route::of::<metadata::Metadata>(),
    Route::of::<group::OffsetCommit>(),
    Route::of::<group::OffsetFetch>(),
    Route::of::<find_coordinator::FindCoordinator>(),
    Route::of::<group::JoinGroup>(),
    Route::of::<group::Heartbeat>(),
    Route::of::<group::LeaveGroup>(),
    Route::of::<group::SyncGroup>(),
    Route::of::<group::DescribeGroups>(),
    Route::of::<group::ListGroups>(),
    Route::of::<api_versions::ApiVersions>(),
    Route::of::<admin::CreateTopics>(),
    Route::of::<admin::DeleteTopics>(),
    Route::of::<delete_records::DeleteRecords>(),
    Route::of::<init_producer_id::InitProducerId>(),
    Route::of::<offset_for_leader_epoch::OffsetForLeaderEpoch>(),
    Route::of::<admin::DescribeConfigs>(),
    Route::of::<admin::AlterConfigs>(),
    Route::of::<admin::AlterReplicaLogDirs>(),
    Route::of::<admin::DescribeLogDirs>(),
    Route::of::<admin::CreatePartitions>(),
    Route::of::<group::DeleteGroups>(),
    Route::of::<admin::ElectLeaders>(),
    Route::of::<admin::IncrementalAlterConfigs>(),
    Route::of::<admin::AlterPartitionReassignments>(),
    Route::of::<admin::ListPartitionReassignments>(),
    Route::of::<group::OffsetDelete>(),
    Route::of::<admin::DescribeUserScramCredentials>(),
    Route::of::<admin::AlterUserScramCredentials>(),
    Route::of::<admin::DescribeQuorum>(),
    Route::of::<admin::DescribeCluster>(),
    Route::of::<describe_producers::DescribeProducers>(),
    Route::of::<admin::UnregisterBroker>(),
    Route::of::<admin::ListConfigResources>(),
    Route::of::<admin::DescribeTopicPartitions>(),
];

/// Operations on a cluster that a client may do, as KIP-430 counts them: without
/// an authorizer, all.
const CLUSTER_OPERATIONS: i32 = 0x1fa0;

/// The same for a topic.
const TOPIC_OPERATIONS: i32 = 0x0df8;

/// What stands for "not asked for".
const NO_OPERATIONS: i32 = i32::MIN;

/// A topic's name as the wire has it.
fn wire_topic(name: &ottla_base::TopicName) -> ottla_protocol::messages::TopicName {
    StrBytes::from_string(name.as_str().to_owned()).into()
}

/// Whether a replica serves a client that knows this leader epoch. The epoch is looked at
/// before who leads, as in Kafka: a client that is ahead waits, one that is behind asks who
/// leads.
fn admit(view: &View, epoch: LeaderEpoch, from_followers: bool) -> Result<(), ErrorCode> {
    let is_served = match view.role {
        RoleKind::Leader => !view.is_doubtful,
        RoleKind::Follower => from_followers,
        RoleKind::Idle => return Err(ErrorCode::NotLeaderOrFollower),
        RoleKind::Failed => return Err(ErrorCode::KafkaStorageError),
    };
    view.check_epoch(epoch).map_err(|error| error.code())?;
    match is_served {
        true => Ok(()),
        false => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// What a client is told that asks for a partition of a topic which has no cell.
fn no_cell_code(topic: &LocalTopic, partition: PartitionId) -> ErrorCode {
    match topic.place(partition) {
        Some(Place::Broken(_)) => ErrorCode::KafkaStorageError,
        Some(Place::Here(_) | Place::Elsewhere) => ErrorCode::NotLeaderOrFollower,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// Returns when nobody else led a partition at the time of the call, of one that is led
/// here as far as this broker knows. It may have stood still, or be cut off, and another
/// may lead since: unless the controllers have just heard this broker, the followers are
/// asked.
async fn surely_leads(cx: &Cx, cell: &Cell) -> Result<(), Unconfirmed> {
    match cx.broker.has_lease() {
        true => Ok(()),
        false => cell.confirm().await,
    }
}

/// The cell of a partition, by its topic's name.
fn cell_of(cx: &Cx, topic: &str, partition: i32) -> Result<Arc<Cell>, ErrorCode> {
    let topic = cx.broker.registry.topic(topic);
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = PartitionId(partition);
    let cell = topic.cell(partition).cloned();
    cell.ok_or_else(|| no_cell_code(&topic, partition))
}

/// The same of one that is led here.
fn leading_cell(cx: &Cx, topic: &str, partition: i32) -> Result<Arc<Cell>, ErrorCode> {
    let cell = cell_of(cx, topic, partition)?;
    admit(&cell.view(), LeaderEpoch::NONE, false)?;
    Ok(cell)
}
