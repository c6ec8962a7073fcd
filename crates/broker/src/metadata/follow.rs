//! Carries out what the metadata log says: the one writer of the partition map
//! and of the published image.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ottla_base::{BrokerId, Offset, PartitionId, TopicName, TopicPartition};
use ottla_controller::{Change, Image, Partition, Record, Registration, Reply, Resource, Topic};
use ottla_coordinator::group::Loader;
use ottla_coordinator::offsets::DeletedTopic;
use ottla_partition::Lead;
use ottla_rpc::Address;
use ottla_store::{LogId, LogSummary};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::broker::{Broker, Settings};
use crate::partitions::{
    Cell, CellParts, Host, HostRefusal, Load, LocalTopic, Place, RecoverError, recover, replay,
};
use crate::tasks::Stop;
use crate::topics::OFFSETS_TOPIC;

/// What the metadata task hears of, in order.
#[derive(Debug)]
pub(crate) enum Event {
    /// These records are committed; `end` is the offset after them.
    Committed { end: Offset, records: Arc<[Record]> },
    /// A reply that may leave now that the records before it are carried out.
    Reply(oneshot::Sender<Reply>, Reply),
}

/// Owned by the metadata task.
#[derive(Debug)]
pub(crate) struct Follower {
    broker: Arc<Broker>,
    image: Image,
    /// Logs that the store had at start and that no partition has claimed yet.
    unclaimed: HashMap<TopicPartition, LogSummary>,
    /// Whether the image has caught up with this life of the broker.
    is_current: bool,
}

impl Follower {
    /// Nothing of `image` is carried out before the cluster has been told that this
    /// broker is here: until then the metadata may be of long ago.
    pub(crate) fn new(
        broker: Arc<Broker>,
        image: Image,
        unclaimed: HashMap<TopicPartition, LogSummary>,
    ) -> Self {
        Self {
            broker,
            image,
            unclaimed,
            is_current: false,
        }
    }

    /// Opens every partition that is here, and drops the logs that no partition claims.
    fn begin(&mut self) {
        self.is_current = true;
        self.resolve_settings();
        self.image.brokers().for_each(|broker| self.find(broker.id));
        let topics: Vec<_> = self.image.topics().cloned().collect();
        for topic in topics {
            self.open(&topic);
        }
        let unclaimed: Vec<_> = self.unclaimed.drain().collect();
        for (_, log) in unclaimed {
            self.drop_log(log.id);
        }
    }

    fn drop_log(&self, log: LogId) {
        self.broker.store.submit(ottla_store::Op::Drop { log });
    }

    fn is_registered(&self) -> bool {
        let own = self.image.broker(self.broker.id);
        own.is_some_and(|own| own.incarnation == self.broker.incarnation)
    }

