//! Settings of topics, brokers, groups and loggers.

use super::topics::{RIGHT_SETTINGS, WRONG_SETTINGS};
use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("configs", name, steps)
    };
    vec![
        case("topic_whole", topic_whole),
        case("broker_whole", broker_whole).alone(),
        case("broker_defaults_whole", broker_defaults_whole).alone(),
        case("group_whole", group_whole),
        case("describe_configs", describe_configs),
        case("alter_configs", alter_configs),
        case("alter_configs_of_no_resource", alter_configs_of_no_resource),
        case("incremental_alter_configs", incremental_alter_configs),
        case(
            "incremental_alter_configs_in_no_way",
            incremental_alter_configs_in_no_way,
        ),
        case(
            "incremental_alter_configs_of_client_metrics",
            incremental_alter_configs_of_client_metrics,
        ),
        case(
            "incremental_alter_configs_of_what_runs",
            incremental_alter_configs_of_what_runs,
        ),
        case(
            "incremental_alter_configs_of_topics",
            incremental_alter_configs_of_topics,
        ),
        case(
            "incremental_alter_configs_of_brokers",
            incremental_alter_configs_of_brokers,
        )
        .alone(),
        case("list_config_resources", list_config_resources).alone(),
    ]
}

fn resource(kind: i8, name: &str) -> Value {
    msg! { ResourceType: kind, ResourceName: name, ConfigurationKeys: NULL }
}

fn everything_of(kind: i8, name: &str) -> Value {
    msg! {
        Resources: [resource(kind, name)],
        IncludeSynonyms: true,
        IncludeDocumentation: true,
    }
}

fn topic_whole(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with(
        "t",
        1,
        &[("retention.ms", "1000"), ("cleanup.policy", "compact")],
    )?;
    let name = s.name("t");
    s.sweep("DescribeConfigs", |_| everything_of(TOPIC, &name))
}

fn broker_whole(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.ask("a", "DescribeConfigs", 4, everything_of(BROKER, "1"))?;
    Ok(())
}

fn broker_defaults_whole(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.ask("a", "DescribeConfigs", 4, everything_of(BROKER, ""))?;
    Ok(())
}

fn group_whole(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("g");
    s.ask("a", "DescribeConfigs", 4, everything_of(GROUP, &name))?;
    Ok(())
}

fn describe_configs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let some = |kind: i8, name: &str, keys: Value| {
        msg! {
            ResourceType: kind,
            ResourceName: name,
            ConfigurationKeys: keys,
        }
    };
    let keys = || Value::from(["retention.ms", "cleanup.policy", "no.such.setting"]);
    for resources in [
        vec![some(TOPIC, &name, keys())],
        vec![some(TOPIC, &name, EMPTY)],
        vec![some(TOPIC, &none, keys())],
        vec![some(TOPIC, "", keys()), some(TOPIC, "bad/name", keys())],
        vec![some(
            BROKER,
            "1",
            Value::from(["log.retention.ms", "num.partitions", "x"]),
        )],
        vec![some(
            BROKER,
            "",
            Value::from(["log.retention.ms", "num.partitions", "x"]),
        )],
        vec![
            some(BROKER, "7", keys()),
            some(BROKER, "one", keys()),
            some(BROKER, "-1", keys()),
        ],
        vec![
            some(LOGGER, "7", NULL),
            some(LOGGER, "", NULL),
            some(LOGGER, "one", NULL),
        ],
        vec![some(LOGGER, "1", Value::from(["no.such.logger"]))],
        vec![some(METRICS, "m", NULL), some(METRICS, "", NULL)],
        vec![some(GROUP, "", NULL)],
        vec![some(
            GROUP,
            "g",
            Value::from(["consumer.session.timeout.ms"]),
        )],
        vec![
            some(0, "x", NULL),
            some(1, "x", NULL),
            some(3, "x", NULL),
            some(64, "x", NULL),
        ],
        vec![some(TOPIC, &name, keys()), some(TOPIC, &name, keys())],
        vec![],
    ] {
        s.sweep("DescribeConfigs", |_| msg! { Resources: resources.clone() })?;
    }
    Ok(())
}

