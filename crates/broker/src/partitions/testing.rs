//! Cells without a broker.

use std::sync::{Arc, Weak};

use ottla_base::config::{Layers, Overrides};
use ottla_base::{BrokerId, PartitionId, TopicId, TopicName, TopicPartition};
use ottla_partition::Settings;
use ottla_replication::{Links, Throttle};
use ottla_rpc::Channels;
use ottla_store::{Durability, LogStore, memory};
use tokio::sync::mpsc;

use super::{Cell, CellParts, Peers, StreamNode, Timers, recover};
use crate::clock::SystemClock;
use crate::tasks::Tasks;

pub(super) const NODE: BrokerId = BrokerId(1);

pub(super) fn memory(stepping: memory::Stepping) -> Arc<memory::MemoryStore> {
    Arc::new(memory::open(memory::Options {
        durability: Durability::Fsync,
        stepping,
    }))
}

/// A replica with an empty log, which was not told yet what to be.
pub(super) fn cell_in(store: Arc<memory::MemoryStore>, timers: &Arc<Timers>) -> Arc<Cell> {
    let topic_partition = TopicPartition {
        topic: TopicId([1; 16]),
        partition: PartitionId(0),
    };
    let clock = SystemClock::start();
    let log = store.create(topic_partition).expect("a log");
    let partition = recover(&*store, log, clock.now(), NODE, Settings::default());
    let none = Overrides::new();
    let defaults = Layers::at_start(&none).topic_defaults().expect("defaults");
    Cell::new(CellParts {
        topic_partition,
        topic: TopicName::from("t"),
        log,
        store,
        partition: partition.expect("an empty log"),
        config: Arc::clone(defaults.config()),
        clock,
        timers: Arc::clone(timers),
        failures: mpsc::unbounded_channel().0,
        peers: alone(),
    })
}

/// A broker that reaches no other.
fn alone() -> Peers {
    let node = StreamNode {
        id: NODE,
        broker: Weak::new(),
        tasks: Tasks::default(),
    };
    let throttle = Arc::new(Throttle::new(u64::MAX));
    let links = Links::new(Arc::new(node), Channels::default(), throttle);
    Peers {
        node: NODE,
        links: Arc::new(links),
        proposals: mpsc::unbounded_channel().0,
        cut: mpsc::unbounded_channel().0,
        lost_leaders: Arc::default(),
    }
}
