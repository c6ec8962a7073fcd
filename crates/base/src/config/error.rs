//! Why a setting is refused. The texts travel to clients, so they say what
//! Kafka's say.

/// Why a value, or a change of values, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("Invalid value {value} for configuration {key}: {allowed}")]
    Value {
        key: String,
        value: String,
        /// What would have been accepted.
        allowed: String,
    },
    #[error("Unknown {scope} config name: {key}")]
    UnknownKey { scope: &'static str, key: String },
    #[error("{key}: {rule}")]
    Conflict {
        key: &'static str,
        /// The rule between several settings that is broken.
        rule: String,
    },
    #[error("{key} must be {words} than or equal to {bound}")]
    OutOfBounds {
        key: &'static str,
        /// "greater" or "less".
        words: &'static str,
        /// The broker's setting that is the bound.
        bound: &'static str,
    },
    #[error("Cannot update these configs dynamically: [{}]", keys.join(", "))]
    NotDynamic { keys: Vec<String> },
    #[error(
        "These security configs can be dynamically updated only per-listener using the listener prefix: [{}]",
        keys.join(", ")
    )]
    NeedsListenerPrefix { keys: Vec<String> },
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: [{}]",
        keys.join(", ")
    )]
    PerBrokerOnly { keys: Vec<String> },
    #[error("Can't {op} to key {key} because its type is not LIST.")]
    NotAList { op: &'static str, key: String },
    #[error("the value of {key} has {length} characters, more than the {limit} that fit")]
    TooLong {
        key: String,
        length: usize,
        limit: usize,
    },
    #[error("{text:?} is not of the form key=value")]
    NotAnAssignment { text: String },
}

impl ConfigError {
    pub(crate) fn value(key: &str, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Value {
            key: key.to_owned(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }
}
