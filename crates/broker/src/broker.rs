//! The broker's services, as handlers see them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::config::{BrokerConfig, Layers, Overrides, Start, TopicConfig, TopicDefaults};
use ottla_base::{BrokerId, ClusterId, Offset, TopicName};
use ottla_controller::{Image, Resource};
use ottla_quorum::Voter;
use ottla_replication::{Links, Throttle};
use ottla_rpc::Channels;
use ottla_store::LogStore;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::error;
use uuid::Uuid;

use crate::budget::ByteBudget;
use crate::clock::SystemClock;
use crate::cluster::ClusterHandle;
use crate::fetch::{ReadPool, Sessions};
use crate::metadata::ControllerHandle;
use crate::partitions::{Cell, IsrProposal, Peers, Registry, StreamNode, Timers};
use crate::producer_ids::ProducerIds;
use crate::tasks::Tasks;

/// What one running broker is made of. Made once, by `wiring`; what changes
/// while it runs is published whole.
#[derive(Debug)]
pub(crate) struct Broker {
    pub id: BrokerId,
    pub cluster_id: ClusterId,
    pub clock: SystemClock,
    pub store: Arc<dyn LogStore>,
    pub registry: Registry,
    pub timers: Arc<Timers>,
    pub sessions: Sessions,
    pub read_pool: ReadPool,
    pub budget: ByteBudget,
    pub controller: ControllerHandle,
    pub producer_ids: ProducerIds,
    pub tasks: Tasks,
    /// Partitions whose store refused an append.
    pub failures: mpsc::UnboundedSender<Arc<Cell>>,
    /// How replicas reach those of other brokers.
    pub peers: Peers,
    /// What a leader may send, and a follower receive, of replicas that are moved.
    pub throttles: Throttles,
    /// What was set at start: file, environment, arguments.
    pub fixed: Overrides,
    /// This node's part in keeping the metadata, if it has one.
    pub voter: Option<Voter>,
    /// How the active controller is reached.
    pub cluster: ClusterHandle,
    /// The listener that brokers use among themselves.
    pub inter_broker: String,
    /// The listener that controllers use among themselves; empty where there is none.
    pub controller_listener: String,
    /// Fresh in every process.
    pub incarnation: [u8; 16],
    image: ArcSwap<Image>,
    /// The offset after what `image` shows.
    metadata_end: AtomicI64,
    /// Counts the images, so that one can wait for the next.
    images: watch::Sender<u64>,
    settings: ArcSwap<Settings>,
    /// A broker that is silent for so long counts as dead.
    session_timeout: Duration,
    /// Whether clients are served yet.
    ready: watch::Sender<bool>,
}

/// The settings in force: typed, and resolved anew when one changes.
#[derive(Debug)]
pub(crate) struct Settings {
    pub broker: BrokerConfig,
    pub topics: TopicDefaults,
}

/// What [`Broker::new`] is made from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub id: BrokerId,
    pub cluster_id: ClusterId,
    pub clock: SystemClock,
    pub store: Arc<dyn LogStore>,
    pub timers: Arc<Timers>,
    pub controller: ControllerHandle,
    pub tasks: Tasks,
    pub failures: mpsc::UnboundedSender<Arc<Cell>>,
    pub fixed: Overrides,
    pub image: Image,
    pub metadata_end: Offset,
    pub voter: Option<Voter>,
    pub settings: Settings,
    pub cluster: ClusterHandle,
    pub channels: Channels,
    pub proposals: mpsc::UnboundedSender<IsrProposal>,
    pub cut: mpsc::UnboundedSender<Arc<Cell>>,
    pub inter_broker: String,
    pub controller_listener: String,
    pub session_timeout: Duration,
    /// Moves whatever is numbered at random.
    pub seed: i32,
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let config = &parts.settings.broker;
        let slots = config.max_incremental_fetch_session_cache_slots;
        let slots = usize::try_from(slots).unwrap_or(0);
        let request_bytes_max = match usize::try_from(config.queued_max_request_bytes) {
            Ok(bytes) if bytes > 0 => bytes,
            Ok(_) | Err(_) => crate::limits::REQUEST_BYTES_MAX,
        };
        let throttles = Throttles::new(config);
        Arc::new_cyclic(|me| Self {
            peers: peers(&parts, me, &throttles),
            throttles,
            id: parts.id,
            cluster_id: parts.cluster_id,
            clock: parts.clock,
            store: parts.store,
            registry: Registry::default(),
            timers: parts.timers,
            sessions: Sessions::new(slots, parts.seed),
            read_pool: ReadPool::start(),
            budget: ByteBudget::new(request_bytes_max),
            controller: parts.controller,
            producer_ids: ProducerIds::default(),
            tasks: parts.tasks,
            failures: parts.failures,
            fixed: parts.fixed,
            voter: parts.voter,
            cluster: parts.cluster,
            inter_broker: parts.inter_broker,
            controller_listener: parts.controller_listener,
            incarnation: *Uuid::new_v4().as_bytes(),
            image: ArcSwap::from_pointee(parts.image),
            metadata_end: AtomicI64::new(parts.metadata_end.0),
            images: watch::Sender::new(0),
            settings: ArcSwap::from_pointee(parts.settings),
            session_timeout: parts.session_timeout,
            ready: watch::Sender::new(false),
        })
    }

    /// What the metadata log says, as far as this broker has carried it out.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// How far the metadata log is carried out.
    pub(crate) fn metadata_offset(&self) -> i64 {
        self.metadata_end.load(Ordering::Acquire)
    }

    /// The layers that a broker setting is looked for in.
    pub(crate) fn with_layers<T>(&self, image: &Image, look: impl FnOnce(Layers<'_>) -> T) -> T {
        let none = Overrides::new();
        let broker = image.overrides(&Resource::Broker(self.id));
        let cluster = image.overrides(&Resource::Brokers);
        look(Layers {
            broker: broker.map_or(&none, |set| set),
            cluster: cluster.map_or(&none, |set| set),
            fixed: &self.fixed,
        })
    }

    /// The settings in force for a topic.
    pub(crate) fn topic_config(&self, image: &Image, topic: &TopicName) -> Arc<TopicConfig> {
        let defaults = &self.settings().topics;
        let Some(overrides) = image.overrides(&Resource::Topic(topic.clone())) else {
            return defaults.config().clone();
        };
        defaults.with(overrides).unwrap_or_else(|error| {
            // The controller has checked it: only a younger program can have
            // written what this one refuses.
            error!(%topic, %error, "the topic's settings are not understood, so the defaults hold");
            defaults.config().clone()
        })
    }

    /// `end` is the offset after what the image shows of the metadata log.
    pub(crate) fn publish_image(&self, image: Image, end: Offset) {
        self.image.store(Arc::new(image));
        self.metadata_end.store(end.0, Ordering::Release);
        self.images.send_modify(|count| *count += 1);
    }

    /// Tells of every image that is published from now on.
    pub(crate) fn image_changes(&self) -> watch::Receiver<u64> {
        self.images.subscribe()
    }

    /// Returns when the metadata log is carried out up to this offset.
    pub(crate) async fn metadata_reaches(&self, end: i64) {
        let mut images = self.image_changes();
        while self.metadata_offset() < end && images.changed().await.is_ok() {}
    }

    /// Clients are served from now on.
    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    /// Returns when clients can be served.
    pub(crate) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender is this broker's own.
        let _gone = ready.wait_for(|ready| *ready).await;
    }

    /// Whether nobody else leads what this broker leads, so that what it knows of it is
    /// all there is to know.
    pub(crate) fn has_lease(&self) -> bool {
        let lease = self.cluster.lease();
        lease.covers(Instant::now(), self.metadata_offset())
    }

    /// A broker that is silent for so long counts as dead.
    pub(crate) fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    pub(crate) fn publish_settings(&self, settings: Settings) {
        self.throttles.set(&settings.broker);
        self.settings.store(Arc::new(settings));
    }
}

