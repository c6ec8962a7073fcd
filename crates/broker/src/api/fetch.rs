//! Fetch: v4-18.
//!
//! - v5: log start offset. v7: sessions (KIP-227). v9: leader epochs (KIP-320).
//!   v11: rack id (KIP-392).
//! - v12: flexible encodings, diverging epochs.
//! - v13: topics by id. v15: replica state. v16: the current leader beside
//!   NOT_LEADER_OR_FOLLOWER (KIP-951). v17, v18: fields of replicas.
//!
//! Consumers that say their rack are told of a replica in it, if
//! `replica.selector.class` says so, and may read from any follower (KIP-392).
//!
//! Not supported: fetches of replicas, which have a protocol of their own here. No
//! transaction can be open, so both isolation levels see the same records.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, TopicId, TopicName};
use ottla_partition::{RoleKind, View};
use ottla_protocol::messages::{
    BrokerId, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, encode_fetch,
};
use ottla_protocol::records::RecordBatch;
use ottla_protocol::{StrBytes, Uuid, WireError};
use ottla_store::{ReadError, ReadMode, ReadOutcome};

use super::error::KafkaError as _;
use super::{Cx, Handler, Refusal, no_cell_code};
use crate::fetch::{Asked, Found, Plan, Target, TopicKey, Waiter};
use crate::partitions::{Cell, is_leader};

/// The first version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;

/// The first version that knows KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_SINCE: i16 = 6;

/// The first version whose clients may read from followers.
const FOLLOWERS_SINCE: i16 = 11;

/// The `replica.selector.class` that looks at racks; any other leaves consumers with the
/// leader.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// The first version that says who leads instead.
const CURRENT_LEADER_SINCE: i16 = 16;

#[derive(Debug)]
pub(super) struct Fetch;

impl Handler for Fetch {
    type Request = FetchRequest;
    const SERVED: RangeInclusive<i16> = 4..=18;

    async fn handle(cx: Cx, request: FetchRequest) -> Result<FetchResponse, Refusal> {
        let terms = Terms::from_wire(&cx, &request);
        let asked = Asked {
            session: request.session_id,
            epoch: request.session_epoch,
            by_id: cx.version >= TOPIC_IDS_SINCE,
        };
        let (wanted, forgotten) = targets_from_wire(&cx, request);
        let now = cx.broker.clock.now();
        let plan = cx
            .broker
            .sessions
            .begin(now, asked, wanted, &forgotten)
            .map_err(|error| error.code())?;
        let mut fetching = Fetching::new(&cx, &plan, terms.clone());
        fetching.gather().await;
        let found: Vec<_> = fetching
            .results
            .iter()
            .map(PartitionResult::found)
            .collect();
        let (session_id, mentioned) = cx.broker.sessions.finish(now, &plan, &found);
        let results = plan.targets.iter().zip(fetching.results).zip(mentioned);
        let told = results.filter_map(|(told, mentioned)| mentioned.then_some(told));
        let mut told: Vec<_> = told.collect();
        // Kafka answers about what it does not know at the end.
        told.sort_by_key(|(_, result)| result.is_unknown);
        Ok(to_wire(&cx, &terms, session_id, told))
    }

    fn refuse(error: ErrorCode) -> FetchResponse {
        FetchResponse {
            error_code: error.code(),
            ..FetchResponse::default()
        }
    }

    fn encode(response: FetchResponse, version: i16) -> Result<Vec<Bytes>, WireError> {
        encode_fetch(&response, version)
    }
}

/// How much a fetch wants and how long it waits for that.
#[derive(Clone, Debug)]
struct Terms {
    wait: Duration,
    bytes_min: usize,
    bytes_max: usize,
    read_committed: bool,
    /// Whether followers may be read from.
    from_followers: bool,
    /// Where the client is, if it may be sent to a replica there.
    rack: Option<String>,
}

impl Terms {
    fn from_wire(cx: &Cx, request: &FetchRequest) -> Self {
        let bytes = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let fetch_max_bytes = cx.broker.settings().broker.fetch_max_bytes;
        let bytes_max = bytes(request.max_bytes.min(fetch_max_bytes));
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let selector = cx.broker.settings().broker.replica_selector_class.clone();
        let selects = cx.version >= FOLLOWERS_SINCE && selector.as_deref() == Some(RACK_AWARE);
        let rack = (selects && !request.rack_id.is_empty()).then(|| request.rack_id.to_string());
        Self {
            wait: Duration::from_millis(wait_ms),
            bytes_min: bytes(request.min_bytes).min(bytes_max),
            bytes_max,
            read_committed: request.isolation_level == 1,
            from_followers: cx.version >= FOLLOWERS_SINCE,
            rack,
        }
    }
}

