//! Settings that are changed while the cluster runs: of a topic, of one broker,
//! of all brokers, of a group, of a subscription to client metrics.

use std::collections::BTreeSet;

use ottla_base::config::{
    self, BrokerTarget, ConfigError, Layers, Overrides, Scope, TopicDefaults,
    check_broker_overrides, check_client_metrics_overrides, check_group_overrides,
    check_topic_overrides,
};
use ottla_base::{BrokerId, Effects, GroupId, Machine, TopicName, TopicPartition};

use crate::change::Rules;
use crate::record::Record;
use crate::topics::repeated;
use crate::{ControllerMachine, Mode, Partition};

/// Most settings that one request may change, as in Kafka.
pub const CHANGES_PER_REQUEST_MAX: usize = 10_000;

const ISR_MIN: &str = "min.insync.replicas";

/// The settings that say who may lead.
const ELECTION_SETTINGS: [&str; 2] = [ISR_MIN, "unclean.leader.election.enable"];

/// What settings belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Topic(TopicName),
    Broker(BrokerId),
    /// Every broker that has no setting of its own.
    Brokers,
    /// The group need not exist.
    Group(GroupId),
    /// A subscription, by its name (KIP-714).
    ClientMetrics(String),
}

/// The kinds of resources, as the protocol counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    Topic,
    Broker,
    ClientMetrics,
    Group,
}

impl Resource {
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Topic(_) => ResourceKind::Topic,
            Self::Broker(_) | Self::Brokers => ResourceKind::Broker,
            Self::Group(_) => ResourceKind::Group,
            Self::ClientMetrics(_) => ResourceKind::ClientMetrics,
        }
    }
}

impl ResourceKind {
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    fn scope(self) -> Scope {
        match self {
            Self::Topic => Scope::Topic,
            Self::Broker => Scope::Broker,
            Self::ClientMetrics => Scope::ClientMetrics,
            Self::Group => Scope::Group,
        }
    }
}

/// What somebody wants of one resource. It is done whole or not at all.
#[derive(Clone, Debug)]
pub struct Alteration {
    pub resource: Resource,
    pub change: ConfigChange,
}

#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// These are all settings from now on.
    Replace(Vec<(String, String)>),
    /// Only these settings change.
    Edit(Vec<Edit>),
}

/// A change of one setting.
#[derive(Clone, Debug)]
pub struct Edit {
    pub name: String,
    pub op: EditOp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditOp {
    Set(String),
    Delete,
    /// Adds items to a list, which starts from the default if it was not set.
    Append(String),
    Subtract(String),
}

/// Why a resource keeps the settings it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigError {
    #[error("Each resource must appear at most once.")]
    RepeatedResource,
    #[error("Error due to duplicate config keys")]
    RepeatedKey { name: String },
    #[error("topic name '{name}' is not legal")]
    IllegalTopic { name: TopicName },
    #[error("topic '{name}' does not exist")]
    UnknownTopic { name: TopicName },
    #[error("broker {id} is not registered")]
    UnknownBroker { id: BrokerId },
    #[error("the resource has no name")]
    Unnamed,
    #[error("{source}")]
    Config {
        kind: ResourceKind,
        source: ConfigError,
    },
    /// The controller could not tell then what leaders have acknowledged.
    #[error("Broker-level {ISR_MIN} cannot be altered while ELR is enabled.")]
    MinIsrOfOneBroker,
    #[error("the request changes more than {CHANGES_PER_REQUEST_MAX} settings")]
    TooMany,
}

