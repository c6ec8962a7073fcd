//! A cell as streams between brokers see it: what its followers are sent, and what its
//! leader sends.

use std::sync::{Arc, Weak};

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, TopicPartition};
use ottla_partition::{FollowPosition, Input, Place, RoleKind};
use ottla_protocol::records::RecordBatch;
use ottla_replication::{Following, Leading, News, Node, Read, Replicas, Role, Round, Task};
use ottla_store::{ReadMode, ReadOutcome};
use tracing::warn;

use super::Cell;
use super::cell::State;
use crate::broker::Broker;

impl Leading for Cell {
    fn place(&self, follower: BrokerId, position: &FollowPosition, news: News) -> Place {
        let FollowPosition {
            epoch,
            end,
            last_epoch,
            ..
        } = *position;
        let (place, replaced) = self.with(|state, now| {
            let place = state.partition.place(follower, epoch, end, last_epoch);
            let replaced = match place {
                Place::From(_) | Place::BehindStart(_) => {
                    state.followers.join(follower, news.clone())
                }
                Place::Diverged { .. } | Place::NotLeader { .. } => None,
            };
            if replaced.is_some() {
                // Nobody is to take what it had then for what it has now.
                state.has_nothing(now, follower);
            }
            (place, replaced)
        });
        if let Some(replaced) = replaced {
            // An acknowledgement of the follower's last life says nothing of this one.
            replaced.on_replaced();
        }
        let at_base = place.at_base(end, last_epoch, |offset| self.base_at(offset));
        if let (Place::From(_) | Place::BehindStart(_), Place::Diverged { .. }) = (place, at_base) {
            self.leave(follower, &news);
        }
        at_base
    }

    fn leave(&self, follower: BrokerId, news: &News) {
        self.with(|state, now| {
            if state.followers.leave(follower, news) {
                state.has_nothing(now, follower);
            }
        });
    }

    fn replicated(&self, by: BrokerId, epoch: LeaderEpoch, end: Offset, log_start: Offset) {
        let replicated = Input::Replicated {
            by,
            epoch,
            end,
            log_start,
        };
        self.with(|state, now| state.step(now, replicated));
    }

    fn confirmed(&self, by: BrokerId, round: Round) {
        self.with(|state, _| state.confirmations.on_confirmed(by, round));
    }

    fn read(
        &self,
        epoch: LeaderEpoch,
        from: Offset,
        max_bytes: usize,
        mode: ottla_replication::ReadMode,
    ) -> Read {
        let (view, batches, until) = {
            let state = self.lock();
            let until = state.followers.unflushed_start();
            let batches = state.followers.unflushed_from(from, max_bytes);
            (state.partition.view(), batches, until)
        };
        let known = view.leader_epoch;
        if view.role != RoleKind::Leader || known != epoch {
            return Read::NotLeader { epoch: known };
        }
        let ready = |batches| Read::Ready {
            batches,
            end: view.end,
            high_watermark: view.high_watermark,
        };
        if !batches.is_empty() || from == view.end {
            return ready(batches);
        }
        if from < view.log_start {
            let start = self.base_at(view.log_start);
            if from < start {
                return Read::BehindStart(start);
            }
        }
        let mode = match mode {
            ottla_replication::ReadMode::NonBlocking => ReadMode::NonBlocking,
            ottla_replication::ReadMode::Blocking => ReadMode::Blocking,
        };
        // The batch that holds the start of the log is sent whole.
        let from = from.max(view.log_start);
        let until = until.unwrap_or(view.end);
        match self
            .store
            .read(self.log, from, until, max_bytes, true, mode)
        {
            Ok(ReadOutcome::Ready(batches)) => ready(batches),
            Ok(ReadOutcome::WouldBlock) => Read::WouldBlock,
            Err(failure) => {
                warn!(topic = %self.topic, partition = %self.topic_partition.partition, %failure, "a follower cannot be sent what it lacks");
                Read::NotLeader { epoch: known }
            }
        }
    }

    fn role(&self) -> Role {
        let view = self.view();
        Role {
            epoch: view.leader_epoch,
            high_watermark: view.high_watermark,
            log_start: view.log_start,
        }
    }

