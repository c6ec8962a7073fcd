//! What a cluster is: its topics, brokers, settings, users' credentials, producer
//! ids and feature levels, and who may change them how.
//!
//! [`ControllerMachine`] decides and writes [`Record`]s; [`Image`] is the fold
//! over those records and the only form in which brokers see the outcome. Knows
//! nothing of the wire, of logs, or of what a broker does with a partition.

mod brokers;
mod codec;
mod configs;
mod features;
mod image;
mod machine;
mod partitions;
mod placement;
mod producer_ids;
mod record;
mod scram;
mod sorted_map;
mod topics;

pub use brokers::{BrokerEpoch, Endpoint, Registration};
pub use configs::{
    AlterConfigError, Alteration, CHANGES_PER_REQUEST_MAX, ConfigChange, Edit, EditOp, Resource,
    ResourceKind,
};
pub use features::{FEATURES, Feature, METADATA_VERSION};
pub use image::{Change, Image, Partition, Topic};
pub use machine::{BootstrapError, ControllerMachine, Input, Mode, Reply, Settings};
pub use partitions::{CreatePartitionsError, NewPartitions};
pub use placement::PlacementError;
pub use producer_ids::{ProducerIdBlock, ProducerIdError};
pub use record::{Record, RecordError};
pub use scram::{
    AlterScramError, CredentialId, ScramAlteration, ScramChange, ScramCredential, ScramMechanism,
};
pub use topics::{
    AssignmentError, CreateTopicError, DeleteTopicError, METADATA_TOPIC, NewTopic,
    PARTITIONS_PER_REQUEST_MAX, TopicRef, assigned,
};
