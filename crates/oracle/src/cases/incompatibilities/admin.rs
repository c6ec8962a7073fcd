//! 88 to 103: topics, settings, and what clients are told of the cluster.

use std::net::ToSocketAddrs;

use anyhow::{Context, ensure};

use super::case;
use crate::case::Case;
use crate::cases::kit::{self, append, fetch, fetched, produced, write};
use crate::connection::{Connection, PATIENCE};
use crate::msg;
use crate::records::{Batch, values};
use crate::schema::Api;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_088_creation_by_default", creation_by_default),
        case("inc_089_names_of_topics", names_of_topics),
        case(
            "inc_090_more_replicas_than_brokers",
            more_replicas_than_brokers,
        ),
        case("inc_091_settings_of_topics", settings_of_topics),
        case(
            "inc_092_every_key_with_its_source",
            every_key_with_its_source,
        ),
        case("inc_093_settings_of_the_broker", settings_of_the_broker),
        case("inc_094_altering_settings", altering_settings),
        case("inc_095_setting_what_was_read", setting_what_was_read),
        case(
            "inc_096_results_of_create_partitions",
            results_of_create_partitions,
        ),
        case("inc_097_log_dirs", log_dirs),
        case("inc_098_the_controller_is_named", the_controller_is_named),
        case(
            "inc_099_questions_that_create_nothing",
            questions_that_create_nothing,
        ),
        case("inc_100_a_changed_policy", changed_policy),
        case("inc_102_commas_in_a_client_id", commas_in_a_client_id),
        case("inc_103_the_advertised_address", the_advertised_address),
    ]
}

/// A topic to be created.
fn topic(name: &str, partitions: i32, replicas: i16, settings: &[(&str, &str)]) -> Value {
    let settings = settings
        .iter()
        .map(|(name, value)| msg! { Name: *name, Value: *value });
    msg! {
        Name: name,
        NumPartitions: partitions,
        ReplicationFactor: replicas,
        Configs: settings.collect::<Vec<_>>(),
    }
}

fn create(topics: Vec<Value>, validate_only: bool) -> Value {
    msg! { Topics: topics, timeoutMs: 10_000, validateOnly: validate_only }
}

fn creation_by_default(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    let name = s.name("t");
    let by_default = || vec![topic(&name, -1, -1, &[])];
    for version in [4, 7] {
        let answer = s.ask("a", "CreateTopics", version, create(by_default(), true))?;
        ensure!(answer.int("Topics[0].ErrorCode")? == 0, "{answer}");
    }
    s.note("That was only asked.");
    let answer = s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    ensure!(answer.int("Topics[0].ErrorCode")? == 3, "{answer}");
    let answer = s.ask("a", "CreateTopics", 5, create(by_default(), false))?;
    ensure!(answer.int("Topics[0].NumPartitions")? == 2, "{answer}");
    ensure!(answer.int("Topics[0].ReplicationFactor")? == 1, "{answer}");
    for only in [false, true] {
        let answer = s.ask("a", "CreateTopics", 7, create(by_default(), only))?;
        ensure!(answer.int("Topics[0].ErrorCode")? == 36, "{answer}");
    }
    s.note("Before version 4 there were no defaults.");
    let other = vec![topic(&s.name("u"), -1, -1, &[])];
    let answer = s.ask("a", "CreateTopics", 3, create(other, false))?;
    ensure!(!answer.is_null(), "no answer");
    Ok(())
}

fn names_of_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    let full = s.name(&"x".repeat(249 - s.name("").len()));
    let dotted = s.name("a.b");
    let colliding = s.name("a_b");
    for (name, code) in [
        (".", 17),
        ("..", 17),
        ("", 17),
        ("bad/name!", 17),
        ("space between", 17),
        ("näme", 17),
        (&*format!("{full}x"), 17),
        (&full, 0),
        (&dotted, 0),
        (&colliding, 17),
        (&s.name("-._"), 0),
    ] {
        let request = create(vec![topic(name, 1, 1, &[])], false);
        let answer = s.ask("a", "CreateTopics", 7, request)?;
        ensure!(
            answer.int("Topics[0].ErrorCode")? == code,
            "{name}: {answer}"
        );
    }
    s.note("The same name twice in a request.");
    let twice = s.name("twice");
    let both = vec![topic(&twice, 1, 1, &[]), topic(&twice, 1, 1, &[])];
    let answer = s.ask("a", "CreateTopics", 7, create(both, false))?;
    ensure!(answer.int("Topics[0].ErrorCode")? == 42, "{answer}");
    s.note("Asked for by Metadata.");
    for name in ["bad/name!", ".", ""] {
        let request = msg! { Topics: [msg! { Name: name }], AllowAutoTopicCreation: true };
        let answer = s.ask("a", "Metadata", 9, request)?;
        ensure!(answer.int("Topics[0].ErrorCode")? == 17, "{answer}");
    }
    Ok(())
}

