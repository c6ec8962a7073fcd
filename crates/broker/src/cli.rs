//! The command line: what was asked for, as one value.
//!
//! Parsing only: nothing here reads a file, the environment or the clock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use ottla_tools::NewTopic;

/// What the process was started to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Serve(Serve),
    ApiVersions(BootstrapServer),
    Check(Check),
    Cluster(Cluster),
    Docker(Docker),
    Dump(Dump),
    Format(Format),
    Health(Health),
    Info(Info),
    RandomUuid,
    Topics(Topics),
}

/// Names of the program that stand for a command: the apache/kafka image has scripts there.
const SCRIPTS: &[(&str, &str)] = &[
    ("/etc/kafka/docker/run", "docker"),
    ("kafka-broker-api-versions.sh", "api-versions"),
    ("kafka-cluster.sh", "cluster"),
    ("kafka-topics.sh", "topics"),
];

/// Parses a command line, the program's name first.
///
/// # Errors
/// What to print and how to exit, also for `--help` and `--version`: see
/// [`clap::Error::exit`].
pub fn parse<I, A>(arguments: I) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let name = arguments.first().map(Path::new);
    let script = SCRIPTS
        .iter()
        .find(|(script, _)| name.is_some_and(|name| name.ends_with(script)));
    if let Some((_, command)) = script {
        arguments.insert(1, command.into());
    }
    let cli = Cli::try_parse_from(arguments)?;
    Ok(match cli.verb {
        None => Command::Serve(cli.serve.unless_a_mistyped_command()?),
        Some(Verb::Serve(serve)) => Command::Serve(serve),
        Some(Verb::ApiVersions(servers)) => Command::ApiVersions(servers),
        Some(Verb::Cluster(cluster)) => Command::Cluster(cluster),
        Some(Verb::Topics(topics)) => Command::Topics(topics),
        Some(Verb::Check(check)) => Command::Check(check),
        Some(Verb::Docker(docker)) => Command::Docker(docker),
        Some(Verb::Dump(dump)) => Command::Dump(dump),
        Some(Verb::Format(format)) => Command::Format(format),
        Some(Verb::Health(health)) => Command::Health(health),
        Some(Verb::Info(info)) => Command::Info(info),
        Some(Verb::RandomUuid) => Command::RandomUuid,
    })
}

const EXAMPLES: &str = "\
Examples:
  ottla                                      a broker on localhost:9092, data in ./ottla-data
  ottla --memory                             the same, keeping nothing on disk
  ottla --data /var/lib/ottla --set listeners=PLAINTEXT://:9092
  ottla server.properties                    with the settings of an Apache Kafka broker
  ottla check ./ottla-data                   verify a data directory, changing nothing

No format step is needed: an empty data directory is initialised when the broker starts.
Settings come, the later winning over the earlier, from the file, from KAFKA_* environment
variables as the apache/kafka image reads them, and from --set.";

/// A broker that speaks Apache Kafka's protocol.
///
/// Started with no command at all it serves: any Kafka client can connect to localhost:9092.
#[derive(Debug, Parser)]
#[command(
    name = "ottla",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a broker (what happens without a command, too)
    Serve(Serve),
    /// Print which versions of which requests the brokers of a cluster serve, as kafka-broker-api-versions.sh does
    ApiVersions(BootstrapServer),
    /// Verify every entry of a data directory, changing nothing
    Check(Check),
    /// Ask a cluster for its id, as kafka-cluster.sh does
    Cluster(Cluster),
    /// Run a broker in a container, as the apache/kafka image does
    Docker(Docker),
    /// Print what a data directory holds
    Dump(Dump),
    /// Prepare data directories beforehand, as kafka-storage.sh format does (never needed)
    Format(Format),
    /// Ask a broker on this machine whether it answers; fails if it does not
    Health(Health),
    /// Say whether the data directories of a settings file are formatted, as kafka-storage.sh info does
    Info(Info),
    /// Print a new id, fit for `format --cluster-id`
    RandomUuid,
    /// Make, list, describe and delete topics, as kafka-topics.sh does
    Topics(Topics),
}

