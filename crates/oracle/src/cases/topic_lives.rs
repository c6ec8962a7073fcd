//! Topics that come, grow, change and go, and what others then hear of them.

use anyhow::ensure;

use super::kit::{self, append, append_by, fetch, offset_at, produced, write};
use crate::broker::Setting;
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

/// Where only those that are asked to make topics make them.
const BY_HAND: &[Setting] = &[("auto.create.topics.enable", "false")];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (
            "deleted_and_made_again",
            deleted_and_made_again as fn(&mut Session<'_>) -> _,
        ),
        ("deletions_refused", deletions_refused),
        ("deletions_by_id", deletions_by_id),
        ("made_by_a_question", made_by_a_question),
        ("made_by_hand", made_by_hand),
        ("grown", grown),
        ("assigned_by_hand", assigned_by_hand),
        (
            "settings_of_a_topic_and_its_broker",
            settings_and_their_layers,
        ),
        ("settings_that_take_effect", settings_that_take_effect),
        ("settings_refused", settings_refused),
        ("settings_of_the_broker_changed", settings_of_the_broker),
        ("lists_that_grow_and_shrink", lists_that_grow_and_shrink),
        ("questions_for_metadata", questions_for_metadata),
    ]
    .map(|(name, steps)| Case::new("topic_lives", name, steps))
    .into();
    cases.push(Case::new("topic_lives", "made_by_no_question", made_by_no_question).with(BY_HAND));
    cases
}

/// Waits until a topic is answered with an error, or none.
fn until(s: &mut Session<'_>, name: &str, code: i64) -> anyhow::Result<Value> {
    let is_so = |answer: &Value| answer.int("Topics[0].ErrorCode").is_ok_and(|it| it == code);
    let answer = s.ask_until("a", "Metadata", 12, kit::metadata(name), is_so)?;
    ensure!(is_so(&answer), "{answer}");
    Ok(answer)
}

fn deleted_and_made_again(s: &mut Session<'_>) -> anyhow::Result<()> {
    let old = s.topic("t", 2)?;
    let name = s.name("t");
    let producer = kit::producer(s)?;
    let batch = |sequence| {
        Batch::new()
            .producer(producer, 0, sequence)
            .values(&["a"])
            .bytes()
    };
    write(s, &name, 0, batch(0))?;
    write(s, &name, 0, batch(1))?;
    s.ask(
        "a",
        "DeleteTopics",
        6,
        msg! {
            Topics: [msg! { Name: &name }],
            TimeoutMs: 10_000,
        },
    )?;
    until(s, &name, 3)?;
    s.note("It is gone for everyone.");
    s.ask("a", "Produce", 9, append(&name, 0, values(&["a"])))?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    let by_id = |id: [u8; 16]| msg! { Topics: [msg! { TopicId: id, Name: NULL }] };
    s.ask("a", "Metadata", 12, by_id(old))?;
    let new = s.topic("t", 1)?;
    ensure!(new != old, "it has the same id");
    s.note("Another one has its name, and begins anew.");
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    s.ask("a", "Metadata", 12, by_id(old))?;
    s.ask("a", "Metadata", 12, by_id(new))?;
    s.note("It knows no producer.");
    s.ask("a", "Produce", 9, append(&name, 0, batch(1)))?;
    s.ask("a", "Produce", 9, append(&name, 1, batch(0)))?;
    s.note("By the old id.");
    let partition = msg! { Index: 0, Records: values(&["a"]) };
    let topic = msg! { TopicId: old, PartitionData: [partition] };
    s.ask(
        "a",
        "Produce",
        13,
        msg! { Acks: -1, TimeoutMs: 5000, TopicData: [topic] },
    )?;
    Ok(())
}

fn deletions_refused(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("DeleteTopics", "ErrorMessage");
    s.topic("t", 1)?;
    let (name, nobody) = (s.name("t"), s.name("nobody"));
    for version in [1, 5] {
        s.ask("a", "DeleteTopics", version, kit::delete_topic(&nobody))?;
        s.ask("a", "DeleteTopics", version, kit::delete_topic(""))?;
        s.ask("a", "DeleteTopics", version, kit::delete_topic("bad/name!"))?;
    }
    let topics = |topics: Value| msg! { Topics: topics, TimeoutMs: 5000 };
    s.ask(
        "a",
        "DeleteTopics",
        6,
        topics([msg! { Name: &nobody }].into()),
    )?;
    s.ask(
        "a",
        "DeleteTopics",
        6,
        topics([msg! { TopicId: kit::NOBODYS }].into()),
    )?;
    s.ask("a", "DeleteTopics", 6, topics([msg! { Name: NULL }].into()))?;
    s.note("Twice.");
    let twice = msg! { TopicNames: [&*name, &*name], TimeoutMs: 5000 };
    s.ask("a", "DeleteTopics", 5, twice)?;
    s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    Ok(())
}

