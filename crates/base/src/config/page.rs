//! The reference page of all settings, made from the tables that the broker runs on.

use std::fmt::Write;

use crate::config::{
    BROKER_IGNORED_KEYS, BROKER_KEYS, BROKER_UNIT_KEYS, ConfigKey, Effect, OTTLA_KEYS, Scope, Unit,
};

/// The text of `docs/reference/settings.md`.
pub fn reference_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(
        &mut page,
        "Ottla's own settings",
        OWN,
        by_name(&[OTTLA_KEYS]),
    );
    section(&mut page, "Topic settings", TOPIC, Scope::Topic.keys());
    section(
        &mut page,
        "Broker settings",
        BROKER,
        by_name(&[BROKER_KEYS, BROKER_UNIT_KEYS]),
    );
    section(
        &mut page,
        "Broker settings without effect",
        WITHOUT_EFFECT,
        by_name(&[BROKER_IGNORED_KEYS]),
    );
    section(&mut page, "Group settings", GROUP, Scope::Group.keys());
    section(
        &mut page,
        "Client metrics",
        CLIENT_METRICS,
        Scope::ClientMetrics.keys(),
    );
    page
}

const INTRODUCTION: &str = "\
<!-- Made from the tables in crates/base/src/config. Do not edit. -->
# Settings

Ottla reads a Kafka `server.properties` as it is, then `KAFKA_*` environment variables (`KAFKA_A_B__C___D` is \
`a.b_c-d`), then `--set key=value`; what comes later counts. Names, types, defaults and rules are those of Kafka 4.3. \
A bad value stops the start and is named with what is allowed. An unknown name is reported with the nearest known one and \
ignored. Settings for one listener are written `listener.name.<listener>.<setting>`.

*Update* says when a setting may change: `read-only` at start, `per-broker` while running for one broker, `cluster-wide` \
while running for one broker or all. *Effect* says what it does here: `no` means that it is checked, stored and shown, \
and changes nothing.
";
const OWN: &str = "Kafka ignores these names, so one file serves both.";
const TOPIC: &str = "\
Each may be set for a topic at any time. Unset, the *broker setting* gives the value, and that one's default if it is \
unset too.";
const BROKER: &str = "Settings that Ottla honours.";
const WITHOUT_EFFECT: &str = "\
Settings of Kafka that are accepted so that a file need not be changed. The start log lists those that were given.";
const GROUP: &str = "\
Each may be set for a group at any time, within the bounds that the broker sets. Unset, the *broker setting* gives the \
value.";
const CLIENT_METRICS: &str = "What a subscription to client metrics holds.";

fn by_name(tables: &[&'static [ConfigKey]]) -> impl Iterator<Item = &'static ConfigKey> + use<> {
    let mut keys: Vec<&ConfigKey> = tables.iter().flat_map(|table| table.iter()).collect();
    keys.sort_by_key(|key| key.name);
    keys.into_iter()
}

fn section(
    page: &mut String,
    title: &str,
    text: &str,
    keys: impl Iterator<Item = &'static ConfigKey>,
) {
    let _ = write!(page, "\n## {title}\n\n{text}\n\n{HEAD}");
    for key in keys.filter(|key| !key.is_internal()) {
        row(page, key);
    }
}

const HEAD: &str = "\
| name | type | default | allowed | update | effect | broker setting | meaning |
|---|---|---|---|---|---|---|---|
";

fn row(page: &mut String, key: &ConfigKey) {
    let default = match key.default {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    let effect = match key.effect {
        Effect::Applied => "yes",
        Effect::Ignored | Effect::Internal => "no",
    };
    let synonyms: Vec<String> = key
        .synonyms
        .iter()
        .map(|synonym| match synonym.unit {
            Unit::Same => format!("`{}`", synonym.name),
            Unit::Minutes => format!("`{}` (minutes)", synonym.name),
            Unit::Hours => format!("`{}` (hours)", synonym.name),
        })
        .collect();
    let _ = writeln!(
        page,
        "| `{}` | {} | {default} | {} | {} | {effect} | {} | {} |",
        key.name,
        key.kind.name(),
        key.check,
        key.update.name(),
        synonyms.join(", "),
        key.doc,
    );
}
