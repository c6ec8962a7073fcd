//! What a voter's log begins with: nothing, or what a single node had written before
//! there was a quorum.

use std::collections::BTreeSet;

use bytes::Bytes;
use openraft::LeaderId;
use ottla_base::Offset;
use ottla_controller::{Image, Record, RecordError};
use ottla_store::{LogId as StoreLog, LogStore, Op, ReadError, ReadMode, ReadOutcome};

use crate::codec;
use crate::fold;
use crate::log::{self, KeptError};
use crate::raft::{LogId, Membership, NodeId, SnapshotMeta, StoredMembership};

/// The voters that a log was begun with.
const VOTERS: &[u8] = b"raft.voters";

/// The term in which a single voter leads.
const FIRST_TERM: u64 = 1;

const BYTES_AT_ONCE: usize = 1 << 20;

/// Why a log is not that of this quorum.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error(
        "the metadata log is of a quorum of nodes {before:?}, and controller.quorum.voters names {now:?}: voters \
         cannot be changed"
    )]
    OtherVoters {
        before: Vec<NodeId>,
        now: Vec<NodeId>,
    },
    #[error(
        "the metadata log is of a single node, and controller.quorum.voters names several: start it as the only voter"
    )]
    OfOneNode,
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("a record cannot be read: {0}")]
    Record(#[from] RecordError),
}

impl From<ReadError> for OriginError {
    fn from(error: ReadError) -> Self {
        Self::Kept(error.into())
    }
}

/// Sees to it that `log` is one that Raft can begin with. Blocks on the disk.
pub(crate) fn prepare(
    store: &dyn LogStore,
    log: StoreLog,
    me: NodeId,
    voters: &BTreeSet<NodeId>,
) -> Result<(), OriginError> {
    if let Some(before) = log::kept::<Vec<NodeId>>(store, log, VOTERS)? {
        if before.iter().eq(voters) {
            return Ok(());
        }
        return Err(OriginError::OtherVoters {
            before,
            now: voters.iter().copied().collect(),
        });
    }
    let end = store.bounds(log)?.end;
    if end > Offset::ZERO && voters.len() > 1 {
        return Err(OriginError::OfOneNode);
    }
    let image = before_raft(store, log)?;
    store.queue(Op::State {
        log,
        key: Bytes::from_static(VOTERS),
        value: codec::encode(&voters.iter().copied().collect::<Vec<_>>()),
    });
    if voters.len() == 1 {
        begin_alone(store, log, me, end, &image);
    }
    // A crash before this leaves some first part, which is begun anew or completed.
    store.drain();
    Ok(())
}

/// The one voter of a quorum leads from the start: with nobody to ask, an election
/// would be nothing but waiting for the disk.
fn begin_alone(store: &dyn LogStore, log: StoreLog, me: NodeId, end: Offset, image: &Image) {
    let index = u64::try_from(end.0 - 1).unwrap_or(0);
    // Of the term that is led from the start: the leader of another would begin with an
    // entry of its own.
    let last = LogId::new(LeaderId::new(FIRST_TERM, me), index);
    let voters = vec![BTreeSet::from([me])];
    let membership = Membership::new(voters, ());
    let meta = SnapshotMeta {
        last_log_id: Some(last),
        last_membership: StoredMembership::new(Some(last), membership),
        snapshot_id: format!("{FIRST_TERM}-{}", index + 1),
    };
    fold::keep_first(store, log, meta, image);
    log::keep_lead(store, log, FIRST_TERM, me);
    log::keep_purged(store, log, last);
}

/// What records say that were written before Raft was: each batch was one decision.
fn before_raft(store: &dyn LogStore, log: StoreLog) -> Result<Image, OriginError> {
    let mut image = Image::default();
    let bounds = store.bounds(log)?;
    let mut next = bounds.start;
    while next < bounds.end {
        let read = store.read(
            log,
            next,
            bounds.end,
            BYTES_AT_ONCE,
            true,
            ReadMode::Blocking,
        )?;
        let ReadOutcome::Ready(batches) = read else {
            unreachable!("a blocking read does not ask to be repeated");
        };
        let Some(last) = batches.last() else {
            break;
        };
        next = last.header().next_offset();
        for batch in batches {
            for record in batch.records().map_err(KeptError::from)? {
                let record = record.map_err(KeptError::from)?;
                let key = record.key.unwrap_or_default();
                image.apply(&Record::decode(&key, record.value.as_deref())?);
            }
        }
    }
    Ok(image)
}
