//! The machine: which input is whose, and the records that change the image.

use std::sync::Arc;

use ottla_base::config::Overrides;
use ottla_base::{
    BrokerId, ClusterId, Effects, Machine, Millis, PartitionId, ReplyToken, TopicName,
};

use crate::features::FEATURES;
use crate::record::Record;
use crate::{
    AlterConfigError, AlterPartitionError, AlterScramError, Alteration, BrokerEpoch,
    CreatePartitionsError, CreateTopicError, CredentialId, DeleteTopicError, Elected, Election,
    Heartbeat, HeartbeatAnswer, Image, IsrChange, NewPartitions, NewTopic, Partition,
    ProducerIdBlock, ProducerIdError, ReassignError, Reassignment, RegisterError, Registration,
    ReplicationFactor, ScramAlteration, ScramCredential, StaleBrokerEpoch, Topic, TopicRef,
    UnregisterError,
};

/// Decides every change to the cluster. Owned by the controller's driver; what it
/// decided last may not be committed yet.
#[derive(Debug)]
pub struct ControllerMachine {
    image: Image,
    settings: Settings,
}

/// What the configuration of the controller's own node says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`.
    pub replication_factor_default: i16,
    /// All that was set at the start of the node.
    pub fixed: Arc<Overrides>,
    /// A broker that is not heard from for so long is fenced.
    pub session_timeout_ms: i64,
    /// Whether replicas outside of the ISR may be eligible as leaders (KIP-966).
    pub elr_enabled: bool,
    /// How often leadership goes back to the preferred leaders by itself; None leaves
    /// partitions with the leaders they have.
    pub leader_imbalance_check_ms: Option<i64>,
}

/// Something that asks for a decision. Every input with a token is answered
/// exactly once, by the [`Reply`] of the same name.
#[derive(Debug)]
pub enum Input {
    /// The first thing after every load.
    Bootstrap {
        token: ReplyToken,
        cluster: ClusterId,
        /// Those that the cluster is made with.
        credentials: Vec<(CredentialId, Arc<ScramCredential>)>,
    },
    RegisterBroker {
        token: ReplyToken,
        broker: Registration,
    },
    Heartbeat {
        token: ReplyToken,
        heartbeat: Heartbeat,
    },
    /// The process of a broker is gone for sure.
    BrokerLost {
        broker: BrokerId,
        epoch: BrokerEpoch,
    },
    UnregisterBroker {
        token: ReplyToken,
        broker: BrokerId,
    },
    AlterPartitions {
        token: ReplyToken,
        broker: BrokerId,
        epoch: BrokerEpoch,
        changes: Vec<IsrChange>,
    },
    ElectLeaders {
        token: ReplyToken,
        kind: Election,
        /// None asks for every partition.
        partitions: Option<Vec<(TopicName, PartitionId)>>,
    },
    Reassign {
        token: ReplyToken,
        factor: ReplicationFactor,
        items: Vec<Reassignment>,
    },
    CreateTopics {
        token: ReplyToken,
        mode: Mode,
        topics: Vec<NewTopic>,
    },
    DeleteTopics {
        token: ReplyToken,
        topics: Vec<TopicRef>,
    },
    CreatePartitions {
        token: ReplyToken,
        mode: Mode,
        topics: Vec<NewPartitions>,
    },
    AlterConfigs {
        token: ReplyToken,
        mode: Mode,
        alterations: Vec<Alteration>,
    },
    AlterScram {
        token: ReplyToken,
        alterations: Vec<ScramAlteration>,
    },
    AllocateProducerIds {
        token: ReplyToken,
        broker: BrokerId,
    },
}

/// Whether a change is made or only tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Apply,
    ValidateOnly,
}

/// The answer to an [`Input`]. A list has one result per item of the input, in
/// its order.
#[derive(Debug, PartialEq)]
pub enum Reply {
    Bootstrap(Result<(), BootstrapError>),
    RegisterBroker(Result<BrokerEpoch, RegisterError>),
    Heartbeat(Result<HeartbeatAnswer, StaleBrokerEpoch>),
    UnregisterBroker(Result<(), UnregisterError>),
    /// The partitions as they are now.
    AlterPartitions(Result<Vec<Result<Partition, AlterPartitionError>>, StaleBrokerEpoch>),
    /// One for each that was named, or, where none was, for each that has not the
    /// leader it should have.
    ElectLeaders(Vec<Elected>),
    Reassign(Vec<Result<(), ReassignError>>),
    /// The topic as it is now, or as it would be.
    CreateTopics(Vec<Result<Arc<Topic>, CreateTopicError>>),
    /// The topic as it was.
    DeleteTopics(Vec<Result<Arc<Topic>, DeleteTopicError>>),
    CreatePartitions(Vec<Result<(), CreatePartitionsError>>),
    AlterConfigs(Vec<Result<(), AlterConfigError>>),
    /// All alterations of one user have the same result.
    AlterScram(Vec<Result<(), AlterScramError>>),
    AllocateProducerIds(Result<ProducerIdBlock, ProducerIdError>),
}