fn more_replicas_than_brokers(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    for (partitions, replicas, code) in
        [(1, 3, 38), (1, 0, 38), (1, -2, 38), (0, 1, 37), (-2, 1, 37)]
    {
        let request = create(vec![topic(&s.name("t"), partitions, replicas, &[])], false);
        let answer = s.ask("a", "CreateTopics", 7, request)?;
        let told = answer.int("Topics[0].ErrorCode")?;
        ensure!(told == code, "{partitions}, {replicas}: {answer}");
    }
    let request = msg! { Topics: [msg! { Name: &s.name("t") }], AllowAutoTopicCreation: false };
    let answer = s.ask("a", "Metadata", 12, request)?;
    ensure!(answer.int("Topics[0].ErrorCode")? == 3, "{answer}");
    Ok(())
}

/// Every setting of a topic that tools write, with a value that is not its default.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact,delete"),
    ("compression.type", "lz4"),
    ("compression.gzip.level", "5"),
    ("compression.lz4.level", "3"),
    ("compression.zstd.level", "7"),
    ("delete.retention.ms", "1000"),
    ("file.delete.delay.ms", "1000"),
    ("flush.messages", "100"),
    ("flush.ms", "1000"),
    ("follower.replication.throttled.replicas", "0:1"),
    ("index.interval.bytes", "100"),
    ("leader.replication.throttled.replicas", "*"),
    ("local.retention.bytes", "-2"),
    ("local.retention.ms", "-2"),
    ("max.compaction.lag.ms", "100000"),
    ("max.message.bytes", "2000000"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
    ("message.timestamp.before.max.ms", "9223372036854775806"),
    ("message.timestamp.type", "LogAppendTime"),
    ("min.cleanable.dirty.ratio", "0.25"),
    ("min.compaction.lag.ms", "1000"),
    ("min.insync.replicas", "2"),
    ("preallocate", "true"),
    ("retention.bytes", "1000000000"),
    ("retention.ms", "-1"),
    ("segment.bytes", "52428800"),
    ("segment.index.bytes", "1000000"),
    ("segment.jitter.ms", "1000"),
    ("segment.ms", "100000"),
    ("unclean.leader.election.enable", "true"),
];

fn settings_of_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    let request = create(vec![topic(&s.name("all"), 1, 1, SETTINGS)], false);
    let answer = s.ask("a", "CreateTopics", 7, request)?;
    ensure!(answer.int("Topics[0].ErrorCode")? == 0, "{answer}");
    for (name, value) in [
        ("no.such.setting", "1"),
        ("retention.ms", "soon"),
        ("retention.ms", ""),
        ("retention.ms", "-2"),
        ("cleanup.policy", "delete,forget"),
        ("compression.type", "rar"),
        ("min.insync.replicas", "0"),
        ("segment.bytes", "10"),
        ("max.message.bytes", "-1"),
        ("message.format.version", "3.0"),
        ("message.downconversion.enable", "true"),
        ("preallocate", "maybe"),
        ("remote.storage.enable", "true"),
    ] {
        let request = create(vec![topic(&s.name("t"), 1, 1, &[(name, value)])], false);
        let answer = s.ask("a", "CreateTopics", 7, request)?;
        ensure!(
            answer.int("Topics[0].ErrorCode")? == 40,
            "{name}={value}: {answer}"
        );
    }
    s.note("Null is no value.");
    let setting = msg! { Name: "retention.ms", Value: NULL };
    let topic = msg! {
        Name: &s.name("t"),
        NumPartitions: 1,
        ReplicationFactor: 1,
        Configs: [setting],
    };
    let answer = s.ask("a", "CreateTopics", 7, create(vec![topic], false))?;
    ensure!(answer.int("Topics[0].ErrorCode")? != 0, "{answer}");
    Ok(())
}

