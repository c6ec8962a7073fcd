//! Which directory the program takes, and what it says of one that it does not.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const CLUSTER: &str = "5L6g3nShT-eMCtK--X86sw";
const OTHER_CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

pub(crate) fn ottla(directory: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(options).current_dir(directory);
    command.env_remove("CLUSTER_ID").stdout(Stdio::piped());
    command
}

/// Starts a broker in `directory`, stops it as soon as it serves, and returns what
/// it said.
fn served(directory: &Path, options: &[&str], cluster: Option<&str>) -> String {
    let mut command = ottla(directory, &["--set", "listeners=PLAINTEXT://127.0.0.1:0"]);
    command.args(options);
    command.envs(cluster.map(|id| ("CLUSTER_ID", id)));
    let mut process = command.spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut said = String::new();
    while output.read_line(&mut said).unwrap() > 0 && !said.contains("Kafka Server started") {}
    // A broker that refused to start has ended, and takes no signal.
    let _ended = kill_process(Pid::from_child(&process), Signal::TERM);
    output.read_to_string(&mut said).unwrap();
    process.wait().unwrap();
    said
}

pub(crate) fn format(directory: &Path, options: &str) {
    let settings = "node.id=1\nprocess.roles=broker,controller\nlog.dirs=data\n\
                    listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n\
                    controller.listener.names=CONTROLLER\n";
    fs::write(directory.join("format.properties"), settings).unwrap();
    let mut words = vec!["format", "-c", "format.properties", "--standalone"];
    words.extend(options.split_whitespace());
    let status = ottla(directory, &words).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_default_directory_is_told() {
    let root = tempfile::tempdir().unwrap();
    let said = served(root.path(), &[], None);
    let directory = root.path().join("ottla-data");
    assert!(said.contains(directory.to_str().unwrap()), "{said}");
    assert!(directory.join("meta.properties").is_file());
}

#[test]
fn a_formatted_directory_keeps_its_ids() {
    let root = tempfile::tempdir().unwrap();
    format(root.path(), &format!("-t {CLUSTER}"));
    let owner = root.path().join("data/meta.properties");
    let before = fs::read_to_string(&owner).unwrap();
    for cluster in [None, Some(CLUSTER)] {
        let said = served(root.path(), &["--data", "data"], cluster);
        assert!(said.contains("Kafka Server started"), "{said}");
        assert!(said.contains(CLUSTER), "{said}");
        assert_eq!(fs::read_to_string(&owner).unwrap(), before);
    }
}

#[test]
fn the_environment_names_the_cluster_of_an_empty_directory() {
    let root = tempfile::tempdir().unwrap();
    let said = served(root.path(), &["--data", "data"], Some(CLUSTER));
    assert!(said.contains("Kafka Server started"), "{said}");
    let owner = fs::read_to_string(root.path().join("data/meta.properties")).unwrap();
    assert!(
        owner.contains(&format!("cluster.id={CLUSTER}\n")),
        "{owner}"
    );
}

#[test]
fn a_foreign_directory_is_refused_and_the_way_out_is_named() {
    let root = tempfile::tempdir().unwrap();
    format(root.path(), &format!("-t {CLUSTER}"));
    let refused = |options: &[&str], cluster, words: &[&str]| {
        let said = served(
            root.path(),
            &[&["--data", "data"], options].concat(),
            cluster,
        );
        assert!(!said.contains("Kafka Server started"), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    let out = format!("set CLUSTER_ID={CLUSTER}");
    refused(&[], Some(OTHER_CLUSTER), &[OTHER_CLUSTER, &out]);
    refused(
        &["--set", "node.id=7"],
        None,
        &["this is node 7", "set node.id=1"],
    );

    let owner = root.path().join("data/meta.properties");
    let good = fs::read_to_string(&owner).unwrap();
    fs::write(&owner, good.replace("version=1", "version=99")).unwrap();
    refused(&[], None, &["version 99", "use the release that wrote it"]);
    fs::write(&owner, good.replace("cluster.id", "other.id")).unwrap();
    refused(&[], None, &["no valid cluster.id", "restore the file"]);
    fs::write(&owner, &good).unwrap();

    fs::create_dir(root.path().join("data/orders-0")).unwrap();
    refused(&[], None, &["(orders-0)", "take an empty directory"]);
}