    pub(crate) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>, mut stop: Stop) {
        loop {
            let event = tokio::select! {
                biased;
                () = stop.requested() => return,
                event = events.recv() => event,
            };
            match event {
                Some(Event::Committed { end, records }) => self.carry_out(end, &records),
                Some(Event::Reply(to, reply)) => {
                    let _gone = to.send(reply);
                }
                None => return,
            }
        }
    }

    fn carry_out(&mut self, end: Offset, records: &[Record]) {
        // A topic's settings are in the same batch as its creation, so nothing is
        // acted upon before the whole batch is folded in.
        let changes: Vec<_> = records
            .iter()
            .map(|record| self.image.apply(record))
            .collect();
        if self.is_current {
            let cluster = &self.broker.cluster;
            let before = self.broker.image();
            let now = Instant::now();
            cluster.departures.note(&before, &self.image, now);
            self.act(changes);
        } else if self.is_registered() {
            self.begin();
        }
        self.broker.publish_image(self.image.clone(), end);
    }

    fn act(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::TopicCreated(topic) | Change::PartitionsAdded { topic, .. } => {
                    self.open(&topic);
                }
                Change::Partition { topic, partition } => self.change(&topic, partition),
                Change::Broker(broker) => {
                    self.tell_standing(&broker);
                    self.find(broker.id);
                }
                Change::BrokerGone(id) => self.find(id),
                Change::TopicDeleted(topic) => self.drop_topic(&topic),
                Change::Config(Resource::Topic(name)) => self.reconfigure(&name),
                Change::Config(Resource::Broker(_) | Resource::Brokers) => self.resolve_settings(),
                Change::Config(Resource::Group(_) | Resource::ClientMetrics(_))
                | Change::ProducerIds
                | Change::Feature
                | Change::Scram
                | Change::Cluster
                | Change::Nothing => (),
            }
        }
    }

    /// Opens, leads and follows the partitions of a topic as it is now.
    fn open(&mut self, topic: &Topic) {
        let mut local = self.local(topic);
        for (id, partition) in topic.partitions() {
            self.place(&mut local, id, partition);
        }
        self.broker.registry.put(local);
    }

    /// One of a topic's partitions has changed: mostly only who leads it.
    fn change(&mut self, topic: &Topic, id: PartitionId) {
        let Some(partition) = topic.partition(id) else {
            return;
        };
        let is_here = partition.replicas.contains(&self.broker.id);
        let local = self.broker.registry.topic_by_id(topic.id);
        match local.as_ref().and_then(|local| local.place(id)) {
            Some(Place::Here(cell)) if is_here => self.assign(cell, partition),
            Some(Place::Here(_) | Place::Broken(_) | Place::Elsewhere) | None => {
                let mut local = self.local(topic);
                if self.place(&mut local, id, partition) {
                    self.broker.registry.put(local);
                }
            }
        }
    }

    fn local(&self, topic: &Topic) -> LocalTopic {
        match self.broker.registry.topic_by_id(topic.id) {
            Some(local) => LocalTopic::clone(&local),
            None => {
                let config = self.broker.topic_config(&self.image, &topic.name);
                LocalTopic::new(topic.id, topic.name.clone(), config)
            }
        }
    }

    /// Sees to it that a partition is here, led or followed, or elsewhere, and says
    /// whether that puts it in another place.
    fn place(&mut self, local: &mut LocalTopic, id: PartitionId, partition: &Partition) -> bool {
        let is_here = partition.replicas.contains(&self.broker.id);
        match (local.place(id).cloned(), is_here) {
            (Some(Place::Here(cell)), true) => {
                self.assign(&cell, partition);
                false
            }
            (Some(Place::Broken(_)), true) | (Some(Place::Elsewhere), false) => false,
            (Some(Place::Elsewhere) | None, true) => {
                let place = self.open_partition(local, id);
                if let Place::Here(cell) = &place {
                    self.assign(cell, partition);
                }
                local.put(id, place);
                true
            }
            (Some(Place::Here(cell)), false) => {
                local.put(id, Place::Elsewhere);
                // Whoever looks for it from now on does not find it.
                self.broker.registry.put(local.clone());
                cell.retire();
                false
            }
            (Some(Place::Broken(log)), false) => {
                log.into_iter().for_each(|log| self.drop_log(log));
                local.put(id, Place::Elsewhere);
                true
            }
            (None, false) => {
                local.put(id, Place::Elsewhere);
                true
            }
        }
    }

    /// Tells a replica what it is.
    fn assign(&self, cell: &Arc<Cell>, partition: &Partition) {
        if partition.leader == Some(self.broker.id) {
            let is_new = cell.lead(Lead {
                epoch: partition.leader_epoch,
                partition_epoch: partition.partition_epoch,
                replicas: partition.replicas.clone(),
                isr: partition.isr.clone(),
            });
            if is_new && cell.topic.as_str() == OFFSETS_TOPIC {
                host_groups(&self.broker, cell);
            }
        } else {
            let in_sync = partition.isr.contains(&self.broker.id);
            cell.follow(partition.leader_epoch, partition.leader, in_sync);
        }
    }

    fn tell_standing(&self, other: &Registration) {
        let broker = other.id;
        match (other.fenced, other.in_controlled_shutdown) {
            _ if broker == self.broker.id => (),
            (true, _) => info!(%broker, "a broker is fenced: it takes no part for now"),
            (false, true) => info!(%broker, "a broker is about to stop"),
            (false, false) => info!(%broker, "a broker takes part"),
        }
    }

    /// Where a broker is to be followed.
    fn find(&self, id: BrokerId) {
        if id == self.broker.id {
            return;
        }
        let known = self.image.broker(id);
        let endpoint = known.and_then(|known| known.endpoint(&self.broker.inter_broker));
        let address = endpoint.map(|endpoint| Address {
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        self.broker.peers.links.set_address(id, address);
    }

    fn open_partition(&mut self, topic: &LocalTopic, partition: PartitionId) -> Place {
        let topic_partition = TopicPartition {
            topic: topic.id,
            partition,
        };
        let known = self.unclaimed.remove(&topic_partition);
        let log = match &known {
            Some(log) => Ok(log.id),
            None => self.broker.store.create(topic_partition),
        };
        let id = log.as_ref().ok().copied();
        let opened = log.map_err(OpenError::from).and_then(|log| {
            if known.is_some_and(|known| known.damaged) {
                return Err(OpenError::Damaged);
            }
            self.open_log(topic, topic_partition, log)
        });
        match opened {
            Ok(cell) => Place::Here(cell),
            Err(error) => {
                error!(topic = %topic.name, %partition, %error, "partition cannot be opened");
                Place::Broken(id)
            }
        }
    }

    fn open_log(
        &self,
        topic: &LocalTopic,
        topic_partition: TopicPartition,
        log: LogId,
    ) -> Result<Arc<Cell>, OpenError> {
        let broker = &self.broker;
        let settings = broker.settings().partition(&topic.config);
        let now = broker.clock.now();
        let partition = recover(&*broker.store, log, now, broker.id, settings)?;
        Ok(Cell::new(CellParts {
            topic_partition,
            topic: topic.name.clone(),
            log,
            store: broker.store.clone(),
            partition,
            config: topic.config.clone(),
            clock: broker.clock,
            timers: broker.timers.clone(),
            failures: broker.failures.clone(),
            peers: broker.peers.clone(),
        }))
    }

    fn drop_topic(&self, topic: &Topic) {
        if let Some(local) = self.broker.registry.remove(topic.id) {
            local.cells().for_each(|cell| cell.retire());
            local.broken_logs().for_each(|log| self.drop_log(log));
        }
        let Some(offsets) = self.broker.registry.topic(OFFSETS_TOPIC) else {
            return;
        };
        for cell in offsets.cells() {
            let deleted = DeletedTopic {
                name: topic.name.clone(),
                id: topic.id,
            };
            let input = ottla_coordinator::Input::TopicsDeleted(vec![deleted]);
            match cell.tell_host(input) {
                // Whoever leads the partition does it.
                Ok(()) | Err(HostRefusal::NotHere) => (),
                Err(refusal @ HostRefusal::Loading) => {
                    warn!(topic = %topic.name, %refusal, "committed offsets of a deleted topic stay");
                }
            }
        }
    }

    fn reconfigure(&self, name: &TopicName) {
        let Some(local) = self.broker.registry.topic(name.as_str()) else {
            return;
        };
        let config = self.broker.topic_config(&self.image, name);
        let settings = self.broker.settings().partition(&config);
        for cell in local.cells() {
            cell.reconfigure(config.clone(), settings);
        }
        self.broker.registry.put(local.reconfigured(config));
    }

    /// A broker setting changed: topics without a value of their own follow it.
    fn resolve_settings(&self) {
        let resolved = self
            .broker
            .with_layers(&self.image, |layers| Settings::resolve(&layers));
        match resolved {
            Ok(settings) => self.broker.publish_settings(settings),
            Err(error) => {
                error!(%error, "changed settings are not understood, so the old ones hold");
                return;
            }
        }
        for topic in self.broker.registry.topics() {
            self.reconfigure(&topic.name);
        }
    }
}

/// Why a partition is not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Create(#[from] ottla_store::StoreError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("its log is damaged")]
    Damaged,
}

