//! Rules between several settings, as `KafkaConfig` and its parts check them.

use crate::config::{ConfigError, Layers, Scope, Value};

/// The first rule that the broker's settings in force break.
pub(crate) fn check(layers: &Layers<'_>) -> Result<(), ConfigError> {
    let settings = Numbers(layers);
    for (key, relation, other) in RELATIONS {
        settings.check(key, *relation, other)?;
    }
    for (key, least) in LEAST {
        let value = settings.get(key)?;
        // Minus one, where it is no limit, is above nothing and allowed.
        let is_unlimited = value == -1 && *key == "log.retention.ms";
        if value < *least && !is_unlimited {
            return Err(conflict(
                key,
                format!("must be greater than or equal to {least}"),
            ));
        }
    }
    check_cleaner_memory(&settings)?;
    check_request_memory(&settings)?;
    check_idle_connections(&settings)?;
    check_group_protocols(layers)
}

#[derive(Clone, Copy)]
enum Relation {
    AtMost,
    Below,
    AtLeast,
}

use Relation::{AtLeast, AtMost, Below};

const RELATIONS: &[(&str, Relation, &str)] = &[
    (
        "replica.fetch.wait.max.ms",
        AtMost,
        "replica.socket.timeout.ms",
    ),
    (
        "replica.fetch.wait.max.ms",
        AtMost,
        "replica.lag.time.max.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        AtLeast,
        "group.consumer.min.heartbeat.interval.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        AtMost,
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "group.consumer.session.timeout.ms",
        AtLeast,
        "group.consumer.min.session.timeout.ms",
    ),
    (
        "group.consumer.session.timeout.ms",
        AtMost,
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        Below,
        "group.consumer.session.timeout.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        AtLeast,
        "group.consumer.min.assignment.interval.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        AtMost,
        "group.consumer.max.assignment.interval.ms",
    ),
    (
        "group.share.heartbeat.interval.ms",
        AtLeast,
        "group.share.min.heartbeat.interval.ms",
    ),
    (
        "group.share.heartbeat.interval.ms",
        AtMost,
        "group.share.max.heartbeat.interval.ms",
    ),
    (
        "group.share.session.timeout.ms",
        AtLeast,
        "group.share.min.session.timeout.ms",
    ),
    (
        "group.share.session.timeout.ms",
        AtMost,
        "group.share.max.session.timeout.ms",
    ),
    (
        "group.share.heartbeat.interval.ms",
        Below,
        "group.share.session.timeout.ms",
    ),
    (
        "group.share.assignment.interval.ms",
        AtLeast,
        "group.share.min.assignment.interval.ms",
    ),
    (
        "group.share.assignment.interval.ms",
        AtMost,
        "group.share.max.assignment.interval.ms",
    ),
    (
        "group.share.delivery.count.limit",
        AtLeast,
        "group.share.min.delivery.count.limit",
    ),
    (
        "group.share.delivery.count.limit",
        AtMost,
        "group.share.max.delivery.count.limit",
    ),
    (
        "group.share.record.lock.duration.ms",
        AtLeast,
        "group.share.min.record.lock.duration.ms",
    ),
    (
        "group.share.record.lock.duration.ms",
        AtMost,
        "group.share.max.record.lock.duration.ms",
    ),
    (
        "group.share.partition.max.record.locks",
        AtLeast,
        "group.share.min.partition.max.record.locks",
    ),
    (
        "group.share.partition.max.record.locks",
        AtMost,
        "group.share.max.partition.max.record.locks",
    ),
    (
        "group.share.max.share.sessions",
        AtLeast,
        "group.share.max.size",
    ),
    (
        "group.streams.heartbeat.interval.ms",
        AtLeast,
        "group.streams.min.heartbeat.interval.ms",
    ),
    (
        "group.streams.heartbeat.interval.ms",
        AtMost,
        "group.streams.max.heartbeat.interval.ms",
    ),
    (
        "group.streams.session.timeout.ms",
        AtLeast,
        "group.streams.min.session.timeout.ms",
    ),
    (
        "group.streams.session.timeout.ms",
        AtMost,
        "group.streams.max.session.timeout.ms",
    ),
    (
        "group.streams.heartbeat.interval.ms",
        Below,
        "group.streams.session.timeout.ms",
    ),
    (
        "group.streams.assignment.interval.ms",
        AtLeast,
        "group.streams.min.assignment.interval.ms",
    ),
    (
        "group.streams.assignment.interval.ms",
        AtMost,
        "group.streams.max.assignment.interval.ms",
    ),
    (
        "group.streams.num.standby.replicas",
        AtMost,
        "group.streams.max.standby.replicas",
    ),
];