/// How to run a broker.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Serve {
    /// Settings file in Kafka's format
    #[arg(value_name = "SERVER_PROPERTIES", conflicts_with = "config")]
    file: Option<PathBuf>,

    /// Settings file in Kafka's format
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One setting; may be given many times and wins over file and environment
    #[arg(long = "set", visible_alias = "override", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<Setting>,

    /// Where to keep the data [default: ./ottla-data, or log.dirs if it is set]
    #[arg(short, long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,

    /// Keep everything in memory; all of it is gone when the broker stops
    #[arg(long)]
    pub memory: bool,

    #[command(flatten)]
    pub log: Log,
}

impl Serve {
    /// A first word that is no command is taken for a settings file, as
    /// `kafka.Kafka` takes it, unless it does not look like a file at all.
    fn unless_a_mistyped_command(self) -> Result<Self, clap::Error> {
        let word = self.file.as_deref().and_then(|file| file.to_str());
        match word {
            Some(word) if !word.contains(['.', '/']) => Err(Cli::command().error(
                ErrorKind::InvalidSubcommand,
                format!(
                    "there is no command '{word}' (a settings file of that name is './{word}')"
                ),
            )),
            Some(_) | None => Ok(self),
        }
    }

    /// The settings file, whichever way it was named.
    pub const fn settings_file(&self) -> Option<&PathBuf> {
        match &self.config {
            Some(file) => Some(file),
            None => self.file.as_ref(),
        }
    }
}

/// How the broker's own log reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Log {
    /// What to log: a level, or filters such as `info,ottla_store=debug` [default: $RUST_LOG, else info]
    #[arg(long = "log", value_name = "FILTER")]
    pub filter: Option<String>,

    /// How log lines look [default: the setting ottla.log.format, else human]
    #[arg(long = "log-format", value_name = "FORMAT")]
    pub format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for people
    Human,
    /// One JSON object per line for machines
    Json,
}

/// One `key=value`, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
}

/// What `docker run` gives the image beside the environment.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Docker {
    /// Environment variables that win over those of the container
    #[arg(value_name = "VARIABLE=VALUE", value_parser = setting)]
    pub variables: Vec<Setting>,
}

/// Which broker to ask.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Health {
    /// The settings file that the broker was started with
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/opt/kafka/config/server.properties"
    )]
    pub config: PathBuf,
}

/// Which data directory to verify.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Check {
    /// The data directory, of a broker that is not running
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
}

/// What to print of which data directory.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Dump {
    /// The data directory, of a broker that is not running
    #[arg(value_name = "DIR")]
    pub data: PathBuf,

    /// Only this topic
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,

    /// Only this partition of the topic
    #[arg(long, value_name = "NUMBER", requires = "topic")]
    pub partition: Option<i32>,

    /// Only from this offset on
    #[arg(long, value_name = "NUMBER", requires = "partition")]
    pub offset: Option<i64>,
}

/// How to prepare data directories.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Format {
    /// Id of the cluster that the directories are to belong to
    #[arg(short = 't', long, value_name = "ID")]
    pub cluster_id: String,

    /// Settings file in Kafka's format: names the directories and the node
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,

    /// Leave directories alone that are formatted already, where this is an error otherwise
    #[arg(short = 'g', long)]
    pub ignore_formatted: bool,

    /// Level of a feature, such as `transaction.version=2`; may be given many times
    #[arg(short, long = "feature", value_name = "NAME=LEVEL", value_parser = feature)]
    pub features: Vec<FeatureLevel>,

    /// The features of this Kafka release, such as `4.3`
    #[arg(short, long, value_name = "VERSION")]
    pub release_version: Option<String>,

    /// A SCRAM credential, such as `SCRAM-SHA-256=[name=alice,password=secret]`; may be given many times
    #[arg(short = 'S', long = "add-scram", value_name = "CREDENTIAL")]
    pub scram: Vec<String>,

    #[command(flatten)]
    voters: VoterArguments,
}

