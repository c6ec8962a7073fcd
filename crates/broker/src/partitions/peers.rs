//! What a cell needs of the world beyond its own broker.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use ottla_base::{BrokerId, LeaderEpoch};
use ottla_controller::Member;
use ottla_replication::Links;
use tokio::sync::mpsc;

use super::Cell;

/// How a replica reaches those that other brokers have. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    /// This broker.
    pub node: BrokerId,
    /// To the leaders that are followed.
    pub links: Arc<Links>,
    pub proposals: mpsc::UnboundedSender<IsrProposal>,
    /// Replicas whose log was cut, and that are to be recovered anew.
    pub cut: mpsc::UnboundedSender<Arc<Cell>>,
    /// How many partitions the cluster takes this broker for the leader of, in an epoch in
    /// which it has lost what it wrote.
    pub lost_leaders: Arc<AtomicUsize>,
}

/// The replicas that the leader of a partition wants to be in sync.
#[derive(Debug)]
pub(crate) struct IsrProposal {
    /// The leader.
    pub cell: Arc<Cell>,
    pub epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<Member>,
}
