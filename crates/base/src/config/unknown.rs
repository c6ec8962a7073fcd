//! Names that are not settings: what was probably meant.

use std::fmt;

use crate::config::{Scope, broker_key};

/// A name that nobody knows. It is ignored, as Kafka does, but not silently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    pub key: String,
    pub hint: Hint,
}

/// What to say about an unknown name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It looks like this setting.
    Nearest(String),
    /// Kafka had it before version 4.
    Removed,
    None,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown setting {} is ignored", self.key)?;
        match &self.hint {
            Hint::Nearest(name) => write!(f, "; did you mean {name}?"),
            Hint::Removed => f.write_str("; Kafka 4 does not have it any more"),
            Hint::None => Ok(()),
        }
    }
}

/// Nothing if `name` is a broker setting, or one that a plug-in of Kafka reads.
pub fn unknown_key(name: &str) -> Option<UnknownKey> {
    if broker_key(name).is_some() || PLUGIN_KEYS.contains(&name) {
        return None;
    }
    let hint = hint(name);
    let is_plugin = PLUGIN_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix));
    (!is_plugin || matches!(hint, Hint::Nearest(_))).then(|| UnknownKey {
        key: name.to_owned(),
        hint,
    })
}

/// Read by Kafka's own authorizer, not by the broker.
const PLUGIN_KEYS: &[&str] = &["super.users", "allow.everyone.if.no.acl.found"];

/// Under these a plug-in may have settings of any name.
const PLUGIN_PREFIXES: &[&str] = &[
    "config.providers.",
    "listener.name.",
    "rlmm.config.",
    "rsm.config.",
    "sasl.",
    "ssl.",
];

const REMOVED: &[&str] = &[
    "control.plane.listener.name",
    "delegation.token.master.key",
    "group.coordinator.new.enable",
    "inter.broker.protocol.version",
    "leader.imbalance.per.broker.percentage",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "offsets.commit.required.acks",
];

fn hint(name: &str) -> Hint {
    if REMOVED.contains(&name) || name.starts_with("zookeeper.") {
        return Hint::Removed;
    }
    if let Some(stand_in) = Scope::Topic.key(name).and_then(|key| key.synonyms.first()) {
        return Hint::Nearest(stand_in.name.to_owned());
    }
    let (prefix, name) = split_listener(name);
    let nearest = Scope::Broker
        .keys()
        .map(|key| (distance(name, key.name), key.name))
        .min();
    match nearest {
        // Two slips, or more in a long name.
        Some((slips, found)) if slips <= 2.max(name.len() / 6) => {
            Hint::Nearest(format!("{prefix}{found}"))
        }
        Some(_) | None => Hint::None,
    }
}

/// The listener's prefix, if there is one, and the rest.
fn split_listener(name: &str) -> (&str, &str) {
    let key = crate::config::scope::without_listener(name).unwrap_or(name);
    name.split_at(name.len() - key.len())
}

/// Characters to insert, delete, replace or swap with their neighbour to get from `a`
/// to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(from != to);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *to && *from == b[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_setting() {
        for (name, meant) in [
            ("log.retenton.hours", "log.retention.hours"),
            ("advertised.listener", "advertised.listeners"),
            ("listners", "listeners"),
            ("num.partition", "num.partitions"),
            ("auto.create.topic.enable", "auto.create.topics.enable"),
            ("retention.ms", "log.retention.ms"),
            ("max.message.bytes", "message.max.bytes"),
            ("log.dri", "log.dir"),
            ("ndoe.di", "node.id"),
            ("ssl.keystore.locaton", "ssl.keystore.location"),
            (
                "listener.name.internal.ssl.keystore.pasword",
                "listener.name.internal.ssl.keystore.password",
            ),
            ("ottla.flush.polcy", "ottla.flush.policy"),
        ] {
            let hint = unknown_key(name).map(|unknown| unknown.hint);
            assert_eq!(hint, Some(Hint::Nearest(meant.to_owned())), "{name}");
        }
    }

    #[test]
    fn what_kafka_dropped_is_said_to_be_gone() {
        for name in ["zookeeper.connect", "inter.broker.protocol.version"] {
            let hint = unknown_key(name).map(|unknown| unknown.hint);
            assert_eq!(hint, Some(Hint::Removed), "{name}");
        }
    }

    #[test]
    fn a_stranger_gets_no_hint() {
        let unknown = unknown_key("jmx.port").expect("it is not a setting");
        assert_eq!(unknown.to_string(), "unknown setting jmx.port is ignored");
    }

    #[test]
    fn settings_of_plugins_are_known() {
        for name in [
            "super.users",
            "rsm.config.bucket",
            "config.providers.env.class",
            "listener.name.internal.ssl.keystore.location",
            "listener.name.client.scram-sha-256.sasl.jaas.config",
            "listener.name.client.oauthbearer.some.class.option",
            "sasl.oauthbearer.own.validator.option",
        ] {
            assert_eq!(unknown_key(name), None, "{name}");
        }
    }
}