impl Format {
    /// Who is to elect the controller at first.
    pub fn voters(&self) -> Voters {
        if self.voters.standalone {
            Voters::Standalone
        } else if self.voters.no_initial_controllers {
            Voters::None
        } else {
            match &self.voters.initial_controllers {
                Some(list) => Voters::Listed(list.clone()),
                None => Voters::Unsaid,
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(multiple = false)]
struct VoterArguments {
    /// This node alone is the first quorum of controllers
    #[arg(short, long)]
    standalone: bool,

    /// No quorum yet: this node joins one later
    #[arg(short = 'N', long)]
    no_initial_controllers: bool,

    /// The first quorum, as `id@host:port:directory-id`, separated by commas
    #[arg(short = 'I', long, value_name = "LIST")]
    initial_controllers: Option<String>,
}

/// The first quorum of controllers, as the command line gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voters {
    /// The settings file must say it.
    Unsaid,
    Standalone,
    None,
    Listed(String),
}

/// A feature's name and the level wanted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureLevel {
    pub name: String,
    pub level: i16,
}

/// Whose directories to describe.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Info {
    /// Settings file in Kafka's format: names the directories
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Which cluster to ask.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BootstrapServer {
    /// Where its brokers listen without encryption, separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap_server: String,
}

/// What to ask a cluster about itself.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Cluster {
    #[command(subcommand)]
    pub question: ClusterQuestion,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ClusterQuestion {
    /// Print the id of the cluster
    ClusterId(BootstrapServer),
}

/// What to do with topics.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(group = ArgGroup::new("action").required(true))]
pub struct Topics {
    #[command(flatten)]
    pub servers: BootstrapServer,

    /// Print the names of all topics
    #[arg(long, group = "action", conflicts_with = "topic")]
    list: bool,

    /// Make the topic
    #[arg(long, group = "action", requires = "topic")]
    create: bool,

    /// Print the partitions and settings of the topic, or of all
    #[arg(long, group = "action")]
    describe: bool,

    /// Delete the topic
    #[arg(long, group = "action", requires = "topic")]
    delete: bool,

    /// The topic's name
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,

    /// How many partitions a new topic has [default: the cluster's]
    #[arg(long, value_name = "NUMBER", requires = "create")]
    partitions: Option<i32>,

    /// How many replicas each of them has [default: the cluster's]
    #[arg(long, value_name = "NUMBER", requires = "create")]
    replication_factor: Option<i16>,

    /// One setting of a new topic; may be given many times
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting, requires = "create")]
    configs: Vec<Setting>,

    /// Do nothing if there is such a topic
    #[arg(long, requires = "create")]
    if_not_exists: bool,
}

/// One action on topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicAction {
    List,
    Create(NewTopic),
    Describe(Option<String>),
    Delete(String),
}

impl Topics {
    /// The one action that was asked for.
    pub fn action(&self) -> TopicAction {
        let topic = self.topic.clone();
        let name = topic.clone().unwrap_or_default();
        if self.create {
            TopicAction::Create(NewTopic {
                name,
                partitions: self.partitions,
                replication_factor: self.replication_factor,
                configs: self
                    .configs
                    .iter()
                    .map(|setting| (setting.key.clone(), setting.value.clone()))
                    .collect(),
                if_not_exists: self.if_not_exists,
            })
        } else if self.describe {
            TopicAction::Describe(topic)
        } else if self.delete {
            TopicAction::Delete(name)
        } else {
            TopicAction::List
        }
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok(Setting {
            key: key.trim().to_owned(),
            value: value.to_owned(),
        }),
        Some(_) => Err("there is no key before the equals sign".to_owned()),
        None => Err("there is no equals sign; write key=value".to_owned()),
    }
}

