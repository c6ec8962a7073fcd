//! The bytes of what voters say to each other and of what they keep.
//!
//! Fixed-width numbers and lengths in front of what has one: there is little of it,
//! and records bring their own encoding. The first byte of every message is a
//! version, and one that is not known is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use openraft::error::{InstallSnapshotError, SnapshotMismatch};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{EntryPayload, LeaderId, SnapshotSegmentId};
use ottla_controller::{Record, RecordError};

use crate::raft::{
    Entry, LogId, Membership, NodeId, Proposed, SnapshotMeta, StoredMembership, TypeConfig, Vote,
};

/// The version of every message and of everything that is kept.
const VERSION: u8 = 0;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("it has version {0}, and this program knows up to {VERSION}: a newer one wrote it")]
    Version(u8),
    #[error("it ends too early")]
    Short,
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    #[error("{0} is no kind of what is said here")]
    Kind(u8),
    #[error("a name in it is not text")]
    NotText,
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Something that is sent or kept.
pub(crate) trait Wire: Sized {
    fn put(&self, to: &mut BytesMut);
    fn read(from: &mut Bytes) -> Result<Self, CodecError>;
}

pub(crate) fn encode<T: Wire>(value: &T) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(VERSION);
    value.put(&mut bytes);
    bytes.freeze()
}

pub(crate) fn decode<T: Wire>(mut bytes: Bytes) -> Result<T, CodecError> {
    match u8::read(&mut bytes)? {
        VERSION => (),
        other => return Err(CodecError::Version(other)),
    }
    let value = T::read(&mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        extra => Err(CodecError::Trailing(extra)),
    }
}

impl Wire for u8 {
    fn put(&self, to: &mut BytesMut) {
        to.put_u8(*self);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        from.try_get_u8().map_err(|_| CodecError::Short)
    }
}

impl Wire for u64 {
    fn put(&self, to: &mut BytesMut) {
        to.put_u64(*self);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        from.try_get_u64().map_err(|_| CodecError::Short)
    }
}

impl Wire for bool {
    fn put(&self, to: &mut BytesMut) {
        to.put_u8((*self).into());
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(CodecError::Kind(other)),
        }
    }
}

impl Wire for Bytes {
    fn put(&self, to: &mut BytesMut) {
        put_len(self.len(), to);
        to.put_slice(self);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let len = take_len(from)?;
        if len > from.len() {
            return Err(CodecError::Short);
        }
        Ok(from.split_to(len))
    }
}

impl Wire for String {
    fn put(&self, to: &mut BytesMut) {
        put_len(self.len(), to);
        to.put_slice(self.as_bytes());
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Self::from_utf8(Bytes::read(from)?.into()).map_err(|_| CodecError::NotText)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut BytesMut) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut BytesMut) {
        put_list(self.iter(), to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let len = take_len(from)?;
        // Grows with what is read: a damaged length reserves nothing.
        let mut items = Self::new();
        for _ in 0..len {
            items.push(T::read(from)?);
        }
        Ok(items)
    }
}

fn put_list<'a, T: Wire + 'a>(items: impl ExactSizeIterator<Item = &'a T>, to: &mut BytesMut) {
    put_len(items.len(), to);
    items.for_each(|item| item.put(to));
}

fn put_len(len: usize, to: &mut BytesMut) {
    to.put_u32(u32::try_from(len).expect("nothing here has 4 GiB"));
}

fn take_len(from: &mut Bytes) -> Result<usize, CodecError> {
    let len = from.try_get_u32().map_err(|_| CodecError::Short)?;
    usize::try_from(len).map_err(|_| CodecError::Short)
}

impl Wire for Record {
    fn put(&self, to: &mut BytesMut) {
        self.key().put(to);
        self.value().put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let key = Bytes::read(from)?;
        let value = Option::<Bytes>::read(from)?;
        Ok(Self::decode(&key, value.as_deref())?)
    }
}

impl Wire for LogId {
    fn put(&self, to: &mut BytesMut) {
        self.leader_id.put(to);
        self.index.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self::new(LeaderId::read(from)?, u64::read(from)?))
    }
}

impl Wire for LeaderId<NodeId> {
    fn put(&self, to: &mut BytesMut) {
        self.term.put(to);
        self.node_id.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self::new(u64::read(from)?, u64::read(from)?))
    }
}

impl Wire for Vote {
    fn put(&self, to: &mut BytesMut) {
        self.leader_id.put(to);
        self.committed.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            leader_id: LeaderId::read(from)?,
            committed: bool::read(from)?,
        })
    }
}

