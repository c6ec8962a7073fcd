//! The tables of settings, by what they configure, and the look-up of a name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::config::broker::{BROKER_KEYS, BROKER_UNIT_KEYS};
use crate::config::broker_ignored::BROKER_IGNORED_KEYS;
use crate::config::group::{CLIENT_METRICS_KEYS, GROUP_KEYS};
use crate::config::own::OTTLA_KEYS;
use crate::config::topic::TOPIC_KEYS;
use crate::config::{ConfigKey, Synonym, Unit};

/// What a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Topic,
    Broker,
    Group,
    ClientMetrics,
}

impl Scope {
    /// Every setting of the scope, by name.
    pub fn keys(self) -> impl Iterator<Item = &'static ConfigKey> {
        self.table().values().copied()
    }

    /// The setting of that very name.
    pub fn key(self, name: &str) -> Option<&'static ConfigKey> {
        self.table().get(name).copied()
    }

    /// The word for it in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Group => "group",
            Self::ClientMetrics => "client metrics",
        }
    }

    fn table(self) -> &'static BTreeMap<&'static str, &'static ConfigKey> {
        type Table = LazyLock<BTreeMap<&'static str, &'static ConfigKey>>;
        static TOPIC: Table = LazyLock::new(|| by_name(&[TOPIC_KEYS]));
        static BROKER: Table = LazyLock::new(|| {
            by_name(&[
                BROKER_KEYS,
                BROKER_UNIT_KEYS,
                BROKER_IGNORED_KEYS,
                OTTLA_KEYS,
            ])
        });
        static GROUP: Table = LazyLock::new(|| by_name(&[GROUP_KEYS]));
        static CLIENT_METRICS: Table = LazyLock::new(|| by_name(&[CLIENT_METRICS_KEYS]));
        match self {
            Self::Topic => &TOPIC,
            Self::Broker => &BROKER,
            Self::Group => &GROUP,
            Self::ClientMetrics => &CLIENT_METRICS,
        }
    }
}

fn by_name(tables: &[&'static [ConfigKey]]) -> BTreeMap<&'static str, &'static ConfigKey> {
    let keys = tables.iter().flat_map(|table| table.iter());
    keys.map(|key| (key.name, key)).collect()
}

/// The broker setting behind `name`, which may carry a listener's prefix:
/// `listener.name.<listener>.[<mechanism>.]<key>`.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    Scope::Broker
        .key(name)
        .or_else(|| Scope::Broker.key(without_listener(name)?))
}

/// `<key>` of `listener.name.<listener>.[<mechanism>.]<key>`.
pub(crate) fn without_listener(name: &str) -> Option<&str> {
    /// Kafka lets only these differ by SASL mechanism (DynamicBrokerConfig).
    const BY_MECHANISM: &[&str] = &[
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let by_mechanism = BY_MECHANISM.iter().find(|base| key.ends_with(**base));
    (!listener.is_empty()).then(|| by_mechanism.copied().unwrap_or(key))
}

/// The names under which a broker setting may be given, most telling first: itself
/// and its synonyms. Each name of a family answers with the whole family.
pub(crate) fn family(name: &str) -> Vec<Synonym> {
    let head = FAMILIES.iter().find(|(_, members)| members.contains(&name));
    let head = head.and_then(|(head, _)| Scope::Broker.key(head));
    let Some(head) = head.or_else(|| Scope::Broker.key(name)) else {
        return Vec::new();
    };
    let itself = Synonym {
        name: head.name,
        unit: Unit::Same,
    };
    std::iter::once(itself)
        .chain(head.synonyms.iter().copied())
        .collect()
}

/// Settings that share one meaning in several units. (The scheduler's interval
/// stands in for `log.flush.interval.ms` and has a meaning of its own.)
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "log.retention.ms",
        &["log.retention.minutes", "log.retention.hours"],
    ),
    ("log.roll.ms", &["log.roll.hours"]),
    ("log.roll.jitter.ms", &["log.roll.jitter.hours"]),
];