fn feature(text: &str) -> Result<FeatureLevel, String> {
    let (name, level) = text
        .split_once('=')
        .ok_or("there is no equals sign; write feature=level")?;
    let level = level
        .trim()
        .parse()
        .map_err(|_| format!("the level {level:?} is not a small whole number"))?;
    Ok(FeatureLevel {
        name: name.trim().to_owned(),
        level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        parse(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn refused(line: &str) -> String {
        match parse(line.split_whitespace()) {
            Ok(command) => panic!("{line}: taken for {command:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn serve(line: &str) -> Serve {
        let Command::Serve(serve) = parsed(line) else {
            panic!("{line}: taken for another command");
        };
        serve
    }

    fn format(line: &str) -> Format {
        let Command::Format(format) = parsed(line) else {
            panic!("{line}: taken for another command");
        };
        format
    }

    fn pairs(serve: &Serve) -> Vec<(&str, &str)> {
        serve
            .settings
            .iter()
            .map(|setting| (setting.key.as_str(), setting.value.as_str()))
            .collect()
    }

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(parsed("ottla"), parsed("ottla serve"));
        assert_eq!(parsed("ottla --memory"), parsed("ottla serve --memory"));
        assert_eq!(
            parsed("ottla --data d --set a=b"),
            parsed("ottla serve --data d --set a=b")
        );
        assert!(serve("ottla --memory").memory);
        assert_eq!(serve("ottla --data d").data, Some(PathBuf::from("d")));
    }

    #[test]
    fn the_start_script_of_the_image_is_a_command() {
        let line = "CLUSTER_ID=a=b KAFKA_NODE_ID=2";
        let docker = parsed(&format!("ottla docker {line}"));
        assert_eq!(parsed(&format!("/etc/kafka/docker/run {line}")), docker);
        let Command::Docker(docker) = docker else {
            panic!("taken for {docker:?}");
        };
        let [id, node] = docker.variables.as_slice() else {
            panic!("two variables became {docker:?}");
        };
        assert_eq!((id.key.as_str(), id.value.as_str()), ("CLUSTER_ID", "a=b"));
        assert_eq!(
            (node.key.as_str(), node.value.as_str()),
            ("KAFKA_NODE_ID", "2")
        );
    }

    #[test]
    fn scripts_for_asking_a_cluster_are_commands_too() {
        let lines = [
            (
                "kafka-topics.sh --bootstrap-server a:1 --list",
                "ottla topics --list --bootstrap-server a:1",
            ),
            (
                "kafka-broker-api-versions.sh --bootstrap-server a:1",
                "ottla api-versions --bootstrap-server a:1",
            ),
            (
                "kafka-cluster.sh cluster-id --bootstrap-server a:1",
                "ottla cluster cluster-id --bootstrap-server a:1",
            ),
        ];
        for (script, command) in lines {
            assert_eq!(
                parsed(&format!("/opt/kafka/bin/{script}")),
                parsed(command),
                "{script}"
            );
            assert_eq!(parsed(&format!("./{script}")), parsed(command), "{script}");
        }
    }

    #[test]
    fn one_thing_is_done_with_topics() {
        let action = |options: &str| {
            let line = format!("ottla topics --bootstrap-server a:1 {options}");
            let Command::Topics(topics) = parsed(&line) else {
                panic!("{line}: taken for another command");
            };
            topics.action()
        };
        let made = NewTopic {
            name: "t".to_owned(),
            partitions: Some(6),
            replication_factor: Some(3),
            configs: vec![("a".to_owned(), "b=c".to_owned())],
            if_not_exists: true,
        };
        let create = "--create --topic t --partitions 6 --replication-factor 3 --config a=b=c --if-not-exists";
        assert_eq!(action(create), TopicAction::Create(made));
        assert_eq!(action("--list"), TopicAction::List);
        assert_eq!(action("--describe"), TopicAction::Describe(None));
        assert_eq!(
            action("--describe --topic t"),
            TopicAction::Describe(Some("t".to_owned()))
        );
        assert_eq!(
            action("--delete --topic t"),
            TopicAction::Delete("t".to_owned())
        );
        for (options, message) in [
            ("", "--list"),
            ("--create", "--topic"),
            ("--delete", "--topic"),
            ("--list --create --topic t", "cannot be used with"),
            ("--describe --partitions 3", "--create"),
        ] {
            let line = format!("ottla topics --bootstrap-server a:1 {options}");
            let refused = refused(&line);
            assert!(refused.contains(message), "{line}: {refused}");
        }
        assert!(refused("ottla topics --list").contains("--bootstrap-server"));
    }

    #[test]
    fn a_settings_file_is_named_in_three_ways() {
        let file = PathBuf::from("conf/server.properties");
        for line in [
            "ottla conf/server.properties",
            "ottla serve conf/server.properties",
            "ottla serve --config conf/server.properties",
        ] {
            assert_eq!(serve(line).settings_file(), Some(&file), "{line}");
        }
        assert_eq!(serve("ottla").settings_file(), None);
    }

    #[test]
    fn overrides_are_read_as_kafka_reads_them() {
        let serve = serve("ottla server.properties --override a=1 --override b=x=y --set c=");
        assert_eq!(pairs(&serve), [("a", "1"), ("b", "x=y"), ("c", "")]);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("ottla sevre", "there is no command 'sevre'"),
            ("ottla --set listeners", "there is no equals sign"),
            ("ottla --set =1", "there is no key"),
            ("ottla --memory --data d", "cannot be used with"),
            (
                "ottla a.properties --config b.properties",
                "cannot be used with",
            ),
            ("ottla check", "<DIR>"),
            ("ottla dump d --partition 0", "--topic"),
            ("ottla dump d --topic t --offset 0", "--partition"),
            ("ottla format -c f", "--cluster-id"),
            ("ottla format -t x", "--config"),
            (
                "ottla format -t x -c f --standalone -N",
                "cannot be used with",
            ),
            ("ottla format -t x -c f -f a", "there is no equals sign"),
            (
                "ottla format -t x -c f -f a=70000",
                "not a small whole number",
            ),
            ("ottla --log-format xml", "human, json"),
        ];
        for (line, message) in cases {
            let refused = refused(line);
            assert!(refused.contains(message), "{line}: {refused}");
        }
    }

    #[test]
    fn format_takes_the_options_of_kafka_storage() {
        let format = format(
            "ottla format -t ID -c f.properties --ignore-formatted --feature kraft.version=1 \
             -f group.version=0 --add-scram SCRAM-SHA-256=[name=a,password=b] --release-version 4.3",
        );
        assert_eq!(format.cluster_id, "ID");
        assert_eq!(format.config, PathBuf::from("f.properties"));
        assert!(format.ignore_formatted);
        assert_eq!(format.release_version.as_deref(), Some("4.3"));
        assert_eq!(format.scram, ["SCRAM-SHA-256=[name=a,password=b]"]);
        let levels: Vec<_> = format
            .features
            .iter()
            .map(|feature| (feature.name.as_str(), feature.level))
            .collect();
        assert_eq!(levels, [("kraft.version", 1), ("group.version", 0)]);
        assert_eq!(format.voters(), Voters::Unsaid);
    }

    #[test]
    fn the_first_quorum_is_said_in_one_of_three_ways() {
        let cases = [
            ("--standalone", Voters::Standalone),
            ("-s", Voters::Standalone),
            ("--no-initial-controllers", Voters::None),
            ("-I 0@h:1:d", Voters::Listed("0@h:1:d".to_owned())),
        ];
        for (option, voters) in cases {
            let line = format!("ottla format -t ID -c f {option}");
            assert_eq!(format(&line).voters(), voters, "{line}");
        }
    }

    #[test]
    fn help_and_version_are_not_errors() {
        for line in [
            "ottla --help",
            "ottla -h",
            "ottla --version",
            "ottla help format",
        ] {
            let answer = parse(line.split_whitespace()).expect_err(line);
            assert_eq!(answer.exit_code(), 0, "{line}");
        }
    }
}
