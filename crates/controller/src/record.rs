//! What the metadata log holds, and its bytes.
//!
//! A record is a key and a value as in any compacted topic: of two records with
//! the same key only the later counts, and a key without a value says that its
//! subject is gone. The layout is our own rather than protobuf: ten kinds of a
//! few fields each are less code than a schema and its conversions, nothing but
//! this program reads them, and what protobuf would add, skipping fields that are
//! not known, is what must not happen here: a broker that half understands what
//! the cluster is would act on the wrong half. So every value starts with a
//! version, and one that is not known stops the load.

use std::sync::Arc;

use bytes::Bytes;
use ottla_base::config::SecurityProtocol;
use ottla_base::{
    BrokerId, ClusterId, GroupId, LeaderEpoch, Millis, PartitionId, ProducerId, TopicId, TopicName,
};

use crate::codec::{Reader, Writer};
use crate::{
    BrokerEpoch, CredentialId, Endpoint, Partition, Registration, Resource, ScramCredential,
    ScramMechanism, Topic,
};

pub use crate::codec::RecordError;

/// One fact about the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Which cluster this is; written once.
    Cluster(ClusterId),
    /// A topic and all its partitions.
    Topic(Arc<Topic>),
    TopicDeleted(TopicId),
    /// One partition of a topic, in the place of what was said of it before.
    Partition {
        topic: TopicId,
        partition: PartitionId,
        state: Arc<Partition>,
    },
    /// One setting of one resource; no value removes it.
    Config {
        resource: Resource,
        name: String,
        value: Option<String>,
    },
    /// All that is known of a broker, also whether it is fenced.
    Broker(Arc<Registration>),
    BrokerGone(BrokerId),
    /// No broker that registers from now on gets an epoch up to this one.
    BrokerEpochs {
        last: BrokerEpoch,
    },
    /// Every producer id below `next` may be in use.
    ProducerIds {
        next: ProducerId,
    },
    /// The level the cluster agreed on; 0 is off.
    Feature {
        name: String,
        level: i16,
    },
    /// What one user's password is checked with; no credential removes it.
    Scram {
        of: CredentialId,
        credential: Option<Arc<ScramCredential>>,
    },
}

/// The first byte of a key. Numbers are never used again for something else.
mod kind {
    pub(super) const CLUSTER: u8 = 1;
    pub(super) const TOPIC: u8 = 2;
    pub(super) const CONFIG: u8 = 3;
    pub(super) const BROKER: u8 = 4;
    pub(super) const PRODUCER_IDS: u8 = 5;
    pub(super) const FEATURE: u8 = 6;
    pub(super) const SCRAM: u8 = 7;
    pub(super) const PARTITION: u8 = 8;
    pub(super) const BROKER_EPOCHS: u8 = 9;
}

/// The version of a kind's value, its first byte, as it is written.
const fn version(kind: u8) -> u8 {
    match kind {
        kind::TOPIC => 1,
        kind::BROKER => 2,
        _ => 0,
    }
}

impl Record {
    /// What this record is about: the later of two with the same key counts.
    pub fn key(&self) -> Bytes {
        let key = Writer::default();
        match self {
            Self::Cluster(_) => key.byte(kind::CLUSTER),
            Self::Topic(topic) => key.byte(kind::TOPIC).array(topic.id.0),
            Self::TopicDeleted(id) => key.byte(kind::TOPIC).array(id.0),
            Self::Partition {
                topic, partition, ..
            } => key
                .byte(kind::PARTITION)
                .array(topic.0)
                .int(partition.0.into()),
            Self::Config { resource, name, .. } => {
                write_resource(key.byte(kind::CONFIG), resource).str(name)
            }
            Self::Broker(broker) => key.byte(kind::BROKER).int(broker.id.0.into()),
            Self::BrokerGone(id) => key.byte(kind::BROKER).int(id.0.into()),
            Self::BrokerEpochs { .. } => key.byte(kind::BROKER_EPOCHS),
            Self::ProducerIds { .. } => key.byte(kind::PRODUCER_IDS),
            Self::Feature { name, .. } => key.byte(kind::FEATURE).str(name),
            Self::Scram { of, .. } => key
                .byte(kind::SCRAM)
                .int(of.mechanism.code().into())
                .str(&of.user),
        }
        .finish()
    }