const LEAST: &[(&str, i64)] = &[
    ("log.roll.ms", 1),
    ("log.roll.jitter.ms", 0),
    ("log.retention.ms", 1),
];

fn check_cleaner_memory(settings: &Numbers<'_>) -> Result<(), ConfigError> {
    let threads = settings.get("log.cleaner.threads")?.max(1);
    if settings.get("log.cleaner.dedupe.buffer.size")? / threads <= 1_048_576 {
        let rule = "must be more than 1 MiB for each of log.cleaner.threads".to_owned();
        return Err(conflict("log.cleaner.dedupe.buffer.size", rule));
    }
    Ok(())
}

fn check_request_memory(settings: &Numbers<'_>) -> Result<(), ConfigError> {
    let limit = settings.get("queued.max.request.bytes")?;
    if limit > 0 && limit < settings.get("socket.request.max.bytes")? {
        let rule = "must be greater than or equal to socket.request.max.bytes".to_owned();
        return Err(conflict("queued.max.request.bytes", rule));
    }
    Ok(())
}

fn check_idle_connections(settings: &Numbers<'_>) -> Result<(), ConfigError> {
    let idle = settings.get("connections.max.idle.ms")?;
    if idle >= 0 && settings.get("connection.failed.authentication.delay.ms")? >= idle {
        let rule = "must be less than connections.max.idle.ms".to_owned();
        return Err(conflict("connection.failed.authentication.delay.ms", rule));
    }
    Ok(())
}

fn check_group_protocols(layers: &Layers<'_>) -> Result<(), ConfigError> {
    const KEY: &str = "group.coordinator.rebalance.protocols";
    let protocols = Scope::Broker
        .key(KEY)
        .map(|key| layers.in_force(key))
        .transpose()?
        .flatten();
    match protocols {
        Some(Value::List(protocols)) if !protocols.iter().any(|item| item == "classic") => {
            Err(conflict(KEY, "must contain classic".to_owned()))
        }
        _ => Ok(()),
    }
}

fn conflict(key: &'static str, rule: String) -> ConfigError {
    ConfigError::Conflict { key, rule }
}

/// Broker settings that are whole numbers.
pub(crate) struct Numbers<'a>(pub(crate) &'a Layers<'a>);

impl Numbers<'_> {
    pub(crate) fn get(&self, name: &'static str) -> Result<i64, ConfigError> {
        let key = Scope::Broker
            .key(name)
            .expect("rules name settings that exist");
        let value = self.0.in_force(key)?;
        let number = value.as_ref().and_then(Value::integer);
        Ok(number.expect("rules name whole numbers with a default"))
    }

    fn check(
        &self,
        key: &'static str,
        relation: Relation,
        other: &'static str,
    ) -> Result<(), ConfigError> {
        let (value, bound) = (self.get(key)?, self.get(other)?);
        let (holds, words) = match relation {
            AtMost => (value <= bound, "less than or equal to"),
            Below => (value < bound, "less than"),
            AtLeast => (value >= bound, "greater than or equal to"),
        };
        if holds {
            return Ok(());
        }
        Err(conflict(
            key,
            format!("must be {words} {other}, but {value} is not so to {bound}"),
        ))
    }
}