/// A question for settings; all of them if `keys` is null.
fn describe(kind: i8, name: &str, keys: Value) -> Value {
    let resource = msg! {
        ResourceType: kind,
        ResourceName: name,
        ConfigurationKeys: keys,
    };
    msg! { Resources: [resource], IncludeSynonyms: true }
}

fn setting<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a Value> {
    let mut settings = answer.array("Results[0].Configs")?.iter();
    let found = settings.find(|it| it.text("Name").is_ok_and(|it| it == name));
    found.with_context(|| format!("{name} is missing"))
}

fn every_key_with_its_source(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("retention.ms", "1000000")])?;
    let name = s.name("t");
    for version in [1, 4] {
        let answer = s.ask("a", "DescribeConfigs", version, describe(2, &name, NULL))?;
        for (known, _) in SETTINGS {
            let told = setting(&answer, known)?;
            let source = told.int("ConfigSource")?;
            // From the topic, or from the broker, which may have a default of all.
            let is_right = if *known == "retention.ms" {
                source == 1
            } else {
                source > 1
            };
            ensure!(is_right, "v{version}, {known}: {told}");
        }
    }
    s.note("Some, none, and one that nobody knows.");
    for keys in [
        Value::from(["cleanup.policy", "min.insync.replicas"]),
        EMPTY,
        Value::from(["no.such.setting"]),
    ] {
        let answer = s.ask("a", "DescribeConfigs", 4, describe(2, &name, keys))?;
        ensure!(answer.int("Results[0].ErrorCode")? == 0, "{answer}");
    }
    s.mask("DescribeConfigs", "ErrorMessage");
    let answer = s.ask("a", "DescribeConfigs", 4, describe(2, &s.name("u"), NULL))?;
    ensure!(answer.int("Results[0].ErrorCode")? == 3, "{answer}");
    Ok(())
}

fn settings_of_the_broker(s: &mut Session<'_>) -> anyhow::Result<()> {
    const READ: &[&str] = &[
        "num.partitions",
        "default.replication.factor",
        "auto.create.topics.enable",
        "delete.topic.enable",
        "message.max.bytes",
        "min.insync.replicas",
        "log.retention.ms",
        "log.retention.hours",
        "log.retention.bytes",
        "log.cleanup.policy",
        "log.segment.bytes",
        "offsets.retention.minutes",
        "compression.type",
        "broker.rack",
        "node.id",
        "process.roles",
        "transaction.max.timeout.ms",
        "group.max.session.timeout.ms",
        "log.message.timestamp.type",
    ];
    let keys: Vec<Value> = READ.iter().map(|key| Value::from(*key)).collect();
    let answer = s.ask(
        "a",
        "DescribeConfigs",
        4,
        describe(4, "1", Value::Array(keys)),
    )?;
    for key in READ {
        setting(&answer, key)?;
    }
    let addresses = ["listeners", "advertised.listeners", "log.dirs"];
    let answer = s.setup("DescribeConfigs", 4, describe(4, "1", addresses.into()))?;
    for key in addresses {
        setting(&answer, key)?;
    }
    s.note("Everything, of this broker, of all, and of another one.");
    let answer = s.setup("DescribeConfigs", 4, describe(4, "1", NULL))?;
    ensure!(
        answer.array("Results[0].Configs")?.len() > 200,
        "few settings"
    );
    let answer = s.ask(
        "a",
        "DescribeConfigs",
        4,
        describe(4, "", [READ[0], READ[1]].into()),
    )?;
    ensure!(answer.int("Results[0].ErrorCode")? == 0, "{answer}");
    s.mask("DescribeConfigs", "ErrorMessage");
    for other in ["2", "one"] {
        let answer = s.ask("a", "DescribeConfigs", 4, describe(4, other, EMPTY))?;
        ensure!(answer.int("Results[0].ErrorCode")? != 0, "{answer}");
    }
    Ok(())
}

