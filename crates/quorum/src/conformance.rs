//! The log and the fold, judged by openraft's own suite for storages and by crashes.

use std::sync::Arc;

use futures::FutureExt as _;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt as _, RaftStateMachine};
use openraft::testing::StoreBuilder;
use openraft::{EntryPayload, LeaderId, RaftLogReader as _, RaftSnapshotBuilder as _};
use ottla_base::{Offset, PartitionId, ProducerId, TopicId, TopicPartition};
use ottla_controller::{Image, Record};
use ottla_store::{Durability, LogId as StoreLog, LogStore, StoreFailure, memory};

use crate::fold::Fold;
use crate::log::RaftLog;
use crate::raft::{Entry, LogId, Proposed, StorageError, TypeConfig, Vote};
use crate::voter::Participant;

/// Nobody listens.
#[derive(Debug)]
struct Nobody;

impl Participant for Nobody {
    fn on_committed(&self, _: Offset, _: &Arc<[Record]>) {}
    fn on_leading(&self, _: u64, _: Image) {}
    fn on_following(&self, _: Option<ottla_base::BrokerId>) {}
    fn on_written(&self, _: u64, _: u64) {}
}

fn store(stepping: memory::Stepping) -> (Arc<memory::MemoryStore>, StoreLog) {
    let store = Arc::new(memory::open(memory::Options {
        durability: Durability::Fsync,
        stepping,
    }));
    let log = store.create(TopicPartition {
        topic: TopicId([1; 16]),
        partition: PartitionId(0),
    });
    (store, log.expect("a log"))
}

struct Builder;

impl StoreBuilder<TypeConfig, RaftLog, Fold> for Builder {
    async fn build(&self) -> Result<((), RaftLog, Fold), StorageError> {
        let (store, log) = store(memory::Stepping::Thread);
        let entries = RaftLog::open(store.clone(), log, 1).expect("an empty log");
        let fold = Fold::open(store, log, entries.clone(), Arc::new(Nobody), 1 << 20);
        Ok(((), entries, fold.expect("nothing is kept")))
    }
}

type Suite = openraft::testing::Suite<TypeConfig, RaftLog, Fold, Builder, ()>;

/// Runs cases of openraft's suite side by side, each with storages of its own: some of
/// them sleep for a second.
macro_rules! suite {
    ($($case:ident)+) => {
        futures::join!($(async {
            let ((), entries, fold) = Builder.build().await.expect("storages");
            let outcome = Suite::$case(entries, fold).await;
            outcome.unwrap_or_else(|error| panic!("{}: {error}", stringify!($case)));
        }),+)
    };
}

/// But for one case that appends entries with a hole between them, which neither
/// Raft nor a log of dense offsets has.
#[tokio::test]
async fn a_log_and_a_fold_are_what_openraft_expects() {
    suite! {
        last_membership_in_log_initial last_membership_in_log
        last_membership_in_log_multi_step get_membership_initial
        get_membership_from_log_and_empty_sm get_membership_from_empty_log_and_sm
        get_membership_from_log_le_sm_last_applied get_membership_from_log_gt_sm_last_applied_1
        get_membership_from_log_gt_sm_last_applied_2 get_initial_state_without_init
        get_initial_state_with_state get_initial_state_last_log_gt_sm
        get_initial_state_last_log_lt_sm get_initial_state_log_ids
        get_initial_state_re_apply_committed save_vote get_log_entries limited_get_log_entries
        try_get_log_entry initial_logs get_log_state get_log_id last_id_in_log
        last_applied_state purge_logs_upto_0 purge_logs_upto_5 purge_logs_upto_20
        delete_logs_since_11 delete_logs_since_0 append_to_log snapshot_meta apply_single
        apply_multiple
    };
    let moved = Suite::transfer_snapshot(&Builder).await;
    moved.expect("a snapshot that another takes over");
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64) -> Entry {
    let next = ProducerId(i64::try_from(index).expect("small"));
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Normal(Proposed {
            term,
            records: Arc::from([Record::ProducerIds { next }]),
        }),
    }
}

/// All entries, as the log itself and as one that is opened anew over the same store
/// has them.
async fn entries(log: &mut RaftLog) -> Vec<(u64, u64)> {
    let entries = log.try_get_log_entries(..).await.expect("readable");
    let ids = entries.iter().map(|entry| entry.log_id);
    ids.map(|id| (id.leader_id.term, id.index)).collect()
}

#[tokio::test]
async fn an_entry_counts_once_it_is_flushed_and_then_survives() {
    let (store, id) = store(memory::Stepping::Manual);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let mut copy = log.clone();
    let mut append = Box::pin(copy.blocking_append([entry(1, 0), entry(1, 1)]));
    assert!(futures::poll!(append.as_mut()).is_pending(), "not flushed");
    store.flush_now();
    append.await.expect("flushed");
    let mut copy = log.clone();
    let mut lost = Box::pin(copy.blocking_append([entry(1, 2)]));
    assert!(futures::poll!(lost.as_mut()).is_pending(), "not flushed");
    assert_eq!(entries(&mut log).await, [(1, 0), (1, 1), (1, 2)]);

    store.lose_unflushed();
    let mut log = RaftLog::open(store.clone(), id, 2).expect("what was flushed");
    assert_eq!(entries(&mut log).await, [(1, 0), (1, 1)]);
    let state = log.get_log_state().await.expect("a state");
    assert_eq!(state.last_log_id, Some(log_id(1, 1)));
}