    /// None says that what the key names is gone.
    pub fn value(&self) -> Option<Bytes> {
        let value = |kind| Writer::default().byte(version(kind));
        let written = match self {
            Self::Cluster(id) => value(kind::CLUSTER).str(id.as_str()),
            Self::Topic(topic) => write_topic(value(kind::TOPIC), topic),
            Self::TopicDeleted(_) => return None,
            Self::Partition { state, .. } => write_partition(value(kind::PARTITION), state),
            Self::Config { value: None, .. } => return None,
            Self::Config {
                value: Some(text), ..
            } => value(kind::CONFIG).str(text),
            Self::Broker(broker) => write_broker(value(kind::BROKER), broker),
            Self::BrokerGone(_) => return None,
            Self::BrokerEpochs { last } => value(kind::BROKER_EPOCHS).int(last.0),
            Self::ProducerIds { next } => value(kind::PRODUCER_IDS).int(next.0),
            Self::Feature { level: 0, .. } => return None,
            Self::Feature { level, .. } => value(kind::FEATURE).int((*level).into()),
            Self::Scram { credential, .. } => {
                write_credential(value(kind::SCRAM), credential.as_ref()?)
            }
        };
        Some(written.finish())
    }

    /// The record that [`Record::key`] and [`Record::value`] wrote.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, RecordError> {
        let mut key = Reader::new(key);
        let kind = key.byte("kind")?;
        let record = match (kind, value) {
            (kind::CLUSTER, Some(value)) => decode_cluster(value),
            (kind::TOPIC, value) => {
                let id = TopicId(key.array("topic id")?);
                value.map_or(Ok(Self::TopicDeleted(id)), |value| decode_topic(id, value))
            }
            (kind::PARTITION, Some(value)) => {
                let topic = TopicId(key.array("topic id")?);
                let partition = PartitionId(key.int("partition")?);
                decode_partition(value).map(|state| Self::Partition {
                    topic,
                    partition,
                    state: Arc::new(state),
                })
            }
            (kind::CONFIG, value) => {
                let resource = read_resource(&mut key)?;
                let name = key.str("setting")?.to_owned();
                let value = value.map(decode_setting).transpose()?;
                Ok(Self::Config {
                    resource,
                    name,
                    value,
                })
            }
            (kind::BROKER, value) => {
                let id = BrokerId(key.int("broker id")?);
                value.map_or(Ok(Self::BrokerGone(id)), |value| decode_broker(id, value))
            }
            (kind::BROKER_EPOCHS, Some(value)) => decode_broker_epochs(value),
            (kind::PRODUCER_IDS, Some(value)) => decode_producer_ids(value),
            (kind::FEATURE, value) => {
                let name = key.str("feature")?.to_owned();
                let level = value.map_or(Ok(0), decode_level)?;
                Ok(Self::Feature { name, level })
            }
            (kind::SCRAM, value) => {
                let of = read_credential_id(&mut key)?;
                let credential = value.map(decode_credential).transpose()?;
                Ok(Self::Scram { of, credential })
            }
            (kind::CLUSTER | kind::PARTITION | kind::BROKER_EPOCHS | kind::PRODUCER_IDS, None) => {
                Err(RecordError::NotDeletable { kind })
            }
            (kind, _) => Err(RecordError::UnknownKind { kind }),
        }?;
        key.finish()?;
        Ok(record)
    }
}

/// Opens a value that was written in a version up to the one that is written now.
fn value_of(kind: u8, value: &[u8]) -> Result<(u8, Reader<'_>), RecordError> {
    let mut value = Reader::new(value);
    let known = version(kind);
    match value.byte("version")? {
        version if version <= known => Ok((version, value)),
        version => Err(RecordError::UnknownVersion {
            kind,
            version,
            known,
        }),
    }
}

fn decode_cluster(value: &[u8]) -> Result<Record, RecordError> {
    let (_, mut value) = value_of(kind::CLUSTER, value)?;
    let id = ClusterId::from(value.str("cluster id")?);
    value.finish()?;
    Ok(Record::Cluster(id))
}

fn write_topic(value: Writer, topic: &Topic) -> Writer {
    let value = value.str(topic.name.as_str()).len(topic.partitions.len());
    topic.partitions.iter().fold(value, write_partition)
}

