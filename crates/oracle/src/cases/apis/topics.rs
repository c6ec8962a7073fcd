//! Topics: making, showing, growing, moving and deleting them.

use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NO_ID, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("topics", name, steps)
    };
    vec![
        case("metadata", metadata),
        case("metadata_makes_topics", metadata_makes_topics),
        case("metadata_of_illegal_names", metadata_of_illegal_names),
        case("metadata_of_no_name", metadata_of_no_name),
        case("metadata_by_id", metadata_by_id),
        case("describe_topic_partitions", describe_topic_partitions),
        case(
            "describe_topic_partitions_of_illegal_names",
            describe_topic_partitions_of_illegal_names,
        ),
        case("create_topics", create_topics),
        case("create_topics_names", create_topics_names),
        case("create_topics_shapes", create_topics_shapes),
        case("create_topics_settings", create_topics_settings),
        case("delete_topics", delete_topics),
        case("create_partitions", create_partitions),
        case("elect_leaders", elect_leaders),
        case(
            "alter_partition_reassignments",
            alter_partition_reassignments,
        ),
        case("list_partition_reassignments", list_partition_reassignments),
    ]
}

fn metadata(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("a", 1)?;
    s.topic("b", 3)?;
    let (a, b) = (s.name("a"), s.name("b"));
    let none = s.name("none");
    s.sweep("Metadata", |_| {
        msg! {
            Topics: [msg! { Name: &a }, msg! { Name: &b }],
            AllowAutoTopicCreation: false,
        }
    })?;
    s.note("Twice the same topic, and one that is not there.");
    s.sweep("Metadata", |version| {
        // Older versions cannot ask without making it.
        let none = if version < 4 { "bad/name" } else { &*none };
        msg! {
            Topics: [msg! { Name: &b }, msg! { Name: none }, msg! { Name: &b }],
            AllowAutoTopicCreation: false,
        }
    })?;
    s.note("All topics: an empty list in version 0, null from then on.");
    s.sweep(
        "Metadata",
        |version| msg! { Topics: if version == 0 { EMPTY } else { NULL } },
    )?;
    s.note("No topics.");
    s.sweep("Metadata", |_| msg! { Topics: EMPTY })?;
    s.note("With what the client may do.");
    s.sweep("Metadata", |_| {
        msg! {
            Topics: [msg! { Name: &a }],
            IncludeClusterAuthorizedOperations: true,
            IncludeTopicAuthorizedOperations: true,
        }
    })?;
    s.note("A topic of the broker's own.");
    s.sweep("Metadata", |_| {
        msg! {
            Topics: [msg! { Name: "__consumer_offsets" }],
            IncludeTopicAuthorizedOperations: true,
        }
    })
}

fn metadata_makes_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=13 {
        let name = s.name(&format!("v{version}"));
        let request = || msg! { Topics: [msg! { Name: &name }], AllowAutoTopicCreation: true };
        s.ask("a", "Metadata", version, request())?;
        let is_there = |answer: &Value| {
            answer
                .int("Topics[0].ErrorCode")
                .is_ok_and(|code| code == 0)
        };
        s.ask_until("a", "Metadata", version, request(), is_there)?;
    }
    Ok(())
}

fn metadata_of_illegal_names(s: &mut Session<'_>) -> anyhow::Result<()> {
    for name in illegal_names() {
        for makes in [false, true] {
            for version in [0, 1, 4, 8, 9, 12, 13] {
                s.ask(
                    "a",
                    "Metadata",
                    version,
                    msg! {
                        Topics: [msg! { Name: &name }],
                        AllowAutoTopicCreation: makes,
                    },
                )?;
            }
        }
    }
    Ok(())
}

/// A null name, which versions from 10 on allow on the wire.
fn metadata_of_no_name(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in [10, 11, 12, 13] {
        s.ask(
            "a",
            "Metadata",
            version,
            msg! { Topics: [msg! { Name: NULL }] },
        )?;
    }
    Ok(())
}

