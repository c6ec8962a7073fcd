//! What is known about one setting: the row type of every table of settings.
//!
//! Knows nothing of where values come from.

use crate::config::{Check, ConfigError, Value};

/// One setting, as declared.
#[derive(Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: Kind,
    /// Kafka's default in text, `None` where Kafka has null.
    pub default: Option<&'static str>,
    pub importance: Importance,
    pub update: Update,
    pub effect: Effect,
    pub check: Check,
    /// Broker settings that stand in while this one is unset, nearest first.
    pub synonyms: &'static [Synonym],
    pub doc: &'static str,
}

impl ConfigKey {
    /// The value that `text` stands for, or why it is refused.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        self.parse_as(self.name, text)
    }

    /// As `parse`, for a setting that was given under another name: a listener's own.
    pub(crate) fn parse_as(&self, name: &str, text: &str) -> Result<Value, ConfigError> {
        Value::parse(self.kind, text)
            .and_then(|value| self.check.check(&value).map(|()| value))
            .map_err(|allowed| ConfigError::Value {
                key: name.to_owned(),
                value: if self.is_sensitive() {
                    "[hidden]".to_owned()
                } else {
                    text.to_owned()
                },
                allowed,
            })
    }

    /// Whether the value must never be shown: passwords and private keys.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether only a restart changes it.
    pub fn is_read_only(&self) -> bool {
        self.update == Update::ReadOnly
    }

    /// Whether Kafka hides it from DescribeConfigs unless somebody set it.
    pub fn is_internal(&self) -> bool {
        self.effect == Effect::Internal
    }
}

/// Kafka's types of settings, as DescribeConfigs numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

impl Kind {
    /// What DescribeConfigs sends for a key that nobody knows.
    pub const UNKNOWN_CODE: i8 = 0;

    /// The number in a DescribeConfigs response.
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// The word in Kafka's documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At start only.
    ReadOnly,
    /// While running, for one named broker.
    PerBroker,
    /// While running, for one broker, for all brokers, or (in their scopes) for
    /// a topic or a group.
    Dynamic,
}

impl Update {
    /// The word in Kafka's documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::Dynamic => "cluster-wide",
        }
    }
}

/// Kafka's advice on how much a setting matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// What a setting does in Ottla.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is honoured.
    Applied,
    /// It is checked, stored and shown, and changes nothing.
    Ignored,
    /// As `Ignored`, and one that Kafka itself keeps out of its documentation.
    Internal,
}

/// A broker setting that gives the value of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub unit: Unit,
}

/// What the number of a synonym counts, where the setting itself counts
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Same,
    Minutes,
    Hours,
}

impl Unit {
    /// `value` in the unit of the setting that it stands in for.
    pub fn convert(self, value: Value) -> Value {
        match value {
            Value::Integer(n) => Value::Integer(n.saturating_mul(self.millis())),
            Value::Boolean(_) | Value::Double(_) | Value::Text(_) | Value::List(_) => value,
        }
    }

    const fn millis(self) -> i64 {
        match self {
            Self::Same => 1,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }
}
