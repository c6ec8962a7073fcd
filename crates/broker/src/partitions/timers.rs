//! One task wakes every cell at its deadline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ottla_base::Millis;
use ottla_store::LogId;
use tokio::sync::Notify;

use super::Cell;
use crate::clock::SystemClock;
use crate::tasks::Stop;

/// Which cell wants to be woken when: one wake per cell, whatever it asked for
/// before. Two threads that ask for one cell at once may leave a wake too many;
/// the cell passes over it.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: Mutex<Due>,
    sooner: Notify,
}

type Due = BTreeMap<(Millis, LogId), Weak<Cell>>;

/// A wake that a cell asks for, and the one that it takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake {
    pub at: Millis,
    pub instead_of: Option<Millis>,
}

impl Timers {
    pub(crate) fn schedule(&self, wake: Wake, cell: &Arc<Cell>) {
        let key = (wake.at, cell.log);
        let is_first = {
            let mut due = self.lock();
            if let Some(replaced) = wake.instead_of {
                due.remove(&(replaced, cell.log));
            }
            due.insert(key, Arc::downgrade(cell));
            due.first_key_value()
                .is_some_and(|(first, _)| *first == key)
        };
        if is_first {
            self.sooner.notify_one();
        }
    }

    pub(crate) async fn run(self: Arc<Self>, clock: SystemClock, mut stop: Stop) {
        loop {
            let (ready, next) = self.take_due(clock.now());
            for (at, cell) in ready {
                cell.tick(at);
            }
            let until = next.map(|at| clock.instant(at));
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = self.sooner.notified() => (),
                () = sleep_until(until) => (),
            }
        }
    }

    fn take_due(&self, now: Millis) -> (Vec<(Millis, Arc<Cell>)>, Option<Millis>) {
        let mut due = self.lock();
        let later = due.split_off(&(now.plus_ms(1), LogId(0)));
        let ready = std::mem::replace(&mut *due, later);
        let next = due.first_key_value().map(|((at, _), _)| *at);
        let ready = ready.into_iter();
        let ready = ready.filter_map(|((at, _), cell)| Some((at, cell.upgrade()?)));
        (ready.collect(), next)
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::config::{Layers, Overrides};
    use ottla_base::{
        BrokerId, LeaderEpoch, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicId,
        TopicName, TopicPartition,
    };
    use ottla_partition::{Acks, Lead, Settings};
    use ottla_protocol::records::BatchBuilder;
    use ottla_replication::{Links, Throttle};
    use ottla_rpc::Channels;
    use ottla_store::{Durability, LogStore, memory};
    use tokio::sync::mpsc;

    use std::sync::Weak;

    use super::*;
    use crate::partitions::{CellParts, Peers, StreamNode, recover};
    use crate::tasks::Tasks;

    /// A broker without others.
    fn alone(node: BrokerId) -> Peers {
        let stream_node = StreamNode {
            id: node,
            broker: Weak::new(),
            tasks: Tasks::default(),
        };
        let throttle = Arc::new(Throttle::new(u64::MAX));
        let links = Links::new(Arc::new(stream_node), Channels::default(), throttle);
        Peers {
            node,
            links: Arc::new(links),
            proposals: mpsc::unbounded_channel().0,
            cut: mpsc::unbounded_channel().0,
        }
    }

    fn leading_cell(timers: &Arc<Timers>) -> Arc<Cell> {
        let store = Arc::new(memory::open(memory::Options {
            durability: Durability::Fsync,
            stepping: memory::Stepping::Thread,
        }));
        let topic_partition = TopicPartition {
            topic: TopicId([1; 16]),
            partition: PartitionId(0),
        };
        let (clock, node) = (SystemClock::start(), BrokerId(1));
        let log = store.create(topic_partition).expect("a log");
        let partition = recover(&*store, log, clock.now(), node, Settings::default());
        let none = Overrides::new();
        let defaults = Layers::at_start(&none).topic_defaults().expect("defaults");
        let cell = Cell::new(CellParts {
            topic_partition,
            topic: TopicName::from("t"),
            log,
            store,
            partition: partition.expect("an empty log"),
            config: Arc::clone(defaults.config()),
            clock,
            timers: Arc::clone(timers),
            failures: mpsc::unbounded_channel().0,
            peers: alone(node),
        });
        cell.lead(Lead {
            epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: vec![node],
            isr: vec![node],
        });
        cell
    }

    fn append(cell: &Cell, sequence: i32, deadline: Millis) {
        let builder = BatchBuilder::new();
        let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
        let mut batch = builder.producer(id, epoch, Sequence(sequence));
        batch.push(Millis(0), None, Some(b"x"));
        let batch = batch.build().expect("a batch");
        drop(cell.append(batch, Acks::All, deadline));
    }

    #[test]
    fn a_cell_has_one_wake_whatever_it_asked_for_before() {
        let timers = Arc::default();
        let cell = leading_cell(&timers);
        let start = SystemClock::start().now();
        for sequence in 0..100 {
            // Each is due before the one that is planned.
            append(
                &cell,
                sequence,
                start.plus_ms(500_000 - i64::from(sequence)),
            );
            assert_eq!(timers.lock().len(), 1, "after append {sequence}");
        }
    }
}