fn alter_configs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    for resources in replacements(&name, &none) {
        s.sweep("AlterConfigs", |_| {
            msg! {
                Resources: resources.clone(),
                ValidateOnly: true,
            }
        })?;
    }
    s.note("For good: what is not named goes back to its default.");
    let set = |name: &str, value: &str| msg! { Name: name, Value: value };
    let of = |kind: i8, name: &str, configs: Vec<Value>| {
        msg! { ResourceType: kind, ResourceName: name, Configs: configs }
    };
    let one = [of(TOPIC, &name, vec![set("retention.ms", "1000")])];
    s.ask("a", "AlterConfigs", 2, msg! { Resources: one })?;
    let other = [of(TOPIC, &name, vec![set("segment.bytes", "2000000")])];
    s.ask("a", "AlterConfigs", 2, msg! { Resources: other })?;
    let keys = msg! {
        ResourceType: TOPIC,
        ResourceName: &name,
        ConfigurationKeys: ["retention.ms", "segment.bytes"],
    };
    let is_set = |answer: &Value| {
        let segments = answer
            .array("Results[0].Configs")
            .unwrap_or_default()
            .iter();
        segments
            .map(|it| it.text("Value").unwrap_or_default())
            .any(|it| it == "2000000")
    };
    s.ask_until(
        "a",
        "DescribeConfigs",
        4,
        msg! { Resources: [keys] },
        is_set,
    )?;
    Ok(())
}

/// What AlterConfigs is asked to validate.
fn replacements(topic: &str, none: &str) -> Vec<Vec<Value>> {
    let set = |name: &str, value: &str| msg! { Name: name, Value: value };
    let of = |kind: i8, name: &str, configs: Vec<Value>| {
        msg! {
            ResourceType: kind,
            ResourceName: name,
            Configs: configs,
        }
    };
    vec![
        vec![of(TOPIC, topic, vec![set("retention.ms", "1000")])],
        vec![of(TOPIC, topic, vec![set("retention.ms", "x")])],
        vec![of(TOPIC, topic, vec![set("no.such.setting", "1")])],
        vec![of(
            TOPIC,
            topic,
            vec![msg! { Name: "retention.ms", Value: NULL }],
        )],
        vec![of(
            TOPIC,
            topic,
            vec![set("retention.ms", "1"), set("retention.ms", "2")],
        )],
        vec![of(TOPIC, none, vec![set("retention.ms", "1000")])],
        vec![of(TOPIC, "", vec![set("retention.ms", "1000")])],
        vec![of(TOPIC, "bad/name", vec![])],
        vec![of(BROKER, "1", vec![set("log.cleaner.threads", "1")])],
        vec![of(BROKER, "1", vec![set("node.id", "2")])],
        vec![of(BROKER, "7", vec![set("log.cleaner.threads", "1")])],
        vec![of(BROKER, "one", vec![set("log.cleaner.threads", "1")])],
        vec![of(LOGGER, "1", vec![set("kafka", "INFO")])],
        vec![of(
            GROUP,
            "g",
            vec![set("consumer.session.timeout.ms", "50000")],
        )],
        vec![of(METRICS, "m", vec![set("interval.ms", "1000")])],
        vec![],
    ]
}

/// Types that mean nothing, and a resource that stands there twice.
fn alter_configs_of_no_resource(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let of = |kind: i8, name: &str| msg! { ResourceType: kind, ResourceName: name };
    for resources in [
        vec![of(0, "x"), of(3, "x"), of(64, "x")],
        vec![of(TOPIC, &name), of(TOPIC, &name)],
    ] {
        let request = msg! { Resources: resources, ValidateOnly: true };
        s.ask("a", "AlterConfigs", 2, request)?;
    }
    Ok(())
}

fn change(name: &str, operation: i8, value: impl Into<Value>) -> Value {
    msg! { Name: name, ConfigOperation: operation, Value: value.into() }
}

fn changes(kind: i8, name: &str, configs: Vec<Value>) -> Value {
    msg! { ResourceType: kind, ResourceName: name, Configs: configs }
}

fn incremental_alter_configs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let all = [
        changes_of_topics(&name, &none),
        changes_of_loggers(),
        other_changes(),
    ];
    for resources in all.into_iter().flatten() {
        s.sweep("IncrementalAlterConfigs", |_| {
            msg! {
                Resources: resources.clone(),
                ValidateOnly: true,
            }
        })?;
    }
    Ok(())
}

