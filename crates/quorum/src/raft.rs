//! What openraft is told about this use of it.

use std::io::Cursor;
use std::sync::Arc;

use openraft::impls::{OneshotResponder, TokioRuntime};
use ottla_controller::Record;

/// A voter, by its `node.id`.
pub(crate) type NodeId = u64;

pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type Membership = openraft::Membership<NodeId, ()>;
pub(crate) type StoredMembership = openraft::StoredMembership<NodeId, ()>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, ()>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type StorageIOError = openraft::StorageIOError<NodeId>;
pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Metrics = openraft::RaftMetrics<NodeId, ()>;

/// The types that the quorum runs with. Where a voter is reached comes from the
/// settings of each start, so that a membership holds nothing but ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl openraft::RaftTypeConfig for TypeConfig {
    type D = Proposed;
    type R = ();
    type NodeId = NodeId;
    type Node = ();
    type Entry = Entry;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = TokioRuntime;
    type Responder = OneshotResponder<Self>;
}

/// What the active controller decided, as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposed {
    /// The term in which it was decided. In the log of another term it counts for
    /// nothing: whoever leads that term has not seen it when it decided on its own.
    pub term: u64,
    pub records: Arc<[Record]>,
}