impl ControllerMachine {
    /// Every resource is checked against what was there before the request.
    pub(crate) fn alter_configs(
        &mut self,
        mode: Mode,
        alterations: &[Alteration],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<(), AlterConfigError>> {
        let changes = alterations.iter().map(|alteration| alteration.change.len());
        if changes.sum::<usize>() > CHANGES_PER_REQUEST_MAX {
            return alterations
                .iter()
                .map(|_| Err(AlterConfigError::TooMany))
                .collect();
        }
        let repeated = repeated(alterations.iter().map(|alteration| &alteration.resource));
        let plans: Vec<_> = alterations
            .iter()
            .map(|alteration| {
                if repeated.contains(&alteration.resource) {
                    return Err(AlterConfigError::RepeatedResource);
                }
                self.plan(alteration)
            })
            .collect();
        if mode == Mode::Apply {
            let written = plans.iter().flatten().flatten();
            written.for_each(|record| self.emit(record.clone(), fx));
            self.elect_by_new_rules(plans.iter().flatten().flatten(), fx);
        }
        plans.into_iter().map(|plan| plan.map(|_| ())).collect()
    }

    /// A topic's settings say how many must be in sync and whether an unclean election
    /// is allowed: where that has changed, other replicas may be eligible.
    fn elect_by_new_rules<'a>(
        &mut self,
        written: impl Iterator<Item = &'a Record>,
        fx: &mut Effects<Self>,
    ) {
        let mut affected = BTreeSet::new();
        for record in written {
            let Record::Config { resource, name, .. } = record else {
                continue;
            };
            if !ELECTION_SETTINGS.contains(&name.as_str()) {
                continue;
            }
            match resource {
                Resource::Topic(name) => affected.extend(self.image().topic(name).map(|at| at.id)),
                Resource::Brokers => affected.extend(self.image().topics().map(|topic| topic.id)),
                Resource::Broker(_) | Resource::Group(_) | Resource::ClientMetrics(_) => {}
            }
        }
        let partitions: Vec<_> = affected
            .into_iter()
            .filter_map(|topic| self.image().topic_by_id(topic))
            .flat_map(|topic| {
                let topic_partition = |(partition, _)| TopicPartition {
                    topic: topic.id,
                    partition,
                };
                topic.partitions().map(topic_partition)
            })
            .collect();
        let elect = |partition: &Partition, rules: Rules| {
            let matters = partition.leader.is_none() || !partition.elr.is_empty();
            matters.then(|| (partition.clone(), rules.preference()))
        };
        self.change_partitions(&partitions, elect, fx);
    }

    /// The records that an alteration needs.
    fn plan(&self, alteration: &Alteration) -> Result<Vec<Record>, AlterConfigError> {
        let Alteration { resource, change } = alteration;
        self.may_have_settings(resource)?;
        let refused = |source| AlterConfigError::Config {
            kind: resource.kind(),
            source,
        };
        let before = self
            .image()
            .overrides(resource)
            .cloned()
            .unwrap_or_default();
        let (named, after) = match change {
            ConfigChange::Replace(settings) => {
                let named = named_once(settings.iter().map(|(name, _)| name))?;
                (named, settings.iter().cloned().collect())
            }
            ConfigChange::Edit(edits) => {
                let named = named_once(edits.iter().map(|edit| &edit.name))?;
                (
                    named,
                    edited(resource.kind().scope(), &before, edits).map_err(refused)?,
                )
            }
        };
        self.check(resource, &before, &after).map_err(refused)?;
        let records = difference(resource, &before, &after, &named);
        let is_min_isr =
            |record: &Record| matches!(record, Record::Config { name, .. } if name == ISR_MIN);
        if matches!(resource, Resource::Broker(_))
            && self.settings().elr_enabled
            && records.iter().any(is_min_isr)
        {
            return Err(AlterConfigError::MinIsrOfOneBroker);
        }
        Ok(records)
    }

    fn may_have_settings(&self, resource: &Resource) -> Result<(), AlterConfigError> {
        match resource {
            Resource::Topic(name) if !name.is_legal() => {
                Err(AlterConfigError::IllegalTopic { name: name.clone() })
            }
            Resource::Topic(name) if self.image().topic(name).is_none() => {
                Err(AlterConfigError::UnknownTopic { name: name.clone() })
            }
            Resource::Broker(id) if self.image().broker(*id).is_none() => {
                Err(AlterConfigError::UnknownBroker { id: *id })
            }
            Resource::Group(id) if id.as_str().is_empty() => Err(AlterConfigError::Unnamed),
            Resource::ClientMetrics(name) if name.is_empty() => Err(AlterConfigError::Unnamed),
            Resource::Topic(_)
            | Resource::Broker(_)
            | Resource::Brokers
            | Resource::Group(_)
            | Resource::ClientMetrics(_) => Ok(()),
        }
    }