    fn is_throttled(&self, follower: BrokerId) -> bool {
        let config = self.config();
        let throttled = &config.leader_replication_throttled_replicas;
        is_listed(throttled, self.topic_partition.partition, self.peers.node)
            && !self.is_in_sync(follower)
    }
}

impl Following for Cell {
    fn position(&self) -> Option<FollowPosition> {
        self.lock().partition.follow_position()
    }

    fn append(
        &self,
        epoch: LeaderEpoch,
        mut after: Offset,
        batches: Vec<RecordBatch>,
        high_watermark: Offset,
    ) {
        self.with(|state, now| {
            for batch in batches {
                let next = batch.header().next_offset();
                let append = Input::AppendFrom {
                    epoch,
                    after,
                    batch,
                    high_watermark,
                };
                state.step(now, append);
                after = next;
            }
        });
    }

    fn on_position(&self, epoch: LeaderEpoch, high_watermark: Offset, log_start: Offset) {
        let position = Input::Position {
            epoch,
            high_watermark,
            log_start,
        };
        self.with(|state, now| state.step(now, position));
    }

    fn follows_in(&self, epoch: LeaderEpoch) -> bool {
        let view = self.fresh_view();
        view.role == RoleKind::Follower && view.leader_epoch == epoch
    }

    fn on_diverged(&self, leader_epoch: LeaderEpoch, epoch: LeaderEpoch, end: Offset) {
        let diverged = Input::Diverged {
            leader_epoch,
            epoch,
            end,
        };
        self.with(|state, now| state.step(now, diverged));
    }

    fn is_throttled(&self) -> bool {
        let config = self.config();
        let throttled = &config.follower_replication_throttled_replicas;
        is_listed(throttled, self.topic_partition.partition, self.peers.node)
            && !self.counts_as_in_sync()
    }
}

impl State {
    /// Whatever a follower had, it has to say anew: it may come back with less. That its
    /// broker's epoch is compared when it joins does not make up for that: until the
    /// controller has heard that it is gone, a member is in sync, and the high watermark
    /// would count on what it had.
    fn has_nothing(&mut self, now: Millis, follower: BrokerId) {
        let gone = Input::Replicated {
            by: follower,
            epoch: self.partition.view().leader_epoch,
            end: Offset::ZERO,
            log_start: Offset::ZERO,
        };
        self.step(now, gone);
    }
}

impl Cell {
    /// Where the batch begins that holds `offset`.
    fn base_at(&self, offset: Offset) -> Offset {
        let headers = self.store.headers(self.log, offset, 1);
        let first = headers.ok().and_then(|headers| headers.first().copied());
        first.map_or(offset, |first| first.base_offset.min(offset))
    }
}

/// Whether a replica is one of those that a setting of its topic lists.
fn is_listed(throttled: &[String], partition: PartitionId, replica: BrokerId) -> bool {
    throttled.iter().any(|entry| {
        entry == "*"
            || entry.split_once(':').is_some_and(|(of, at)| {
                of.trim() == partition.to_string() && at.trim() == replica.to_string()
            })
    })
}

/// The broker as streams see it.
#[derive(Debug)]
pub(crate) struct StreamNode {
    pub id: BrokerId,
    pub broker: Weak<Broker>,
    pub tasks: crate::tasks::Tasks,
}

impl Node for StreamNode {
    fn id(&self) -> BrokerId {
        self.id
    }

    fn broker_epoch(&self) -> i64 {
        let broker = self.broker.upgrade();
        broker.map_or(-1, |broker| broker.cluster.epoch().0)
    }

    fn spawn(&self, name: &'static str, task: Task) {
        self.tasks.spawn(name, task);
    }

    fn block(&self, job: Box<dyn FnOnce() + Send>) {
        let Some(broker) = self.broker.upgrade() else {
            return;
        };
        self.tasks.spawn("catch-up", async move {
            broker.read_pool.run(job).await;
        });
    }

    fn stopping(&self) -> Task {
        let mut stop = self.tasks.stopping();
        Box::pin(async move { stop.requested().await })
    }
}

/// The partitions that are here.
#[derive(Debug)]
pub(crate) struct LocalReplicas(pub Weak<Broker>);