fn deletions_by_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("DeleteTopics", "ErrorMessage");
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let delete = |topic: Value| msg! { Topics: [topic], TimeoutMs: 10_000 };
    s.note("By both, which is a mistake.");
    s.ask(
        "a",
        "DeleteTopics",
        6,
        delete(msg! { Name: &name, TopicId: id }),
    )?;
    s.ask("a", "DeleteTopics", 6, delete(msg! { TopicId: id }))?;
    until(s, &name, 3)?;
    s.ask("a", "DeleteTopics", 6, delete(msg! { TopicId: id }))?;
    Ok(())
}

/// A question that makes a topic.
fn making(name: &str) -> Value {
    msg! { Topics: [msg! { Name: name }], AllowAutoTopicCreation: true }
}

fn made_by_a_question(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in [0, 4, 12] {
        let name = s.name(&format!("t{version}"));
        let made = |answer: &Value| answer.int("Topics[0].ErrorCode").is_ok_and(|it| it == 0);
        let answer = s.ask_until("a", "Metadata", version, making(&name), made)?;
        ensure!(made(&answer), "{answer}");
        s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    }
    s.note("A name that collides, and one that is no name.");
    s.topic("a.b", 1)?;
    let colliding = s.name("a_b");
    for name in [&*colliding, "bad/name!"] {
        for version in [1, 12] {
            s.ask("a", "Metadata", version, making(name))?;
        }
    }
    s.note("By id nothing is made.");
    let topic = msg! { TopicId: kit::NOBODYS, Name: NULL };
    let request = msg! { Topics: [topic], AllowAutoTopicCreation: true };
    s.ask("a", "Metadata", 12, request)?;
    Ok(())
}

fn made_by_no_question(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("t");
    for version in [0, 3, 4, 12] {
        s.ask("a", "Metadata", version, making(&name))?;
    }
    s.topic("t", 1)?;
    s.ask("a", "Metadata", 12, making(&name))?;
    Ok(())
}

fn made_by_hand(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    let topic = |name: &str, settings: Value| {
        msg! {
            Name: name,
            NumPartitions: 1,
            ReplicationFactor: 1,
            Configs: settings,
        }
    };
    let (t, u) = (s.name("t"), s.name("u"));
    s.note("Some can be made.");
    let wrong = || Value::from([msg! { Name: "no.such.setting", Value: "1" }]);
    let topics = [
        topic(&t, EMPTY),
        topic("bad/name!", EMPTY),
        topic(&u, wrong()),
    ];
    let request = msg! { Topics: topics, timeoutMs: 10_000 };
    for version in [2, 5, 7] {
        s.ask("a", "CreateTopics", version, request.clone())?;
    }
    s.note("A setting twice: the last one counts.");
    let twice = [
        msg! { Name: "retention.ms", Value: "1000" },
        msg! { Name: "retention.ms", Value: "2000" },
    ];
    let request = msg! { Topics: [topic(&u, twice.into())], timeoutMs: 10_000 };
    let answer = s.setup("CreateTopics", 7, request)?;
    s.note(&format!(
        "It is answered with {}.",
        answer.int("Topics[0].ErrorCode")?
    ));
    s.ask(
        "a",
        "CreateTopics",
        7,
        msg! { Topics: EMPTY, timeoutMs: 10_000 },
    )?;
    Ok(())
}