/// One change of a topic each: 0 sets, 1 deletes, 2 appends, 3 subtracts.
const CHANGES: &[(&str, i8, Option<&str>)] = &[
    ("retention.ms", 0, Some("1000")),
    ("retention.ms", 1, None),
    ("retention.ms", 1, Some("x")),
    ("retention.ms", 0, None),
    ("retention.ms", 2, Some("1000")),
    ("retention.ms", 3, Some("1000")),
    ("cleanup.policy", 2, Some("compact")),
    ("cleanup.policy", 2, Some("delete")),
    ("cleanup.policy", 3, Some("delete")),
    ("cleanup.policy", 3, Some("compact")),
    ("cleanup.policy", 2, Some("shred")),
    ("cleanup.policy", 2, None),
    ("no.such.setting", 1, None),
];

fn changes_of_topics(topic: &str, none: &str) -> Vec<Vec<Value>> {
    let one = |(name, operation, value): &(&str, i8, Option<&str>)| {
        vec![changes(
            TOPIC,
            topic,
            vec![change(name, *operation, *value)],
        )]
    };
    let set = || change("retention.ms", 0, "1");
    let mut all: Vec<Vec<Value>> = CHANGES.iter().map(one).collect();
    all.extend([
        vec![changes(
            TOPIC,
            topic,
            vec![set(), change("retention.ms", 1, NULL)],
        )],
        vec![changes(TOPIC, none, vec![set()])],
        vec![changes(TOPIC, "", vec![set()])],
        vec![changes(TOPIC, "bad/name", vec![])],
        vec![changes(TOPIC, topic, vec![])],
        vec![changes(TOPIC, topic, vec![]), changes(TOPIC, topic, vec![])],
    ]);
    all
}

fn changes_of_loggers() -> Vec<Vec<Value>> {
    vec![
        vec![changes(
            LOGGER,
            "1",
            vec![change("no.such.logger", 0, "INFO")],
        )],
        vec![changes(LOGGER, "1", vec![change("root", 0, "LOUD")])],
        vec![changes(LOGGER, "1", vec![change("root", 1, NULL)])],
        vec![changes(LOGGER, "1", vec![change("root", 2, "INFO")])],
        vec![changes(LOGGER, "7", vec![change("root", 0, "INFO")])],
        vec![changes(LOGGER, "", vec![change("root", 0, "INFO")])],
    ]
}

/// Operations that there are not.
fn incremental_alter_configs_in_no_way(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for operation in [4, -1] {
        let change = change("retention.ms", operation, "1000");
        let resource = changes(TOPIC, &name, vec![change]);
        s.sweep("IncrementalAlterConfigs", |_| {
            msg! {
                Resources: [resource.clone()],
                ValidateOnly: true,
            }
        })?;
    }
    Ok(())
}

fn incremental_alter_configs_of_client_metrics(s: &mut Session<'_>) -> anyhow::Result<()> {
    for resources in changes_of_client_metrics() {
        s.sweep("IncrementalAlterConfigs", |_| {
            msg! {
                Resources: resources.clone(),
                ValidateOnly: true,
            }
        })?;
    }
    Ok(())
}

fn changes_of_client_metrics() -> Vec<Vec<Value>> {
    vec![
        vec![changes(
            METRICS,
            "m",
            vec![change("interval.ms", 0, "1000")],
        )],
        vec![changes(METRICS, "m", vec![change("interval.ms", 0, "x")])],
        vec![changes(
            METRICS,
            "m",
            vec![change("metrics", 0, "org.apache.kafka")],
        )],
        vec![changes(
            METRICS,
            "m",
            vec![change("match", 0, "client_id=[")],
        )],
        vec![changes(
            METRICS,
            "m",
            vec![change("no.such.setting", 0, "1")],
        )],
        vec![changes(METRICS, "", vec![change("interval.ms", 0, "1000")])],
    ]
}

fn other_changes() -> Vec<Vec<Value>> {
    vec![
        vec![changes(
            GROUP,
            "g",
            vec![change("consumer.session.timeout.ms", 0, "50000")],
        )],
        vec![changes(
            GROUP,
            "g",
            vec![change("consumer.session.timeout.ms", 0, "1")],
        )],
        vec![changes(
            GROUP,
            "g",
            vec![change("consumer.heartbeat.interval.ms", 0, "99999")],
        )],
        vec![changes(GROUP, "g", vec![change("no.such.setting", 0, "1")])],
        vec![changes(
            GROUP,
            "",
            vec![change("consumer.session.timeout.ms", 0, "50000")],
        )],
        vec![
            changes(0, "x", vec![]),
            changes(3, "x", vec![]),
            changes(64, "x", vec![]),
        ],
        vec![],
    ]
}

