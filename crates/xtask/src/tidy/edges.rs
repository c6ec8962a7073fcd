//! Which crate may depend on which, and what pure crates may not depend on.

use anyhow::Context;
use toml::{Table, Value};

use super::{Finding, Tree};

/// The whole dependency graph between our own crates, also between their
/// tests. A new edge is a design decision: it begins here and in
/// ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("base", &[]),
    ("protocol", &["base"]),
    ("partition", &["base", "protocol"]),
    ("coordinator", &["base", "protocol"]),
    ("controller", &["base", "protocol"]),
    ("store", &["base", "protocol"]),
    ("rpc", &["base"]),
    ("replication", &["base", "protocol", "partition", "rpc"]),
    (
        "quorum",
        &["base", "protocol", "controller", "store", "rpc"],
    ),
    ("control", &["base", "controller", "rpc"]),
    ("tools", &["base", "protocol"]),
    (
        "broker",
        &[
            "allocator",
            "base",
            "protocol",
            "partition",
            "coordinator",
            "controller",
            "store",
            "rpc",
            "replication",
            "quorum",
            "control",
            "tools",
        ],
    ),
    (
        "sim",
        &[
            "base",
            "protocol",
            "partition",
            "coordinator",
            "controller",
            "store",
        ],
    ),
    ("oracle", &["base", "protocol"]),
    ("checker", &[]),
    ("xtask", &[]),
    ("bench", &[]),
    ("protocol-fuzz", &["base", "protocol"]),
];

/// Logic without a clock, chance, threads or IO.
pub(super) const PURE: &[&str] = &["base", "protocol", "partition", "coordinator", "controller"];

/// What would bring one of those in. Their tests may use any of it.
const IMPURE: &[&str] = &[
    "async-std",
    "chrono",
    "crossbeam",
    "crossbeam-channel",
    "dashmap",
    "fastrand",
    "futures",
    "getrandom",
    "jiff",
    "mio",
    "parking_lot",
    "rand",
    "rayon",
    "rocksdb",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tokio-util",
    "tonic",
];

/// Only here may the store's RocksDB half be asked for.
const WITH_ROCKSDB: &[&str] = &["broker"];

pub(super) fn findings(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let manifest: Table = text.parse().with_context(|| format!("reading {path}"))?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str);
        if let Some(name) = name.and_then(|name| name.strip_prefix("ottla-")) {
            for dependency in dependencies(&manifest) {
                let complaint = complaint(name, &dependency);
                findings.extend(complaint.map(|text| Finding::new(path, 0, text)));
            }
            if !EDGES.iter().any(|(known, _)| *known == name) {
                findings.push(Finding::new(
                    path,
                    0,
                    format!("the crate {name} is not in xtask's table of edges"),
                ));
            }
        }
    }
    Ok(findings)
}

#[derive(Debug)]
struct Dependency<'a> {
    name: &'a str,
    is_for_tests: bool,
    has_default_features: bool,
}

fn complaint(name: &str, dependency: &Dependency<'_>) -> Option<String> {
    if let Some(ours) = dependency.name.strip_prefix("ottla-") {
        let allowed = EDGES.iter().find(|(known, _)| *known == name)?.1;
        if !allowed.contains(&ours) {
            return Some(format!("{name} may not depend on {ours}"));
        }
        if ours == "store" && dependency.has_default_features && !WITH_ROCKSDB.contains(&name) {
            return Some(format!("{name} may use the store without RocksDB only"));
        }
        None
    } else if PURE.contains(&name) && !dependency.is_for_tests && IMPURE.contains(&dependency.name)
    {
        Some(format!(
            "{name} is pure and may not depend on {}",
            dependency.name
        ))
    } else {
        None
    }
}

fn dependencies(manifest: &Table) -> Vec<Dependency<'_>> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(Value::as_table));
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(targets) {
        for (section, is_for_tests) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let entries = table.get(section).and_then(Value::as_table);
            for (key, entry) in entries.into_iter().flatten() {
                found.push(Dependency {
                    // A dependency may be given another name than its package's.
                    name: entry.get("package").and_then(Value::as_str).unwrap_or(key),
                    is_for_tests,
                    has_default_features: has_default_features(entry),
                });
            }
        }
    }
    found
}

/// The workspace turns the default features of our crates off; a member that
/// inherits from it has to turn them on by name.
fn has_default_features(entry: &Value) -> bool {
    let said = entry.get("default-features").and_then(Value::as_bool);
    let inherits = entry.get("workspace").and_then(Value::as_bool) == Some(true);
    let by_name = entry
        .get("features")
        .and_then(Value::as_array)
        .is_some_and(|features| {
            let wakes = |feature: &Value| matches!(feature.as_str(), Some("default" | "rocksdb"));
            features.iter().any(wakes)
        });
    by_name || said.unwrap_or(!inherits)
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(name: &str, rest: &str, expected: &[&str]) {
        let manifest = format!("[package]\nname = \"ottla-{name}\"\n{rest}");
        let tree = Tree::of(&[("Cargo.toml", &manifest)]);
        assert_findings(&findings(&tree).unwrap(), expected);
    }

    #[test]
    fn allowed_edges_pass() {
        check(
            "partition",
            "[dependencies]\nottla-base.workspace = true\nottla-protocol.workspace = true\nbytes = \"1\"",
            &[],
        );
        check(
            "broker",
            "[dependencies]\nottla-store = { workspace = true, default-features = true }\ntokio = \"1\"",
            &[],
        );
    }

    #[test]
    fn other_edges_are_found_however_they_are_written() {
        for edge in [
            "[dependencies]\nottla-store.workspace = true",
            "[dependencies.ottla-store]\npath = \"x\"",
            "[dev-dependencies]\nottla-store.workspace = true",
            "[build-dependencies]\nottla-store.workspace = true",
            "[target.'cfg(unix)'.dependencies]\nottla-store.workspace = true",
            "[dependencies]\nstore = { package = \"ottla-store\", path = \"x\" }",
        ] {
            check(
                "partition",
                edge,
                &["Cargo.toml:0: partition may not depend on store"],
            );
        }
    }

    #[test]
    fn nothing_depends_on_the_broker() {
        for name in EDGES.iter().map(|(name, _)| *name) {
            let expected = format!("Cargo.toml:0: {name} may not depend on broker");
            check(
                name,
                "[dependencies]\nottla-broker.workspace = true",
                &[&expected],
            );
        }
    }

    #[test]
    fn pure_crates_have_no_runtime() {
        check(
            "base",
            "[dependencies]\ntokio.workspace = true",
            &["Cargo.toml:0: base is pure and may not depend on tokio"],
        );
        check("base", "[dev-dependencies]\nrand = \"1\"", &[]);
    }

    #[test]
    fn the_simulation_does_not_link_rocksdb() {
        check("sim", "[dependencies]\nottla-store.workspace = true", &[]);
        for on in [
            "default-features = true",
            "features = [\"rocksdb\"]",
            "features = [\"default\"]",
        ] {
            check(
                "sim",
                &format!("[dependencies]\nottla-store = {{ workspace = true, {on} }}"),
                &["Cargo.toml:0: sim may use the store without RocksDB only"],
            );
        }
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        check(
            "gossip",
            "",
            &["Cargo.toml:0: the crate gossip is not in xtask's table of edges"],
        );
    }
}
