//! Metadata: v0-13.
//!
//! - v0: an empty list of topics means all; later, null does, and empty means none.
//! - v1: controller, rack, internal topics. v2: cluster id. v3: throttle time.
//! - v4: the client may refuse auto-creation. v5: offline replicas. v7: leader
//!   epochs. v8: authorized operations, for the cluster up to v10.
//! - v9: flexible encodings. v10: topic ids in answers. v12: lookup by id.
//! - v13: a top-level error (KIP-1102).
//!
//! Brokers that are not alive are not listed, and their replicas are offline; a partition
//! that one of them leads has no leader for clients. How each client hears of one that has
//! just left is told in `cluster/departures.rs`. A replica here whose log cannot be
//! opened is offline too.
//!
//! The controller is whichever broker answers: each forwards what only the active
//! controller can do, as in Kafka.
//!
//! Where this broker leads a partition of a topic that is asked for by name, and another
//! may lead it by now, the connection is closed: librdkafka asks whom it has a connection
//! to, and for as long as that answers, whatever it says, nobody else.
//!
//! Auto-creation is asynchronous, as in Kafka: the answer still says
//! UNKNOWN_TOPIC_OR_PARTITION, and the client asks again.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_base::{BrokerId, ErrorCode, TopicId, TopicName};
use ottla_controller::{Image, Topic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};
use ottla_protocol::{StrBytes, Uuid};

use super::admin::first_time;
use super::replicas::{Replicas, controller_id};
use super::{Cx, Handler, NO_OPERATIONS, Refusal, wire_topic};
use crate::cluster::{Departure, takes_part};
use crate::topics;

/// The first version in which null means all topics.
const NULL_IS_ALL_SINCE: i16 = 1;

/// The first version in which a topic may have no name on the wire.
const NULL_NAME_SINCE: i16 = 10;

/// The first version that may ask by id.
const LOOKUP_BY_ID_SINCE: i16 = 12;

/// The first version in which a client can refuse auto-creation.
const CREATION_FLAG_SINCE: i16 = 4;

/// The first version that knows LISTENER_NOT_FOUND.
const LISTENER_NOT_FOUND_SINCE: i16 = 6;

/// How long an answer waits until another leads what a process led that has ended.
const ELECTION_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Metadata;

impl Handler for Metadata {
    type Request = MetadataRequest;
    const SERVED: RangeInclusive<i16> = 0..=13;

    async fn handle(cx: Cx, request: MetadataRequest) -> Result<MetadataResponse, Refusal> {
        let wanted = Wanted::from_wire(cx.version, &request)?;
        let _late = tokio::time::timeout(ELECTION_PATIENCE, elections(&cx, &wanted)).await;
        let image = cx.broker.image();
        let answer = Answer {
            cx: &cx,
            image: &image,
            news: news(&cx, &image, &wanted),
            operations: Operations::from_wire(&request),
        };
        let may_create = cx.version < CREATION_FLAG_SINCE || request.allow_auto_topic_creation;
        let topics = match wanted {
            Wanted::All => image.topics().map(|topic| answer.topic(topic)).collect(),
            Wanted::ByName(names) if names.iter().any(|name| is_doubtful(&cx, name)) => {
                return Err(Refusal::Close);
            }
            Wanted::ByName(names) => answer.by_name(names, may_create),
            Wanted::ById(ids) => ids.into_iter().map(|id| answer.by_id(id)).collect(),
            Wanted::Refused(topics) => {
                return Ok(MetadataResponse::default().with_topics(topics));
            }
        };
        Ok(MetadataResponse::default()
            .with_brokers(answer.brokers())
            .with_cluster_id(Some(StrBytes::from_string(
                cx.broker.cluster_id.as_str().to_owned(),
            )))
            .with_controller_id(controller_id(&cx, &image).into())
            .with_topics(topics)
            .with_cluster_authorized_operations(answer.operations.cluster))
    }

    fn refuse(error: ErrorCode) -> MetadataResponse {
        MetadataResponse::default().with_error_code(error.code())
    }
}

/// Which authorized operations are reported. Without an authorizer, all are.
#[derive(Clone, Copy, Debug)]
struct Operations {
    cluster: i32,
    topic: i32,
}

impl Operations {
    fn from_wire(request: &MetadataRequest) -> Self {
        let asked = |is_asked: bool, all: i32| if is_asked { all } else { NO_OPERATIONS };
        Self {
            cluster: asked(
                request.include_cluster_authorized_operations,
                super::CLUSTER_OPERATIONS,
            ),
            topic: asked(
                request.include_topic_authorized_operations,
                super::TOPIC_OPERATIONS,
            ),
        }
    }
}

