//! Puts a broker together, in the order in which its parts need each other, and
//! takes it apart again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::config::listeners::{Listener, Listeners, SecurityProtocol};
use ottla_base::config::{ConfigError, Layers, Overrides, Start, TopicConfig};
use ottla_base::{BrokerId, ClusterId, LeaderEpoch, PartitionId, TopicName, TopicPartition};
use ottla_control::{Candidate, Client};
use ottla_controller::{
    BootstrapError, BrokerEpoch, Endpoint, Image, Input, METADATA_TOPIC, Registration, Reply,
};
use ottla_partition::Lead;
use ottla_rpc::{Address, Channels, IncomingStream};
use ottla_store::{LogStore, LogSummary, StoreError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tonic::service::Routes;
use tracing::{info, warn};
use uuid::Uuid;

use crate::broker::{Broker, Parts, Settings};
use crate::clock::SystemClock;
use crate::cluster::{self, Answering, ClusterHandle};
use crate::format::Bootstrap;
use crate::metadata::{ControllerHandle, Follower};
use crate::net::{self, Bound, ConnectionFacts};
use crate::partitions::{Cell, CellParts, Timers, recover, revive};
use crate::tasks::{Stop, Tasks};
use crate::topics::{METADATA_TOPIC_ID, OFFSETS_TOPIC};
use crate::{compaction, housekeeping, limits};

pub use crate::cluster::RegistrationError;
pub use crate::metadata::{ControllerError, LoadError};
pub use crate::net::BindError;
pub use crate::partitions::RecoverError;

/// What a broker is started with.
#[derive(Debug)]
pub struct StartParts {
    pub settings: Start,
    pub cluster_id: ClusterId,
    /// What a cluster begins with that starts for the first time.
    pub bootstrap: Bootstrap,
    pub store: Arc<dyn LogStore>,
    /// What clients are told where a listener names no host.
    pub host_default: String,
}

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    broker: Arc<Broker>,
    /// Where it listens, by listener, with real ports.
    pub addresses: Vec<(Arc<str>, SocketAddr)>,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("listener {name} wants {protocol:?}, and only PLAINTEXT is served so far")]
    Protocol {
        name: String,
        protocol: SecurityProtocol,
    },
    #[error(
        "process.roles and controller.quorum.voters describe a cluster of several nodes, and only a single node that is broker and controller is served so far"
    )]
    Cluster,
    #[error("the metadata log cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error("the metadata log cannot be loaded: {0}")]
    Load(#[from] LoadError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Controller(#[from] ControllerError),
    #[error(transparent)]
    Register(#[from] RegistrationError),
}

/// Starts a broker and returns when clients can use it.
pub async fn start(parts: StartParts) -> Result<Running, StartError> {
    let listeners = &parts.settings.listeners;
    check_is_served(listeners)?;
    let mut bound = bind_all(listeners).await?;
    let settings = Settings::resolve(&Layers::at_start(&parts.settings.fixed))?;
    let channels = Channels::default();
    let (clock, timers, tasks) = (SystemClock::start(), Arc::default(), Tasks::default());
    let mut logs: HashMap<_, _> = parts
        .store
        .logs()
        .into_iter()
        .map(|log| (log.tp, log))
        .collect();
    let (committed, events) = mpsc::unbounded_channel();
    let (failures, failed) = mpsc::unbounded_channel();
    let cell = open_metadata_log(&parts, clock, &timers, &failures, &mut logs)?;
    let controller = ControllerHandle::new(cell, settings.controller(&parts.settings), committed);
    let image = controller.load()?;

    let broker = Broker::new(Parts {
        id: listeners.node,
        cluster_id: parts.cluster_id.clone(),
        clock,
        store: parts.store.clone(),
        timers: timers.clone(),
        controller,
        tasks: tasks.clone(),
        failures,
        fixed: parts.settings.fixed.clone(),
        settings: resolved(&parts.settings.fixed, listeners, &image)?,
        image: image.clone(),
        cluster: ClusterHandle::new(Client::new(channels.clone(), candidates(&parts.settings))),
        inter_broker: listeners.inter_broker.clone(),
        session_timeout: session_timeout(&parts.settings),
        seed: i32::from_be_bytes(random_bytes()),
    });
    tasks.spawn("timers", timers.run(clock, tasks.stopping()));
    let follower = Follower::start(broker.clone(), image, logs);
    tasks.spawn("metadata", follower.run(events, tasks.stopping()));
    bootstrap(&broker, &parts).await?;
    let registration = registration(&broker, &parts, &bound);
    let addresses = bound
        .iter()
        .map(|bound| (bound.name.clone(), bound.address));
    let addresses = addresses.collect();
    let (handoff, incoming) = ottla_rpc::incoming();
    for bound in &mut bound {
        if *bound.name == *listeners.inter_broker || listeners.is_for_controllers(&bound.name) {
            bound.hand_off(handoff.clone());
        }
    }
    tasks.spawn(
        "grpc",
        serve_nodes(broker.clone(), incoming, tasks.stopping()),
    );
    for bound in bound {
        info!(listener = %bound.name, address = %bound.address, "listening");
        let accept = bound.accept(broker.clone(), tasks.clone(), tasks.stopping());
        tasks.spawn("listener", accept);
    }
    tasks.spawn("watch", cluster::watch(broker.clone(), tasks.stopping()));
    cluster::register(&broker, &registration, tasks.stopping()).await?;
    cluster::join(&broker, tasks.stopping()).await;
    tasks.spawn(
        "report",
        cluster::report(broker.clone(), registration, tasks.stopping()),
    );
    tasks.spawn(
        "revive",
        revive::run(broker.clone(), failed, tasks.stopping()),
    );
    tasks.spawn(
        "housekeeping",
        housekeeping::run(broker.clone(), tasks.stopping()),
    );
    tasks.spawn(
        "compaction",
        compaction::run(broker.clone(), tasks.stopping()),
    );
    broker.set_ready();
    Ok(Running { broker, addresses })
}

impl Running {
    pub fn node(&self) -> BrokerId {
        self.broker.id
    }

    /// The cluster's metadata as this broker has it now.
    pub fn image(&self) -> Arc<Image> {
        self.broker.image()
    }

    /// Serves a client over a stream that is no socket, as one that came to the
    /// listener of that name.
    pub fn serve<S>(&self, stream: S, listener: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let facts = ConnectionFacts {
            listener: listener.into(),
            peer: None,
            is_forwarded: false,
        };
        let tasks = &self.broker.tasks;
        let connection = net::serve(stream, facts, self.broker.clone(), tasks.stopping());
        tasks.spawn("connection", connection);
    }

    /// Lets requests that are under way finish, keeps what makes the next start
    /// quick, and closes the store.
    pub async fn stop(self) {
        if self.broker.settings().broker.controlled_shutdown_enable {
            cluster::hand_over(&self.broker).await;
        }
        self.broker.tasks.stop();
        if !self.drained(limits::DRAIN_MS_MAX).await {
            // What still waits is a group's join or sync, which may wait long.
            if let Some(offsets) = self.broker.registry.topic(OFFSETS_TOPIC) {
                offsets.cells().for_each(|cell| cell.dismiss_host());
            }
            if !self.drained(limits::DRAIN_MS_MAX).await {
                warn!("some clients are still owed answers, and are cut off");
            }
        }
        let broker = self.broker.clone();
        let close = move || {
            for topic in broker.registry.topics() {
                topic.cells().for_each(|cell| cell.checkpoint());
            }
            broker.controller.cell().checkpoint();
            broker.store.close();
        };
        self.broker.read_pool.run(close).await;
    }

    /// Whether every task ends within this time.
    async fn drained(&self, ms_max: u64) -> bool {
        let ended = self.broker.tasks.ended();
        tokio::time::timeout(Duration::from_millis(ms_max), ended)
            .await
            .is_ok()
    }
}

fn check_is_served(listeners: &Listeners) -> Result<(), StartError> {
    let is_alone = listeners
        .voters
        .iter()
        .all(|voter| voter.id == listeners.node);
    if !listeners.roles.broker || !listeners.roles.controller || !is_alone {
        return Err(StartError::Cluster);
    }
    let other = listeners
        .bound
        .iter()
        .find(|listener| listener.protocol != SecurityProtocol::Plaintext);
    match other {
        Some(listener) => Err(StartError::Protocol {
            name: listener.name.clone(),
            protocol: listener.protocol,
        }),
        None => Ok(()),
    }
}

/// Binds every listener for clients. A single node needs none for controllers.
async fn bind_all(listeners: &Listeners) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    for listener in &listeners.bound {
        if !listeners.is_for_controllers(&listener.name) {
            bound.push(net::bind(listener).await?);
        }
    }
    Ok(bound)
}