    /// Whether `resource` may have the settings `after` where it had `before`.
    fn check(
        &self,
        resource: &Resource,
        before: &Overrides,
        after: &Overrides,
    ) -> Result<(), ConfigError> {
        match resource {
            Resource::Topic(_) => self.check_topic(before, after),
            Resource::Group(_) => self.with_layers(|layers| check_group_overrides(&layers, after)),
            Resource::ClientMetrics(_) => check_client_metrics_overrides(after),
            Resource::Broker(_) => self.with_layers(|layers| {
                let after = Layers {
                    broker: after,
                    ..layers
                };
                check_broker_overrides(BrokerTarget::One, &after)
            }),
            Resource::Brokers => self.with_layers(|layers| {
                let after = Layers {
                    cluster: after,
                    ..layers
                };
                check_broker_overrides(BrokerTarget::All, &after)
            }),
        }
    }

    /// Whether a topic may have these settings where it had `before`.
    pub(crate) fn check_topic(
        &self,
        before: &Overrides,
        after: &Overrides,
    ) -> Result<(), ConfigError> {
        self.with_layers(|layers| {
            check_topic_overrides(&layers, &layers.topic_defaults()?, before, after)
        })
    }

    /// What a topic has that was given nothing of its own.
    pub(crate) fn topic_defaults(&self) -> TopicDefaults {
        let none = Overrides::new();
        self.with_layers(|layers| layers.topic_defaults())
            .or_else(|_| Layers::at_start(&none).topic_defaults())
            .expect("the defaults of all settings hold")
    }

    /// What a broker has that was given nothing of its own.
    fn with_layers<T>(&self, look: impl FnOnce(Layers<'_>) -> T) -> T {
        let none = Overrides::new();
        look(Layers {
            broker: &none,
            cluster: self
                .image()
                .overrides(&Resource::Brokers)
                .map_or(&none, |set| set),
            fixed: &self.settings().fixed,
        })
    }
}

impl EditOp {
    fn as_change(&self) -> config::ConfigChange<'_> {
        match self {
            Self::Set(value) => config::ConfigChange::Set(value),
            Self::Delete => config::ConfigChange::Delete,
            Self::Append(items) => config::ConfigChange::Append(items),
            Self::Subtract(items) => config::ConfigChange::Subtract(items),
        }
    }
}

impl ConfigChange {
    fn len(&self) -> usize {
        match self {
            Self::Replace(settings) => settings.len(),
            Self::Edit(edits) => edits.len(),
        }
    }
}

fn named_once<'a>(
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<BTreeSet<&'a String>, AlterConfigError> {
    match repeated(names.clone()).pop_first() {
        Some(name) => Err(AlterConfigError::RepeatedKey { name: name.clone() }),
        None => Ok(names.collect()),
    }
}

fn edited(scope: Scope, before: &Overrides, edits: &[Edit]) -> Result<Overrides, ConfigError> {
    let mut after = before.clone();
    for Edit { name, op } in edits {
        let current = before.get(name).map(String::as_str);
        match op.as_change().apply(scope, name, current)? {
            Some(value) => after.insert(name.clone(), value),
            None => after.remove(name),
        };
    }
    Ok(after)
}

/// What to write to come from `before` to `after`. A broker reads a setting anew
/// whenever it is named, because a file it points to may have changed
/// (KAFKA-14136), so one that keeps its value is written all the same.
fn difference(
    resource: &Resource,
    before: &Overrides,
    after: &Overrides,
    named: &BTreeSet<&String>,
) -> Vec<Record> {
    let rereads = resource.kind() == ResourceKind::Broker;
    let mut names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.retain(|name| before.get(*name) != after.get(*name) || (rereads && named.contains(name)));
    names
        .into_iter()
        .map(|name| Record::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: after.get(name).cloned(),
        })
        .collect()
}
