//! What a node is started with: every source put together, checked once.

use std::fmt;

use crate::config::env::{self, EnvError};
use crate::config::layers::Redacted;
use crate::config::listeners::Listeners;
use crate::config::properties::{self, PropertiesError};
use crate::config::unknown::unknown_key;
use crate::config::{
    BrokerConfig, ConfigError, Effect, Layers, OttlaConfig, Overrides, UnknownKey, broker_key,
    rules,
};

/// Settings as they are collected. What is added later counts more.
#[derive(Clone, Default)]
pub struct StartSettings {
    /// What counts where nothing is given.
    assumed: Overrides,
    values: Overrides,
}

impl StartSettings {
    /// Nothing: Kafka's own defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a node is given that was given nothing: one replica of everything, as in
    /// the image's own file.
    pub fn single_node() -> Self {
        let values = [
            ("offsets.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("transaction.state.log.replication.factor", "1"),
        ];
        let owned = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            assumed: owned.into(),
            values: Overrides::new(),
        }
    }

    /// The text of a `server.properties`.
    pub fn add_properties(&mut self, text: &str) -> Result<(), PropertiesError> {
        self.values.extend(properties::parse(text)?);
        Ok(())
    }

    /// `KAFKA_*` variables; the others are passed over.
    pub fn add_env(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), EnvError> {
        self.values.extend(env::from_kafka_env(variables)?);
        Ok(())
    }

    /// `key=value` of a command line.
    pub fn add_assignment(&mut self, text: &str) -> Result<(), ConfigError> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| ConfigError::NotAnAssignment {
                text: text.to_owned(),
            })?;
        self.add(key.trim(), value);
        Ok(())
    }

    /// One setting.
    pub fn add(&mut self, key: &str, value: &str) {
        self.values.insert(key.to_owned(), value.to_owned());
    }

    /// Whether this one was given.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Checks everything. Every bad value is in the error, not only the first.
    pub fn finish(self) -> Result<Start, Vec<ConfigError>> {
        let bad: Vec<ConfigError> = self
            .values
            .iter()
            .filter_map(|(name, text)| broker_key(name)?.parse_as(name, text).err())
            .collect();
        if !bad.is_empty() {
            return Err(bad);
        }
        Start::new(self.assumed, self.values).map_err(|error| vec![error])
    }
}

/// Settings that hold together, and what is to be said about them.
#[derive(Clone)]
pub struct Start {
    /// The lowest layer of everything that is asked later.
    pub fixed: Overrides,
    pub broker: BrokerConfig,
    pub ottla: OttlaConfig,
    pub listeners: Listeners,
    /// Settings of Kafka that were given and change nothing here.
    pub ignored: Vec<String>,
    /// Names that are no settings.
    pub unknown: Vec<UnknownKey>,
}

impl Start {
    /// How long a broker may be silent before it is fenced: the shorter of the two that
    /// say so.
    pub fn session_timeout_ms(&self) -> i64 {
        let ours = self.ottla.liveness_timeout_ms;
        ours.min(self.broker.broker_session_timeout_ms.into())
            .max(1)
    }

    fn new(assumed: Overrides, given: Overrides) -> Result<Self, ConfigError> {
        let ignored = given
            .keys()
            .filter(|name| has_no_effect(name))
            .cloned()
            .collect();
        let unknown = given.keys().filter_map(|name| unknown_key(name)).collect();
        let mut fixed = assumed;
        fixed.extend(given);
        let layers = Layers::at_start(&fixed);
        rules::check(&layers)?;
        let listeners = Listeners::read(&layers.broker_config()?, &fixed)?;
        fill_identity(&mut fixed, &listeners);
        let layers = Layers::at_start(&fixed);
        Ok(Self {
            broker: layers.broker_config()?,
            ottla: layers.ottla_config()?,
            listeners,
            ignored,
            unknown,
            fixed,
        })
    }

    /// What the start log says of settings that change nothing; `None` if there are none.
    pub fn ignored_line(&self) -> Option<String> {
        let names = self.ignored.join(", ");
        (!names.is_empty()).then(|| {
            format!("settings of Kafka that are accepted and have no effect here: {names}")
        })
    }
}

impl fmt::Debug for StartSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Redacted(&self.values).fmt(f)
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("fixed", &Redacted(&self.fixed))
            .field("listeners", &self.listeners)
            .field("ignored", &self.ignored)
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

fn has_no_effect(name: &str) -> bool {
    broker_key(name).is_some_and(|key| key.effect != Effect::Applied)
}

/// `node.id` and `broker.id` are one setting under two names, and tools ask also a node
/// that was told nothing who it is.
fn fill_identity(fixed: &mut Overrides, listeners: &Listeners) {
    let mut fill = |key: &str, value: String| {
        fixed.entry(key.to_owned()).or_insert(value);
    };
    fill("node.id", listeners.node.to_string());
    fill("broker.id", listeners.node.to_string());
    fill("process.roles", listeners.roles.to_string());
}
