//! Whether the golden files hold what they must: every API in every version,
//! answered well and refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ottla_oracle::schema::APIS;
use ottla_oracle::transcript::{Step, read};

/// Nothing that a client can ask for is wrong about these, or all of it is.
const ALWAYS_THE_SAME: &[&str] = &[
    "GetTelemetrySubscriptions",
    "PushTelemetry",
    "SaslAuthenticate",
    "SaslHandshake",
];

#[test]
fn every_version_of_every_api_is_asked_in_at_least_two_ways() {
    let mut asked = BTreeMap::<(String, i16), Vec<String>>::new();
    for step in steps() {
        let Some(version) = step.title.version else {
            continue;
        };
        let name = step.title.before.rsplit(' ').next().unwrap_or_default();
        let key = (name.to_owned(), version);
        asked.entry(key).or_default().push(step.title.after);
    }
    let mut missing = Vec::new();
    for api in APIS.iter().filter(|api| api.is_on_broker) {
        for version in api.stable_versions() {
            let requests = asked.get(&(api.name.to_owned(), version));
            let requests = requests.map(Vec::as_slice).unwrap_or_default();
            let shaped = requests.iter().filter(|it| it.starts_with(" {"));
            let damaged = requests.iter().filter(|it| !it.starts_with(" {"));
            let wanted = if ALWAYS_THE_SAME.contains(&api.name) {
                1
            } else {
                2
            };
            if shaped.count() < wanted || damaged.count() < 1 {
                missing.push(format!("{} v{version}", api.name));
            }
        }
    }
    assert_eq!(missing, [""; 0], "not asked often enough");
}

/// The steps of every golden file.
fn steps() -> Vec<Step> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut found = Vec::new();
    for group in fs::read_dir(golden).expect("golden files are there") {
        let group = group.expect("a directory is read").path();
        for file in fs::read_dir(group).expect("a group is a directory") {
            let file = file.expect("a directory is read").path();
            let text = fs::read_to_string(&file).expect("a golden file is text");
            let steps = read(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(!steps.is_empty(), "{} is empty", file.display());
            found.extend(steps);
        }
    }
    found
}
