//! Settings that are changed while the cluster runs: of a topic, of one broker,
//! of all brokers, of a group, of a subscription to client metrics.

use std::collections::BTreeSet;

use ottla_base::config::{ConfigError, Kind, Layers, Overrides, Scope, Update, broker_key};
use ottla_base::{BrokerId, Effects, GroupId, Machine, TopicName};

use crate::record::Record;
use crate::topics::repeated;
use crate::{ControllerMachine, Mode};

/// Most settings that one request may change, as in Kafka.
pub const CHANGES_PER_REQUEST_MAX: usize = 10_000;

/// Longest value, in Java's characters, as in Kafka.
const VALUE_LENGTH_MAX: usize = 32_767;

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
    #[error("the request names the resource more than once")]
    RepeatedResource,
    #[error("the request names {name} more than once")]
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
        plans
            .into_iter()
            .map(|plan| {
                let records = plan?;
                if mode == Mode::Apply {
                    for record in records {
                        self.emit(record, fx);
                    }
                }
                Ok(())
            })
            .collect()
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
        self.check(resource, &after, &named).map_err(refused)?;
        Ok(difference(resource, &before, &after, &named))
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

    /// Whether `resource` may have the settings `after`.
    fn check(
        &self,
        resource: &Resource,
        after: &Overrides,
        named: &BTreeSet<&String>,
    ) -> Result<(), ConfigError> {
        after
            .iter()
            .try_for_each(|(name, value)| fits(name, value))?;
        match resource {
            Resource::Topic(_) => check_topic(self, after),
            Resource::Group(_) | Resource::ClientMetrics(_) => {
                let scope = resource.kind().scope();
                after
                    .iter()
                    .try_for_each(|(name, value)| known(scope, name, value))
            }
            Resource::Broker(_) => check_broker(after, named, &[Update::ReadOnly]),
            Resource::Brokers => check_broker(after, named, &[Update::ReadOnly, Update::PerBroker]),
        }
    }
}

/// Whether a topic may have these settings.
pub(crate) fn check_topic(
    machine: &ControllerMachine,
    overrides: &Overrides,
) -> Result<(), ConfigError> {
    overrides
        .iter()
        .try_for_each(|(name, value)| fits(name, value))?;
    let layers = Layers {
        fixed: &machine.settings().fixed,
        cluster: &Overrides::new(),
        broker: &Overrides::new(),
    };
    layers.topic_defaults()?.with(overrides)?;
    Ok(())
}

/// Names that Kafka does not know are kept for plug-ins to find.
fn check_broker(
    after: &Overrides,
    named: &BTreeSet<&String>,
    forbidden: &[Update],
) -> Result<(), ConfigError> {
    let is_forbidden =
        |name: &&String| broker_key(name).is_some_and(|key| forbidden.contains(&key.update));
    let keys: Vec<_> = named
        .iter()
        .copied()
        .filter(is_forbidden)
        .cloned()
        .collect();
    if !keys.is_empty() {
        return Err(ConfigError::NotDynamic { keys });
    }
    after.iter().try_for_each(|(name, value)| {
        broker_key(name).map_or(Ok(()), |key| key.parse(value).map(|_| ()))
    })
}

fn known(scope: Scope, name: &str, value: &str) -> Result<(), ConfigError> {
    let key = scope.key(name).ok_or_else(|| ConfigError::UnknownKey {
        scope: scope.name(),
        key: name.to_owned(),
    })?;
    key.parse(value).map(|_| ())
}

/// The protocol's strings may be longer than a setting may be.
fn fits(name: &str, value: &str) -> Result<(), ConfigError> {
    let length = value.encode_utf16().count();
    if length > VALUE_LENGTH_MAX {
        return Err(ConfigError::TooLong {
            key: name.to_owned(),
            length,
            limit: VALUE_LENGTH_MAX,
        });
    }
    Ok(())
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
        let items = |op| list_of(scope, name, before, op);
        let value = match op {
            EditOp::Set(value) => Some(value.clone()),
            EditOp::Delete => None,
            EditOp::Append(added) => Some(with(items("APPEND")?, added)),
            EditOp::Subtract(taken) => Some(without(items("SUBTRACT")?, taken)),
        };
        match value {
            Some(value) => after.insert(name.clone(), value),
            None => after.remove(name),
        };
    }
    Ok(after)
}

/// The items that an append or a subtraction starts from.
fn list_of(
    scope: Scope,
    name: &str,
    before: &Overrides,
    op: &'static str,
) -> Result<Vec<String>, ConfigError> {
    let key = scope.key(name).filter(|key| key.kind == Kind::List);
    let key = key.ok_or_else(|| ConfigError::NotAList {
        op,
        key: name.to_owned(),
    })?;
    let text = before.get(name).map(String::as_str).or(key.default);
    let items = text
        .unwrap_or_default()
        .split(',')
        .filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

fn with(mut items: Vec<String>, added: &str) -> String {
    for item in added.split(',') {
        if !items.iter().any(|known| known == item) {
            items.push(item.to_owned());
        }
    }
    items.join(",")
}

fn without(mut items: Vec<String>, taken: &str) -> String {
    for item in taken.split(',') {
        items.retain(|known| known != item);
    }
    items.join(",")
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
