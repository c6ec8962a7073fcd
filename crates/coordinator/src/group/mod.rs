//! Classic groups: all groups of one `__consumer_offsets` partition, their
//! members and their offsets. [`machine`] is the way in; each operation has a
//! file with its input, its result and its refusals.

mod describe;
mod hard;
mod heartbeat;
mod join;
mod leave;
mod loader;
mod machine;
mod member;
mod rebalance;
mod record;
mod state;
mod subscription;
mod sync;
mod timers;

pub use describe::{Delete, DeleteError, Describe};
pub use describe::{
    DescribedMember, Description, Filter, GroupKind, GroupState, List, ListedGroup,
};
pub use hard::Hard;
pub use heartbeat::{Heartbeat, HeartbeatError};
pub use join::{Join, JoinError, Joined, JoinedMember, NewMember, ReturningLeader};
pub use leave::{Leave, LeaveError, Leaving};
pub use loader::{Loaded, Loader};
pub use machine::{GroupMachine, Input, Reply};
pub use member::{Client, Protocol, Timeouts};
pub use record::{
    GroupValue, MemberValue, OffsetValue, Record, RecordError, RecordKey, StoredRecord,
};
pub use sync::{Sync, SyncError, Synced};

pub(crate) use hard::TopicOffsets;
pub(crate) use machine::Step;
pub(crate) use state::{Group, State, Stranger};
