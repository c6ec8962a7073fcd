//! What DescribeConfigs tells about settings, row by row, as Kafka's `ConfigHelper`
//! makes it.

use std::collections::BTreeSet;

use crate::config::scope::{family, without_listener};
use crate::config::{
    ConfigError, ConfigKey, Kind, Layers, Overrides, Scope, Update, Value, broker_key,
};

/// One row of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` for null, and for what must not be shown.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_sensitive: bool,
    pub is_read_only: bool,
    /// `None` for a name that Kafka does not know.
    pub kind: Option<Kind>,
    pub doc: Option<&'static str>,
    /// Everything that could have given the value, the one that did first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// The type in a DescribeConfigs response.
    pub fn kind_code(&self) -> i8 {
        self.kind.map_or(Kind::UNKNOWN_CODE, Kind::code)
    }

    /// Whether nobody set it.
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// One of the places that a value may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// Where a value comes from, as DescribeConfigs numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

impl ConfigSource {
    /// The number in a DescribeConfigs response.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// The settings of a topic with these settings of its own. Only rows that are `wanted`
/// are made.
pub fn describe_topic(
    layers: &Layers<'_>,
    overrides: &Overrides,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    rows(Scope::Topic, overrides, wanted, |key, own| {
        entry(layers, key, own, ConfigSource::Topic, &[])
    })
}

/// The settings of a group with these settings of its own, whether it exists or not.
pub fn describe_group(
    layers: &Layers<'_>,
    overrides: &Overrides,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    rows(Scope::Group, overrides, wanted, |key, own| {
        // Where no broker setting stands in, the chain ends at the built-in default.
        let built_in = key.default.filter(|_| key.synonyms.is_empty());
        let built_in = built_in.map(|value| synonym(key.name, value, ConfigSource::Default));
        let built_in: Vec<ConfigSynonym> = built_in.into_iter().collect();
        entry(layers, key, own, ConfigSource::Group, &built_in)
    })
}

/// The settings of a subscription to client metrics.
pub fn describe_client_metrics(
    overrides: &Overrides,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    let nothing = Overrides::new();
    let layers = Layers::at_start(&nothing);
    rows(Scope::ClientMetrics, overrides, wanted, |key, own| {
        entry(&layers, key, own, ConfigSource::ClientMetrics, &[])
    })
}

/// Every setting of the broker itself.
pub fn describe_broker(
    layers: &Layers<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    let set = [layers.broker, layers.cluster, layers.fixed];
    let mut names: BTreeSet<&str> = set
        .iter()
        .flat_map(|layer| layer.keys())
        .map(String::as_str)
        .collect();
    let listed = Scope::Broker
        .keys()
        .filter(|key| !key.is_internal() && !is_dynamic_only(key.name));
    names.extend(listed.map(|key| key.name));
    names
        .into_iter()
        .filter(|name| wanted(name))
        .map(|name| broker_entry(layers, name))
        .collect()
}

/// What is set for every broker while running.
pub fn describe_cluster(layers: &Layers<'_>, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let set = layers.cluster.iter().filter(|(name, _)| wanted(name));
    set.map(|(name, text)| {
        let mut entry = broker_row(name, Some(text.clone()));
        entry.synonyms = broker_synonyms(layers, name, entry.is_sensitive)
            .into_iter()
            .filter(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker)
            .collect();
        entry.source = first_source(&entry.synonyms);
        entry
    })
    .collect()
}

/// Whether it is set by the reassignment tool while running; Kafka lists it only then,
/// and without a default.
fn is_dynamic_only(name: &str) -> bool {
    matches!(
        name,
        "leader.replication.throttled.rate"
            | "follower.replication.throttled.rate"
            | "replica.alter.log.dirs.io.max.bytes.per.second"
    )
}

fn rows(
    scope: Scope,
    overrides: &Overrides,
    wanted: impl Fn(&str) -> bool,
    row: impl Fn(&'static ConfigKey, Option<&String>) -> Result<ConfigEntry, ConfigError>,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    scope
        .keys()
        .filter(|key| !key.is_internal() || overrides.contains_key(key.name))
        .filter(|key| wanted(key.name))
        .map(|key| row(key, overrides.get(key.name)))
        .collect()
}

/// A row of a resource whose settings fall back to the broker's.
fn entry(
    layers: &Layers<'_>,
    key: &'static ConfigKey,
    own: Option<&String>,
    own_source: ConfigSource,
    built_in: &[ConfigSynonym],
) -> Result<ConfigEntry, ConfigError> {
    let value = match own {
        Some(text) => Some(key.parse(text)?),
        None => layers.default_in_force(key)?,
    };
    let value = value.as_ref().map(Value::to_string);
    let mut synonyms = Vec::new();
    if let (Some(_), Some(value)) = (own, &value) {
        synonyms.push(synonym(key.name, value, own_source));
    }
    if let Some(stand_in) = key.synonyms.first() {
        synonyms.extend(broker_synonyms(layers, stand_in.name, key.is_sensitive()));
    }
    synonyms.extend_from_slice(built_in);
    Ok(ConfigEntry {
        name: key.name.to_owned(),
        value: value.filter(|_| !key.is_sensitive()),
        source: first_source(&synonyms),
        is_sensitive: key.is_sensitive(),
        is_read_only: false,
        kind: Some(key.kind),
        doc: Some(key.doc),
        synonyms,
    })
}

fn broker_entry(layers: &Layers<'_>, name: &str) -> Result<ConfigEntry, ConfigError> {
    let value = own_value(layers, name)?;
    let mut entry = broker_row(name, value);
    entry.synonyms = broker_synonyms(layers, name, entry.is_sensitive);
    entry.source = first_source(&entry.synonyms);
    Ok(entry)
}

/// A row without its chain. A name that nobody knows may hold a secret.
fn broker_row(name: &str, value: Option<String>) -> ConfigEntry {
    let known = broker_key(name);
    let is_sensitive = known.is_none_or(ConfigKey::is_sensitive);
    // A listener's own setting is not in Kafka's list of what may change.
    let is_dynamic = Scope::Broker
        .key(name)
        .is_some_and(|key| key.update != Update::ReadOnly);
    ConfigEntry {
        name: name.to_owned(),
        value: value.filter(|_| !is_sensitive),
        source: ConfigSource::Default,
        is_sensitive,
        is_read_only: !is_dynamic,
        kind: known.map(|key| key.kind),
        doc: Scope::Broker.key(name).map(|key| key.doc),
        synonyms: Vec::new(),
    }
}

/// The value under this very name. One that is set while running hides what was set
/// at start under a synonym.
fn own_value(layers: &Layers<'_>, name: &str) -> Result<Option<String>, ConfigError> {
    let known = Scope::Broker.key(name);
    let shown = |text: &String| match known {
        Some(key) => key.parse(text).map(|value| Some(value.to_string())),
        None => Ok(Some(text.clone())),
    };
    let others = family(name);
    for layer in [layers.broker, layers.cluster, layers.fixed] {
        if let Some(text) = layer.get(name) {
            return shown(text);
        }
        if others.iter().any(|other| layer.contains_key(other.name)) {
            break;
        }
    }
    let default = known.and_then(|key| key.default).map(str::to_owned);
    default.as_ref().map_or(Ok(None), shown)
}

/// The chain of a broker setting: by layer, and in each layer by name. Kafka leaves
/// out what comes before the name that was asked for.
fn broker_synonyms(layers: &Layers<'_>, name: &str, is_sensitive: bool) -> Vec<ConfigSynonym> {
    let names = chain(name);
    let set = [
        (layers.broker, ConfigSource::DynamicBroker),
        (layers.cluster, ConfigSource::DynamicDefaultBroker),
        (layers.fixed, ConfigSource::StaticBroker),
    ];
    let set = set.into_iter().flat_map(|(layer, source)| {
        let found = names
            .iter()
            .filter_map(move |name| Some((name, layer.get(name)?)));
        found.map(move |(name, text)| synonym(name, text, source))
    });
    let with_defaults = names.iter().filter(|name| !is_dynamic_only(name));
    let defaults = with_defaults.filter_map(|name| {
        let default = Scope::Broker.key(name)?.default?;
        Some(synonym(name, default, ConfigSource::Default))
    });
    set.chain(defaults)
        .skip_while(|synonym| synonym.name != name)
        .map(|synonym| ConfigSynonym {
            value: synonym.value.filter(|_| !is_sensitive),
            ..synonym
        })
        .collect()
}

/// The names of a chain: a family's, or a listener's setting and the one beneath it.
fn chain(name: &str) -> Vec<String> {
    let family = family(name);
    if !family.is_empty() {
        return family
            .iter()
            .map(|synonym| synonym.name.to_owned())
            .collect();
    }
    let beneath = without_listener(name).map(str::to_owned);
    std::iter::once(name.to_owned()).chain(beneath).collect()
}

fn synonym(name: &str, value: &str, source: ConfigSource) -> ConfigSynonym {
    ConfigSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    }
}

fn first_source(synonyms: &[ConfigSynonym]) -> ConfigSource {
    synonyms
        .first()
        .map_or(ConfigSource::Default, |synonym| synonym.source)
}
