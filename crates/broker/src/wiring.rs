//! Puts a broker together, in the order in which its parts need each other, and
//! takes it apart again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::config::listeners::{Listener, Listeners, SecurityProtocol};
use ottla_base::config::{ConfigError, Layers, Overrides, Start};
use ottla_base::{BrokerId, ClusterId};
use ottla_control::{Candidate, Client};
use ottla_controller::{BootstrapError, BrokerEpoch, Endpoint, Image, Registration};
use ottla_quorum::{Proposer, Voter};
use ottla_replication::Leaders;
use ottla_rpc::{Channels, IncomingStream};
use ottla_store::LogStore;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tonic::service::Routes;
use tracing::{info, warn};
use uuid::Uuid;

use crate::broker::{Broker, Parts, Settings};
use crate::clock::SystemClock;
use crate::cluster::{self, Answering, ClusterHandle, Told};
use crate::format::Bootstrap;
use crate::metadata::{
    Beginning, ControllerHandle, ControllerParts, Controllers, Event, Follower, Source,
};
use crate::net::{self, Bound, ConnectionFacts};
use crate::partitions::{Cell, IsrProposal, LocalReplicas, StreamNode, revive};
use crate::tasks::{Stop, Tasks};
use crate::topics::OFFSETS_TOPIC;
use crate::{compaction, housekeeping, limits};

pub use crate::cluster::RegistrationError;
pub use crate::metadata::SourceError;
pub use crate::net::BindError;
pub use crate::partitions::RecoverError;

/// What a broker is started with.
#[derive(Debug)]
pub struct StartParts {
    pub settings: Start,
    pub cluster_id: ClusterId,
    /// The id of the data directory: another one has other data.
    pub directory: String,
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
    #[error("the metadata log cannot be opened: {0}")]
    Source(#[from] SourceError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Register(#[from] RegistrationError),
}

/// Starts a node and returns when clients can use it.
pub async fn start(parts: StartParts) -> Result<Running, StartError> {
    let listeners = &parts.settings.listeners;
    check_is_served(listeners)?;
    let bound = bind_all(listeners).await?;
    let addresses = bound
        .iter()
        .map(|bound| (bound.name.clone(), bound.address));
    let addresses = addresses.collect();
    let channels = Channels::default();
    let (clock, tasks) = (SystemClock::start(), Tasks::default());
    let mut logs: HashMap<_, _> = parts
        .store
        .logs()
        .into_iter()
        .map(|log| (log.tp, log))
        .collect();
    let (heard, events) = mpsc::unbounded_channel();
    let (proposer, proposals) = ottla_quorum::proposals();
    let controllers = Controllers::new(listeners);
    let controller = controller(&parts, clock, heard, proposer, &controllers)?;
    let participant = controller.participant();
    let source = controllers.open(
        &parts.store,
        &mut logs,
        &channels,
        participant.clone(),
        proposals,
    )?;
    let (failures, failed) = mpsc::unbounded_channel();
    let (cut, cuts) = mpsc::unbounded_channel();
    let (proposals, proposed) = mpsc::unbounded_channel();
    let broker = make_broker(
        &parts,
        clock,
        &tasks,
        controller.clone(),
        &controllers,
        &channels,
        &source,
        Reports {
            failures,
            cut,
            proposals,
        },
    )?;
    tasks.spawn("timers", broker.timers.clone().run(clock, tasks.stopping()));
    tasks.spawn("controller", controller.run(tasks.stopping()));
    let follower = Follower::new(broker.clone(), source.image().0, logs);
    tasks.spawn("metadata", follower.run(events, tasks.stopping()));
    let registration = registration(&broker, &parts, &bound);
    accept(&broker, bound, listeners, source.voter());
    source.start(&controllers, &channels, participant, &tasks);
    tasks.spawn("watch", cluster::watch(broker.clone(), tasks.stopping()));
    let after_cuts = revive::after_cuts(broker.clone(), cuts, tasks.stopping());
    tasks.spawn("after-cuts", after_cuts);
    let propose = cluster::propose(broker.clone(), proposed, tasks.stopping());
    tasks.spawn("isr", propose);
    if listeners.roles.broker {
        join(&broker, registration).await?;
    }
    keep_house(&broker, failed);
    broker.set_ready();
    Ok(Running { broker, addresses })
}

/// Returns when this broker is a member of the cluster, and stays one.
async fn join(broker: &Arc<Broker>, registration: Registration) -> Result<(), StartError> {
    let tasks = &broker.tasks;
    let joined = async {
        cluster::register(broker, &registration, tasks.stopping()).await?;
        cluster::join(broker, tasks.stopping()).await;
        Ok::<_, StartError>(())
    };
    tokio::select! {
        biased;
        refused = broker.controller.refused() => return Err(refused.into()),
        joined = joined => joined?,
    }
    let report = cluster::report(broker.clone(), registration, tasks.stopping());
    tasks.spawn("report", report);
    Ok(())
}

fn controller(
    parts: &StartParts,
    clock: SystemClock,
    events: mpsc::UnboundedSender<Event>,
    proposer: Proposer,
    controllers: &Controllers,
) -> Result<ControllerHandle, StartError> {
    let settings = Settings::resolve(&Layers::at_start(&parts.settings.fixed))?;
    let credentials = parts.bootstrap.scram.iter().cloned();
    let credentials = credentials.map(|(of, credential)| (of, Arc::new(credential)));
    Ok(ControllerHandle::new(ControllerParts {
        settings: settings.controller(&parts.settings),
        clock,
        events,
        proposer,
        voters: controllers.voters(),
        beginning: Beginning {
            cluster: parts.cluster_id.clone(),
            credentials: credentials.collect(),
        },
    }))
}

/// Where cells report what they cannot do themselves.
struct Reports {
    failures: mpsc::UnboundedSender<Arc<Cell>>,
    cut: mpsc::UnboundedSender<Arc<Cell>>,
    proposals: mpsc::UnboundedSender<IsrProposal>,
}

#[expect(
    clippy::too_many_arguments,
    reason = "they are what a broker is made of"
)]
fn make_broker(
    parts: &StartParts,
    clock: SystemClock,
    tasks: &Tasks,
    controller: ControllerHandle,
    controllers: &Controllers,
    channels: &Channels,
    source: &Source,
    reports: Reports,
) -> Result<Arc<Broker>, StartError> {
    let listeners = &parts.settings.listeners;
    let (image, metadata_end) = source.image();
    let candidates = controllers.others().into_iter();
    let candidates = candidates.map(|(id, address)| Candidate { id, address });
    Ok(Broker::new(Parts {
        id: listeners.node,
        cluster_id: parts.cluster_id.clone(),
        clock,
        store: parts.store.clone(),
        timers: Arc::default(),
        controller,
        tasks: tasks.clone(),
        failures: reports.failures,
        cut: reports.cut,
        proposals: reports.proposals,
        channels: channels.clone(),
        fixed: parts.settings.fixed.clone(),
        settings: resolved(&parts.settings.fixed, listeners, &image)?,
        image,
        metadata_end,
        voter: source.voter(),
        cluster: ClusterHandle::new(
            Client::new(channels.clone(), candidates.collect()),
            session_timeout(&parts.settings),
        ),
        inter_broker: listeners.inter_broker.clone(),
        controller_listener: listeners
            .controller_names
            .first()
            .cloned()
            .unwrap_or_default(),
        session_timeout: session_timeout(&parts.settings),
        seed: i32::from_be_bytes(random_bytes()),
    }))
}