/// Why the metadata is not this cluster's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    #[error("the metadata belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        found: ClusterId,
        expected: ClusterId,
    },
    #[error("the metadata has {name} at level {level}, and this program serves {min} to {max}")]
    UnservedFeature {
        name: String,
        level: i16,
        min: i16,
        max: i16,
    },
}

impl ControllerMachine {
    /// A machine that has applied nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            image: Image::default(),
            settings,
        }
    }

    /// A machine that goes on from what others have decided.
    pub fn from_image(settings: Settings, image: Image) -> Self {
        Self { image, settings }
    }

    /// What has been decided, committed or not.
    pub fn image(&self) -> &Image {
        &self.image
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes down at the first start which cluster this is, what it speaks and
    /// whom it knows, and checks at every later one that the first two still hold.
    fn bootstrap(
        &mut self,
        cluster: ClusterId,
        credentials: Vec<(CredentialId, Arc<ScramCredential>)>,
        fx: &mut Effects<Self>,
    ) -> Result<(), BootstrapError> {
        if let Some(found) = self.image.cluster() {
            if *found != cluster {
                return Err(BootstrapError::OtherCluster {
                    found: found.clone(),
                    expected: cluster,
                });
            }
            return self.every_feature_is_served();
        }
        self.emit(Record::Cluster(cluster), fx);
        for feature in FEATURES.iter().filter(|feature| feature.initial != 0) {
            let record = Record::Feature {
                name: feature.name.to_owned(),
                level: feature.initial,
            };
            self.emit(record, fx);
        }
        for (of, credential) in credentials {
            let credential = Some(credential);
            self.emit(Record::Scram { of, credential }, fx);
        }
        Ok(())
    }

    fn every_feature_is_served(&self) -> Result<(), BootstrapError> {
        for (name, level) in self.image.features() {
            let served = FEATURES.iter().find(|feature| feature.name == name);
            let (min, max) = served.map_or((0, 0), |feature| (feature.min, feature.max));
            if level < min || level > max {
                return Err(BootstrapError::UnservedFeature {
                    name: name.to_owned(),
                    level,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

impl Machine for ControllerMachine {
    type Input = Input;
    type Record = Record;
    type Reply = Reply;
    type Hard = Image;

    fn hard(&self) -> &Image {
        &self.image
    }

    fn apply(&mut self, record: &Record) {
        self.image.apply(record);
    }

    fn handle(&mut self, input: Input, fx: &mut Effects<Self>) {
        let (token, reply) = match input {
            Input::Bootstrap {
                token,
                cluster,
                credentials,
            } => (
                token,
                Reply::Bootstrap(self.bootstrap(cluster, credentials, fx)),
            ),
            Input::RegisterBroker { token, broker } => (
                token,
                Reply::RegisterBroker(self.register_broker(broker, fx)),
            ),
            Input::Heartbeat { token, heartbeat } => {
                (token, Reply::Heartbeat(self.heartbeat(&heartbeat, fx)))
            }
            Input::BrokerLost { broker, epoch } => return self.broker_lost(broker, epoch, fx),
            Input::UnregisterBroker { token, broker } => (
                token,
                Reply::UnregisterBroker(self.unregister_broker(broker, fx)),
            ),
            Input::AlterPartitions {
                token,
                broker,
                epoch,
                changes,
            } => (
                token,
                Reply::AlterPartitions(self.alter_partitions(broker, epoch, &changes, fx)),
            ),
            Input::ElectLeaders {
                token,
                kind,
                partitions,
            } => (
                token,
                Reply::ElectLeaders(self.elect_leaders(kind, partitions, fx)),
            ),
            Input::Reassign {
                token,
                factor,
                items,
            } => (token, Reply::Reassign(self.reassign(factor, &items, fx))),
            Input::CreateTopics {
                token,
                mode,
                topics,
            } => (
                token,
                Reply::CreateTopics(self.create_topics(mode, &topics, fx)),
            ),
            Input::DeleteTopics { token, topics } => {
                (token, Reply::DeleteTopics(self.delete_topics(&topics, fx)))
            }
            Input::CreatePartitions {
                token,
                mode,
                topics,
            } => (
                token,
                Reply::CreatePartitions(self.create_partitions(mode, &topics, fx)),
            ),
            Input::AlterConfigs {
                token,
                mode,
                alterations,
            } => (
                token,
                Reply::AlterConfigs(self.alter_configs(mode, &alterations, fx)),
            ),
            Input::AlterScram { token, alterations } => {
                (token, Reply::AlterScram(self.alter_scram(&alterations, fx)))
            }
            Input::AllocateProducerIds { token, broker: _ } => (
                token,
                Reply::AllocateProducerIds(self.allocate_producer_ids(fx)),
            ),
        };
        fx.reply(token, reply);
    }

    /// Nothing here waits for a time.
    fn next_deadline(&self) -> Option<Millis> {
        None
    }

    fn on_deadline(&mut self, _fx: &mut Effects<Self>) {}
}