/// Loads the groups that live in a partition: at once if there are none, else in
/// the background, while clients hear that the coordinator is loading.
pub(super) fn host_groups(broker: &Arc<Broker>, cell: &Arc<Cell>) {
    let load = cell.host_loading();
    let view = cell.fresh_view();
    if view.log_start == view.end {
        load_groups(broker, cell, load);
        return;
    }
    let (broker, cell) = (broker.clone(), cell.clone());
    let tasks = broker.tasks.clone();
    tasks.spawn("load-groups", async move {
        let loader = broker.clone();
        broker
            .read_pool
            .run(move || load_groups(&loader, &cell, load))
            .await;
    });
}

fn load_groups(broker: &Broker, cell: &Cell, load: Load) {
    let end = cell.fresh_view().end;
    if cell
        .store
        .bounds(cell.log)
        .is_ok_and(|bounds| bounds.end < end)
    {
        // What was copied last, before the leader was lost, is on its way to the disk.
        cell.store.drain();
    }
    let mut loader = Loader::new();
    let replayed = replay(&*cell.store, cell.log, |key, value| {
        if let Err(error) = loader.read(key.as_deref(), value.as_deref()) {
            warn!(partition = %cell.topic_partition.partition, %error, "a group record is passed over");
        }
    });
    match replayed {
        Ok(()) => {
            let settings = broker.settings().groups();
            let machine = loader.finish(settings, broker.clock.now());
            let seed = cell.topic_partition.partition.0.unsigned_abs().into();
            cell.host_ready(load, |view| {
                Host::new(machine, view.end, view.high_watermark, seed)
            });
        }
        Err(error) => {
            error!(partition = %cell.topic_partition.partition, %error, "groups cannot be loaded");
        }
    }
}