/// Lets clients and other nodes in; clients wait until they can be served.
fn accept(broker: &Arc<Broker>, bound: Vec<Bound>, listeners: &Listeners, voter: Option<Voter>) {
    let tasks = &broker.tasks;
    let (handoff, incoming) = ottla_rpc::incoming();
    let nodes = serve_nodes(broker.clone(), voter, incoming, tasks.stopping());
    tasks.spawn("grpc", nodes);
    for mut bound in bound {
        if *bound.name == *listeners.inter_broker || listeners.is_for_controllers(&bound.name) {
            bound.hand_off(handoff.clone());
        }
        info!(listener = %bound.name, address = %bound.address, "listening");
        let accept = bound.accept(broker.clone(), tasks.clone(), tasks.stopping());
        tasks.spawn("listener", accept);
    }
}

/// Serves other nodes until the broker stops.
async fn serve_nodes(
    broker: Arc<Broker>,
    voter: Option<Voter>,
    incoming: IncomingStream,
    mut stop: Stop,
) {
    let leaders = Leaders::new(
        Arc::new(StreamNode {
            id: broker.id,
            broker: Arc::downgrade(&broker),
            tasks: broker.tasks.clone(),
        }),
        Arc::new(LocalReplicas(Arc::downgrade(&broker))),
        limits::REPLICATION,
        broker.throttles.leader.clone(),
    );
    let control = ottla_control::service(Arc::new(Answering(broker)));
    let mut routes = Routes::new(control).add_service(leaders.service());
    if let Some(voter) = voter {
        routes = routes.add_service(voter.service());
    }
    let served = ottla_rpc::serve(routes, incoming, async move { stop.requested().await });
    if let Err(error) = served.await {
        warn!(%error, "other nodes are not served any more");
    }
}

fn keep_house(broker: &Arc<Broker>, failed: mpsc::UnboundedReceiver<Arc<Cell>>) {
    let tasks = &broker.tasks;
    let revive = revive::run(broker.clone(), failed, tasks.stopping());
    tasks.spawn("revive", revive);
    let housekeeping = housekeeping::run(broker.clone(), tasks.stopping());
    tasks.spawn("housekeeping", housekeeping);
    let compaction = compaction::run(broker.clone(), tasks.stopping());
    tasks.spawn("compaction", compaction);
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
            forwarded_by: None,
            told: Told::default(),
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

/// Binds every listener.
async fn bind_all(listeners: &Listeners) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    for listener in &listeners.bound {
        bound.push(net::bind(listener).await?);
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

/// What this broker tells the cluster of itself.
fn registration(broker: &Broker, parts: &StartParts, bound: &[Bound]) -> Registration {
    Registration {
        id: broker.id,
        epoch: BrokerEpoch::default(),
        incarnation: broker.incarnation,
        directory: Some(parts.directory.clone()),
        rack: parts.settings.broker.broker_rack.clone(),
        listeners: endpoints(parts, bound),
        fenced: true,
        in_controlled_shutdown: false,
        last_away: None,
    }
}

/// A broker that is silent for so long counts as dead.
fn session_timeout(settings: &Start) -> Duration {
    let ms = settings.session_timeout_ms();
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
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