/// What the request asks for, freed of its versions.
#[derive(Debug)]
enum Wanted {
    All,
    ByName(Vec<TopicName>),
    ById(Vec<TopicId>),
    /// Nothing, because of this.
    Refused(Vec<MetadataResponseTopic>),
}

impl Wanted {
    fn from_wire(version: i16, request: &MetadataRequest) -> Result<Self, Refusal> {
        let Some(topics) = &request.topics else {
            if version < NULL_IS_ALL_SINCE {
                return Err(Refusal::Close);
            }
            return Ok(Self::All);
        };
        if topics.is_empty() && version < NULL_IS_ALL_SINCE {
            return Ok(Self::All);
        }
        let has_id = |id: &Uuid| !id.is_nil();
        let lacks_name = topics.iter().any(|topic| topic.name.is_none());
        if version < NULL_NAME_SINCE && lacks_name {
            return Err(Refusal::Close);
        }
        let ids = topics.iter().map(|topic| topic.topic_id);
        let ids: Vec<_> = ids.filter(has_id).collect();
        if version < LOOKUP_BY_ID_SINCE && (lacks_name || !ids.is_empty()) {
            return Ok(Self::Refused(topics.iter().map(refused).collect()));
        }
        if !ids.is_empty() {
            let ids = ids.iter().map(|id| TopicId(*id.as_bytes()));
            return Ok(Self::ById(ids.collect()));
        }
        let names = topics.iter().filter_map(|topic| topic.name.as_ref());
        let mut first_time = first_time();
        let names = names.filter(|name| first_time(name));
        Ok(Self::ByName(
            names.map(|name| name.as_str().into()).collect(),
        ))
    }

    /// Those of them that are known; none where all are asked for.
    fn topics<'a>(&'a self, image: &'a Image) -> impl Iterator<Item = &'a Topic> {
        let (names, ids): (&[TopicName], &[TopicId]) = match self {
            Self::ByName(names) => (names, &[]),
            Self::ById(ids) => (&[], ids),
            Self::All | Self::Refused(_) => (&[], &[]),
        };
        let named = names.iter().filter_map(|name| image.topic(name));
        let identified = ids.iter().filter_map(|id| image.topic_by_id(*id));
        named.chain(identified).map(|topic| &**topic)
    }
}

/// What stands for each topic where one is asked for in a way that came later.
fn refused(topic: &MetadataRequestTopic) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ErrorCode::InvalidRequest.code())
        .with_name(Some(topic.name.clone().unwrap_or_default()))
        .with_topic_id(topic.topic_id)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