impl Wire for Membership {
    fn put(&self, to: &mut BytesMut) {
        let configs = self.get_joint_config();
        put_len(configs.len(), to);
        for config in configs {
            put_list(config.iter(), to);
        }
        let nodes: Vec<NodeId> = self.nodes().map(|(id, ())| *id).collect();
        nodes.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let configs = Vec::<Vec<NodeId>>::read(from)?;
        let configs = configs.into_iter().map(BTreeSet::from_iter).collect();
        let nodes: BTreeSet<NodeId> = Vec::read(from)?.into_iter().collect();
        Ok(Self::new(configs, nodes))
    }
}

impl Wire for StoredMembership {
    fn put(&self, to: &mut BytesMut) {
        self.log_id().put(to);
        self.membership().put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self::new(Option::read(from)?, Membership::read(from)?))
    }
}

impl Wire for SnapshotMeta {
    fn put(&self, to: &mut BytesMut) {
        self.last_log_id.put(to);
        self.last_membership.put(to);
        self.snapshot_id.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            last_log_id: Option::read(from)?,
            last_membership: StoredMembership::read(from)?,
            snapshot_id: String::read(from)?,
        })
    }
}

mod kind {
    pub(super) const BLANK: u8 = 0;
    pub(super) const PROPOSED: u8 = 1;
    pub(super) const MEMBERSHIP: u8 = 2;

    pub(super) const SUCCESS: u8 = 0;
    pub(super) const PARTIAL_SUCCESS: u8 = 1;
    pub(super) const CONFLICT: u8 = 2;
    pub(super) const HIGHER_VOTE: u8 = 3;
}

impl Wire for Entry {
    fn put(&self, to: &mut BytesMut) {
        self.log_id.put(to);
        match &self.payload {
            EntryPayload::Blank => kind::BLANK.put(to),
            EntryPayload::Normal(Proposed { term, records }) => {
                kind::PROPOSED.put(to);
                term.put(to);
                put_list(records.iter(), to);
            }
            EntryPayload::Membership(membership) => {
                kind::MEMBERSHIP.put(to);
                membership.put(to);
            }
        }
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let log_id = LogId::read(from)?;
        let payload = match u8::read(from)? {
            kind::BLANK => EntryPayload::Blank,
            kind::PROPOSED => EntryPayload::Normal(Proposed {
                term: u64::read(from)?,
                records: Arc::from(Vec::read(from)?),
            }),
            kind::MEMBERSHIP => EntryPayload::Membership(Membership::read(from)?),
            other => return Err(CodecError::Kind(other)),
        };
        Ok(Self { log_id, payload })
    }
}

impl Wire for AppendEntriesRequest<TypeConfig> {
    fn put(&self, to: &mut BytesMut) {
        self.vote.put(to);
        self.prev_log_id.put(to);
        self.entries.put(to);
        self.leader_commit.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            vote: Vote::read(from)?,
            prev_log_id: Option::read(from)?,
            entries: Vec::read(from)?,
            leader_commit: Option::read(from)?,
        })
    }
}

impl Wire for AppendEntriesResponse<NodeId> {
    fn put(&self, to: &mut BytesMut) {
        match self {
            Self::Success => kind::SUCCESS.put(to),
            Self::PartialSuccess(matching) => {
                kind::PARTIAL_SUCCESS.put(to);
                matching.put(to);
            }
            Self::Conflict => kind::CONFLICT.put(to),
            Self::HigherVote(vote) => {
                kind::HIGHER_VOTE.put(to);
                vote.put(to);
            }
        }
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        match u8::read(from)? {
            kind::SUCCESS => Ok(Self::Success),
            kind::PARTIAL_SUCCESS => Ok(Self::PartialSuccess(Option::read(from)?)),
            kind::CONFLICT => Ok(Self::Conflict),
            kind::HIGHER_VOTE => Ok(Self::HigherVote(Vote::read(from)?)),
            other => Err(CodecError::Kind(other)),
        }
    }
}

impl Wire for VoteRequest<NodeId> {
    fn put(&self, to: &mut BytesMut) {
        self.vote.put(to);
        self.last_log_id.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self::new(Vote::read(from)?, Option::read(from)?))
    }
}

impl Wire for VoteResponse<NodeId> {
    fn put(&self, to: &mut BytesMut) {
        self.vote.put(to);
        self.last_log_id.put(to);
        self.vote_granted.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        let vote = Vote::read(from)?;
        Ok(Self::new(vote, Option::read(from)?, bool::read(from)?))
    }
}