fn resolved(
    fixed: &Overrides,
    listeners: &Listeners,
    image: &Image,
) -> Result<Settings, ConfigError> {
    use ottla_controller::Resource;
    let none = Overrides::new();
    let broker = image.overrides(&Resource::Broker(listeners.node));
    let cluster = image.overrides(&Resource::Brokers);
    Settings::resolve(&Layers {
        broker: broker.map_or(&none, |set| set),
        cluster: cluster.map_or(&none, |set| set),
        fixed,
    })
}

/// Opens the metadata log: a partition like any other, of a topic that is none.
fn open_metadata_log(
    parts: &StartParts,
    clock: SystemClock,
    timers: &Arc<Timers>,
    failures: &mpsc::UnboundedSender<Arc<Cell>>,
    logs: &mut HashMap<TopicPartition, LogSummary>,
) -> Result<Arc<Cell>, StartError> {
    let topic_partition = TopicPartition {
        topic: METADATA_TOPIC_ID,
        partition: PartitionId(0),
    };
    let log = match logs.remove(&topic_partition).map(|log| log.id) {
        Some(log) => log,
        None => parts.store.create(topic_partition)?,
    };
    let node = parts.settings.listeners.node;
    let settings = ottla_partition::Settings::default();
    let partition =
        recover(&*parts.store, log, clock.now(), node, settings).map_err(LoadError::from)?;
    let layers = Layers::at_start(&parts.settings.fixed);
    // What the cluster has agreed on is flushed, whatever becomes of records; so does
    // Kafka.
    let config = TopicConfig {
        flush_messages: 1,
        ..TopicConfig::clone(layers.topic_defaults()?.config())
    };
    let cell = Cell::new(CellParts {
        topic_partition,
        topic: TopicName::from(METADATA_TOPIC),
        log,
        store: parts.store.clone(),
        partition,
        config: Arc::new(config),
        clock,
        timers: timers.clone(),
        failures: failures.clone(),
    });
    cell.lead(Lead {
        epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: vec![node],
        isr: vec![node],
    });
    Ok(cell)
}