/// Where the process of a leader has ended, this returns as soon as there is another:
/// librdkafka asks when its connection to a leader is closed, and if there is none, perhaps
/// again only a second later.
async fn elections(cx: &Cx, wanted: &Wanted) {
    let mut images = cx.broker.image_changes();
    let mut ended = cx.broker.cluster.ended.changes();
    while has_ended_leader(cx, wanted) {
        let changed = tokio::select! {
            changed = images.changed() => changed,
            changed = ended.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Whether the process of one that leads what is asked for has ended.
fn has_ended_leader(cx: &Cx, wanted: &Wanted) -> bool {
    let ended = cx.broker.cluster.ended.now();
    if ended.is_empty() {
        return false;
    }
    let image = cx.broker.image();
    let leaders: BTreeSet<_> = wanted.topics(&image).flat_map(Topic::leaders).collect();
    let mut ended = ended.into_iter();
    ended.any(|life| leaders.contains(&life.0) && takes_part(&image, life))
}

/// Who has just left by this image, without those of whose end the client was told before.
/// It is told now of those that led what it asks for.
fn news(cx: &Cx, image: &Image, wanted: &Wanted) -> Vec<Arc<Departure>> {
    let told = &cx.connection.told;
    let mut news = cx.broker.cluster.departures.recent(Instant::now());
    // A departure is noted before the image in which somebody else leads is published.
    news.retain(|departure| told.lacks(departure.life) && !takes_part(image, departure.life));
    let led = |departure: &&Arc<Departure>| {
        let mut topics = wanted.topics(departure.before());
        topics.any(|topic| departure.led_any(topic))
    };
    let heard = news.iter().filter(led);
    told.tell(heard.map(|departure| departure.life));
    news
}

fn is_doubtful(cx: &Cx, name: &TopicName) -> bool {
    let local = cx.broker.registry.topic(name.as_str());
    local.is_some_and(|local| local.cells().any(|cell| cell.view().is_doubtful))
}

fn unknown_name(name: &TopicName) -> ErrorCode {
    if name.is_legal() {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::InvalidTopic
    }
}

/// What every part of an answer is made from.
struct Answer<'a> {
    cx: &'a Cx,
    image: &'a Image,
    /// Of whose end this answer tells.
    news: Vec<Arc<Departure>>,
    operations: Operations,
}

impl Answer<'_> {
    fn by_name(&self, names: Vec<TopicName>, may_create: bool) -> Vec<MetadataResponseTopic> {
        let broker = &self.cx.broker;
        let mut missing = Vec::new();
        let topics = names.into_iter().map(|name| match self.image.topic(&name) {
            Some(topic) => self.topic(topic),
            None => {
                let code = unknown_name(&name);
                let is_legal = code == ErrorCode::UnknownTopicOrPartition;
                let answer = MetadataResponseTopic::default()
                    .with_error_code(code.code())
                    .with_name(Some(wire_topic(&name)))
                    .with_is_internal(topics::is_internal(&name))
                    .with_topic_authorized_operations(NO_OPERATIONS);
                if is_legal {
                    missing.push(name);
                }
                answer
            }
        });
        let topics = topics.collect();
        let settings = broker.settings();
        if may_create && settings.broker.auto_create_topics_enable && !missing.is_empty() {
            topics::create_in_background(broker, missing);
        }
        topics
    }

    fn by_id(&self, id: TopicId) -> MetadataResponseTopic {
        match self.image.topic_by_id(id) {
            Some(topic) => self.topic(topic),
            None => MetadataResponseTopic::default()
                .with_error_code(ErrorCode::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(Uuid::from_bytes(id.0))
                .with_topic_authorized_operations(NO_OPERATIONS),
        }
    }

    fn topic(&self, topic: &Topic) -> MetadataResponseTopic {
        let partitions = Replicas::of(self.cx, self.image, topic);
        let partitions = partitions.map(|replicas| self.partition(&replicas));
        MetadataResponseTopic::default()
            .with_name(Some(wire_topic(&topic.name)))
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_is_internal(topic.is_internal())
            .with_partitions(partitions.collect())
            .with_topic_authorized_operations(self.operations.topic)
    }

    fn partition(&self, replicas: &Replicas<'_>) -> MetadataResponsePartition {
        let Replicas {
            cx, id, partition, ..
        } = *replicas;
        let has_listener = |id: BrokerId| {
            let broker = self.image.broker(id);
            broker.is_some_and(|broker| broker.endpoint(&cx.connection.listener).is_some())
        };
        let alive = replicas.leader();
        let leader = alive.filter(|leader| has_listener(*leader));
        let code = match (leader, alive) {
            (Some(_), _) => ErrorCode::None,
            (None, Some(_)) if cx.version >= LISTENER_NOT_FOUND_SINCE => {
                ErrorCode::ListenerNotFound
            }
            (None, _) => ErrorCode::LeaderNotAvailable,
        };
        let brokers = |ids: &[BrokerId]| ids.iter().map(|id| id.0.into()).collect();
        let offline = replicas.offline();
        MetadataResponsePartition::default()
            .with_error_code(code.code())
            .with_partition_index(id.0)
            .with_leader_id(leader.map_or(-1, |leader| leader.0).into())
            .with_leader_epoch(partition.leader_epoch.0)
            .with_replica_nodes(brokers(&partition.replicas))
            .with_isr_nodes(brokers(&partition.isr))
            .with_offline_replicas(offline.map(|id| id.0.into()).collect())
    }

    /// Every broker that is alive, or of whose end this answer tells, by its endpoint on the
    /// listener that the client came to.
    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let has_just_left = |id| {
            let mut left = self.news.iter();
            left.any(|departure| departure.life.0 == id)
        };
        let brokers = self
            .image
            .brokers()
            .filter(|broker| !broker.fenced || has_just_left(broker.id));
        let brokers = brokers.filter_map(|broker| {
            let endpoint = broker.endpoint(&self.cx.connection.listener)?;
            Some(
                MetadataResponseBroker::default()
                    .with_node_id(broker.id.0.into())
                    .with_host(StrBytes::from_string(endpoint.host.clone()))
                    .with_port(endpoint.port.into())
                    .with_rack(broker.rack.clone().map(StrBytes::from_string)),
            )
        });
        brokers.collect()
    }
}