fn targets_from_wire(
    cx: &Cx,
    request: FetchRequest,
) -> (Vec<Target>, Vec<(TopicKey, PartitionId)>) {
    let key = |name: &str, id: Uuid| match cx.version {
        TOPIC_IDS_SINCE.. => TopicKey::Id(TopicId(*id.as_bytes())),
        _ => TopicKey::Name(name.into()),
    };
    let mut targets = Vec::new();
    for topic in &request.topics {
        let topic_key = key(&topic.topic, topic.topic_id);
        let name = name_of(cx, &topic_key);
        targets.extend(topic.partitions.iter().map(|partition| Target {
            topic: topic_key.clone(),
            name: name.clone(),
            partition: PartitionId(partition.partition),
            fetch_offset: Offset(partition.fetch_offset),
            leader_epoch: epoch_from_wire(partition.current_leader_epoch),
            last_fetched_epoch: epoch_from_wire(partition.last_fetched_epoch),
            bytes_max: partition.partition_max_bytes,
        }));
    }
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let topic_key = key(&topic.topic, topic.topic_id);
        let partitions = topic.partitions.iter();
        partitions.map(move |partition| (topic_key.clone(), PartitionId(*partition)))
    });
    let forgotten = forgotten.collect();
    (targets, forgotten)
}

/// A fetch under way.
struct Fetching<'a> {
    cx: &'a Cx,
    terms: Terms,
    targets: &'a [Target],
    /// Beside its target; the code says why there is none.
    cells: Vec<Result<Arc<Cell>, ErrorCode>>,
    results: Vec<PartitionResult>,
    /// Record bytes of all results.
    bytes: usize,
}

/// What was found of one partition.
#[derive(Debug)]
struct PartitionResult {
    error: ErrorCode,
    /// Whether there was nothing of that name or id from the start.
    is_unknown: bool,
    /// None where the partition is not served here.
    view: Option<View>,
    diverging: Option<EpochEndOffset>,
    /// Whom the client should read from instead.
    preferred: Option<ottla_base::BrokerId>,
    records: Vec<RecordBatch>,
    bytes: usize,
}

impl<'a> Fetching<'a> {
    fn new(cx: &'a Cx, plan: &'a Plan, terms: Terms) -> Self {
        let mut topics = HashMap::new();
        let cells = plan.targets.iter().map(|target| {
            let topic = topics
                .entry(&target.topic)
                .or_insert_with(|| find_topic(cx, &target.topic));
            let topic = topic.as_ref();
            let topic = topic.map_err(|code| is_gone(cx, target).unwrap_or(*code))?;
            let cell = topic.cell(target.partition);
            cell.cloned()
                .ok_or_else(|| no_cell_code(topic, target.partition))
        });
        Self {
            cx,
            terms,
            cells: cells.collect(),
            targets: &plan.targets,
            results: Vec::with_capacity(plan.targets.len()),
            bytes: 0,
        }
    }

    /// Reads what is there; waits for more if that is too little.
    async fn gather(&mut self) {
        for index in 0..self.targets.len() {
            let result = self.read(index).await;
            self.bytes += result.bytes;
            self.results.push(result);
        }
        if self.is_enough() {
            return;
        }
        // Registered first, read again after: nothing is published unseen.
        let waiter = Arc::new(Waiter::default());
        for (index, cell) in self.cells.iter().enumerate() {
            if let Ok(cell) = cell {
                cell.waiters().register(&waiter, index);
            }
        }
        self.read_again(0..self.targets.len()).await;
        let deadline = tokio::time::Instant::now() + self.terms.wait;
        let mut stop = self.cx.broker.tasks.stopping();
        while !self.is_enough() {
            let moved = tokio::select! {
                biased;
                moved = waiter.moved() => moved,
                () = tokio::time::sleep_until(deadline) => return,
                () = stop.requested() => return,
            };
            self.read_again(moved).await;
        }
    }

    async fn read_again(&mut self, moved: impl IntoIterator<Item = usize>) {
        for index in moved {
            self.bytes -= self.results[index].bytes;
            let result = self.read(index).await;
            self.bytes += result.bytes;
            self.results[index] = result;
        }
    }