impl Replicas for LocalReplicas {
    fn leading(&self, partition: TopicPartition) -> Option<Arc<dyn Leading>> {
        let topic = self.0.upgrade()?.registry.topic_by_id(partition.topic)?;
        let cell = topic.cell(partition.partition)?;
        Some(cell.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use ottla_base::Millis;
    use ottla_partition::Lead;
    use ottla_protocol::records::BatchBuilder;
    use ottla_replication::ReadMode;
    use ottla_store::memory::Stepping;
    use ottla_store::{LogListener as _, StoreFailure};

    use super::*;
    use crate::partitions::testing::{NODE, cell_in, memory};
    use crate::partitions::{Unconfirmed, recover};

    const OTHER: BrokerId = BrokerId(2);

    fn batch(base: i64, epoch: i32) -> RecordBatch {
        let mut batch = BatchBuilder::new();
        batch.push(Millis(0), None, Some(b"x"));
        let batch = batch.build().expect("a batch");
        batch.at(Offset(base), LeaderEpoch(epoch))
    }

    fn lead(epoch: i32) -> Lead {
        Lead {
            epoch: LeaderEpoch(epoch),
            partition_epoch: epoch,
            replicas: vec![NODE, OTHER],
            isr: vec![NODE, OTHER],
        }
    }

    fn read(cell: &Cell, epoch: i32, from: i64) -> Vec<RecordBatch> {
        let (epoch, from) = (LeaderEpoch(epoch), Offset(from));
        match Leading::read(cell, epoch, from, 1 << 20, ReadMode::NonBlocking) {
            Read::Ready { batches, .. } => batches,
            other @ (Read::BehindStart(_) | Read::WouldBlock | Read::NotLeader { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    /// Its followers would wait for the next append otherwise.
    #[tokio::test]
    async fn a_follower_that_leads_has_what_it_has_not_flushed() {
        let store = memory(Stepping::Manual);
        let cell = cell_in(store.clone(), &Arc::default());
        cell.follow(LeaderEpoch(0), Some(OTHER), true);
        let copied = vec![batch(0, 0), batch(1, 0)];
        Following::append(&*cell, LeaderEpoch(0), Offset(0), copied.clone(), Offset(0));
        assert!(cell.lead(lead(1)), "that begins now");
        assert_eq!(read(&cell, 1, 0), copied);
        store.flush_now();
        assert_eq!(read(&cell, 1, 0), copied, "from the store");
    }

    #[tokio::test]
    async fn a_leader_knows_that_it_is_one_when_its_followers_have_said_so() {
        let cell = cell_in(memory(Stepping::Manual), &Arc::default());
        cell.lead(lead(0));
        let mut confirmed = std::pin::pin!(cell.confirm());
        assert!(futures::poll!(&mut confirmed).is_pending());
        Leading::confirmed(&*cell, OTHER, Round(1));
        assert_eq!(confirmed.await, Ok(()));
        assert!(!Following::follows_in(&*cell, LeaderEpoch(0)), "it leads");
    }

    #[tokio::test]
    async fn any_follower_may_lead_where_too_few_are_in_sync() {
        let cell = cell_in(memory(Stepping::Manual), &Arc::default());
        let alone = Lead {
            isr: vec![NODE],
            ..lead(0)
        };
        cell.lead(alone);
        assert_eq!(cell.confirm().await, Ok(()), "one is enough");
        cell.with(|state, now| {
            let settings = ottla_partition::Settings {
                min_insync_replicas: 2,
                ..ottla_partition::Settings::default()
            };
            state.step(now, Input::Settings(settings));
        });
        let mut confirmed = std::pin::pin!(cell.confirm());
        assert!(futures::poll!(&mut confirmed).is_pending());
        Leading::confirmed(&*cell, OTHER, Round(2));
        assert_eq!(confirmed.await, Ok(()));
    }

    #[tokio::test]
    async fn a_leader_that_hears_of_the_next_is_none_at_once() {
        let cell = cell_in(memory(Stepping::Manual), &Arc::default());
        cell.lead(lead(0));
        let mut confirmed = std::pin::pin!(cell.confirm());
        assert!(futures::poll!(&mut confirmed).is_pending());
        cell.follow(LeaderEpoch(1), Some(OTHER), true);
        assert_eq!(confirmed.await, Err(Unconfirmed));
        assert_eq!(cell.confirm().await, Err(Unconfirmed));
        assert!(Following::follows_in(&*cell, LeaderEpoch(1)));
        assert!(!Following::follows_in(&*cell, LeaderEpoch(0)));
    }

    #[tokio::test]
    async fn followers_are_sent_what_no_disk_has() {
        let store = memory(Stepping::Manual);
        let cell = cell_in(store.clone(), &Arc::default());
        cell.lead(lead(0));
        for _ in 0..3 {
            drop(cell.append(batch(0, 0), ottla_partition::Acks::All, Millis(i64::MAX)));
        }
        assert_eq!(read(&cell, 0, 1), [batch(1, 0), batch(2, 0)]);
        // The creation of the log, and two appends.
        store.step(3);
        assert_eq!(
            read(&cell, 0, 0),
            [batch(0, 0), batch(1, 0)],
            "what the store has"
        );
        assert_eq!(read(&cell, 0, 2), [batch(2, 0)], "what it has not");
    }

    /// What it appended is lost, and followers have it: other records in the same place
    /// and of the same epoch would pass for those.
    #[tokio::test]
    async fn a_leader_whose_store_failed_never_leads_again_in_its_epoch() {
        let cell = lost_leader();
        cell.restart(recovered(&cell));
        assert_ne!(cell.view().role, RoleKind::Leader, "in epoch 1");
        assert_eq!(lost_leaders(&cell), 1, "another has to lead");
        assert!(!cell.lead(lead(1)), "it is told that again");
        assert_eq!(lost_leaders(&cell), 1, "the same");
        assert!(cell.lead(lead(2)), "a new epoch begins");
        assert_eq!(lost_leaders(&cell), 0, "it leads");
    }

    #[tokio::test]
    async fn a_lost_leader_counts_until_another_leads() {
        let cell = lost_leader();
        assert_eq!(lost_leaders(&cell), 1);
        cell.follow(LeaderEpoch(2), Some(OTHER), true);
        assert_eq!(lost_leaders(&cell), 0);
    }

    #[tokio::test]
    async fn a_replica_that_cannot_be_read_lets_another_lead() {
        let cell = cell_in(memory(Stepping::Manual), &Arc::default());
        cell.follow(LeaderEpoch(1), Some(OTHER), true);
        let first = 0;
        cell.on_failed(first, StoreFailure::Damaged);
        assert_eq!(cell.view().role, RoleKind::Failed);
        assert_eq!(lost_leaders(&cell), 0, "it need not lead");
        cell.lead(lead(2));
        assert_eq!(lost_leaders(&cell), 1);
        cell.lead(Lead {
            isr: vec![NODE],
            ..lead(3)
        });
        assert_eq!(lost_leaders(&cell), 0, "nobody else can");
    }

    /// One whose partition is deleted may still be on its way to be recovered.
    #[tokio::test]
    async fn a_lost_leader_counts_until_it_is_gone() {
        let cell = lost_leader();
        let recovered = recovered(&cell);
        cell.retire();
        assert_eq!(lost_leaders(&cell), 0);
        cell.restart(recovered);
        assert_eq!(lost_leaders(&cell), 0, "it is told nothing again");
    }

    /// It led in epoch 1, and its follower has more than its store.
    fn lost_leader() -> Arc<Cell> {
        let store = memory(Stepping::Manual);
        let cell = cell_in(store.clone(), &Arc::default());
        cell.lead(lead(1));
        store.flush_now();
        store.refuse_appends(Some(StoreFailure::Full));
        drop(cell.append(batch(0, 0), ottla_partition::Acks::All, Millis(i64::MAX)));
        assert_eq!(read(&cell, 1, 0), [batch(0, 1)], "a follower has it");
        store.flush_now();
        store.refuse_appends(None);
        cell
    }

    fn lost_leaders(cell: &Cell) -> usize {
        cell.peers.lost_leaders.load(Ordering::Relaxed)
    }

    fn recovered(cell: &Cell) -> ottla_partition::Partition {
        let (now, settings) = (Millis(0), ottla_partition::Settings::default());
        recover(&*cell.store, cell.log, now, NODE, settings).expect("what was flushed")
    }
}