fn metadata_by_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for version in 10..=13 {
        s.ask(
            "a",
            "Metadata",
            version,
            msg! { Topics: [msg! { Name: NULL, TopicId: id }] },
        )?;
        s.ask(
            "a",
            "Metadata",
            version,
            msg! { Topics: [msg! { Name: &name, TopicId: id }] },
        )?;
        let unknown = Value::Uuid([7; 16]);
        s.ask(
            "a",
            "Metadata",
            version,
            msg! {
                Topics: [msg! { Name: NULL, TopicId: unknown }, msg! { Name: NULL, TopicId: id }],
            },
        )?;
        s.ask(
            "a",
            "Metadata",
            version,
            msg! {
                Topics: [msg! { Name: &name, TopicId: NO_ID }, msg! { Name: NULL, TopicId: id }],
            },
        )?;
    }
    Ok(())
}

fn describe_topic_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("a", 1)?;
    s.topic("b", 5)?;
    let (a, b, none) = (s.name("a"), s.name("b"), s.name("none"));
    let mut ask = |request: Value| s.ask("a", "DescribeTopicPartitions", 0, request);
    ask(msg! { Topics: [msg! { Name: &a }, msg! { Name: &b }] })?;
    ask(msg! { Topics: [msg! { Name: &b }, msg! { Name: &a }, msg! { Name: &b }] })?;
    ask(msg! { Topics: [msg! { Name: &none }] })?;
    ask(msg! { Topics: [msg! { Name: &a }, msg! { Name: &b }], ResponsePartitionLimit: 3 })?;
    ask(msg! { Topics: [msg! { Name: &a }], ResponsePartitionLimit: 0 })?;
    ask(msg! { Topics: [msg! { Name: &a }], ResponsePartitionLimit: -1 })?;
    let at = |name: &str, index: i32| msg! { TopicName: name, PartitionIndex: index };
    ask(msg! { Topics: [msg! { Name: &a }, msg! { Name: &b }], Cursor: at(&b, 3) })?;
    ask(msg! { Topics: [msg! { Name: &a }, msg! { Name: &b }], Cursor: at(&b, 99) })?;
    ask(msg! { Topics: [msg! { Name: &a }, msg! { Name: &b }], Cursor: at(&b, -1) })?;
    ask(msg! { Topics: [msg! { Name: &a }], Cursor: at(&none, 0) })?;
    ask(msg! { Topics: [msg! { Name: &a }], Cursor: at("", 0) })?;
    Ok(())
}

fn describe_topic_partitions_of_illegal_names(s: &mut Session<'_>) -> anyhow::Result<()> {
    let none = s.name("none");
    let request =
        msg! { Topics: [msg! { Name: &none }, msg! { Name: "bad/name" }, msg! { Name: "" }] };
    s.ask("a", "DescribeTopicPartitions", 0, request)?;
    Ok(())
}

fn topic(name: &str) -> Value {
    msg! { Name: name, NumPartitions: 1, ReplicationFactor: 1 }
}

fn create_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("old", 1)?;
    let old = s.name("old");
    s.note("Asked to validate only, so that every version meets the same.");
    let new = s.name("new");
    s.sweep(
        "CreateTopics",
        |_| msg! { Topics: [topic(&new)], timeoutMs: 5000, validateOnly: true },
    )?;
    s.sweep(
        "CreateTopics",
        |_| msg! { Topics: [topic(&old)], timeoutMs: 5000 },
    )?;
    s.note("The broker's own defaults.");
    s.sweep("CreateTopics", |_| {
        msg! {
            Topics: [msg! { Name: &new, NumPartitions: -1, ReplicationFactor: -1 }],
            timeoutMs: 5000,
            validateOnly: true,
        }
    })?;
    s.note("Twice the same name, among others.");
    let other = s.name("other");
    s.sweep("CreateTopics", |_| {
        msg! {
            Topics: [topic(&new), topic(&other), topic(&new)],
            timeoutMs: 5000,
            validateOnly: true,
        }
    })?;
    s.sweep("CreateTopics", |_| msg! { Topics: EMPTY })?;
    s.note("Made for good, one in each version.");
    for version in 2..=7 {
        let name = s.name(&format!("v{version}"));
        let request = msg! { Topics: [topic(&name)], timeoutMs: 5000 };
        s.ask("a", "CreateTopics", version, request)?;
    }
    Ok(())
}

