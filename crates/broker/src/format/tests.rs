use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ottla_base::BrokerId;

use super::*;
use crate::cli::{self, Command};

/// A settings file in a directory of its own, and what `format` and `info` make
/// of it. `{}` in the settings stands for the directory.
struct Node(tempfile::TempDir);

impl Node {
    fn with(settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let text = settings.replace("{}", root.path().to_str().unwrap());
        fs::write(root.path().join("server.properties"), text).unwrap();
        Self(root)
    }

    fn combined() -> Self {
        Self::with(
            "process.roles=broker,controller\nnode.id=7\nlog.dirs={}/data\n\
             listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n",
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, verb: &str, options: &str) -> Result<(bool, String), FormatError> {
        let file = self.path("server.properties");
        let words = ["ottla", verb, "-c", file.to_str().unwrap()];
        let words = words.into_iter().chain(options.split_whitespace());
        let mut out = Vec::new();
        let mut good = true;
        match cli::parse(words).unwrap() {
            Command::Format(request) => format(&request, &mut out)?,
            Command::Info(request) => good = info(&request, &mut out)?,
            Command::Serve(_)
            | Command::ApiVersions(_)
            | Command::Check(_)
            | Command::Cluster(_)
            | Command::Docker(_)
            | Command::Dump(_)
            | Command::Health(_)
            | Command::RandomUuid
            | Command::Topics(_) => {
                panic!("{verb} is none of ours")
            }
        }
        let text = String::from_utf8(out).unwrap();
        Ok((good, text.replace(self.0.path().to_str().unwrap(), "")))
    }

    #[track_caller]
    fn format(&self, options: &str) -> String {
        self.run("format", options).unwrap().1
    }

    #[track_caller]
    fn refused(&self, options: &str) -> String {
        let refused = self.run("format", options).expect_err("refused");
        refused
            .to_string()
            .replace(self.0.path().to_str().unwrap(), "")
    }
}

#[test]
fn a_combined_node_is_formatted_once() {
    let node = Node::combined();
    assert_eq!(
        node.format("-t abc --standalone"),
        "Formatting dynamic metadata voter directory /data with metadata.version 4.3-IV0.\n"
    );
    let owner = MetaProperties::read(&node.path("data")).unwrap().unwrap();
    assert_eq!(owner.cluster, ClusterId::from("abc"));
    assert_eq!(owner.node, BrokerId(7));

    assert_eq!(
        node.refused("-t abc --standalone"),
        "Log directory /data is already formatted. Use --ignore-formatted to ignore this directory \
         and format the others."
    );
    assert_eq!(
        node.format("-t abc --standalone --ignore-formatted"),
        "All of the log directories are already formatted.\n"
    );
    let other = node.refused("-t xyz --standalone --ignore-formatted");
    assert!(other.contains("Expected xyz, but read abc"), "{other}");
    let unchanged = MetaProperties::read(&node.path("data")).unwrap();
    assert_eq!(unchanged, Some(owner));
}

#[test]
fn every_directory_is_formatted() {
    let node = Node::with(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs={}/b,{}/a\nmetadata.log.dir={}/m\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@localhost:9093\n",
    );
    assert_eq!(
        node.format("-t abc --release-version 3.9"),
        "Formatting data directory /a with metadata.version 3.9-IV0.\n\
         Formatting data directory /b with metadata.version 3.9-IV0.\n\
         Formatting metadata directory /m with metadata.version 3.9-IV0.\n"
    );
    assert!(node.path("m").join(BOOTSTRAP_PROPERTIES).exists());
    assert!(!node.path("a").join(BOOTSTRAP_PROPERTIES).exists());
}

#[test]
fn levels_and_credentials_wait_for_the_first_start() {
    let node = Node::combined();
    node.format(
        "-t abc --standalone -f transaction.version=1 -S SCRAM-SHA-256=[name=a=ü😀,password=secret]",
    );
    let bootstrap = Bootstrap::read(&node.path("data")).unwrap();
    let levels: Vec<(&str, i16)> = bootstrap
        .features
        .iter()
        .map(|(name, level)| (name.as_str(), *level))
        .collect();
    assert_eq!(
        levels,
        [
            ("kraft.version", 1),
            ("metadata.version", 30),
            ("transaction.version", 1)
        ]
    );
    let [(of, credential)] = &bootstrap.scram[..] else {
        panic!("one credential: {bootstrap:?}");
    };
    assert_eq!(of.user, "a=ü😀");
    assert_eq!(credential.stored_key.len(), 32);
    let file = node.path("data").join(BOOTSTRAP_PROPERTIES);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_quorum_must_be_said_once() {
    let node = Node::combined();
    assert!(node.refused("-t abc").contains("you must specify one of"));
    let static_quorum = Node::with(
        "process.roles=controller\nnode.id=1\nlog.dirs={}/data\nlisteners=CONTROLLER://:9093\n\
         controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@localhost:9093\n",
    );
    let twice = static_quorum.refused("-t abc --standalone");
    assert!(twice.contains("controller.quorum.voters is set"), "{twice}");
    let broker = Node::with(
        "process.roles=broker\nnode.id=1\nlog.dirs={}/data\nlisteners=PLAINTEXT://:9092\n\
         controller.listener.names=CONTROLLER\ncontroller.quorum.voters=2@localhost:9093\n",
    );
    assert_eq!(
        broker.format("-t abc"),
        "Formatting metadata directory /data with metadata.version 4.3-IV0.\n"
    );
}

#[test]
fn a_voter_gets_the_directory_id_it_was_listed_with() {
    let node = Node::combined();
    let listed = "JEXY6aqzQY-32P5TStzaFg";
    let other = "MvDxzVmcRsaTz33bUuRU6A";
    node.format(&format!("-t abc -I 7@h:9093:{listed},8@h:9093:{other}"));
    let owner = MetaProperties::read(&node.path("data")).unwrap().unwrap();
    assert_eq!(owner.directory, listed);
    for wrong in [
        "7@h:9093",
        "x@h:9093:JEXY6aqzQY-32P5TStzaFg",
        "7@h:x:JEXY6aqzQY-32P5TStzaFg",
    ] {
        let refused = Node::combined().refused(&format!("-t abc -I {wrong}"));
        assert!(
            refused.contains("is not id@host:port:directory-id"),
            "{refused}"
        );
    }
}

#[test]
fn what_cannot_be_had_writes_nothing() {
    let cases = [
        (
            "-t abc -s -f nonsense.version=1",
            "Unsupported feature: nonsense.version",
        ),
        (
            "-t abc -s -f group.version=9",
            "group.version has no level 9",
        ),
        (
            "-t abc -s -f kraft.version=0",
            "kraft.version 0 does not fit",
        ),
        ("-t abc -s -r 9.9", "Unknown metadata.version '9.9'"),
        (
            "-t abc -s -r 4.0 -f metadata.version=25",
            "to avoid ambiguity",
        ),
        (
            "-t abc -s -S SCRAM-SHA-256=[name=a]",
            "'password' or 'saltedpassword'",
        ),
    ];
    let node = Node::combined();
    for (options, message) in cases {
        let refused = node.refused(options);
        assert!(refused.contains(message), "{options}: {refused}");
    }
    assert!(!node.path("data").exists());
    let wrong = Node::with("log.retention.ms=x\nnum.partitions=0\n").refused("-t abc -s");
    assert_eq!(wrong.lines().count(), 2, "{wrong}");
}

#[test]
fn info_tells_formatted_from_not() {
    let node = Node::combined();
    let (good, text) = node.run("info", "").unwrap();
    assert!(!good && text.contains("/data does not exist"), "{text}");
    fs::create_dir(node.path("data")).unwrap();
    let (good, text) = node.run("info", "").unwrap();
    assert!(!good && text.contains("/data is not formatted."), "{text}");
    node.format("-t abc -s");
    let (good, text) = node.run("info", "").unwrap();
    assert!(
        good && text.contains("{cluster.id=abc, directory.id="),
        "{text}"
    );
}