#[tokio::test]
async fn what_another_leader_wrote_takes_the_place_of_what_was_cut() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let old = (0..5).map(|index| entry(1, index));
    log.blocking_append(old).await.expect("flushed");
    log.truncate(log_id(1, 2)).await.expect("cut");
    assert_eq!(entries(&mut log).await, [(1, 0), (1, 1)]);
    let state = log.get_log_state().await.expect("a state");
    assert_eq!(state.last_log_id, Some(log_id(1, 1)));
    log.blocking_append([entry(2, 2)]).await.expect("flushed");
    let mut again = RaftLog::open(store, id, 2).expect("the same log");
    for log in [&mut log, &mut again] {
        assert_eq!(entries(log).await, [(1, 0), (1, 1), (2, 2)]);
    }
}

#[tokio::test]
async fn a_log_that_was_purged_beyond_its_end_begins_there() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    log.blocking_append([entry(1, 0)]).await.expect("flushed");
    log.purge(log_id(2, 9)).await.expect("purged");
    log.blocking_append([entry(2, 10)]).await.expect("flushed");
    let mut again = RaftLog::open(store, id, 2).expect("the same log");
    for log in [&mut log, &mut again] {
        assert_eq!(entries(log).await, [(2, 10)]);
        let state = log.get_log_state().await.expect("a state");
        assert_eq!(state.last_purged_log_id, Some(log_id(2, 9)));
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_told_to_raft() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    store.refuse_appends(Some(StoreFailure::Full));
    let refused = log.blocking_append([entry(1, 0)]).await;
    assert!(refused.is_err(), "{refused:?}");
    store.refuse_appends(None);
    let mut again = RaftLog::open(store, id, 2).expect("the same log");
    again.blocking_append([entry(1, 0)]).await.expect("flushed");
    assert_eq!(entries(&mut again).await, [(1, 0)]);
}

#[tokio::test]
async fn a_vote_is_kept() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let vote = Vote::new_committed(4, 2);
    log.save_vote(&vote).await.expect("durable");
    let mut again = RaftLog::open(store, id, 2).expect("the same log");
    assert_eq!(again.read_vote().await.expect("readable"), Some(vote));
}

#[tokio::test]
async fn what_is_appended_while_a_snapshot_is_written_waits_for_the_next() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let mut fold =
        Fold::open(store, id, log.clone(), Arc::new(Nobody), SMALL).expect("nothing kept");
    write(&mut log, &mut fold, 0..10).await;
    assert!(is_snapshot_due(&fold));
    let snapshot = loop {
        let mut builder = fold.get_snapshot_builder().await;
        let mut snapshot = Box::pin(async move { builder.build_snapshot().await });
        // The disk may be quicker.
        if futures::poll!(snapshot.as_mut()).is_pending() {
            break snapshot;
        }
    };
    write(&mut log, &mut fold, 10..20).await;
    snapshot.await.expect("kept");
    is_snapshot_due(&fold);
    write(&mut log, &mut fold, 20..21).await;
    assert!(is_snapshot_due(&fold), "none has the ten of meanwhile");
}

/// Another Raft counts what it finds in the log, which is less than was ever appended.
#[tokio::test]
async fn a_log_that_is_opened_anew_needs_a_snapshot_when_enough_is_in_it() {
    let (store, id) = store(memory::Stepping::Thread);
    let mut log = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let mut fold =
        Fold::open(store.clone(), id, log.clone(), Arc::new(Nobody), SMALL).expect("nothing kept");
    write(&mut log, &mut fold, 0..10).await;
    assert!(is_snapshot_due(&fold));
    let mut builder = fold.get_snapshot_builder().await;
    builder.build_snapshot().await.expect("kept");
    log.purge(log_id(1, 9)).await.expect("purged");
    store.drain();
    let mut again = RaftLog::open(store, id, 2).expect("the same log");
    let mut fold = fold.over(again.clone());
    write(&mut again, &mut fold, 10..11).await;
    assert!(!is_snapshot_due(&fold));
    write(&mut again, &mut fold, 11..20).await;
    assert!(is_snapshot_due(&fold));
}

/// Fewer bytes than ten entries have, and more than one has.
const SMALL: u64 = 600;

async fn write(log: &mut RaftLog, fold: &mut Fold, indexes: std::ops::Range<u64>) {
    let entries: Vec<_> = indexes.map(|index| entry(1, index)).collect();
    let appended = log.blocking_append(entries.clone()).await;
    appended.expect("flushed");
    fold.apply(entries).await.expect("applied");
}

/// Whether it was asked for since this was asked last.
fn is_snapshot_due(fold: &Fold) -> bool {
    fold.snapshot_due().now_or_never().is_some()
}

#[tokio::test]
async fn a_decision_that_is_written_in_a_later_term_counts_for_nothing() {
    let (store, id) = store(memory::Stepping::Thread);
    let entries = RaftLog::open(store.clone(), id, 1).expect("an empty log");
    let mut fold = Fold::open(store, id, entries, Arc::new(Nobody), 1 << 20).expect("nothing kept");
    let late = Entry {
        log_id: log_id(2, 8),
        payload: entry(1, 8).payload,
    };
    fold.apply([entry(1, 7), late]).await.expect("applied");
    assert_eq!(fold.image().next_producer_id(), ProducerId(7));
    assert_eq!(fold.end(), Offset(9));
}