fn grown(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreatePartitions", "ErrorMessage");
    s.topic("t", 2)?;
    let name = s.name("t");
    let grow = |count: i32, assignments: Value| {
        let topic = msg! { Name: &name, Count: count, Assignments: assignments };
        msg! { Topics: [topic], TimeoutMs: 10_000 }
    };
    let on = |brokers: Value| msg! { BrokerIds: brokers };
    for (count, assignments) in [
        (2, NULL),
        (1, NULL),
        (0, NULL),
        (-1, NULL),
        (3, [on([9].into())].into()),
        (3, [on([1, 1].into())].into()),
        (3, [on(EMPTY)].into()),
        (3, [on([1].into()), on([1].into())].into()),
        (4, [on([1].into())].into()),
        (3, EMPTY),
        (3, [on([1].into())].into()),
    ] {
        s.ask("a", "CreatePartitions", 2, grow(count, assignments))?;
    }
    s.until_led(&name, 3)?;
    s.note("The new one is served like the others.");
    s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    s.ask(
        "a",
        "Produce",
        9,
        append_by(-1, &name, vec![(2, values(&["a"]))]),
    )?;
    s.ask("a", "Fetch", 12, fetch(&name, 2, 0))?;
    s.note("Twice in a request.");
    let topic = msg! { Name: &name, Count: 5, Assignments: NULL };
    let request = msg! { Topics: [topic.clone(), topic], TimeoutMs: 10_000 };
    s.ask("a", "CreatePartitions", 2, request)?;
    Ok(())
}

fn assigned_by_hand(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("CreateTopics", "ErrorMessage");
    let on = |index: i32, brokers: Value| msg! { PartitionIndex: index, BrokerIds: brokers };
    let one = || Value::from([1]);
    for (what, partitions, replicas, assignments) in [
        ("Counts besides.", 1, 1, vec![on(0, one())]),
        ("One count besides.", -1, 1, vec![on(0, one())]),
        (
            "A broker that is not there.",
            -1,
            -1,
            vec![on(0, [7].into())],
        ),
        ("A broker twice.", -1, -1, vec![on(0, [1, 1].into())]),
        ("No broker.", -1, -1, vec![on(0, EMPTY)]),
        (
            "A partition is missing.",
            -1,
            -1,
            vec![on(0, one()), on(2, one())],
        ),
        (
            "A partition twice.",
            -1,
            -1,
            vec![on(0, one()), on(0, one())],
        ),
        ("It does not begin at zero.", -1, -1, vec![on(1, one())]),
        ("All is well.", -1, -1, vec![on(1, one()), on(0, one())]),
    ] {
        s.note(what);
        let topic = msg! {
            Name: &s.name("t"),
            NumPartitions: partitions,
            ReplicationFactor: replicas,
            Assignments: assignments,
        };
        s.ask(
            "a",
            "CreateTopics",
            4,
            msg! { Topics: [topic], timeoutMs: 10_000 },
        )?;
    }
    until(s, &s.name("t"), 0)?;
    Ok(())
}

/// Alterations: 0 sets, 1 deletes, 2 appends, 3 subtracts.
fn alter(kind: i8, name: &str, alterations: &[(&str, i8, Value)]) -> Value {
    let alterations = alterations.iter().map(|(name, operation, value)| {
        msg! { Name: *name, ConfigOperation: *operation, Value: value }
    });
    let alterations: Vec<Value> = alterations.collect();
    let resource = msg! { ResourceType: kind, ResourceName: name, Configs: alterations };
    msg! { Resources: [resource] }
}

fn describe(kind: i8, name: &str, keys: &[&str]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| Value::from(*key)).collect();
    let resource = msg! { ResourceType: kind, ResourceName: name, ConfigurationKeys: keys };
    msg! { Resources: [resource], IncludeSynonyms: true }
}

/// Changes a setting, and waits until its value is as it must be then.
fn set(
    s: &mut Session<'_>,
    (kind, resource): (i8, &str),
    (key, operation, value): (&str, i8, Value),
    (shown_kind, shown): (i8, &str),
    (shown_key, expected): (&str, &str),
) -> anyhow::Result<()> {
    let request = alter(kind, resource, &[(key, operation, value)]);
    let answer = s.ask("a", "IncrementalAlterConfigs", 1, request)?;
    ensure!(answer.int("Responses[0].ErrorCode")? == 0, "{answer}");
    let is_so = |answer: &Value| {
        let value = answer.text("Results[0].Configs[0].Value");
        value.is_ok_and(|value| value == expected)
    };
    s.mask("DescribeConfigs", "ErrorMessage");
    let request = describe(shown_kind, shown, &[shown_key]);
    let answer = s.ask_until("a", "DescribeConfigs", 4, request, is_so)?;
    ensure!(is_so(&answer), "not {expected}: {answer}");
    Ok(())
}