/// Alterations of a topic's settings: 0 sets, 1 deletes, 2 appends, 3 subtracts.
fn alter(name: &str, alterations: &[(&str, i8, Value)]) -> Value {
    let alterations = alterations.iter().map(|(name, operation, value)| {
        msg! { Name: *name, ConfigOperation: *operation, Value: value }
    });
    let alterations: Vec<Value> = alterations.collect();
    let resource = msg! { ResourceType: 2, ResourceName: name, Configs: alterations };
    msg! { Resources: [resource] }
}

fn altering_settings(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with(
        "t",
        1,
        &[("retention.ms", "1000000"), ("max.message.bytes", "5000")],
    )?;
    let name = s.name("t");
    s.mask("IncrementalAlterConfigs", "ErrorMessage");
    let keys = || Value::from(["retention.ms", "max.message.bytes", "cleanup.policy"]);
    let told = |s: &mut Session<'_>, expected: [&str; 3]| -> anyhow::Result<()> {
        let names = ["retention.ms", "max.message.bytes", "cleanup.policy"];
        let is_so = |answer: &Value| {
            names.into_iter().zip(expected).all(|(name, value)| {
                let told = setting(answer, name).and_then(|it| it.text("Value"));
                told.is_ok_and(|told| told == value)
            })
        };
        // A broker hears of settings a moment after they are changed.
        let request = describe(2, &name, keys());
        let answer = s.ask_until("a", "DescribeConfigs", 4, request, is_so)?;
        ensure!(is_so(&answer), "{expected:?}: {answer}");
        Ok(())
    };
    s.note("What AlterConfigs does not name has its default again.");
    let resource = msg! {
        ResourceType: 2,
        ResourceName: &name,
        Configs: [msg! { Name: "max.message.bytes", Value: "6000" }],
    };
    let answer = s.ask("a", "AlterConfigs", 2, msg! { Resources: [resource] })?;
    ensure!(answer.int("Responses[0].ErrorCode")? == 0, "{answer}");
    told(s, ["604800000", "6000", "delete"])?;
    for (key, operation, value, code, policy) in [
        (
            "cleanup.policy",
            2,
            Value::from("compact"),
            0,
            "delete,compact",
        ),
        (
            "cleanup.policy",
            2,
            Value::from("compact"),
            0,
            "delete,compact",
        ),
        ("cleanup.policy", 3, Value::from("delete"), 0, "compact"),
        ("cleanup.policy", 3, Value::from("delete"), 0, "compact"),
        ("max.message.bytes", 2, Value::from("1"), 40, "compact"),
        ("cleanup.policy", 0, NULL, 42, "compact"),
        ("cleanup.policy", 1, NULL, 0, "delete"),
        ("cleanup.policy", 1, Value::from("x"), 0, "delete"),
    ] {
        let request = alter(&name, &[(key, operation, value)]);
        let answer = s.ask("a", "IncrementalAlterConfigs", 1, request)?;
        ensure!(answer.int("Responses[0].ErrorCode")? == code, "{answer}");
        told(s, ["604800000", "6000", policy])?;
    }
    s.note("All of a resource, or nothing.");
    for (key, operation, value, code) in [
        ("no.such.setting", 0, Value::from("5"), 40),
        ("retention.ms", 1, NULL, 42),
    ] {
        let first = ("retention.ms", 0, Value::from("5"));
        let both = alter(&name, &[first, (key, operation, value)]);
        let answer = s.ask("a", "IncrementalAlterConfigs", 1, both)?;
        ensure!(answer.int("Responses[0].ErrorCode")? == code, "{answer}");
    }
    told(s, ["604800000", "6000", "delete"])
}

fn setting_what_was_read(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let answer = s.setup("DescribeConfigs", 4, describe(2, &name, NULL))?;
    let mut all = Vec::new();
    let mut read = Vec::new();
    for setting in answer.array("Results[0].Configs")? {
        let (key, value) = (setting.text("Name")?, setting.text("Value")?);
        all.push(msg! { Name: &key, Value: &value });
        read.push((key, value));
    }
    let count = read.len();
    for (key, value) in read {
        let request = alter(&name, &[(&key, 0, Value::from(&value))]);
        let answer = s.setup("IncrementalAlterConfigs", 1, request)?;
        let code = answer.int("Responses[0].ErrorCode")?;
        ensure!(code == 0, "{key}={value} is refused: {answer}");
    }
    s.note(&format!(
        "Each of {count} settings, and all of them at once."
    ));
    let resource = msg! { ResourceType: 2, ResourceName: &name, Configs: all };
    let answer = s.setup("AlterConfigs", 2, msg! { Resources: [resource] })?;
    ensure!(answer.int("Responses[0].ErrorCode")? == 0, "{answer}");
    Ok(())
}

