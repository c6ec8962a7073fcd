//! Which value is in force: the topic's own, then the broker's by layer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::config::scope::family;
use crate::config::{
    BrokerConfig, ConfigError, ConfigKey, OttlaConfig, Scope, Synonym, TopicConfig, Unit, Value,
    broker_key,
};

/// Settings that somebody made, as text, by name.
pub type Overrides = BTreeMap<String, String>;

/// What is set for one broker, nearest layer first. Beneath lie the defaults.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// Set while running, for this broker.
    pub broker: &'a Overrides,
    /// Set while running, for every broker.
    pub cluster: &'a Overrides,
    /// Set at start: file, environment, arguments.
    pub fixed: &'a Overrides,
}

impl<'a> Layers<'a> {
    /// What was set at start, and nothing since.
    pub fn at_start(fixed: &'a Overrides) -> Self {
        static NONE: Overrides = Overrides::new();
        Self {
            broker: &NONE,
            cluster: &NONE,
            fixed,
        }
    }

    /// The broker's settings in force.
    pub fn broker_config(&self) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::read(|key| self.in_force(key))
    }

    /// Our own settings in force.
    pub fn ottla_config(&self) -> Result<OttlaConfig, ConfigError> {
        OttlaConfig::read(|key| self.in_force(key))
    }

    /// The settings of a topic that has none of its own.
    pub fn topic_defaults(&self) -> Result<TopicDefaults, ConfigError> {
        let config = TopicConfig::read(|key| self.default_in_force(key))?;
        Ok(TopicDefaults {
            config: Arc::new(config),
        })
    }

    /// The value of a broker setting on one listener, and there for one SASL
    /// mechanism if that is asked for: the nearest of the prefixed names, else the
    /// setting itself.
    pub fn on_listener(
        &self,
        listener: &str,
        mechanism: Option<&str>,
        key: &'static ConfigKey,
    ) -> Result<Option<Value>, ConfigError> {
        let listener = format!("listener.name.{}.", listener.to_ascii_lowercase());
        let by_mechanism = mechanism
            .map(|mechanism| format!("{listener}{}.{}", mechanism.to_ascii_lowercase(), key.name));
        let by_listener = format!("{listener}{}", key.name);
        for name in by_mechanism.iter().chain([&by_listener]) {
            if let Some(text) = self.nearest_first().find_map(|layer| layer.get(name)) {
                return key.parse(text).map(Some);
            }
        }
        self.in_force(key)
    }

    /// The value of a broker setting, from itself or from a synonym in its unit.
    pub(crate) fn in_force(&self, key: &ConfigKey) -> Result<Option<Value>, ConfigError> {
        let family = meanings(key);
        for layer in self.nearest_first() {
            for synonym in &family {
                if let Some(text) = layer.get(synonym.name) {
                    let known = Scope::Broker.key(synonym.name).unwrap_or(key);
                    return known
                        .parse(text)
                        .map(|value| Some(finish(key, synonym.unit.convert(value))));
                }
            }
        }
        family
            .iter()
            .find_map(|synonym| {
                let known = Scope::Broker.key(synonym.name)?;
                let text = known.default?;
                Some(known.parse(text).map(|value| synonym.unit.convert(value)))
            })
            .transpose()
    }

    /// The value that a topic or group setting has where it is not set: its broker
    /// synonym's, or its own default.
    pub(crate) fn default_in_force(&self, key: &ConfigKey) -> Result<Option<Value>, ConfigError> {
        let stand_in = key
            .synonyms
            .first()
            .and_then(|first| Scope::Broker.key(first.name));
        match stand_in {
            Some(broker_key) => self.in_force(broker_key),
            None => key.default.map(|text| key.parse(text)).transpose(),
        }
    }

    fn nearest_first(&self) -> impl Iterator<Item = &'a Overrides> + use<'a> {
        [self.broker, self.cluster, self.fixed].into_iter()
    }
}

impl fmt::Debug for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("broker", &Redacted(self.broker))
            .field("cluster", &Redacted(self.cluster))
            .field("fixed", &Redacted(self.fixed))
            .finish()
    }
}

/// Settings as they may be logged: a secret, or what may be one, is not shown.
pub(crate) struct Redacted<'a>(pub(crate) &'a Overrides);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            let is_open = broker_key(name).is_some_and(|key| !key.is_sensitive());
            (name, if is_open { value } else { "[hidden]" })
        });
        f.debug_map().entries(shown).finish()
    }
}

/// The names that can give the value of `key`. A name that is only another unit of a
/// setting stands for its own number.
fn meanings(key: &ConfigKey) -> Vec<Synonym> {
    let mut family = family(key.name);
    if family.first().is_some_and(|head| head.name != key.name) {
        family.retain(|synonym| synonym.name == key.name);
        family
            .iter_mut()
            .for_each(|synonym| synonym.unit = Unit::Same);
    }
    family
}

/// Any negative `log.retention.ms` means for ever, which is -1.
fn finish(key: &ConfigKey, value: Value) -> Value {
    match value {
        Value::Integer(ms) if key.name == "log.retention.ms" => Value::Integer(ms.max(-1)),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::List(_) => value,
    }
}

/// The settings of topics: one shared value for all that have none of their own.
#[derive(Clone, Debug)]
pub struct TopicDefaults {
    config: Arc<TopicConfig>,
}

impl TopicDefaults {
    /// The settings in force for a topic with these settings of its own.
    pub fn with(&self, overrides: &Overrides) -> Result<Arc<TopicConfig>, ConfigError> {
        if overrides.is_empty() {
            return Ok(Arc::clone(&self.config));
        }
        let mut config = TopicConfig::clone(&self.config);
        for (name, text) in overrides {
            if !config.set(name, text)? {
                return Err(ConfigError::UnknownKey {
                    scope: Scope::Topic.name(),
                    key: name.clone(),
                });
            }
        }
        Ok(Arc::new(config))
    }

    /// The settings of a topic that has none of its own.
    pub fn config(&self) -> &Arc<TopicConfig> {
        &self.config
    }
}