fn illegal_names() -> Vec<String> {
    vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "x".repeat(250),
        "bad/name".to_owned(),
        "bad name".to_owned(),
        "bad!name".to_owned(),
        "schlüssel".to_owned(),
        "bad\0name".to_owned(),
        "bad:name".to_owned(),
    ]
}

fn create_topics_names(s: &mut Session<'_>) -> anyhow::Result<()> {
    for name in illegal_names() {
        for version in [2, 5, 7] {
            let request = msg! { Topics: [topic(&name)], timeoutMs: 5000, validateOnly: true };
            s.ask("a", "CreateTopics", version, request)?;
        }
    }
    s.note("Names that are just legal.");
    let longest = s.name("");
    let longest = format!("{longest}{}", "x".repeat(249 - longest.len()));
    for name in [longest, s.name("A.b_c-9"), s.name("..."), s.name("_")] {
        let request = msg! { Topics: [topic(&name)], timeoutMs: 5000, validateOnly: true };
        s.ask("a", "CreateTopics", 4, request)?;
    }
    s.note("Names that differ in dots and underscores alone collide.");
    s.topic("one.two_three", 1)?;
    for name in [
        s.name("one_two.three"),
        s.name("one.two.three"),
        s.name("one-two-three"),
    ] {
        let request = msg! { Topics: [topic(&name)], timeoutMs: 5000, validateOnly: true };
        s.ask("a", "CreateTopics", 4, request)?;
    }
    s.note("Two new ones that collide with each other, and the broker's own topics.");
    let (one, other) = (s.name("x.y"), s.name("x_y"));
    for names in [
        [&*one, &*other],
        ["__consumer_offsets", "__transaction_state"],
    ] {
        let request = msg! { Topics: names.map(topic), timeoutMs: 5000, validateOnly: true };
        s.ask("a", "CreateTopics", 4, request)?;
    }
    Ok(())
}

fn create_topics_shapes(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("t");
    s.note("Numbers of partitions and of replicas.");
    for (partitions, replicas) in [
        (0, 1),
        (-1, 1),
        (-2, 1),
        (i32::MIN, 1),
        (1, 0),
        (1, -1),
        (1, -2),
        (1, 2),
        (1, i16::MAX),
        (-1, -1),
        (10_001, 1),
    ] {
        for version in [2, 3, 4] {
            let topic = msg! {
                Name: &name,
                NumPartitions: partitions,
                ReplicationFactor: replicas,
            };
            let request = msg! { Topics: [topic], timeoutMs: 5000, validateOnly: true };
            s.ask("a", "CreateTopics", version, request)?;
        }
    }
    s.note("Replicas by hand.");
    let at = |index: i32, brokers: Vec<i32>| {
        let brokers: Vec<Value> = brokers.into_iter().map(Value::from).collect();
        msg! { PartitionIndex: index, BrokerIds: brokers }
    };
    let assignments = [
        vec![at(0, vec![1])],
        vec![at(0, vec![1]), at(1, vec![1])],
        vec![at(1, vec![1]), at(0, vec![1])],
        vec![at(0, vec![1]), at(2, vec![1])],
        vec![at(1, vec![1])],
        vec![at(0, vec![1]), at(0, vec![1])],
        vec![at(-1, vec![1])],
        vec![at(0, vec![])],
        vec![at(0, vec![9])],
        vec![at(0, vec![-1])],
        vec![at(0, vec![1, 1])],
        vec![at(0, vec![1, 2])],
        vec![at(0, vec![1]), at(1, vec![1, 2])],
    ];
    for assignment in assignments {
        for (partitions, replicas) in [(-1, -1), (1, 1), (2, -1)] {
            let topic = msg! {
                Name: &name,
                NumPartitions: partitions,
                ReplicationFactor: replicas,
                Assignments: assignment.clone(),
            };
            let request = msg! { Topics: [topic], timeoutMs: 5000, validateOnly: true };
            s.ask("a", "CreateTopics", 4, request)?;
        }
    }
    Ok(())
}