/// Both directions of what is throttled.
#[derive(Debug)]
pub(crate) struct Throttles {
    pub leader: Arc<Throttle>,
    pub follower: Arc<Throttle>,
}

impl Throttles {
    fn new(config: &BrokerConfig) -> Self {
        let throttle = |rate| Arc::new(Throttle::new(u64::try_from(rate).unwrap_or(0)));
        Self {
            leader: throttle(config.leader_replication_throttled_rate),
            follower: throttle(config.follower_replication_throttled_rate),
        }
    }

    fn set(&self, config: &BrokerConfig) {
        let rate = |rate| u64::try_from(rate).unwrap_or(0);
        self.leader
            .set_rate(rate(config.leader_replication_throttled_rate));
        self.follower
            .set_rate(rate(config.follower_replication_throttled_rate));
    }
}

fn peers(parts: &Parts, me: &Weak<Broker>, throttles: &Throttles) -> Peers {
    let node = StreamNode {
        id: parts.id,
        broker: me.clone(),
        tasks: parts.tasks.clone(),
    };
    let (channels, throttle) = (parts.channels.clone(), throttles.follower.clone());
    Peers {
        node: parts.id,
        links: Arc::new(Links::new(Arc::new(node), channels, throttle)),
        proposals: parts.proposals.clone(),
        cut: parts.cut.clone(),
        lost_leaders: Arc::default(),
    }
}

impl Settings {
    pub(crate) fn resolve(layers: &Layers<'_>) -> Result<Self, ottla_base::config::ConfigError> {
        Ok(Self {
            broker: layers.broker_config()?,
            topics: layers.topic_defaults()?,
        })
    }

    pub(crate) fn groups(&self) -> ottla_coordinator::Settings {
        let config = &self.broker;
        ottla_coordinator::Settings {
            session_timeout_ms_min: config.group_min_session_timeout_ms,
            session_timeout_ms_max: config.group_max_session_timeout_ms,
            initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
            members_max: usize::try_from(config.group_max_size).unwrap_or(usize::MAX),
            offset_metadata_length_max: usize::try_from(config.offset_metadata_max_bytes)
                .unwrap_or(0),
            offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
            ..ottla_coordinator::Settings::default()
        }
    }

    pub(crate) fn controller(&self, start: &Start) -> ottla_controller::Settings {
        let factor = self.broker.default_replication_factor;
        let rebalance = self.broker.auto_leader_rebalance_enable;
        let check_ms = self
            .broker
            .leader_imbalance_check_interval_seconds
            .saturating_mul(1_000);
        ottla_controller::Settings {
            partitions_default: self.broker.num_partitions,
            replication_factor_default: i16::try_from(factor).unwrap_or(i16::MAX),
            fixed: Arc::new(start.fixed.clone()),
            session_timeout_ms: start.session_timeout_ms(),
            elr_enabled: true,
            leader_imbalance_check_ms: rebalance.then_some(check_ms),
        }
    }

    pub(crate) fn partition(&self, topic: &TopicConfig) -> ottla_partition::Settings {
        let policy = topic.cleanup_policy;
        ottla_partition::Settings {
            min_insync_replicas: u32::try_from(topic.min_insync_replicas).unwrap_or(1),
            replica_lag_time_max_ms: self.broker.replica_lag_time_max_ms,
            records_deletable: policy.delete || !policy.compact,
            producer_expiration_ms: self.broker.producer_id_expiration_ms.into(),
            ..ottla_partition::Settings::default()
        }
    }
}
