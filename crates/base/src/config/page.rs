//! The reference page of all settings, made from the tables that the broker runs on.

use crate::config::{
    BROKER_IGNORED_KEYS, BROKER_KEYS, BROKER_UNIT_KEYS, ConfigKey, Effect, OTTLA_KEYS, Scope,
};

/// The text of `docs/reference/settings.md`.
pub fn reference_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    node_section(&mut page, "Ottla's own settings", OWN, &[OTTLA_KEYS]);
    layered_section(&mut page, "Topic settings", TOPIC, Scope::Topic);
    node_section(
        &mut page,
        "Broker settings",
        BROKER,
        &[BROKER_KEYS, BROKER_UNIT_KEYS],
    );
    node_section(
        &mut page,
        "Broker settings without effect",
        WITHOUT_EFFECT,
        &[BROKER_IGNORED_KEYS],
    );
    layered_section(&mut page, "Group settings", GROUP, Scope::Group);
    layered_section(
        &mut page,
        "Client metrics",
        CLIENT_METRICS,
        Scope::ClientMetrics,
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
while running for one broker or all. *Effect* is `no` where a setting is checked, stored and shown, and changes nothing.
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

/// Settings of a node itself.
fn node_section(page: &mut String, title: &str, text: &str, tables: &[&'static [ConfigKey]]) {
    let columns = ["name", "type", "default", "allowed", "update", "meaning"];
    let mut keys: Vec<&ConfigKey> = tables.iter().flat_map(|table| table.iter()).collect();
    keys.sort_by_key(|key| key.name);
    let rows = keys.into_iter().map(|key| {
        let [name, kind, default, allowed] = first_columns(key);
        [
            name,
            kind,
            default,
            allowed,
            key.update.name().to_owned(),
            key.doc.to_owned(),
        ]
    });
    section(page, title, text, columns, rows);
}

/// Settings of a resource, for which a broker setting may stand in.
fn layered_section(page: &mut String, title: &str, text: &str, scope: Scope) {
    let columns = [
        "name",
        "type",
        "default",
        "allowed",
        "effect",
        "broker setting",
        "meaning",
    ];
    let rows = scope.keys().filter(|key| !key.is_internal()).map(|key| {
        let [name, kind, default, allowed] = first_columns(key);
        let effect = match key.effect {
            Effect::Applied => "yes",
            Effect::Ignored | Effect::Internal => "no",
        };
        let stand_in = key
            .synonyms
            .first()
            .map(|synonym| format!("`{}`", synonym.name));
        let stand_in = stand_in.unwrap_or_default();
        [
            name,
            kind,
            default,
            allowed,
            effect.to_owned(),
            stand_in,
            key.doc.to_owned(),
        ]
    });
    section(page, title, text, columns, rows);
}

fn first_columns(key: &ConfigKey) -> [String; 4] {
    let default = match key.default {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    let name = format!("`{}`", key.name);
    [
        name,
        key.kind.name().to_owned(),
        default,
        key.check.to_string(),
    ]
}

fn section<const N: usize>(
    page: &mut String,
    title: &str,
    text: &str,
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    page.push_str(&format!("\n## {title}\n\n{text}\n\n"));
    page.push_str(&format!(
        "| {} |\n|{}\n",
        columns.join(" | "),
        "---|".repeat(N)
    ));
    for row in rows {
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
}
