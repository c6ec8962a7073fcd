//! Produce: v3-13.
//!
//! - v3-8: plain encodings. v7 allows zstd; v8 adds the records that are to blame
//!   and a message.
//! - v9: flexible encodings.
//! - v10: the current leader beside NOT_LEADER_OR_FOLLOWER (KIP-951).
//! - v11, v12: what a transaction's client understands (KIP-890).
//! - v13: topics by id.
//!
//! Not supported: transactions, whose batches get INVALID_TXN_STATE.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{ByteSize, ErrorCode, Millis, Offset, PartitionId, TopicId};
use ottla_partition::{Acks, AppendError, Appended};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::records::{BatchHeader, BatchRefusal, check_batch};
use tokio::sync::oneshot;

use super::error::KafkaError as _;
use super::replicas::current_leader;
use super::{Cx, Handler, Refusal, no_cell_code};
use crate::partitions::LocalTopic;

/// The first version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;

/// The first version that says who leads instead.
const CURRENT_LEADER_SINCE: i16 = 10;

/// The client id that may write to internal topics, as in Kafka.
const ADMIN_CLIENT: &str = "__admin_client";

/// Smaller batches get memory of their own. As long as a batch is in memory, so is
/// the buffer that it shares, which may be many times larger.
const SHARED_BYTES_MIN: ByteSize = ByteSize(8 << 10);

/// A client's time limit is for the other replicas: Kafka's begins when its own
/// append is done, which here takes as long as the disk does.
const APPEND_MS_MIN: i64 = 5_000;

#[derive(Debug)]
pub(super) struct Produce;

impl Handler for Produce {
    type Request = ProduceRequest;
    const SERVED: RangeInclusive<i16> = 3..=13;
    const PIPELINED: bool = true;

    async fn handle(cx: Cx, request: ProduceRequest) -> Result<ProduceResponse, Refusal> {
        let terms = Terms::from_wire(&cx, &request);
        // Every append is started before any is waited for.
        let topics = request.topic_data.into_iter();
        let started: Vec<_> = topics.map(|topic| start(&cx, &terms, topic)).collect();
        let mut responses = Vec::with_capacity(started.len());
        let mut failed = false;
        for (mut response, partitions) in started {
            for (index, pending) in partitions {
                let outcome = pending.outcome().await;
                failed |= outcome.is_err();
                response
                    .partition_responses
                    .push(to_wire(PartitionId(index), outcome));
            }
            responses.push(response);
        }
        match terms.acks {
            // The only signal that a client without acks can get.
            Some(Acks::None) if failed => Err(Refusal::Close),
            Some(Acks::None) => Err(Refusal::Silent),
            Some(Acks::Leader | Acks::All) | None => {
                let leaders = match cx.version {
                    CURRENT_LEADER_SINCE.. if failed => tell_leaders(&cx, &mut responses),
                    _ => Vec::new(),
                };
                Ok(ProduceResponse::default()
                    .with_responses(responses)
                    .with_node_endpoints(leaders))
            }
        }
    }

    fn refuse(_error: ErrorCode) -> ProduceResponse {
        // A produce is refused partition by partition.
        ProduceResponse::default()
    }
}

/// What holds for every partition of the request.
#[derive(Debug)]
struct Terms {
    /// None for a number that means nothing.
    acks: Option<Acks>,
    /// Whether it brings parts of a transaction and does not say of which.
    is_unnamed: bool,
    now: Millis,
    deadline: Millis,
}

impl Terms {
    fn from_wire(cx: &Cx, request: &ProduceRequest) -> Self {
        let acks = match request.acks {
            -1 => Some(Acks::All),
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            _ => None,
        };
        let now = cx.broker.clock.now();
        let timeout_ms = i64::from(request.timeout_ms).max(APPEND_MS_MIN);
        Self {
            acks,
            is_unnamed: request.transactional_id.is_none() && has_transactional(request),
            now,
            deadline: now.plus_ms(timeout_ms),
        }
    }
}

/// Whether a batch of the request says that it is part of a transaction.
fn has_transactional(request: &ProduceRequest) -> bool {
    let topics = request.topic_data.iter();
    let partitions = topics.flat_map(|topic| &topic.partition_data);
    let mut batches = partitions.filter_map(|partition| partition.records.as_ref());
    batches.any(|batch| {
        let header = BatchHeader::parse(batch);
        header.is_ok_and(|header| header.attributes.is_transactional())
    })
}

/// An append that was started, or refused at once.
#[derive(Debug)]
enum Pending {
    Started {
        appended: oneshot::Receiver<Result<Appended, AppendError>>,
        log_start: Offset,
    },
    Refused(ProduceError),
}

/// Why a partition's batch was not appended.
#[derive(Debug)]
enum ProduceError {
    Code(ErrorCode),
    Batch {
        refusal: BatchRefusal,
        log_start: Offset,
    },
    Append {
        error: AppendError,
        log_start: Offset,
    },
}

impl From<ErrorCode> for ProduceError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl Pending {
    async fn outcome(self) -> Result<Appended, ProduceError> {
        match self {
            Self::Started {
                appended,
                log_start,
            } => match appended.await {
                Ok(appended) => appended.map_err(|error| ProduceError::Append { error, log_start }),
                // The topic was deleted while the append waited.
                Err(_gone) => Err(ErrorCode::UnknownTopicOrPartition.into()),
            },
            Self::Refused(refusal) => Err(refusal),
        }
    }
}