fn create_topics_settings(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("t");
    let mut ask = |settings: Vec<Value>| {
        let topic = msg! {
            Name: &name,
            NumPartitions: 1,
            ReplicationFactor: 1,
            Configs: settings,
        };
        let request = msg! { Topics: [topic], timeoutMs: 5000, validateOnly: true };
        s.ask("a", "CreateTopics", 4, request)
    };
    let set = |name: &str, value: &str| msg! { Name: name, Value: value };
    for (name, value) in WRONG_SETTINGS.iter().chain(RIGHT_SETTINGS) {
        ask(vec![set(name, value)])?;
    }
    ask(vec![msg! { Name: "retention.ms", Value: NULL }])?;
    ask(vec![set("retention.ms", "1"), set("retention.ms", "2")])?;
    ask(vec![set("retention.ms", "1"), set("no.such.setting", "2")])?;
    Ok(())
}

/// Settings of a topic, each of which is refused.
pub(super) const WRONG_SETTINGS: &[(&str, &str)] = &[
    ("no.such.setting", "1"),
    ("", "1"),
    ("RETENTION.MS", "1"),
    ("retention.ms", ""),
    ("retention.ms", "one"),
    ("retention.ms", "-2"),
    ("retention.ms", "9223372036854775808"),
    ("retention.ms", "1.5"),
    ("segment.bytes", "13"),
    ("segment.bytes", "1048575"),
    ("segment.bytes", "2147483648"),
    ("segment.ms", "0"),
    ("segment.jitter.ms", "-1"),
    ("cleanup.policy", "shred"),
    ("cleanup.policy", "delete,shred"),
    ("cleanup.policy", "Delete"),
    ("compression.type", "brotli"),
    ("compression.type", "ZSTD"),
    ("compression.gzip.level", "0"),
    ("compression.gzip.level", "10"),
    ("compression.lz4.level", "18"),
    ("compression.zstd.level", "23"),
    ("max.message.bytes", "-1"),
    ("message.timestamp.type", "Never"),
    ("message.timestamp.after.max.ms", "-1"),
    ("min.cleanable.dirty.ratio", "2"),
    ("min.cleanable.dirty.ratio", "-0.1"),
    ("min.cleanable.dirty.ratio", "NaN"),
    ("min.insync.replicas", "0"),
    ("min.compaction.lag.ms", "-1"),
    ("max.compaction.lag.ms", "0"),
    ("preallocate", "yes"),
    ("unclean.leader.election.enable", "1"),
    ("flush.messages", "0"),
    ("flush.ms", "-1"),
    ("index.interval.bytes", "-1"),
    ("segment.index.bytes", "3"),
    ("file.delete.delay.ms", "-1"),
    ("delete.retention.ms", "-1"),
    ("leader.replication.throttled.replicas", "one"),
    ("follower.replication.throttled.replicas", "1:x"),
    ("remote.storage.enable", "true"),
    ("remote.storage.enable", "maybe"),
    ("local.retention.ms", "-3"),
    ("local.retention.bytes", "-3"),
    ("message.format.version", "3.0-IV1"),
    ("message.downconversion.enable", "true"),
];