fn settings_and_their_layers(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let shown = (2, &*name);
    let key = "segment.jitter.ms";
    let broker_key = "log.roll.jitter.ms";
    let text = |value: &str| Value::from(value);
    s.note("A default of all brokers, one of this broker, and one of the topic.");
    set(
        s,
        (4, ""),
        (broker_key, 0, text("111")),
        shown,
        (key, "111"),
    )?;
    set(
        s,
        (4, "1"),
        (broker_key, 0, text("222")),
        shown,
        (key, "222"),
    )?;
    set(s, (2, &name), (key, 0, text("333")), shown, (key, "333"))?;
    s.ask("a", "DescribeConfigs", 4, describe(4, "1", &[broker_key]))?;
    s.ask("a", "DescribeConfigs", 4, describe(4, "", &[broker_key]))?;
    s.note("And back again.");
    set(s, (2, &name), (key, 1, NULL), shown, (key, "222"))?;
    set(s, (4, "1"), (broker_key, 1, NULL), shown, (key, "111"))?;
    set(s, (4, ""), (broker_key, 1, NULL), shown, (key, "0"))?;
    Ok(())
}

fn settings_that_take_effect(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let shown = (2, &*name);
    let text = |value: &str| Value::from(value);
    write(s, &name, 0, values(&["a"]))?;
    s.note("The kind of time.");
    let key = "message.timestamp.type";
    set(
        s,
        shown,
        (key, 0, text("LogAppendTime")),
        shown,
        (key, "LogAppendTime"),
    )?;
    let stamped = |answer: &Value| {
        let time = answer.int("Responses[0].PartitionResponses[0].LogAppendTimeMs");
        time.is_ok_and(|time| time > 0)
    };
    s.mask("Produce", "BaseOffset");
    let request = append(&name, 0, values(&["b"]));
    let answer = s.ask_until("a", "Produce", 9, request.clone(), stamped)?;
    ensure!(stamped(&answer), "{answer}");
    set(s, shown, (key, 1, NULL), shown, (key, "CreateTime"))?;
    let answer = s.ask_until("a", "Produce", 9, request, |answer| !stamped(answer))?;
    ensure!(!stamped(&answer), "{answer}");
    s.note("The codec.");
    let key = "compression.type";
    set(s, shown, (key, 0, text("lz4")), shown, (key, "lz4"))?;
    let packed = Batch::new()
        .compressed(Compression::Gzip)
        .values(&["c", "d"])
        .bytes();
    let mut codec = 0;
    for _ in 0..200 {
        let at = write(s, &name, 0, packed.clone())?;
        let answer = s.setup("Fetch", 12, fetch(&name, 0, at))?;
        codec = kit::fetched(&answer)?[22];
        if codec == 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ensure!(codec == 3, "the codec is {codec}");
    s.note("How many replicas there must be.");
    let key = "min.insync.replicas";
    set(s, shown, (key, 0, text("2")), shown, (key, "2"))?;
    for acks in [-1, 1] {
        let request = append_by(acks, &name, vec![(0, values(&["e"]))]);
        let answer = s.ask("a", "Produce", 9, request)?;
        ensure!(
            produced(&answer)? == 0,
            "one replica is all there is: {answer}"
        );
    }
    Ok(())
}

fn settings_refused(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.mask("IncrementalAlterConfigs", "ErrorMessage");
    s.mask("AlterConfigs", "ErrorMessage");
    s.topic("t", 1)?;
    let name = s.name("t");
    let text = |value: &str| Value::from(value);
    for (kind, resource, key, operation, value) in [
        (2, &*s.name("nobody"), "retention.ms", 0, text("1")),
        (2, "bad/name!", "retention.ms", 0, text("1")),
        (2, &name, "no.such.setting", 0, text("1")),
        (2, &name, "no.such.setting", 1, NULL),
        (2, &name, "retention.ms", 0, text("x")),
        (2, &name, "retention.ms", 0, NULL),
        (2, &name, "retention.ms", 2, text("1")),
        (2, &name, "cleanup.policy", 2, NULL),
        (2, &name, "cleanup.policy", 2, text("forget")),
        (4, "1", "node.id", 0, text("7")),
        (4, "1", "log.dirs", 0, text("/nowhere")),
        (4, "2", "log.retention.ms", 0, text("7")),
        (4, "x", "log.retention.ms", 0, text("7")),
        (4, "1", "log.retention.ms", 0, text("x")),
        (3, "x", "x", 0, text("x")),
        (1, "x", "x", 0, text("x")),
    ] {
        let request = alter(kind, resource, &[(key, operation, value)]);
        s.ask("a", "IncrementalAlterConfigs", 1, request)?;
    }
    s.note("The same resource twice, and nothing to do.");
    let one = || {
        msg! {
            ResourceType: 2,
            ResourceName: &name,
            Configs: [msg! { Name: "retention.ms", ConfigOperation: 0, Value: "5" }],
        }
    };
    s.ask(
        "a",
        "IncrementalAlterConfigs",
        1,
        msg! { Resources: [one(), one()] },
    )?;
    s.ask("a", "IncrementalAlterConfigs", 1, alter(2, &name, &[]))?;
    s.ask("a", "IncrementalAlterConfigs", 1, msg! { Resources: EMPTY })?;
    s.note("To see whether it would do.");
    let request = msg! { Resources: [one()], ValidateOnly: true };
    s.ask("a", "IncrementalAlterConfigs", 1, request)?;
    s.note("All at once, as of old.");
    for settings in [
        vec![msg! { Name: "retention.ms", Value: NULL }],
        vec![msg! { Name: "no.such.setting", Value: "1" }],
        vec![],
    ] {
        let resource = msg! { ResourceType: 2, ResourceName: &name, Configs: settings };
        s.ask("a", "AlterConfigs", 2, msg! { Resources: [resource] })?;
    }
    Ok(())
}

fn settings_of_the_broker(s: &mut Session<'_>) -> anyhow::Result<()> {
    let text = |value: &str| Value::from(value);
    let shown = (4, "1");
    s.note("Of all brokers, and of this one before that.");
    let key = "log.cleaner.delete.retention.ms";
    set(s, (4, ""), (key, 0, text("7000")), shown, (key, "7000"))?;
    set(s, (4, "1"), (key, 0, text("8000")), shown, (key, "8000"))?;
    set(s, (4, "1"), (key, 1, NULL), shown, (key, "7000"))?;
    set(s, (4, ""), (key, 1, NULL), shown, (key, "86400000"))?;
    s.note("The largest batch of topics that say nothing of their own.");
    s.topic("t", 1)?;
    let name = s.name("t");
    let key = "message.max.bytes";
    set(
        s,
        (4, ""),
        (key, 0, text("300")),
        (2, &name),
        ("max.message.bytes", "300"),
    )?;
    let long = append(&name, 0, values(&[&"x".repeat(400)]));
    s.mask("Produce", "ErrorMessage");
    s.mask("Produce", "BaseOffset");
    let refused = |answer: &Value| produced(answer).is_ok_and(|code| code == 10);
    let answer = s.ask_until("a", "Produce", 9, long.clone(), refused)?;
    ensure!(refused(&answer), "{answer}");
    set(
        s,
        (4, ""),
        (key, 1, NULL),
        (2, &name),
        ("max.message.bytes", "1048588"),
    )?;
    let answer = s.ask_until("a", "Produce", 9, long, |answer| !refused(answer))?;
    ensure!(produced(&answer)? == 0, "{answer}");
    Ok(())
}

fn lists_that_grow_and_shrink(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let shown = (2, &*name);
    let key = "leader.replication.throttled.replicas";
    let text = |value: &str| Value::from(value);
    for (operation, value, expected) in [
        (2, text("0:1"), "0:1"),
        (2, text("1:1,2:1"), "0:1,1:1,2:1"),
        (2, text("1:1"), "0:1,1:1,2:1"),
        (3, text("0:1,2:1"), "1:1"),
        (3, text("9:1"), "1:1"),
        (3, text("1:1"), ""),
        (0, text("*"), "*"),
        (1, NULL, ""),
    ] {
        set(s, shown, (key, operation, value), shown, (key, expected))?;
    }
    Ok(())
}

fn questions_for_metadata(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let (name, nobody) = (s.name("t"), s.name("nobody"));
    let ask = |topics: Vec<Value>| msg! { Topics: topics, AllowAutoTopicCreation: false };
    s.note("Twice the same, and one that is not there.");
    let by_name = |name: &str| msg! { Name: name };
    for version in [4, 9, 12] {
        let topics = vec![by_name(&name), by_name(&nobody), by_name(&name)];
        s.ask("a", "Metadata", version, ask(topics))?;
    }
    s.note("By id: known, unknown, and both ways in a request.");
    for version in [12, 13] {
        for topic in [
            msg! { TopicId: id, Name: NULL },
            msg! { TopicId: kit::NOBODYS, Name: NULL },
        ] {
            s.ask("a", "Metadata", version, ask(vec![topic]))?;
        }
        let topics = vec![msg! { TopicId: id, Name: NULL }, by_name(&name)];
        s.ask("a", "Metadata", version, ask(topics))?;
    }
    Ok(())
}