type Started = (TopicProduceResponse, Vec<(i32, Pending)>);

fn start(cx: &Cx, terms: &Terms, data: TopicProduceData) -> Started {
    let topic = find_topic(cx, &data);
    let partitions = data.partition_data.into_iter().map(|partition| {
        let index = partition.index;
        let started = topic
            .as_ref()
            .map_err(|code| ProduceError::Code(*code))
            .and_then(|topic| append(cx, terms, topic, partition));
        (index, started.unwrap_or_else(Pending::Refused))
    });
    let partitions = partitions.collect();
    let response = TopicProduceResponse::default()
        .with_name(data.name)
        .with_topic_id(data.topic_id);
    (response, partitions)
}

fn find_topic(cx: &Cx, data: &TopicProduceData) -> Result<Arc<LocalTopic>, ErrorCode> {
    let registry = &cx.broker.registry;
    if cx.version >= TOPIC_IDS_SINCE {
        let id = TopicId(*data.topic_id.as_bytes());
        registry.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        let topic = registry.topic(data.name.as_str());
        topic.ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

fn append(
    cx: &Cx,
    terms: &Terms,
    topic: &LocalTopic,
    data: PartitionProduceData,
) -> Result<Pending, ProduceError> {
    if terms.is_unnamed {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
    }
    let acks = terms.acks.ok_or(ErrorCode::InvalidRequiredAcks)?;
    if topic.is_internal && cx.client_id.as_str() != ADMIN_CLIENT {
        return Err(ErrorCode::InvalidTopic.into());
    }
    let partition = PartitionId(data.index);
    let cell = topic
        .cell(partition)
        .ok_or_else(|| no_cell_code(topic, partition))?;
    let bytes: Bytes = data.records.unwrap_or_default();
    let batch = check_batch(bytes, &topic.rules, cx.version, terms.now).map_err(|refusal| {
        let log_start = cell.view().log_start;
        ProduceError::Batch { refusal, log_start }
    })?;
    let batch = match batch.size() {
        size if size <= SHARED_BYTES_MIN => batch.detached(),
        _ => batch,
    };
    Ok(Pending::Started {
        appended: cell.append(batch, acks, terms.deadline),
        log_start: cell.view().log_start,
    })
}

fn to_wire(
    partition: PartitionId,
    outcome: Result<Appended, ProduceError>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(partition.0)
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1);
    match outcome {
        Ok(appended) => response
            .with_base_offset(appended.base.0)
            .with_log_append_time_ms(appended.log_append_time.map_or(-1, |at| at.0))
            .with_log_start_offset(appended.log_start.0),
        Err(ProduceError::Code(code)) => response.with_error_code(code.code()),
        Err(ProduceError::Batch { refusal, log_start }) => response
            .with_error_code(refusal.code().code())
            .with_log_start_offset(if refusal.kind.is_of_log() {
                log_start.0
            } else {
                -1
            })
            .with_record_errors(record_errors(&refusal))
            .with_error_message(refusal.message().map(StrBytes::from_string)),
        Err(ProduceError::Append { error, log_start }) => response
            .with_error_code(error.code().code())
            .with_log_start_offset(if is_of_log(&error) { log_start.0 } else { -1 })
            .with_error_message(error.message().map(StrBytes::from_string)),
    }
}

/// Whether the replica was asked at all, and its answer tells where its log starts.
fn is_of_log(error: &AppendError) -> bool {
    match error {
        AppendError::NotLeader { .. } | AppendError::StorageFailed => false,
        AppendError::TooFewInSync { .. }
        | AppendError::TooFewInSyncAfterAppend { .. }
        | AppendError::TimedOut
        | AppendError::ControlBatch
        | AppendError::NoTransaction { .. }
        | AppendError::Sequence(_) => true,
    }
}

/// KIP-951: a client that asked the wrong broker learns the right one at once, and how
/// to reach it.
fn tell_leaders(cx: &Cx, topics: &mut [TopicProduceResponse]) -> Vec<NodeEndpoint> {
    let image = cx.broker.image();
    let mut leaders = BTreeSet::new();
    for topic in topics {
        let known = match cx.version {
            TOPIC_IDS_SINCE.. => image.topic_by_id(TopicId(*topic.topic_id.as_bytes())),
            _ => image.topic(&topic.name.as_str().into()),
        };
        for response in &mut topic.partition_responses {
            if response.error_code != ErrorCode::NotLeaderOrFollower.code() {
                continue;
            }
            let known = known.map(|topic| &**topic);
            let (leader, epoch) = current_leader(cx, known, PartitionId(response.index));
            leaders.extend(leader);
            response.current_leader.leader_id = leader.map_or(-1, |leader| leader.0).into();
            response.current_leader.leader_epoch = epoch;
        }
    }
    let endpoints = leaders.into_iter().filter_map(|id| {
        let broker = image.broker(id)?;
        let endpoint = broker.endpoint(&cx.connection.listener)?;
        Some(
            NodeEndpoint::default()
                .with_node_id(id.0.into())
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.clone().map(StrBytes::from_string)),
        )
    });
    endpoints.collect()
}

fn record_errors(refusal: &BatchRefusal) -> Vec<BatchIndexAndErrorMessage> {
    let records = refusal.records.iter().map(|(index, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(*index)
            .with_batch_index_error_message(Some(StrBytes::from_string(message.clone())))
    });
    records.collect()
}
