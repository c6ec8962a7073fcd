//! The tables of settings against Kafka's own list, and against themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ottla_base::config::{Layers, Overrides, Scope, broker_key, reference_page};

const SCOPES: &[(Scope, &str)] = &[
    (Scope::Broker, "broker"),
    (Scope::ClientMetrics, "client-metrics"),
    (Scope::Group, "group"),
    (Scope::Topic, "topic"),
];

/// Names, types and defaults of Kafka 4.3.1, one line each.
const KAFKA: &str = include_str!("data/kafka-4.3-settings.tsv");

#[test]
fn names_types_and_defaults_are_kafkas() {
    let mut ours = BTreeSet::new();
    for (scope, name) in SCOPES {
        for key in scope.keys().filter(|key| !key.name.starts_with("ottla.")) {
            let default = key.default.unwrap_or("null");
            ours.insert(format!(
                "{name}\t{}\t{}\t{default}",
                key.name,
                key.kind.name()
            ));
        }
    }
    let kafkas: BTreeSet<String> = KAFKA.lines().skip(1).map(str::to_owned).collect();
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.difference(b).cloned().collect()
    };
    assert_eq!(
        only(&ours, &kafkas),
        Vec::<String>::new(),
        "not in Kafka's list"
    );
    assert_eq!(only(&kafkas, &ours), Vec::<String>::new(), "missing here");
}

#[test]
fn every_default_passes_its_own_check() {
    for (scope, _) in SCOPES {
        for key in scope.keys() {
            if let Some(default) = key.default {
                let shown = key.parse(default).map(|value| value.to_string());
                assert_eq!(shown.as_deref(), Ok(default), "{}", key.name);
            }
        }
    }
}

#[test]
fn every_setting_is_explained_in_a_sentence() {
    for (scope, _) in SCOPES {
        for key in scope.keys() {
            assert!(key.doc.ends_with('.'), "{}: {:?}", key.name, key.doc);
            assert!(!key.doc.contains("  "), "{}: {:?}", key.name, key.doc);
        }
    }
}

#[test]
fn synonyms_are_broker_settings_of_the_same_type() {
    for (scope, _) in SCOPES {
        for key in scope.keys() {
            for synonym in key.synonyms {
                let known = broker_key(synonym.name);
                assert!(known.is_some(), "{} names {}", key.name, synonym.name);
            }
        }
    }
}

#[test]
fn nothing_set_is_kafkas_defaults() {
    let nothing = Overrides::new();
    let layers = Layers::at_start(&nothing);
    let broker = layers.broker_config().unwrap();
    assert_eq!(broker.log_retention_ms, 604_800_000);
    assert_eq!(broker.group_initial_rebalance_delay_ms, 3000);
    assert_eq!(broker.log_dirs, None);
    let defaults = layers.topic_defaults().unwrap();
    for key in Scope::Topic.keys() {
        // A topic's own default is what the broker's default makes of it.
        let mut same = (**defaults.config()).clone();
        if let Some(default) = key.default {
            assert_eq!(same.set(key.name, default), Ok(true));
            assert_eq!(same, **defaults.config(), "{}", key.name);
        }
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/settings.md");
    let page = reference_page();
    let written = fs::read_to_string(&path).unwrap_or_default();
    if written != page {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page).unwrap();
        panic!("docs/reference/settings.md was out of date and is written anew");
    }
}