    fn is_enough(&self) -> bool {
        self.terms.wait.is_zero()
            || self.targets.is_empty()
            || self.bytes >= self.terms.bytes_min
            || self.results.iter().any(PartitionResult::ends_the_wait)
    }

    async fn read(&self, index: usize) -> PartitionResult {
        let target = &self.targets[index];
        let cell = match &self.cells[index] {
            Ok(cell) => cell,
            Err(code) => return PartitionResult::unknown(*code),
        };
        let view = match self.admit(cell, target).await {
            Ok(view) => view,
            Err(code) => return PartitionResult::refused(self.why(target, code)),
        };
        if view.role == RoleKind::Follower && !self.is_here(target) {
            return PartitionResult::refused(self.why(target, ErrorCode::NotLeaderOrFollower));
        }
        match diverging(cell, &view, target) {
            Ok(None) if target.fetch_offset > view.end => {
                return PartitionResult::refused(ErrorCode::OffsetOutOfRange);
            }
            Ok(None) => (),
            Ok(diverging) => {
                return PartitionResult {
                    diverging,
                    ..PartitionResult::empty(view)
                };
            }
            Err(code) => return PartitionResult::refused(code),
        }
        if let Some(preferred) = self.preferred(cell, &view, target) {
            return PartitionResult {
                preferred: Some(preferred),
                ..PartitionResult::empty(view)
            };
        }
        let until = match self.terms.read_committed {
            true => view.last_stable,
            false => view.high_watermark,
        };
        if until <= target.fetch_offset {
            return PartitionResult::empty(view);
        }
        match self.read_log(cell, target, until).await {
            Ok(records) => Self::with_records(view, records),
            Err(error) => PartitionResult::refused(error.code()),
        }
    }

