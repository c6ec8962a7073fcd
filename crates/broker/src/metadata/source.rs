//! Where a node has the metadata log from: it keeps it as a voter, or hears of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_base::config::listeners::Listeners;
use ottla_base::{BrokerId, Offset, PartitionId, TopicPartition};
use ottla_controller::Image;
use ottla_quorum::{
    FollowParts, Followed, OpenError, Participant, Proposals, Tuning, Voter, VoterTask,
};
use ottla_rpc::{Address, Channels};
use ottla_store::{LogId, LogStore, LogSummary, StoreError};

use crate::tasks::{Stop, Tasks};
use crate::topics::METADATA_TOPIC_ID;

/// Who the controllers are, as this node is told.
#[derive(Debug)]
pub(crate) struct Controllers {
    node: BrokerId,
    /// Whether this node is one of them.
    is_voter: bool,
    voters: BTreeMap<BrokerId, Address>,
    /// Where to ask, where the voters are not named.
    servers: Vec<Address>,
}

/// The metadata log, before anything of it is carried out.
#[derive(Debug)]
pub(crate) enum Source {
    Voter { voter: Voter, task: Box<VoterTask> },
    Other(Followed),
}

/// Why the metadata log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Controllers {
    /// A controller that is told of no voters is the only one.
    pub(crate) fn new(listeners: &Listeners) -> Self {
        let node = listeners.node;
        let address = |host: &str, port| Address {
            host: host.to_owned(),
            port,
        };
        let named = listeners.voters.iter();
        let mut voters: BTreeMap<_, _> = named
            .map(|voter| (voter.id, address(&voter.host, voter.port)))
            .collect();
        if listeners.roles.controller && voters.is_empty() {
            voters.insert(node, address("localhost", 0));
        }
        let servers = listeners.bootstrap_servers.iter();
        Self {
            node,
            is_voter: listeners.roles.controller,
            voters,
            servers: servers.map(|(host, port)| address(host, *port)).collect(),
        }
    }

    /// The voters by their ids, this node among them if it is one.
    pub(crate) fn voters(&self) -> HashMap<BrokerId, Address> {
        let voters = self.voters.iter();
        voters.map(|(id, address)| (*id, address.clone())).collect()
    }

    /// Every other node that may be the active controller, or knows who is.
    pub(crate) fn others(&self) -> Vec<(Option<BrokerId>, Address)> {
        let voters = self.voters.iter().filter(|(id, _)| **id != self.node);
        let voters = voters.map(|(id, address)| (Some(*id), address.clone()));
        let servers = self.servers.iter().map(|address| (None, address.clone()));
        if self.is_voter && self.voters.len() < 2 {
            return Vec::new();
        }
        voters.chain(servers).collect()
    }

    /// Opens the metadata log. Blocks on the disk.
    pub(crate) fn open(
        &self,
        store: &Arc<dyn LogStore>,
        logs: &mut HashMap<TopicPartition, LogSummary>,
        channels: &Channels,
        participant: Arc<dyn Participant>,
        proposals: Proposals,
    ) -> Result<Source, SourceError> {
        let log = metadata_log(&**store, logs, self.is_voter)?;
        let Some(log) = log.filter(|_| self.is_voter) else {
            return Ok(Source::Other(Followed::default()));
        };
        let (voter, task) = Voter::open(ottla_quorum::Parts {
            node: self.node,
            voters: self.voters.clone(),
            store: store.clone(),
            log,
            channels: channels.clone(),
            tuning: Tuning::default(),
            participant,
            proposals,
        })?;
        let task = Box::new(task);
        Ok(Source::Voter { voter, task })
    }
}

/// The log of the metadata partition, made if it is wanted.
fn metadata_log(
    store: &dyn LogStore,
    logs: &mut HashMap<TopicPartition, LogSummary>,
    is_wanted: bool,
) -> Result<Option<LogId>, StoreError> {
    let topic_partition = TopicPartition {
        topic: METADATA_TOPIC_ID,
        partition: PartitionId(0),
    };
    match logs.remove(&topic_partition) {
        Some(log) => Ok(Some(log.id)),
        None if is_wanted => store.create(topic_partition).map(Some),
        None => Ok(None),
    }
}

impl Source {
    /// What the metadata was when it was last written down here, and the offset after
    /// it.
    pub(crate) fn image(&self) -> (Image, Offset) {
        match self {
            Self::Voter { voter, .. } => (voter.image(), voter.end()),
            Self::Other(followed) => (followed.image(), followed.end()),
        }
    }

    /// The voter that this node is.
    pub(crate) fn voter(&self) -> Option<Voter> {
        match self {
            Self::Voter { voter, .. } => Some(voter.clone()),
            Self::Other(_) => None,
        }
    }

    /// Keeps the log, or hears of it, until the broker stops.
    pub(crate) fn start(
        self,
        controllers: &Controllers,
        channels: &Channels,
        participant: Arc<dyn Participant>,
        tasks: &Tasks,
    ) {
        let mut stop = tasks.stopping();
        let requested = async move { Stop::requested(&mut stop).await };
        match self {
            Self::Voter { task, .. } => tasks.spawn("quorum", async move {
                task.run(requested).await;
                // Whoever still waits for a decision waits no longer.
                participant.on_following(None);
            }),
            Self::Other(followed) => {
                let parts = FollowParts {
                    voters: controllers
                        .others()
                        .into_iter()
                        .map(|(_, address)| address)
                        .collect(),
                    channels: channels.clone(),
                    participant,
                };
                tasks.spawn("quorum", followed.run(parts, requested));
            }
        }
    }
}