/// Writes down which cluster this is, or checks that it is the one.
async fn bootstrap(broker: &Broker, parts: &StartParts) -> Result<(), StartError> {
    let cluster = broker.cluster_id.clone();
    let credentials = parts.bootstrap.scram.iter().cloned();
    let credentials = credentials.map(|(of, credential)| (of, Arc::new(credential)));
    let credentials = credentials.collect();
    let bootstrapped = broker.controller.ask(|token| Input::Bootstrap {
        token,
        cluster,
        credentials,
    });
    match bootstrapped.await {
        Ok(Reply::Bootstrap(result)) => Ok(result?),
        Ok(other) => unreachable!("the controller answered with {other:?}"),
        Err(error) => Err(error.into()),
    }
}

/// What this broker tells the cluster of itself.
fn registration(broker: &Broker, parts: &StartParts, bound: &[Bound]) -> Registration {
    Registration {
        id: broker.id,
        epoch: BrokerEpoch::default(),
        incarnation: *Uuid::new_v4().as_bytes(),
        rack: parts.settings.broker.broker_rack.clone(),
        listeners: endpoints(parts, bound),
        fenced: true,
        in_controlled_shutdown: false,
    }
}

/// Serves other nodes until the broker stops.
async fn serve_nodes(broker: Arc<Broker>, incoming: IncomingStream, mut stop: Stop) {
    let routes = Routes::new(ottla_control::service(Arc::new(Answering(broker))));
    let served = ottla_rpc::serve(routes, incoming, async move { stop.requested().await });
    if let Err(error) = served.await {
        warn!(%error, "other nodes are not served any more");
    }
}

/// A broker that is silent for so long counts as dead.
fn session_timeout(settings: &Start) -> Duration {
    let ms = settings.session_timeout_ms();
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The nodes that may be the active controller.
fn candidates(settings: &Start) -> Vec<Candidate> {
    let voters = settings.listeners.voters.iter().map(|voter| Candidate {
        id: Some(voter.id),
        address: Address {
            host: voter.host.clone(),
            port: voter.port,
        },
    });
    let servers = settings.listeners.bootstrap_servers.iter();
    let servers = servers.map(|(host, port)| Candidate {
        id: None,
        address: Address {
            host: host.clone(),
            port: *port,
        },
    });
    voters.chain(servers).collect()
}

fn endpoints(parts: &StartParts, bound: &[Bound]) -> Vec<Endpoint> {
    let told = parts.settings.listeners.advertised.iter();
    told.map(|listener| endpoint(listener, parts, bound))
        .collect()
}

fn endpoint(listener: &Listener, parts: &StartParts, bound: &[Bound]) -> Endpoint {
    let real = bound.iter().find(|bound| *bound.name == *listener.name);
    let port = match (listener.port, real) {
        (0, Some(bound)) => bound.address.port(),
        (port, _) => port,
    };
    Endpoint {
        listener: listener.name.clone(),
        host: listener
            .host
            .clone()
            .unwrap_or_else(|| parts.host_default.clone()),
        port,
        protocol: listener.protocol,
    }
}

fn random_bytes() -> [u8; 4] {
    let id = Uuid::new_v4();
    let [a, b, c, d, ..] = *id.as_bytes();
    [a, b, c, d]
}