fn write_partition(value: Writer, partition: &Partition) -> Writer {
    value
        .list(&partition.replicas, write_broker_id)
        .list(&partition.isr, write_broker_id)
        // Broker ids are not negative, so -1 is free for "none".
        .int(partition.leader.map_or(-1, |id| id.0.into()))
        .int(partition.leader_epoch.0.into())
        .int(partition.partition_epoch.into())
        .list(&partition.elr, write_broker_id)
        .list(&partition.last_known_elr, write_broker_id)
        .list(&partition.adding, write_broker_id)
        .list(&partition.removing, write_broker_id)
        .byte(partition.recovering.into())
}

fn write_broker_id(value: Writer, id: &BrokerId) -> Writer {
    value.int(id.0.into())
}

fn decode_topic(id: TopicId, value: &[u8]) -> Result<Record, RecordError> {
    let (layout, mut value) = value_of(kind::TOPIC, value)?;
    let name = TopicName::from(value.str("topic name")?);
    let partitions = value.list("partitions", |value| {
        let mut partition = read_leadership(value)?;
        if layout >= 1 {
            read_eligibility(value, &mut partition)?;
        }
        Ok(partition)
    })?;
    value.finish()?;
    Ok(Record::Topic(Arc::new(Topic {
        id,
        name,
        partitions: partitions.into_iter().collect(),
    })))
}

fn decode_partition(value: &[u8]) -> Result<Partition, RecordError> {
    let (_, mut value) = value_of(kind::PARTITION, value)?;
    let mut partition = read_leadership(&mut value)?;
    read_eligibility(&mut value, &mut partition)?;
    value.finish()?;
    Ok(partition)
}

fn read_leadership(value: &mut Reader<'_>) -> Result<Partition, RecordError> {
    let replicas = read_broker_ids(value, "replicas")?;
    let isr = read_broker_ids(value, "isr")?;
    let leader = value.int("leader")?;
    Ok(Partition {
        leader: (leader != -1).then_some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(value.int("leader epoch")?),
        partition_epoch: value.int("partition epoch")?,
        ..Partition::new(replicas, isr)
    })
}

/// What topics of version 0 do not have.
fn read_eligibility(value: &mut Reader<'_>, partition: &mut Partition) -> Result<(), RecordError> {
    partition.elr = read_broker_ids(value, "elr")?;
    partition.last_known_elr = read_broker_ids(value, "last known elr")?;
    partition.adding = read_broker_ids(value, "adding")?;
    partition.removing = read_broker_ids(value, "removing")?;
    partition.recovering = value.flag("recovering")?;
    Ok(())
}

fn read_broker_ids(
    value: &mut Reader<'_>,
    field: &'static str,
) -> Result<Vec<BrokerId>, RecordError> {
    value.list(field, |value| value.int(field).map(BrokerId))
}

/// Resources carry the numbers that the protocol gives their kinds; 4 with an
/// empty name is what holds for every broker.
fn write_resource(key: Writer, resource: &Resource) -> Writer {
    let key = key.int(resource.kind().code().into());
    match resource {
        Resource::Topic(name) => key.str(name.as_str()),
        Resource::Broker(id) => key.byte(1).int(id.0.into()),
        Resource::Brokers => key.byte(0),
        Resource::Group(id) => key.str(id.as_str()),
        Resource::ClientMetrics(name) => key.str(name),
    }
}

fn read_resource(key: &mut Reader<'_>) -> Result<Resource, RecordError> {
    const FIELD: &str = "resource";
    match key.int::<i8>(FIELD)? {
        2 => Ok(Resource::Topic(TopicName::from(key.str(FIELD)?))),
        4 => match key.byte(FIELD)? {
            0 => Ok(Resource::Brokers),
            1 => Ok(Resource::Broker(BrokerId(key.int(FIELD)?))),
            _ => Err(RecordError::OutOfRange { field: FIELD }),
        },
        16 => Ok(Resource::ClientMetrics(key.str(FIELD)?.to_owned())),
        32 => Ok(Resource::Group(GroupId::from(key.str(FIELD)?))),
        _ => Err(RecordError::OutOfRange { field: FIELD }),
    }
}

fn decode_setting(value: &[u8]) -> Result<String, RecordError> {
    let (_, mut value) = value_of(kind::CONFIG, value)?;
    let text = value.str("value")?.to_owned();
    value.finish()?;
    Ok(text)
}

