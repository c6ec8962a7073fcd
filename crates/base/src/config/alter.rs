//! Changes of settings: what an operation makes of a value, and whether the outcome
//! is allowed. CreateTopics, AlterConfigs and IncrementalAlterConfigs all ask here.

use crate::config::rules::{self, Numbers};
use crate::config::scope::without_listener;
use crate::config::{
    ConfigError, Kind, Layers, Listeners, Overrides, Scope, TopicConfig, TopicDefaults, Update,
    Value, broker_key,
};

/// Longest value that Kafka stores.
pub const VALUE_LENGTH_MAX: usize = 32_767;

/// An operation of IncrementalAlterConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigChange<'a> {
    Set(&'a str),
    Delete,
    Append(&'a str),
    Subtract(&'a str),
}

impl ConfigChange<'_> {
    /// The value afterwards, `None` for unset. `current` is the value that is set.
    pub fn apply(
        self,
        scope: Scope,
        name: &str,
        current: Option<&str>,
    ) -> Result<Option<String>, ConfigError> {
        let after = match self {
            Self::Set(value) => value.to_owned(),
            Self::Delete => return Ok(None),
            Self::Append(value) => {
                let mut items = items(scope, "APPEND", name, current)?;
                for item in value.split(',') {
                    if !items.iter().any(|present| present == item) {
                        items.push(item.to_owned());
                    }
                }
                items.join(",")
            }
            Self::Subtract(value) => {
                let mut items = items(scope, "SUBTRACT", name, current)?;
                for item in value.split(',') {
                    if let Some(at) = items.iter().position(|present| present == item) {
                        items.remove(at);
                    }
                }
                items.join(",")
            }
        };
        check_length(name, &after)?;
        Ok(Some(after))
    }
}

/// Whether a topic may have this setting, looking at nothing else.
pub fn check_topic(name: &str, value: &str) -> Result<(), ConfigError> {
    check_value(Scope::Topic, name, value)
}

/// Whether a topic may have these settings in all. `before` is what it had.
pub fn check_topic_overrides(
    layers: &Layers<'_>,
    defaults: &TopicDefaults,
    before: &Overrides,
    after: &Overrides,
) -> Result<(), ConfigError> {
    for (name, value) in after {
        check_topic(name, value)?;
    }
    let config = defaults.with(after)?;
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
        let rule = format!(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            config.min_compaction_lag_ms, config.max_compaction_lag_ms
        );
        return Err(conflict("min.compaction.lag.ms", rule));
    }
    let was_tiered = before
        .get("remote.storage.enable")
        .is_some_and(|was| was == "true");
    if config.remote_storage_enable {
        check_cluster_is_tiered(layers)?;
        check_tiering(&config)?;
    } else if was_tiered && !config.remote_log_delete_on_disable {
        let rule = "cannot be turned off unless remote.log.delete.on.disable is true".to_owned();
        return Err(conflict("remote.storage.enable", rule));
    }
    Ok(())
}

/// Which brokers a change of broker settings is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerTarget {
    One,
    /// The resource with the empty name.
    All,
}

/// Whether brokers may have, while running, the settings that `layers` would hold after
/// the change. A name that nobody knows is allowed: a plug-in may read it.
pub fn check_broker_overrides(
    target: BrokerTarget,
    layers: &Layers<'_>,
) -> Result<(), ConfigError> {
    let after = match target {
        BrokerTarget::One => layers.broker,
        BrokerTarget::All => layers.cluster,
    };
    check_broker_names(target, after)?;
    for (name, value) in after {
        check_length(name, value)?;
        if let Some(key) = broker_key(name) {
            key.parse_as(name, value)?;
        }
    }
    rules::check(layers)?;
    Listeners::read(&layers.broker_config()?, layers.fixed).map(|_| ())
}

fn check_broker_names(target: BrokerTarget, after: &Overrides) -> Result<(), ConfigError> {
    let named = |is: fn(&str) -> bool| -> Vec<String> {
        after.keys().filter(|name| is(name)).cloned().collect()
    };
    let fixed = named(|name| {
        Scope::Broker
            .key(name)
            .is_some_and(|key| key.is_read_only())
    });
    if !fixed.is_empty() {
        return Err(ConfigError::NotDynamic { keys: fixed });
    }
    let unprefixed = named(|name| PREFIXED_ONLY.contains(&name));
    if !unprefixed.is_empty() {
        return Err(ConfigError::NeedsListenerPrefix { keys: unprefixed });
    }
    let single = named(is_per_broker);
    if target == BrokerTarget::All && !single.is_empty() {
        return Err(ConfigError::PerBrokerOnly { keys: single });
    }
    Ok(())
}

/// Whether a group may have these settings in all: each value within the broker's own
/// bounds, and no session shorter than its heartbeats.
pub fn check_group_overrides(layers: &Layers<'_>, after: &Overrides) -> Result<(), ConfigError> {
    for (name, value) in after {
        check_value(Scope::Group, name, value)?;
    }
    for (name, value) in after {
        check_bounds(layers, name, value)?;
    }
    for (heartbeat, session) in HEARTBEATS {
        if group_number(layers, after, heartbeat)? >= group_number(layers, after, session)? {
            return Err(conflict(
                session,
                format!("must be greater than {heartbeat}"),
            ));
        }
    }
    Ok(())
}