fn incremental_alter_configs_of_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for (setting, value) in WRONG_SETTINGS.iter().chain(RIGHT_SETTINGS) {
        let resources = [changes(TOPIC, &name, vec![change(setting, 0, *value)])];
        let request = msg! { Resources: resources, ValidateOnly: true };
        s.ask("a", "IncrementalAlterConfigs", 1, request)?;
    }
    Ok(())
}

/// Settings that can be changed while a broker runs, and others.
const SETTINGS_OF_BROKERS: &[(&str, &str)] = &[
    ("log.cleaner.threads", "2"),
    ("log.cleaner.threads", "x"),
    ("log.retention.ms", "1000"),
    ("log.retention.ms", "x"),
    ("log.segment.bytes", "1"),
    ("message.max.bytes", "2000000"),
    ("max.connections", "100"),
    ("max.connections.per.ip", "-1"),
    ("num.io.threads", "9"),
    ("num.network.threads", "4"),
    ("unclean.leader.election.enable", "true"),
    ("compression.type", "zstd"),
    ("node.id", "2"),
    ("num.partitions", "7"),
    ("auto.create.topics.enable", "false"),
    ("default.replication.factor", "2"),
    ("offsets.topic.num.partitions", "7"),
    ("broker.rack", "r"),
    ("no.such.setting", "1"),
    ("retention.ms", "1000"),
    ("leader.replication.throttled.rate", "1000"),
    ("follower.replication.throttled.rate", "x"),
    ("log.message.timestamp.type", "LogAppendTime"),
    ("log.cleanup.policy", "compact"),
    ("remote.log.manager.copy.max.bytes.per.second", "1000"),
];

/// Numbers of threads, addresses and replicas that do not fit what runs.
fn incremental_alter_configs_of_what_runs(s: &mut Session<'_>) -> anyhow::Result<()> {
    for (setting, value) in [
        ("log.cleaner.threads", "0"),
        ("num.io.threads", "1000"),
        ("listeners", "PLAINTEXT://localhost:1"),
        ("min.insync.replicas", "2"),
    ] {
        for broker in ["", "1"] {
            let resources = [changes(BROKER, broker, vec![change(setting, 0, value)])];
            let request = msg! { Resources: resources, ValidateOnly: true };
            s.ask("a", "IncrementalAlterConfigs", 1, request)?;
        }
    }
    Ok(())
}

fn incremental_alter_configs_of_brokers(s: &mut Session<'_>) -> anyhow::Result<()> {
    for (setting, value) in SETTINGS_OF_BROKERS {
        for broker in ["", "1", "7", "one"] {
            let resources = [changes(BROKER, broker, vec![change(setting, 0, *value)])];
            let request = msg! { Resources: resources, ValidateOnly: true };
            s.ask("a", "IncrementalAlterConfigs", 1, request)?;
        }
    }
    s.note("For good: for all brokers, then for this one, which wins, then deleted again.");
    let keys = || {
        msg! {
            Resources: [msg! {
                ResourceType: BROKER,
                ResourceName: "1",
                ConfigurationKeys: ["log.retention.ms"],
            }],
            IncludeSynonyms: true,
        }
    };
    for (broker, operation, value) in [("", 0, "5000"), ("1", 0, "6000"), ("1", 1, ""), ("", 1, "")]
    {
        let resources = [changes(
            BROKER,
            broker,
            vec![change("log.retention.ms", operation, value)],
        )];
        s.ask(
            "a",
            "IncrementalAlterConfigs",
            1,
            msg! { Resources: resources },
        )?;
        let seen = |answer: &Value| {
            let value = answer
                .text("Results[0].Configs[0].Value")
                .unwrap_or_default();
            match (broker, operation) {
                ("1", 1) => value == "5000",
                (_, 1) => value != "5000",
                _ => value == "5000" && broker.is_empty() || value == "6000",
            }
        };
        s.ask_until("a", "DescribeConfigs", 4, keys(), seen)?;
    }
    Ok(())
}

fn list_config_resources(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    s.sweep("ListConfigResources", |_| msg! {})?;
    for kinds in [
        vec![2],
        vec![4],
        vec![8],
        vec![16],
        vec![32],
        vec![4, 2],
        vec![0],
        vec![3],
        vec![64],
    ] {
        let kinds: Vec<Value> = kinds.into_iter().map(|kind: i8| kind.into()).collect();
        s.ask("a", "ListConfigResources", 1, msg! { ResourceTypes: kinds })?;
    }
    Ok(())
}
