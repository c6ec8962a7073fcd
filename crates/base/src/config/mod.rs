//! Settings, declared once: Kafka's, with Kafka's names, types, defaults, rules and
//! synonyms, and a few of our own. Knows no file, no environment and no client: text
//! comes in, typed values and answers about them go out.

mod alter;
mod broker;
mod broker_ignored;
mod check;
mod checks;
mod declare;
mod describe;
pub mod env;
mod error;
mod group;
mod key;
mod layers;
pub mod listeners;
mod own;
mod page;
pub mod properties;
mod rules;
mod scope;
mod start;
mod topic;
mod unknown;
mod value;

pub use alter::{
    BrokerTarget, ConfigChange, VALUE_LENGTH_MAX, check_broker_overrides,
    check_client_metrics_overrides, check_group_overrides, check_topic, check_topic_overrides,
};
pub use broker::{BROKER_KEYS, BROKER_UNIT_KEYS, BrokerConfig};
pub use broker_ignored::BROKER_IGNORED_KEYS;
pub use check::Check;
pub use declare::Setting;
pub use describe::{
    ConfigEntry, ConfigSource, ConfigSynonym, describe_broker, describe_client_metrics,
    describe_cluster, describe_group, describe_topic,
};
pub use env::{EnvError, from_kafka_env};
pub use error::ConfigError;
pub use group::{CLIENT_METRICS_KEYS, GROUP_KEYS};
pub use key::{ConfigKey, Effect, Importance, Kind, Synonym, Unit, Update};
pub use layers::{Layers, Overrides, TopicDefaults};
pub use listeners::{Listener, Listeners, Roles, SecurityProtocol, Voter};
pub use own::{FlushPolicy, LogFormat, OTTLA_KEYS, OttlaConfig};
pub use page::reference_page;
pub use properties::{PropertiesError, write as write_properties};
pub use scope::{Scope, broker_key};
pub use start::{Start, StartSettings};
pub use topic::{CleanupPolicy, CompressionType, TOPIC_KEYS, TimestampType, TopicConfig};
pub use unknown::{Hint, UnknownKey, unknown_key};
pub use value::Value;