impl Wire for InstallSnapshotRequest<TypeConfig> {
    fn put(&self, to: &mut BytesMut) {
        self.vote.put(to);
        self.meta.put(to);
        self.offset.put(to);
        put_len(self.data.len(), to);
        to.put_slice(&self.data);
        self.done.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            vote: Vote::read(from)?,
            meta: SnapshotMeta::read(from)?,
            offset: u64::read(from)?,
            data: Bytes::read(from)?.into(),
            done: bool::read(from)?,
        })
    }
}

/// The answer to a part of a snapshot: a part that does not follow the one before
/// is told where to go on.
impl Wire for Result<InstallSnapshotResponse<NodeId>, InstallSnapshotError> {
    fn put(&self, to: &mut BytesMut) {
        match self {
            Ok(response) => {
                true.put(to);
                response.vote.put(to);
            }
            Err(InstallSnapshotError::SnapshotMismatch(mismatch)) => {
                false.put(to);
                mismatch.expect.put(to);
                mismatch.got.put(to);
            }
        }
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        if bool::read(from)? {
            let vote = Vote::read(from)?;
            return Ok(Ok(InstallSnapshotResponse { vote }));
        }
        let mismatch = SnapshotMismatch {
            expect: SnapshotSegmentId::read(from)?,
            got: SnapshotSegmentId::read(from)?,
        };
        Ok(Err(mismatch.into()))
    }
}

impl Wire for SnapshotSegmentId {
    fn put(&self, to: &mut BytesMut) {
        self.id.put(to);
        self.offset.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            id: String::read(from)?,
            offset: u64::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use ottla_base::ProducerId;

    use super::*;

    fn check<T: Wire + Debug>(value: &T) {
        let bytes = encode(value);
        let back: T = decode(bytes.clone()).expect("what was written");
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
        for len in 0..bytes.len() {
            let short = decode::<T>(bytes.slice(..len)).expect_err("cut");
            assert_eq!(short, CodecError::Short, "{value:?} cut at {len}");
        }
        let longer = Bytes::from([&bytes, &b"x"[..]].concat());
        assert_eq!(
            decode::<T>(longer).expect_err("too long"),
            CodecError::Trailing(1)
        );
        let newer = Bytes::from([&[1], &bytes[1..]].concat());
        assert_eq!(
            decode::<T>(newer).expect_err("newer"),
            CodecError::Version(1)
        );
    }

    fn log_id(index: u64) -> LogId {
        LogId::new(LeaderId::new(7, 3), index)
    }

    fn meta() -> SnapshotMeta {
        let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2])];
        let nodes = BTreeSet::from([1, 2, 3, 9]);
        SnapshotMeta {
            last_log_id: Some(log_id(5)),
            last_membership: StoredMembership::new(
                Some(log_id(1)),
                Membership::new(configs, nodes),
            ),
            snapshot_id: "7-5".to_owned(),
        }
    }

    #[test]
    fn what_is_said_and_kept_comes_back_as_it_was() {
        let records = [
            Record::ProducerIds {
                next: ProducerId(5),
            },
            Record::BrokerGone(ottla_base::BrokerId(4)),
        ];
        let entries = [
            EntryPayload::Blank,
            EntryPayload::Normal(Proposed {
                term: 7,
                records: Arc::from(records),
            }),
            EntryPayload::Membership(meta().last_membership.membership().clone()),
        ];
        let entry = |(at, payload)| Entry {
            log_id: log_id(at),
            payload,
        };
        check(&AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(7, 3),
            prev_log_id: None,
            entries: (5..).zip(entries).map(entry).collect(),
            leader_commit: Some(log_id(5)),
        });
        for response in [
            AppendEntriesResponse::Success,
            AppendEntriesResponse::PartialSuccess(Some(log_id(4))),
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::HigherVote(Vote::new(8, 1)),
        ] {
            check(&response);
        }
        check(&VoteRequest::new(Vote::new(8, 1), Some(log_id(4))));
        check(&VoteResponse::new(Vote::new(8, 1), None, true));
        check(&InstallSnapshotRequest::<TypeConfig> {
            vote: Vote::new_committed(7, 3),
            meta: meta(),
            offset: 1000,
            data: b"part".to_vec(),
            done: true,
        });
        let segment = |offset| SnapshotSegmentId {
            id: "7-5".to_owned(),
            offset,
        };
        let mismatch = SnapshotMismatch {
            expect: segment(0),
            got: segment(1000),
        };
        type Installed = Result<InstallSnapshotResponse<NodeId>, InstallSnapshotError>;
        check::<Installed>(&Ok(InstallSnapshotResponse {
            vote: Vote::new(8, 1),
        }));
        check::<Installed>(&Err(mismatch.into()));
    }
}