/// Settings of a topic, each of which is taken.
pub(super) const RIGHT_SETTINGS: &[(&str, &str)] = &[
    ("retention.ms", "-1"),
    ("retention.ms", " 1000 "),
    ("retention.bytes", "-1"),
    ("retention.bytes", "-2"),
    ("segment.bytes", "1048576"),
    ("cleanup.policy", "compact"),
    ("cleanup.policy", "compact,delete"),
    ("cleanup.policy", " delete , compact "),
    ("cleanup.policy", ""),
    ("compression.type", "zstd"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "17"),
    ("compression.zstd.level", "-131072"),
    ("max.message.bytes", "0"),
    ("message.timestamp.type", "LogAppendTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.cleanable.dirty.ratio", "1e-1"),
    ("min.insync.replicas", "2"),
    ("preallocate", "TRUE"),
    ("unclean.leader.election.enable", "false"),
    ("leader.replication.throttled.replicas", "*"),
    ("leader.replication.throttled.replicas", "0:1,1:1"),
    ("follower.replication.throttled.replicas", ""),
    ("remote.storage.enable", "false"),
    ("remote.log.copy.disable", "false"),
    ("remote.log.delete.on.disable", "true"),
    ("local.retention.ms", "-2"),
    ("index.interval.bytes", "0"),
    ("segment.index.bytes", "4"),
];

fn delete_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    let none = s.name("none");
    for version in 1..=5 {
        let short = format!("v{version}");
        s.topic(&short, 1)?;
        let names = [s.name(&short), none.clone()];
        let request = msg! { TopicNames: names, TimeoutMs: 5000 };
        s.ask("a", "DeleteTopics", version, request)?;
    }
    s.note("From version 6 on by name or by id.");
    let by_name = |name: &str| msg! { Name: name, TopicId: NO_ID };
    let by_id = |id: [u8; 16]| msg! { Name: NULL, TopicId: id };
    let mut ids = Vec::new();
    for short in ["a", "b", "c", "d", "e", "f"] {
        ids.push(s.topic(short, 1)?);
    }
    let names: Vec<String> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .map(|it| s.name(it))
        .collect();
    let both = msg! { Name: &names[2], TopicId: ids[2] };
    for topics in [
        vec![by_name(&names[0])],
        vec![by_id(ids[1])],
        vec![both],
        vec![by_name(&names[3]), by_id(ids[3])],
        vec![by_id(ids[4]), by_id(ids[4])],
        vec![by_name(&names[5]), by_name(&names[5])],
        vec![by_id([7; 16])],
        vec![by_name(&none), by_name("")],
        vec![msg! { Name: NULL, TopicId: NO_ID }],
        vec![by_name("bad/name")],
        vec![],
    ] {
        s.ask(
            "a",
            "DeleteTopics",
            6,
            msg! { Topics: topics, TimeoutMs: 5000 },
        )?;
    }
    s.note("Twice the same, in the older form.");
    s.topic("twice", 1)?;
    let twice = [s.name("twice"), s.name("twice")];
    s.ask(
        "a",
        "DeleteTopics",
        5,
        msg! { TopicNames: twice, TimeoutMs: 5000 },
    )?;
    s.note("Topics of the broker's own that are not there.");
    s.ask(
        "a",
        "DeleteTopics",
        5,
        msg! { TopicNames: ["__none"], TimeoutMs: 5000 },
    )?;
    Ok(())
}