fn results_of_create_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreatePartitions", "ErrorMessage");
    s.topic("t", 2)?;
    s.topic("u", 2)?;
    let grow = |name: &str, count: i32| msg! { Name: name, Count: count, Assignments: NULL };
    let (t, u, nobody) = (s.name("t"), s.name("u"), s.name("nobody"));
    let topics = vec![grow(&t, 3), grow(&u, 1), grow(&nobody, 3)];
    for only in [true, false] {
        let request = msg! { Topics: topics.clone(), TimeoutMs: 10_000, ValidateOnly: only };
        let answer = s.ask("a", "CreatePartitions", 2, request)?;
        for (name, code) in [(&t, 0), (&u, 37), (&nobody, 3)] {
            let mut results = answer.array("Results")?.iter();
            let result = results.find(|it| it.text("Name").is_ok_and(|it| it == *name));
            let result = result.with_context(|| format!("{name} is missing"))?;
            ensure!(result.int("ErrorCode")? == code, "{result}");
        }
    }
    s.until_led(&t, 3)?;
    s.note("Records of a topic that Streams repartitions by are deleted.");
    let settings = [("retention.ms", "-1"), ("segment.bytes", "52428800")];
    s.topic_with("repartition", 1, &settings)?;
    let name = s.name("repartition");
    write(s, &name, 0, values(&["a", "b"]))?;
    let answer = s.ask("a", "DeleteRecords", 2, kit::delete_records(&name, 0, 2))?;
    ensure!(
        answer.int("Topics[0].Partitions[0].LowWatermark")? == 2,
        "{answer}"
    );
    Ok(())
}

fn log_dirs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    s.mask("DescribeLogDirs", "PartitionSize");
    s.mask("DescribeLogDirs", "LogDir");
    for version in [1, 4] {
        let asked = msg! { Topic: &name, Partitions: [0, 1] };
        let request = msg! { Topics: [asked] };
        let answer = s.ask("a", "DescribeLogDirs", version, request)?;
        ensure!(
            answer.array("Results[0].Topics[0].Partitions")?.len() == 2,
            "{answer}"
        );
    }
    let answer = s.setup("DescribeLogDirs", 4, msg! { Topics: NULL })?;
    let topics = answer.array("Results[0].Topics")?;
    let mut ours = topics
        .iter()
        .filter(|it| it.text("Name").is_ok_and(|it| it == name));
    let partitions = ours
        .next()
        .context("it is not among all")?
        .array("Partitions")?;
    let mut first = partitions.iter();
    let first = first.find(|it| it.int("PartitionIndex").is_ok_and(|index| index == 0));
    ensure!(
        first.context("no partition")?.int("PartitionSize")? > 0,
        "it has no size"
    );
    s.note("Among all topics it is there too, and takes room.");
    Ok(())
}

fn the_controller_is_named(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=2 {
        let answer = s.ask("a", "DescribeCluster", version, msg! {})?;
        ensure!(answer.int("ControllerId")? == 1, "v{version}: {answer}");
        ensure!(
            answer.int("Brokers[0].BrokerId")? == 1,
            "v{version}: {answer}"
        );
    }
    let answer = s.ask("a", "Metadata", 9, msg! { Topics: EMPTY })?;
    ensure!(answer.int("ControllerId")? == 1, "{answer}");
    Ok(())
}

fn questions_that_create_nothing(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let nobody = s.name("nobody");
    for version in [4, 9, 12] {
        let answer = s.ask("a", "Metadata", version, kit::metadata(&nobody))?;
        ensure!(
            answer.int("Topics[0].ErrorCode")? == 3,
            "v{version}: {answer}"
        );
    }
    s.ask("a", "Produce", 9, append(&nobody, 0, values(&["a"])))?;
    s.ask("a", "Fetch", 12, fetch(&nobody, 0, 0))?;
    s.ask("a", "ListOffsets", 7, kit::offset_at(&nobody, 0, -1))?;
    for version in [0, 1, 12] {
        let all = if version == 0 { EMPTY } else { NULL };
        let answer = s.ask("a", "Metadata", version, msg! { Topics: all })?;
        let topics = answer.array("Topics")?.iter();
        let ours = topics.filter(|it| it.text("Name").is_ok_and(|it| it.starts_with(&s.name(""))));
        ensure!(ours.count() == 1, "v{version}: {answer}");
    }
    s.note("An empty list is none from version 1 on.");
    let answer = s.ask("a", "Metadata", 1, msg! { Topics: EMPTY })?;
    ensure!(answer.array("Topics")?.is_empty(), "{answer}");
    Ok(())
}

