//! What a cluster is: its topics, brokers, settings, users' credentials, producer
//! ids and feature levels, and who may change them how.
//!
//! [`ControllerMachine`] decides and writes [`Record`]s; [`Image`] is the fold
//! over those records and the only form in which brokers see the outcome. Knows
//! nothing of the wire, of logs, or of what a broker does with a partition.

mod brokers;
mod change;
mod codec;
mod configs;
mod elections;
mod features;
mod hosted;
mod image;
mod isr;
mod machine;
mod partition;
mod partitions;
mod placement;
mod producer_ids;
mod reassignment;
mod record;
mod scram;
mod sessions;
mod sorted_map;
mod topics;

pub use brokers::{
    BrokerEpoch, Endpoint, Heartbeat, HeartbeatAnswer, RegisterError, Registration,
    StaleBrokerEpoch, UnregisterError,
};
pub use configs::{
    AlterConfigError, Alteration, CHANGES_PER_REQUEST_MAX, ConfigChange, Edit, EditOp, Resource,
    ResourceKind,
};
pub use elections::{Elected, Election, ElectionError};
pub use features::{FEATURES, Feature, METADATA_VERSION};
pub use image::{Change, Image, Topic};
pub use isr::{AlterPartitionError, IsrChange, Member};
pub use machine::{BootstrapError, ControllerMachine, Input, Mode, Reply, Settings};
pub use partition::{Partition, Partitions};
pub use partitions::{CreatePartitionsError, NewPartitions};
pub use placement::PlacementError;
pub use producer_ids::{ProducerIdBlock, ProducerIdError};
pub use reassignment::{ReassignError, Reassignment, ReplicationFactor};
pub use record::{Record, RecordError};
pub use scram::{
    AlterScramError, CredentialId, ScramAlteration, ScramChange, ScramCredential, ScramMechanism,
};
pub use topics::{
    AssignmentError, CreateTopicError, DeleteTopicError, METADATA_TOPIC, NewTopic,
    PARTITIONS_PER_REQUEST_MAX, TopicRef, assigned,
};
