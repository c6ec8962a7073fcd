//! The commands that stand where Kafka's tools are expected, against a broker of the program.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout};

use crate::directories::{CLUSTER, ottla};

/// A broker of its own process, which ends with this.
struct Broker {
    process: Child,
    /// Kept open for what it says later.
    _output: Lines<BufReader<ChildStdout>>,
    address: String,
    root: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = ["--memory", "--set", "listeners=PLAINTEXT://127.0.0.1:0"];
        let mut command = ottla(root.path(), &options);
        let mut process = command.env("CLUSTER_ID", CLUSTER).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("listening listener=PLAINTEXT address=")?;
            Some(address.to_owned())
        });
        Self {
            process,
            _output: lines,
            address: address.expect("a broker that listens"),
            root,
        }
    }

    /// Whether the command succeeded, and what it wrote.
    fn asked(&self, command: &str) -> (bool, String) {
        asked(self.root.path(), command, &self.address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn asked(directory: &Path, command: &str, address: &str) -> (bool, String) {
    let mut words: Vec<_> = command.split_whitespace().collect();
    words.extend(["--bootstrap-server", address]);
    let output = ottla(directory, &words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn topics_are_made_listed_described_and_deleted() {
    let broker = Broker::start();
    let create = "topics --create --topic made --partitions 2 --config retention.ms=60000";
    assert_eq!(
        broker.asked(create),
        (true, "Created topic made.\n".to_owned())
    );
    let (made_again, why) = broker.asked(create);
    assert!(
        !made_again && why.contains("made: Topic 'made' already exists"),
        "{why}"
    );
    let unless_there = format!("{create} --if-not-exists");
    assert_eq!(broker.asked(&unless_there), (true, String::new()));
    assert_eq!(broker.asked("topics --list"), (true, "made\n".to_owned()));
    let (_, described) = broker.asked("topics --describe");
    let mut lines = described.lines();
    let head = lines.next().unwrap();
    assert!(head.starts_with("Topic: made\tTopicId: "), "{head}");
    let tail = "\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=60000";
    assert!(head.ends_with(tail), "{head}");
    let partitions: Vec<_> = lines.collect();
    assert_eq!(
        partitions,
        [0, 1].map(|number| format!(
            "\tTopic: made\tPartition: {number}\tLeader: 1\tReplicas: 1\tIsr: 1"
        ))
    );
    assert_eq!(
        broker.asked("topics --delete --topic made"),
        (true, String::new())
    );
    assert_eq!(broker.asked("topics --list"), (true, String::new()));
    for command in [
        "topics --delete --topic made",
        "topics --describe --topic made",
    ] {
        let (there, why) = broker.asked(command);
        assert!(!there && why.contains("made"), "{command}: {why}");
    }
}

#[test]
fn a_cluster_says_its_id_and_what_it_speaks() {
    let broker = Broker::start();
    assert_eq!(
        broker.asked("cluster cluster-id"),
        (true, format!("Cluster ID: {CLUSTER}\n"))
    );
    let (told, spoken) = broker.asked("api-versions");
    let head = format!(
        "{} (id: 1 rack: null isFenced: false) -> (\n",
        broker.address
    );
    assert!(told && spoken.starts_with(&head), "{spoken}");
    assert!(
        spoken.contains("\n\tMetadata(3): 0 to 13 [usable: 13],\n"),
        "{spoken}"
    );
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let broker = Broker::start();
    let (told, why) = asked(broker.root.path(), "api-versions", "127.0.0.1:1");
    assert!(!told && why.starts_with("127.0.0.1:1: "), "{why}");
    let (told, why) = asked(broker.root.path(), "topics --list", ", ,");
    assert!(!told && why.contains("HOST:PORT"), "{why}");
    // The first of the list is not there, the second is.
    let list = format!("127.0.0.1:1,{}", broker.address);
    assert!(asked(broker.root.path(), "topics --list", &list).0);
}