fn changed_policy(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("cleanup.policy", "compact")])?;
    let name = s.name("t");
    let keyed = Batch::new().record(1000, Some("k"), Some("a")).bytes();
    write(s, &name, 0, keyed)?;
    let policy = |value: &str| alter(&name, &[("cleanup.policy", 0, Value::from(value))]);
    for (value, keyless) in [("delete", 0), ("compact,delete", 87), ("delete", 0)] {
        let answer = s.ask("a", "IncrementalAlterConfigs", 1, policy(value))?;
        ensure!(answer.int("Responses[0].ErrorCode")? == 0, "{answer}");
        s.mask("Produce", "ErrorMessage");
        s.mask("Produce", "BatchIndexErrorMessage");
        s.mask("Produce", "BaseOffset");
        // A broker hears of settings a moment after they are changed.
        let request = append(&name, 0, values(&["b"]));
        let answer = s.ask_until("a", "Produce", 9, request, |answer| {
            produced(answer).is_ok_and(|code| code == keyless)
        })?;
        ensure!(produced(&answer)? == keyless, "{value}: {answer}");
        let answer = s.setup("Fetch", 12, fetch(&name, 0, 0))?;
        ensure!(!fetched(&answer)?.is_empty(), "{value}: {answer}");
    }
    s.note("It is readable all the while.");
    Ok(())
}

fn commas_in_a_client_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let mut connection = Connection::open(s.broker().address)?;
    let client = "app,warpstream_az=here,warpstream_session_id=1,ws_host_override=nowhere";
    for (api, version, request) in [
        ("Metadata", 12, kit::metadata(&name)),
        ("Produce", 9, append(&name, 0, values(&["a"]))),
        ("Fetch", 12, fetch(&name, 0, 0)),
    ] {
        let api = Api::named(api);
        let (frame, correlation) = connection.frame(api, version, &request, Some(client))?;
        connection.write(&frame)?;
        let crate::connection::Answer::Frame(answer) = connection.read(PATIENCE)? else {
            anyhow::bail!("{} is not answered", api.name);
        };
        let answer = crate::connection::decode(api, version, correlation, &answer)?;
        let plain = s.setup("Metadata", 12, kit::metadata(&name))?;
        if api.name == "Metadata" {
            ensure!(answer == plain, "{answer}");
        }
    }
    s.note("Such a client gets what every other one gets.");
    Ok(())
}

fn the_advertised_address(s: &mut Session<'_>) -> anyhow::Result<()> {
    let answer = s.ask("a", "Metadata", 12, msg! { Topics: EMPTY })?;
    let (host, port) = (
        answer.text("Brokers[0].Host")?,
        answer.int("Brokers[0].Port")?,
    );
    let found = s.ask("a", "FindCoordinator", 2, msg! { Key: &s.name("g") })?;
    ensure!(
        found.text("Host")? == host && found.int("Port")? == port,
        "{found}"
    );
    let found = s.ask("a", "DescribeCluster", 0, msg! {})?;
    let told = (
        found.text("Brokers[0].Host")?,
        found.int("Brokers[0].Port")?,
    );
    ensure!(told == (host.clone(), port), "{found}");
    let mut addresses = (&*host, u16::try_from(port)?).to_socket_addrs()?;
    let address = addresses.next().context("the host has no address")?;
    ensure!(!address.ip().is_unspecified(), "nobody can reach {address}");
    let mut connection = Connection::open(address)?;
    let again = connection.ask(Api::named("Metadata"), 12, &msg! { Topics: EMPTY })?;
    ensure!(again == answer, "another broker: {again}");
    s.note("What clients are told leads back to the same broker.");
    Ok(())
}