fn create_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 3)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let topic = |name: &str, count: i32| msg! { Name: name, Count: count, Assignments: NULL };
    let each = |s: &mut Session<'_>, topics: Vec<Value>| {
        s.sweep("CreatePartitions", |_| {
            msg! {
                Topics: topics.clone(),
                TimeoutMs: 5000,
                ValidateOnly: true,
            }
        })
    };
    for count in [4, 3, 2, 0, -1, i32::MIN, 10_001] {
        each(s, vec![topic(&name, count)])?;
    }
    each(s, vec![topic(&none, 3)])?;
    each(s, vec![topic("bad/name", 3), topic("", 3)])?;
    each(s, vec![topic(&name, 4), topic(&name, 5), topic(&none, 1)])?;
    s.note("Replicas by hand.");
    let brokers = |ids: &[i32]| {
        let ids: Vec<Value> = ids.iter().map(|id| Value::from(*id)).collect();
        msg! { BrokerIds: ids }
    };
    for assignments in [
        vec![brokers(&[1])],
        vec![],
        vec![brokers(&[1]), brokers(&[1])],
        vec![brokers(&[9])],
        vec![brokers(&[])],
        vec![brokers(&[1, 1])],
        vec![brokers(&[1, 2])],
    ] {
        each(
            s,
            vec![msg! { Name: &name, Count: 4, Assignments: assignments }],
        )?;
    }
    s.note("For good.");
    let request = msg! { Topics: [topic(&name, 4)], TimeoutMs: 5000 };
    s.ask("a", "CreatePartitions", 3, request)?;
    s.until_led(&name, 4)?;
    s.ask(
        "a",
        "Metadata",
        12,
        msg! { Topics: [msg! { Name: &name, TopicId: NO_ID }] },
    )?;
    Ok(())
}

fn elect_leaders(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let of = |name: &str| msg! { Topic: name, Partitions: [0, 1, 7, -1] };
    for kind in [0_i8, 1, 2, -1] {
        s.sweep("ElectLeaders", |_| {
            msg! {
                ElectionType: kind,
                TopicPartitions: [of(&name), of(&none)],
                TimeoutMs: 5000,
            }
        })?;
    }
    s.sweep(
        "ElectLeaders",
        |_| msg! { TopicPartitions: EMPTY, TimeoutMs: 5000 },
    )?;
    s.note("All partitions.");
    s.sweep(
        "ElectLeaders",
        |_| msg! { TopicPartitions: NULL, TimeoutMs: 5000 },
    )
}

fn alter_partition_reassignments(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let to = |index: i32, replicas: Value| msg! { PartitionIndex: index, Replicas: replicas };
    for partition in [
        to(0, Value::from([1])),
        to(0, NULL),
        to(0, EMPTY),
        to(0, Value::from([1, 1])),
        to(0, Value::from([1, 2])),
        to(0, Value::from([2])),
        to(0, Value::from([-1])),
        to(7, Value::from([1])),
        to(-1, Value::from([1])),
    ] {
        s.sweep("AlterPartitionReassignments", |_| {
            msg! {
                TimeoutMs: 5000,
                Topics: [msg! { Name: &name, Partitions: [partition.clone()] }],
            }
        })?;
    }
    s.sweep("AlterPartitionReassignments", |_| msg! {
        TimeoutMs: 5000,
        AllowReplicationFactorChange: false,
        Topics: [
            msg! { Name: &none, Partitions: [to(0, Value::from([1]))] },
            msg! { Name: &name, Partitions: EMPTY },
            msg! { Name: &name, Partitions: [to(1, Value::from([1])), to(1, Value::from([1]))] },
        ],
    })?;
    s.sweep(
        "AlterPartitionReassignments",
        |_| msg! { TimeoutMs: 5000, Topics: EMPTY },
    )
}

fn list_partition_reassignments(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    for topics in [
        NULL,
        EMPTY,
        Value::from([msg! { Name: &name, PartitionIndexes: [0, 1] }]),
        Value::from([msg! { Name: &name, PartitionIndexes: EMPTY }]),
        Value::from([msg! { Name: &name, PartitionIndexes: [7, -1] }]),
        Value::from([msg! { Name: &none, PartitionIndexes: [0] }]),
    ] {
        let request = msg! { TimeoutMs: 5000, Topics: topics };
        s.ask("a", "ListPartitionReassignments", 0, request)?;
    }
    Ok(())
}