/// Whether a subscription to client metrics may have these settings in all.
pub fn check_client_metrics_overrides(after: &Overrides) -> Result<(), ConfigError> {
    after
        .iter()
        .try_for_each(|(name, value)| check_value(Scope::ClientMetrics, name, value))
}

const HEARTBEATS: &[(&str, &str)] = &[
    (
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
    ),
    ("share.heartbeat.interval.ms", "share.session.timeout.ms"),
    (
        "streams.heartbeat.interval.ms",
        "streams.session.timeout.ms",
    ),
];

/// While running, these change for one listener at a time.
const PREFIXED_ONLY: &[&str] = &[
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.keystore.key",
    "ssl.keystore.certificate.chain",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.certificates",
];

fn check_value(scope: Scope, name: &str, value: &str) -> Result<(), ConfigError> {
    check_length(name, value)?;
    let key = scope.key(name).ok_or_else(|| ConfigError::UnknownKey {
        scope: scope.name(),
        key: name.to_owned(),
    })?;
    key.parse(value).map(|_| ())
}

fn check_length(name: &str, value: &str) -> Result<(), ConfigError> {
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

/// The items of a list that is about to change: those that are set, or the default's.
fn items(
    scope: Scope,
    op: &'static str,
    name: &str,
    current: Option<&str>,
) -> Result<Vec<String>, ConfigError> {
    let key = scope.key(name).filter(|key| key.kind == Kind::List);
    let key = key.ok_or_else(|| ConfigError::NotAList {
        op,
        key: name.to_owned(),
    })?;
    let text = current.or(key.default).unwrap_or_default();
    Ok(text
        .split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect())
}

/// A tiered topic is not compacted, and keeps no more locally than in all.
fn check_tiering(config: &TopicConfig) -> Result<(), ConfigError> {
    if config.cleanup_policy.compact {
        let rule = "must be delete or empty with remote.storage.enable".to_owned();
        return Err(conflict("cleanup.policy", rule));
    }
    let parts = [
        (
            "local.retention.bytes",
            config.local_retention_bytes,
            "retention.bytes",
            config.retention_bytes,
        ),
        (
            "local.retention.ms",
            config.local_retention_ms,
            "retention.ms",
            config.retention_ms,
        ),
    ];
    for (key, local, whole_key, whole) in parts {
        let is_derived = local == -2;
        if whole > -1 && !is_derived && (local == -1 || local > whole) {
            let allowed =
                format!("Value must not be -1 or more than {whole_key}, which is {whole}");
            return Err(ConfigError::value(key, local, allowed));
        }
    }
    Ok(())
}

/// A topic can only be tiered where the cluster is.
fn check_cluster_is_tiered(layers: &Layers<'_>) -> Result<(), ConfigError> {
    let key = Scope::Broker.key("remote.log.storage.system.enable");
    let on = key.map(|key| layers.in_force(key)).transpose()?.flatten();
    if on == Some(Value::Boolean(true)) {
        return Ok(());
    }
    let rule =
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
                with remote log storage."
            .to_owned();
    Err(conflict("remote.storage.enable", rule))
}

fn is_per_broker(name: &str) -> bool {
    const ALSO_FOR_ALL: &[&str] = &[
        "max.connections",
        "max.connection.creation.rate",
        "num.network.threads",
    ];
    match without_listener(name) {
        Some(beneath) => !ALSO_FOR_ALL.contains(&beneath),
        None => Scope::Broker
            .key(name)
            .is_some_and(|key| key.update == Update::PerBroker),
    }
}

/// Bounds of a group setting are broker settings named after its broker synonym:
/// `group.share.min.…` and `group.share.max.…` for `group.share.…`.
fn check_bounds(layers: &Layers<'_>, name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(key) = Scope::Group.key(name) else {
        return Ok(());
    };
    let stand_in = key.synonyms.first().map(|synonym| synonym.name);
    let Some((protocol, rest)) =
        stand_in.and_then(|name| name.strip_prefix("group.")?.split_once('.'))
    else {
        return Ok(());
    };
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let number = key.parse(value)?.integer();
    let settings = Numbers(layers);
    for (word, is_outside) in [
        (
            "min",
            (|number, bound| number < bound) as fn(i64, i64) -> bool,
        ),
        ("max", |number, bound| number > bound),
    ] {
        let bound = Scope::Broker.key(&format!("group.{protocol}.{word}.{rest}"));
        if let (Some(bound), Some(number)) = (bound, number)
            && is_outside(number, settings.get(bound.name)?)
        {
            let words = if word == "min" { "greater" } else { "less" };
            return Err(ConfigError::OutOfBounds {
                key: key.name,
                words,
                bound: bound.name,
            });
        }
    }
    Ok(())
}

fn group_number(
    layers: &Layers<'_>,
    after: &Overrides,
    name: &'static str,
) -> Result<i64, ConfigError> {
    let key = Scope::Group
        .key(name)
        .expect("heartbeats and sessions are group settings");
    let value = match after.get(name) {
        Some(text) => Some(key.parse(text)?),
        None => layers.default_in_force(key)?,
    };
    Ok(value
        .as_ref()
        .and_then(Value::integer)
        .expect("heartbeats and sessions are whole numbers"))
}

fn conflict(key: &'static str, rule: String) -> ConfigError {
    ConfigError::Conflict { key, rule }
}