    /// Whether the partition may be read from here, and whether this offset is not
    /// gone. That it may lie behind the end is told after what diverges.
    async fn admit(&self, cell: &Cell, target: &Target) -> Result<View, ErrorCode> {
        let offset = target.fetch_offset;
        let admitted = |view: View| {
            let admitted = super::admit(&view, target.leader_epoch, self.terms.from_followers);
            admitted.map(|()| view)
        };
        let mut view = admitted(cell.view())?;
        if view.end < offset {
            // Appends do not publish their end before they are durable.
            view = admitted(cell.fresh_view())?;
        }
        if view.end < offset && is_leader(&view) {
            // One that leads no more may lack what its successor has, and who hears that
            // the offset is out of range begins anew.
            let surely = super::surely_leads(self.cx, cell).await;
            surely.map_err(|_| ErrorCode::NotLeaderOrFollower)?;
            view = admitted(cell.fresh_view())?;
        }
        if offset < view.log_start {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        Ok(view)
    }

    /// Whether the replica is still this broker's: one that is given up follows nobody.
    fn is_here(&self, target: &Target) -> bool {
        let topic = find_topic(self.cx, &target.topic);
        topic.is_ok_and(|topic| topic.cell(target.partition).is_some())
    }

    /// The replica in the client's rack that it should read from rather than from this
    /// leader: of those in sync the one that has come furthest.
    fn preferred(&self, cell: &Cell, view: &View, target: &Target) -> Option<ottla_base::BrokerId> {
        let rack = self.terms.rack.as_deref()?;
        if !is_leader(view) {
            return None;
        }
        let image = self.cx.broker.image();
        let is_there = |id: ottla_base::BrokerId| {
            let broker = image.active_broker(id);
            broker.is_some_and(|broker| {
                let is_reachable = broker.endpoint(&self.cx.connection.listener).is_some();
                broker.rack.as_deref() == Some(rack) && is_reachable
            })
        };
        if is_there(self.cx.broker.id) {
            return None;
        }
        let replicas = cell.in_sync_with(target.fetch_offset).into_iter();
        let there = replicas.filter(|(id, _)| is_there(*id));
        there.max_by_key(|(_, end)| *end).map(|(id, _)| id)
    }

    /// A topic that was deleted while the fetch waited has no leader, and is not
    /// there: that is what the client is told.
    fn why(&self, target: &Target, code: ErrorCode) -> ErrorCode {
        match find_topic(self.cx, &target.topic) {
            Ok(_) => code,
            Err(unknown) => is_gone(self.cx, target).unwrap_or(unknown),
        }
    }

    /// Batches leave as they were stored. That version 10 is the first to know
    /// zstd is the client's concern: Kafka 4 refuses no version, and clients
    /// that read zstd with version 4 exist.
    fn with_records(view: View, records: Vec<RecordBatch>) -> PartitionResult {
        let sizes = records.iter().map(|batch| batch.size().0);
        let bytes = usize::try_from(sizes.sum::<u64>()).unwrap_or(usize::MAX);
        PartitionResult {
            records,
            bytes,
            ..PartitionResult::empty(view)
        }
    }

    /// The first partition that has anything gives at least one batch, whatever
    /// its size.
    async fn read_log(
        &self,
        cell: &Arc<Cell>,
        target: &Target,
        until: Offset,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let partition_max = usize::try_from(target.bytes_max).unwrap_or(0);
        let left = self.terms.bytes_max.saturating_sub(self.bytes);
        let (bytes_max, at_least_one) = (partition_max.min(left), self.bytes == 0);
        let from = target.fetch_offset;
        let read = {
            let cell = cell.clone();
            move |mode| {
                let (store, log) = (&cell.store, cell.log);
                store.read(log, from, until, bytes_max, at_least_one, mode)
            }
        };
        if let ReadOutcome::Ready(batches) = read(ReadMode::NonBlocking)? {
            return Ok(batches);
        }
        let pool = &self.cx.broker.read_pool;
        match pool.run(move || read(ReadMode::Blocking)).await? {
            ReadOutcome::Ready(batches) => Ok(batches),
            ReadOutcome::WouldBlock => unreachable!("a blocking read gives a result"),
        }
    }
}

fn find_topic(cx: &Cx, key: &TopicKey) -> Result<Arc<crate::partitions::LocalTopic>, ErrorCode> {
    let registry = &cx.broker.registry;
    match key {
        TopicKey::Name(name) => registry
            .topic(name.as_str())
            .ok_or(ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => registry.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId),
    }
}

/// The name of a topic that is asked for by id.
fn name_of(cx: &Cx, key: &TopicKey) -> Option<TopicName> {
    match key {
        TopicKey::Name(_) => None,
        TopicKey::Id(id) => {
            let image = cx.broker.image();
            image.topic_by_id(*id).map(|topic| topic.name.clone())
        }
    }
}

/// What a session is told of a topic that it knew by id and that is there no
/// more, as Kafka tells it: by the name that the topic had.
fn is_gone(cx: &Cx, target: &Target) -> Option<ErrorCode> {
    let name = target.name.as_ref()?;
    let namesake = cx.broker.registry.topic(name.as_str());
    let namesake = namesake.filter(|topic| topic.cell(target.partition).is_some());
    Some(match namesake {
        Some(_) => ErrorCode::InconsistentTopicId,
        None => ErrorCode::UnknownTopicOrPartition,
    })
}

/// An epoch that the client need not know.
fn epoch_from_wire(epoch: i32) -> LeaderEpoch {
    if epoch < 0 {
        LeaderEpoch::NONE
    } else {
        LeaderEpoch(epoch)
    }
}

/// Where the client's last record parts from this log (KIP-595's check for
/// truncation, which consumers use too).
fn diverging(
    cell: &Cell,
    view: &View,
    target: &Target,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    let epoch = target.last_fetched_epoch;
    let is_current = epoch == view.leader_epoch && target.fetch_offset <= view.high_watermark;
    if epoch == LeaderEpoch::NONE || is_current {
        return Ok(None);
    }
    // Nobody can have records of an epoch that is still to come.
    let (_, ours) = cell.end_offset_for(epoch);
    let ours = ours.ok_or(ErrorCode::OffsetOutOfRange)?;
    let diverges = ours.epoch < epoch || ours.end < target.fetch_offset;
    Ok(diverges.then_some(EpochEndOffset {
        epoch: ours.epoch.0,
        end_offset: ours.end.0,
    }))
}

impl PartitionResult {
    fn empty(view: View) -> Self {
        Self {
            error: ErrorCode::None,
            is_unknown: false,
            view: Some(view),
            diverging: None,
            preferred: None,
            records: Vec::new(),
            bytes: 0,
        }
    }

    fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            is_unknown: false,
            view: None,
            diverging: None,
            preferred: None,
            records: Vec::new(),
            bytes: 0,
        }
    }

    fn unknown(error: ErrorCode) -> Self {
        Self {
            // Another topic of that name is something, in Kafka's eyes.
            is_unknown: error != ErrorCode::InconsistentTopicId,
            ..Self::refused(error)
        }
    }

    fn ends_the_wait(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some() || self.preferred.is_some()
    }

    fn found(&self) -> Found {
        Found {
            error: self.error,
            high_watermark: self.view.map_or(Offset::NONE, |view| view.high_watermark),
            log_start: self.view.map_or(Offset::NONE, |view| view.log_start),
            has_records: !self.records.is_empty(),
            // Either is told although nothing else is new.
            is_diverging: self.diverging.is_some() || self.preferred.is_some(),
        }
    }
}

fn to_wire(
    cx: &Cx,
    terms: &Terms,
    session_id: i32,
    results: Vec<(&Target, PartitionResult)>,
) -> FetchResponse {
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut last_topic: Option<&TopicKey> = None;
    for (target, result) in results {
        if last_topic != Some(&target.topic) {
            last_topic = Some(&target.topic);
            responses.push(topic_to_wire(&target.topic));
        }
        let partition = partition_to_wire(cx, terms, target, result);
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(partition);
        }
    }
    FetchResponse {
        session_id,
        node_endpoints: node_endpoints(cx, &responses),
        responses,
        ..FetchResponse::default()
    }
}

fn topic_to_wire(topic: &TopicKey) -> FetchableTopicResponse {
    let mut response = FetchableTopicResponse::default();
    match topic {
        TopicKey::Name(name) => response.topic = super::wire_topic(name),
        TopicKey::Id(id) => response.topic_id = Uuid::from_bytes(id.0),
    }
    response
}

/// Older clients know no KAFKA_STORAGE_ERROR.
fn code_for(version: i16, error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::KafkaStorageError && version < STORAGE_ERROR_SINCE {
        ErrorCode::NotLeaderOrFollower
    } else {
        error
    }
}

fn partition_to_wire(
    cx: &Cx,
    terms: &Terms,
    target: &Target,
    result: PartitionResult,
) -> PartitionData {
    // There are no transactions in what there is not, as Kafka has it.
    let mut partition = PartitionData {
        partition_index: target.partition.0,
        error_code: code_for(cx.version, result.error).code(),
        high_watermark: -1,
        diverging_epoch: result.diverging,
        aborted_transactions: (terms.read_committed || result.is_unknown).then(Vec::new),
        records: result
            .records
            .iter()
            .flat_map(RecordBatch::chunks)
            .collect(),
        ..PartitionData::default()
    };
    if let Some(preferred) = result.preferred {
        partition.preferred_read_replica = BrokerId(preferred.0);
    }
    if let Some(view) = result.view {
        partition.high_watermark = view.high_watermark.0;
        partition.last_stable_offset = view.last_stable.0;
        partition.log_start_offset = view.log_start.0;
    }
    let moved = matches!(
        result.error,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    if moved && cx.version >= CURRENT_LEADER_SINCE {
        partition.current_leader = Some(current_leader(cx, target));
    }
    partition
}

/// What the cluster knows of who leads; -1 for what it does not.
fn current_leader(cx: &Cx, target: &Target) -> LeaderIdAndEpoch {
    let image = cx.broker.image();
    let topic = match &target.topic {
        TopicKey::Name(name) => image.topic(name),
        TopicKey::Id(id) => image.topic_by_id(*id),
    };
    let (leader, leader_epoch) =
        super::replicas::current_leader(cx, topic.map(|topic| &**topic), target.partition);
    LeaderIdAndEpoch {
        leader_id: BrokerId(leader.map_or(-1, |leader| leader.0)),
        leader_epoch,
    }
}

/// Where the leaders are that the answer names, on the client's listener.
fn node_endpoints(cx: &Cx, responses: &[FetchableTopicResponse]) -> Vec<NodeEndpoint> {
    let partitions = responses.iter().flat_map(|topic| &topic.partitions);
    let leaders = partitions.filter_map(|partition| partition.current_leader);
    let leaders: BTreeSet<_> = leaders.map(|leader| leader.leader_id.0).collect();
    let image = cx.broker.image();
    let endpoints = leaders.into_iter().filter_map(|id| {
        let broker = image.broker(ottla_base::BrokerId(id))?;
        let endpoint = broker.endpoint(&cx.connection.listener)?;
        Some(NodeEndpoint {
            node_id: BrokerId(id),
            host: StrBytes::from_string(endpoint.host.clone()),
            port: endpoint.port.into(),
            rack: broker.rack.clone().map(StrBytes::from_string),
        })
    });
    endpoints.collect()
}
