//! The machine: which input is whose, and the records that change the image.

use std::sync::Arc;

use ottla_base::config::Overrides;
use ottla_base::{
    BrokerId, ClusterId, Effects, Machine, Millis, PartitionId, ReplyToken, TopicName,
};

use crate::features::FEATURES;
use crate::hosted::Hosted;
use crate::record::Record;
use crate::sessions::Sessions;
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
    /// Follows from `image`.
    pub(crate) hosted: Hosted,
    pub(crate) sessions: Sessions,
    awake: bool,
    /// When preferred leaders are looked for next; none before the first step.
    rebalance_at: Option<Millis>,
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
    /// Whoever elected this controller had not heard from that broker's node for a while.
    BrokerDoubted {
        broker: BrokerId,
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
    AlterPartitions(Result<Vec<Result<Arc<Partition>, AlterPartitionError>>, StaleBrokerEpoch>),
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
        Self::from_image(settings, Image::default())
    }

    /// A machine that goes on from what others have decided.
    pub fn from_image(settings: Settings, image: Image) -> Self {
        Self {
            hosted: Hosted::of_image(&image),
            sessions: Sessions::new(settings.session_timeout_ms),
            awake: false,
            rebalance_at: None,
            image,
            settings,
        }
    }

    /// Whoever is not fenced counts as heard from at the first step: it has spoken to
    /// the controller before this one.
    fn wake(&mut self, fx: &Effects<Self>) {
        if !self.awake {
            self.awake = true;
            self.assume_alive(fx);
            self.schedule_rebalance(fx);
        }
    }

    pub(crate) fn assume_alive(&mut self, fx: &Effects<Self>) {
        self.sessions.assume(&self.image, fx.now());
    }

    fn schedule_rebalance(&mut self, fx: &Effects<Self>) {
        let interval = self.settings.leader_imbalance_check_ms;
        self.rebalance_at = interval.map(|ms| fx.now().plus_ms(ms));
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
        self.hosted.follow(&self.image, record);
        self.image.apply(record);
    }

    fn handle(&mut self, input: Input, fx: &mut Effects<Self>) {
        self.wake(fx);
        let token = input.token();
        let reply = match input {
            Input::Bootstrap {
                cluster,
                credentials,
                ..
            } => Reply::Bootstrap(self.bootstrap(cluster, credentials, fx)),
            Input::RegisterBroker { broker, .. } => {
                Reply::RegisterBroker(self.register_broker(broker, fx))
            }
            Input::Heartbeat { heartbeat, .. } => Reply::Heartbeat(self.heartbeat(&heartbeat, fx)),
            Input::BrokerLost { broker, epoch } => return self.broker_lost(broker, epoch, fx),
            Input::BrokerDoubted { broker } => return self.sessions.doubt(broker),
            Input::UnregisterBroker { broker, .. } => {
                Reply::UnregisterBroker(self.unregister_broker(broker, fx))
            }
            Input::AlterPartitions {
                broker,
                epoch,
                changes,
                ..
            } => Reply::AlterPartitions(self.alter_partitions(broker, epoch, &changes, fx)),
            Input::ElectLeaders {
                kind, partitions, ..
            } => Reply::ElectLeaders(self.elect_leaders(kind, partitions, fx)),
            Input::Reassign { factor, items, .. } => {
                Reply::Reassign(self.reassign(factor, &items, fx))
            }
            Input::CreateTopics { mode, topics, .. } => {
                Reply::CreateTopics(self.create_topics(mode, &topics, fx))
            }
            Input::DeleteTopics { topics, .. } => {
                Reply::DeleteTopics(self.delete_topics(&topics, fx))
            }
            Input::CreatePartitions { mode, topics, .. } => {
                Reply::CreatePartitions(self.create_partitions(mode, &topics, fx))
            }
            Input::AlterConfigs {
                mode, alterations, ..
            } => Reply::AlterConfigs(self.alter_configs(mode, &alterations, fx)),
            Input::AlterScram { alterations, .. } => {
                Reply::AlterScram(self.alter_scram(&alterations, fx))
            }
            Input::AllocateProducerIds { .. } => {
                Reply::AllocateProducerIds(self.allocate_producer_ids(fx))
            }
        };
        if let Some(token) = token {
            fx.reply(token, reply);
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        let silence = self.sessions.next_end(&self.image);
        silence.into_iter().chain(self.rebalance_at).min()
    }

    fn on_deadline(&mut self, fx: &mut Effects<Self>) {
        self.fence_silent(fx);
        if self.rebalance_at.is_some_and(|at| at <= fx.now()) {
            let more = self.rebalance_leaders(fx);
            self.schedule_rebalance(fx);
            if more {
                // The next batch follows this one at once.
                self.rebalance_at = Some(fx.now().plus_ms(1));
            }
        }
    }
}

impl Input {
    /// Who waits for the reply.
    fn token(&self) -> Option<ReplyToken> {
        match self {
            Self::Bootstrap { token, .. }
            | Self::RegisterBroker { token, .. }
            | Self::Heartbeat { token, .. }
            | Self::UnregisterBroker { token, .. }
            | Self::AlterPartitions { token, .. }
            | Self::ElectLeaders { token, .. }
            | Self::Reassign { token, .. }
            | Self::CreateTopics { token, .. }
            | Self::DeleteTopics { token, .. }
            | Self::CreatePartitions { token, .. }
            | Self::AlterConfigs { token, .. }
            | Self::AlterScram { token, .. }
            | Self::AllocateProducerIds { token, .. } => Some(*token),
            Self::BrokerLost { .. } | Self::BrokerDoubted { .. } => None,
        }
    }
}