fn write_broker(value: Writer, broker: &Registration) -> Writer {
    value
        .int(broker.epoch.0)
        .array(broker.incarnation)
        .optional_str(broker.rack.as_deref())
        .list(&broker.listeners, |value, endpoint| {
            value
                .str(&endpoint.listener)
                .str(&endpoint.host)
                .int(endpoint.port.into())
                .byte(protocol_code(endpoint.protocol))
        })
        .byte(broker.fenced.into())
        .byte(broker.in_controlled_shutdown.into())
        .optional_int(broker.last_away.map(|at| at.0))
        .optional_str(broker.directory.as_deref())
}

fn decode_broker(id: BrokerId, value: &[u8]) -> Result<Record, RecordError> {
    let (layout, mut value) = value_of(kind::BROKER, value)?;
    let mut broker = Registration {
        id,
        epoch: BrokerEpoch(value.int("broker epoch")?),
        incarnation: value.array("incarnation")?,
        directory: None,
        rack: value.optional_str("rack")?.map(str::to_owned),
        listeners: value.list("listeners", |value| {
            Ok(Endpoint {
                listener: value.str("listener")?.to_owned(),
                host: value.str("host")?.to_owned(),
                port: value.int("port")?,
                protocol: read_protocol(value)?,
            })
        })?,
        fenced: false,
        in_controlled_shutdown: false,
        last_away: None,
    };
    if layout >= 1 {
        broker.fenced = value.flag("fenced")?;
        broker.in_controlled_shutdown = value.flag("controlled shutdown")?;
    }
    if layout >= 2 {
        broker.last_away = value.optional_int("time of absence")?.map(Millis);
        broker.directory = value.optional_str("directory")?.map(str::to_owned);
    }
    value.finish()?;
    Ok(Record::Broker(Arc::new(broker)))
}

fn decode_broker_epochs(value: &[u8]) -> Result<Record, RecordError> {
    let (_, mut value) = value_of(kind::BROKER_EPOCHS, value)?;
    let last = BrokerEpoch(value.int("broker epoch")?);
    value.finish()?;
    Ok(Record::BrokerEpochs { last })
}

/// Kafka's numbers.
fn protocol_code(protocol: SecurityProtocol) -> u8 {
    match protocol {
        SecurityProtocol::Plaintext => 0,
        SecurityProtocol::Ssl => 1,
        SecurityProtocol::SaslPlaintext => 2,
        SecurityProtocol::SaslSsl => 3,
    }
}

fn read_protocol(value: &mut Reader<'_>) -> Result<SecurityProtocol, RecordError> {
    const FIELD: &str = "security protocol";
    match value.byte(FIELD)? {
        0 => Ok(SecurityProtocol::Plaintext),
        1 => Ok(SecurityProtocol::Ssl),
        2 => Ok(SecurityProtocol::SaslPlaintext),
        3 => Ok(SecurityProtocol::SaslSsl),
        _ => Err(RecordError::OutOfRange { field: FIELD }),
    }
}

fn decode_producer_ids(value: &[u8]) -> Result<Record, RecordError> {
    let (_, mut value) = value_of(kind::PRODUCER_IDS, value)?;
    let next = ProducerId(value.int("producer id")?);
    value.finish()?;
    Ok(Record::ProducerIds { next })
}

fn decode_level(value: &[u8]) -> Result<i16, RecordError> {
    let (_, mut value) = value_of(kind::FEATURE, value)?;
    let level = value.int("level")?;
    value.finish()?;
    Ok(level)
}

/// The mechanism comes first, by the number that the protocol gives it.
fn read_credential_id(key: &mut Reader<'_>) -> Result<CredentialId, RecordError> {
    const FIELD: &str = "mechanism";
    let mechanism = ScramMechanism::from_code(key.int(FIELD)?);
    let mechanism = mechanism.ok_or(RecordError::OutOfRange { field: FIELD })?;
    let user = key.str("user")?.to_owned();
    Ok(CredentialId { user, mechanism })
}

fn write_credential(value: Writer, credential: &ScramCredential) -> Writer {
    value
        .bytes(&credential.salt)
        .int(credential.iterations.into())
        .bytes(&credential.stored_key)
        .bytes(&credential.server_key)
}

fn decode_credential(value: &[u8]) -> Result<Arc<ScramCredential>, RecordError> {
    let (_, mut value) = value_of(kind::SCRAM, value)?;
    let credential = ScramCredential {
        salt: value.bytes("salt")?.to_vec(),
        iterations: value.int("iterations")?,
        stored_key: value.bytes("stored key")?.to_vec(),
        server_key: value.bytes("server key")?.to_vec(),
    };
    value.finish()?;
    Ok(Arc::new(credential))
}
