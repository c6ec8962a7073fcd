//! Producing, fetching, and finding offsets.

use std::time::Duration;

use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::{EMPTY, NO_ID, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("records", name, steps)
    };
    vec![
        case("produce_to_what_is_not_there", produce_to_what_is_not_there),
        case("produce_nothing", produce_nothing),
        case("produce_batches", produce_batches),
        case(
            "produce_twice_to_one_partition",
            produce_twice_to_one_partition,
        ),
        case(
            "produce_and_fetch_several_topics",
            produce_and_fetch_several_topics,
        ),
        case("produce_control_batches", produce_control_batches),
        case(
            "produce_without_a_transaction",
            produce_without_a_transaction,
        ),
        case("produce_damaged_batches", produce_damaged_batches),
        case("produce_good_beside_bad", produce_good_beside_bad),
        case(
            "produce_by_rules_of_the_topic",
            produce_by_rules_of_the_topic,
        ),
        case("produce_acks", produce_acks),
        case("fetch", fetch),
        case("fetch_from_what_is_not_there", fetch_from_what_is_not_there),
        case("fetch_twice_the_same", fetch_twice_the_same),
        case("fetch_as_a_replica", fetch_as_a_replica),
        case("fetch_with_wrong_numbers", fetch_with_wrong_numbers),
        case("fetch_limits", fetch_limits),
        case("list_offsets", list_offsets),
        case(
            "list_offsets_of_what_is_not_there",
            list_offsets_of_what_is_not_there,
        ),
        case("offset_for_leader_epoch", offset_for_leader_epoch),
        case("delete_records", delete_records),
        case("init_producer_id", init_producer_id),
        case("describe_producers", describe_producers),
        case("describe_log_dirs", describe_log_dirs),
        case("alter_replica_log_dirs", alter_replica_log_dirs),
    ]
}

/// To one partition of one topic, by name or by id.
fn produce(acks: i16, name: &str, id: impl Into<Value>, index: i32, records: Value) -> Value {
    let partition = msg! { Index: index, Records: records };
    let topic = msg! { Name: name, TopicId: id.into(), PartitionData: [partition] };
    msg! { Acks: acks, TimeoutMs: 5000, TopicData: [topic] }
}

fn produce_to_what_is_not_there(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let unknown = Value::Uuid([7; 16]);
    let some = || Value::from(values(&["a"]));
    s.note("A topic, a partition.");
    s.sweep("Produce", |_| produce(-1, &none, &unknown, 0, some()))?;
    s.sweep("Produce", |_| produce(-1, &name, id, 7, some()))?;
    s.sweep("Produce", |_| produce(-1, &name, id, -1, some()))?;
    s.note("An illegal name, an empty one, no id.");
    s.sweep("Produce", |_| produce(-1, "bad/name", NO_ID, 0, some()))?;
    s.sweep("Produce", |_| produce(-1, "", NO_ID, 0, some()))?;
    Ok(())
}

fn produce_nothing(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let nothing = msg! { Acks: 1, TopicData: [msg! { Name: &name, TopicId: id }] };
    for request in [
        produce(-1, &name, id, 0, NULL),
        produce(-1, &name, id, 0, Value::Bytes(vec![])),
        nothing,
    ] {
        for version in [3, 8, 13] {
            s.send("a", "Produce", version, request.clone())?;
            s.receive_within("a", Duration::from_millis(300))?;
            s.disconnect("a");
        }
    }
    Ok(())
}

fn produce_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let codecs = [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let batch = Batch::new()
            .compressed(codec)
            .values(&["a", "b", "c"])
            .bytes();
        for version in [3, 6, 7, 9, 12, 13] {
            s.ask(
                "a",
                "Produce",
                version,
                produce(-1, &name, id, 0, batch.clone().into()),
            )?;
        }
    }
    s.note("Records with keys, without values, with times in any order, none and far ahead.");
    let odd = Batch::new()
        .record(5000, Some("k"), Some("v"))
        .record(1000, Some(""), Some(""))
        .record(3000, None, None)
        .bytes();
    s.ask("a", "Produce", 9, produce(-1, &name, id, 0, odd.into()))?;
    let timeless = Batch::new().record(-1, None, Some("v")).bytes();
    s.ask(
        "a",
        "Produce",
        9,
        produce(-1, &name, id, 0, timeless.into()),
    )?;
    let ahead = Batch::new().record(i64::MAX, None, Some("v")).bytes();
    s.ask("a", "Produce", 9, produce(-1, &name, id, 0, ahead.into()))?;
    s.note("Two batches for one partition.");
    let two = [values(&["a"]), values(&["b"])].concat();
    s.ask("a", "Produce", 9, produce(-1, &name, id, 0, two.into()))?;
    s.note("What is there at the end.");
    let partition = msg! { Partition: 0, FetchOffset: 0_i64, PartitionMaxBytes: 1_000_000 };
    let topic = msg! { Topic: &name, TopicId: id, Partitions: [partition] };
    s.ask("a", "Fetch", 12, msg! { MinBytes: 1, Topics: [topic] })?;
    Ok(())
}

fn produce_twice_to_one_partition(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let partition = || msg! { Index: 0, Records: values(&["x"]) };
    let topic = msg! { Name: &name, TopicId: id, PartitionData: [partition(), partition()] };
    for version in [9, 13] {
        let request = msg! { Acks: -1, TimeoutMs: 5000, TopicData: [topic.clone()] };
        s.ask("a", "Produce", version, request)?;
    }
    Ok(())
}

/// In the order in which they were asked for, whatever that of their names.
fn produce_and_fetch_several_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (b, a) = (s.topic("b", 2)?, s.topic("a", 2)?);
    let topics = [(s.name("b"), b), (s.name("a"), a)];
    let records = || values(&["x"]);
    let data = |(name, id): &(String, [u8; 16])| {
        let partitions = [
            msg! { Index: 1, Records: records() },
            msg! { Index: 0, Records: records() },
        ];
        msg! { Name: name, TopicId: *id, PartitionData: partitions }
    };
    let data: Vec<Value> = topics.iter().map(data).collect();
    s.sweep(
        "Produce",
        |_| msg! { Acks: -1, TimeoutMs: 5000, TopicData: data.clone() },
    )?;
    let at = |index: i32| {
        msg! {
            Partition: index,
            FetchOffset: 10_i64,
            PartitionMaxBytes: 1_000_000,
        }
    };
    let of = |(name, id): &(String, [u8; 16])| {
        msg! { Topic: name, TopicId: *id, Partitions: [at(1), at(0)] }
    };
    let fetched: Vec<Value> = topics.iter().map(of).collect();
    s.sweep("Fetch", |_| msg! { MinBytes: 1, Topics: fetched.clone() })
}

fn produce_control_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let control = Batch::new().control().values(&["a"]).bytes();
    s.sweep("Produce", |_| {
        produce(-1, &name, id, 0, control.clone().into())
    })
}

fn produce_without_a_transaction(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let transactional = Batch::new()
        .producer(4000, 0, 0)
        .transactional()
        .values(&["a"])
        .bytes();
    s.sweep("Produce", |_| {
        produce(-1, &name, id, 0, transactional.clone().into())
    })?;
    s.note("Nor a producer.");
    let nameless = Batch::new().transactional().values(&["a"]).bytes();
    s.sweep("Produce", |_| {
        produce(-1, &name, id, 0, nameless.clone().into())
    })
}

/// A batch whose bytes were changed, with a CRC that fits the change.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = values(&["a", "b"]);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    crate::records::seal(&mut batch);
    batch
}

/// Batches that are not as they should be, with what is wrong.
fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let whole = values(&["a", "b"]);
    let mut wrong_crc = whole.clone();
    wrong_crc[17] ^= 1;
    let mut truncated = whole.clone();
    truncated.truncate(whole.len() - 1);
    let size = |size: i32| {
        let mut batch = whole.clone();
        batch[8..12].copy_from_slice(&size.to_be_bytes());
        batch
    };
    vec![
        ("a wrong CRC", wrong_crc),
        ("one byte less", truncated),
        ("a byte more", [&whole[..], &[0]].concat()),
        ("half a header", whole[..30].to_vec()),
        ("garbage", vec![0x55; 80]),
        ("zeros", vec![0; 80]),
        ("magic 0", changed(16, &[0])),
        ("magic 1", changed(16, &[1])),
        ("magic 3", changed(16, &[3])),
        ("a size of 0", size(0)),
        ("a negative size", size(-1)),
        ("the largest size", size(i32::MAX)),
        ("a size of 48", size(48)),
        ("a base offset of 9", changed(0, &9_i64.to_be_bytes())),
        ("a leader epoch of 9", changed(12, &9_i32.to_be_bytes())),
        ("codec 5", changed(21, &5_i16.to_be_bytes())),
        ("gzip that is none", changed(21, &1_i16.to_be_bytes())),
        ("zstd that is none", changed(21, &4_i16.to_be_bytes())),
        (
            "attributes that mean nothing",
            changed(21, &0x7f80_i16.to_be_bytes()),
        ),
        ("the time of appending", changed(21, &8_i16.to_be_bytes())),
        ("a delete horizon", changed(21, &0x40_i16.to_be_bytes())),
        ("a last offset of 0", changed(23, &0_i32.to_be_bytes())),
        ("a last offset of 5", changed(23, &5_i32.to_be_bytes())),
        (
            "a negative last offset",
            changed(23, &(-1_i32).to_be_bytes()),
        ),
        ("a base time of 5", changed(27, &5_i64.to_be_bytes())),
        ("a largest time of 5", changed(35, &5_i64.to_be_bytes())),
        (
            "a producer without an epoch",
            changed(43, &7_i64.to_be_bytes()),
        ),
        (
            "an epoch without a producer",
            changed(51, &0_i16.to_be_bytes()),
        ),
        (
            "a sequence without a producer",
            changed(53, &0_i32.to_be_bytes()),
        ),
        ("no records", changed(57, &0_i32.to_be_bytes())),
        ("one record", changed(57, &1_i32.to_be_bytes())),
        ("three records", changed(57, &3_i32.to_be_bytes())),
        ("a negative count", changed(57, &(-1_i32).to_be_bytes())),
        ("the largest count", changed(57, &i32::MAX.to_be_bytes())),
        ("a record longer than the batch", changed(61, &[0x7e])),
        ("a record of negative length", changed(61, &[1])),
        ("a record with an offset of 3", changed(64, &[6])),
        ("a key longer than its record", changed(65, &[0x7e])),
    ]
}

fn produce_damaged_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for (what, batch) in damaged() {
        s.note(&format!("With {what}."));
        for version in [3, 8, 9, 13] {
            let request = produce(-1, &name, id, 0, batch.clone().into());
            s.ask("a", "Produce", version, request)?;
        }
    }
    Ok(())
}

/// A good batch for one partition beside a bad one for another.
fn produce_good_beside_bad(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("two", 2)?;
    let two = s.name("two");
    let good = msg! { Index: 1, Records: values(&["a"]) };
    let bad = msg! { Index: 0, Records: vec![0x55_u8; 80] };
    let topic = msg! { Name: &two, PartitionData: [bad, good] };
    let request = msg! { Acks: -1, TimeoutMs: 5000, TopicData: [topic] };
    s.ask("a", "Produce", 9, request)?;
    Ok(())
}

fn produce_by_rules_of_the_topic(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic_with("compact", 1, &[("cleanup.policy", "compact")])?;
    let name = s.name("compact");
    s.note("A record without a key in a compacted topic.");
    let batch = Batch::new()
        .record(1000, Some("k"), Some("v"))
        .record(1001, None, Some("v"))
        .record(1002, None, None)
        .bytes();
    s.sweep("Produce", |_| {
        produce(-1, &name, id, 0, batch.clone().into())
    })?;

    s.note("Larger than the topic allows.");
    let id = s.topic_with("small", 1, &[("max.message.bytes", "100")])?;
    let name = s.name("small");
    let large = values(&["a".repeat(200).as_str()]);
    s.sweep("Produce", |_| {
        produce(-1, &name, id, 0, large.clone().into())
    })?;
    let dense = Batch::new()
        .compressed(Compression::Gzip)
        .values(&["a".repeat(5000).as_str()]);
    s.ask(
        "a",
        "Produce",
        9,
        produce(-1, &name, id, 0, dense.bytes().into()),
    )?;
    let fitting = values(&["a".repeat(20).as_str()]);
    s.ask("a", "Produce", 9, produce(-1, &name, id, 0, fitting.into()))?;

    s.note("Times that the topic does not take.");
    let bounds = [
        ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "1000"),
    ];
    let id = s.topic_with("timely", 1, &bounds)?;
    let name = s.name("timely");
    for time in [0, -1, i64::MAX] {
        let batch = Batch::new().record(time, None, Some("v")).bytes();
        s.sweep("Produce", |_| {
            produce(-1, &name, id, 0, batch.clone().into())
        })?;
    }

    s.note("The broker's time instead of the producer's.");
    let id = s.topic_with("stamped", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let name = s.name("stamped");
    let request = produce(-1, &name, id, 0, values(&["a", "b"]).into());
    s.ask("a", "Produce", 9, request)?;
    let partition = msg! { Partition: 0, FetchOffset: 0_i64, PartitionMaxBytes: 1_000_000 };
    let topic = msg! { Topic: &name, TopicId: id, Partitions: [partition] };
    s.ask("a", "Fetch", 12, msg! { MinBytes: 1, Topics: [topic] })?;

    produce_by_other_rules(s)
}

fn produce_by_other_rules(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("Fewer replicas than must be in sync.");
    let id = s.topic_with("careful", 1, &[("min.insync.replicas", "2")])?;
    let name = s.name("careful");
    for acks in [1, -1] {
        s.ask(
            "a",
            "Produce",
            9,
            produce(acks, &name, id, 0, values(&["a"]).into()),
        )?;
    }

    s.note("The topic's own codec.");
    let id = s.topic_with("packed", 1, &[("compression.type", "gzip")])?;
    let name = s.name("packed");
    for codec in [Compression::None, Compression::Zstd] {
        let batch = Batch::new().compressed(codec).values(&["a", "b"]).bytes();
        s.ask("a", "Produce", 9, produce(-1, &name, id, 0, batch.into()))?;
    }
    let partition = msg! { Partition: 0, FetchOffset: 0_i64, PartitionMaxBytes: 1_000_000 };
    let topic = msg! { Topic: &name, TopicId: id, Partitions: [partition] };
    s.ask("a", "Fetch", 12, msg! { MinBytes: 1, Topics: [topic] })?;
    Ok(())
}

fn produce_acks(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for acks in [1, 2, -2, i16::MAX] {
        for version in [3, 8, 13] {
            let request = produce(acks, &name, id, 0, values(&["a"]).into());
            s.ask("a", "Produce", version, request)?;
        }
    }
    s.note("Without an answer: the next answer is that of the next request.");
    for version in 3..=13 {
        s.send(
            "a",
            "Produce",
            version,
            produce(0, &name, id, 0, values(&["a"]).into()),
        )?;
        s.ask("a", "Heartbeat", 0, msg! { GroupId: "none" })?;
    }
    s.note("Without an answer and in vain: the connection tells of it.");
    let none = s.name("none");
    s.send(
        "a",
        "Produce",
        9,
        produce(0, &none, NO_ID, 0, values(&["a"]).into()),
    )?;
    s.ask("a", "Heartbeat", 0, msg! { GroupId: "none" })?;
    Ok(())
}

/// From one partition of one topic.
fn from(name: &str, id: impl Into<Value>, partition: Value) -> Value {
    msg! { Topic: name, TopicId: id.into(), Partitions: [partition] }
}

fn fetch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for batch in [&["a", "b", "c"][..], &["d"]] {
        s.setup(
            "Produce",
            9,
            produce(-1, &name, id, 0, values(batch).into()),
        )?;
    }
    let at = |offset: i64| {
        msg! {
            Partition: 0,
            FetchOffset: offset,
            PartitionMaxBytes: 1_000_000,
        }
    };
    for isolation in [0_i8, 1] {
        s.sweep("Fetch", |_| {
            msg! {
                MinBytes: 1,
                IsolationLevel: isolation,
                Topics: [from(&name, id, at(0))],
            }
        })?;
    }
    s.note("Within a batch, at the end, behind it, before the beginning.");
    for offset in [1, 4, 5, -1, i64::MAX, i64::MIN] {
        s.sweep(
            "Fetch",
            |_| msg! { MinBytes: 1, Topics: [from(&name, id, at(offset))] },
        )?;
    }
    s.note("Epochs of the leader: right, too old, too new.");
    for epoch in [0, -2, 1, i32::MAX] {
        let at = msg! { Partition: 0, CurrentLeaderEpoch: epoch, PartitionMaxBytes: 1_000_000 };
        s.sweep(
            "Fetch",
            |_| msg! { MinBytes: 1, Topics: [from(&name, id, at.clone())] },
        )?;
    }
    s.note("Epochs of the last record that was fetched.");
    for (epoch, offset) in [(0, 2_i64), (1, 2), (0, 9), (-2, 0)] {
        let at = msg! {
            Partition: 0,
            FetchOffset: offset,
            LastFetchedEpoch: epoch,
            PartitionMaxBytes: 1_000_000,
        };
        s.sweep(
            "Fetch",
            |_| msg! { MinBytes: 1, Topics: [from(&name, id, at.clone())] },
        )?;
    }
    Ok(())
}

fn fetch_from_what_is_not_there(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let unknown = Value::Uuid([7; 16]);
    let of = |index: i32| msg! { Partition: index, PartitionMaxBytes: 1_000_000 };
    let each = |s: &mut Session<'_>, topics: Vec<Value>| {
        s.sweep("Fetch", |_| msg! { MinBytes: 1, Topics: topics.clone() })
    };
    each(s, vec![from(&none, &unknown, of(0))])?;
    each(s, vec![from(&name, id, of(7))])?;
    each(s, vec![from(&name, id, of(-1))])?;
    each(s, vec![from("bad/name", NO_ID, of(0))])?;
    each(s, vec![from("", NO_ID, of(0))])?;
    each(
        s,
        vec![from(&name, id, of(0)), from(&none, &unknown, of(0))],
    )?;
    s.note("A cluster's id that is not this one's.");
    s.sweep(
        "Fetch",
        |_| msg! { ClusterId: "other", Topics: [from(&name, id, of(0))] },
    )
}

fn fetch_twice_the_same(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let topic = || {
        from(
            &name,
            id,
            msg! { Partition: 0, PartitionMaxBytes: 1_000_000 },
        )
    };
    s.sweep(
        "Fetch",
        |_| msg! { MinBytes: 1, Topics: [topic(), topic()] },
    )
}

/// A number that no replica has, a debugger's, and the broker's own.
fn fetch_as_a_replica(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let topic = || {
        from(
            &name,
            id,
            msg! { Partition: 0, PartitionMaxBytes: 1_000_000 },
        )
    };
    for replica in [7, -2, 1] {
        s.sweep("Fetch", |_| {
            msg! {
                ReplicaId: replica,
                ReplicaState: msg! { ReplicaId: replica },
                MinBytes: 1,
                Topics: [topic()],
            }
        })?;
    }
    Ok(())
}

/// An isolation level that there is not, and negative limits.
fn fetch_with_wrong_numbers(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    s.setup(
        "Produce",
        9,
        produce(-1, &name, id, 0, values(&["a"]).into()),
    )?;
    let topic = |most: i32| from(&name, id, msg! { Partition: 0, PartitionMaxBytes: most });
    s.sweep(
        "Fetch",
        |_| msg! { IsolationLevel: 2_i8, Topics: [topic(1000)] },
    )?;
    s.sweep("Fetch", |_| msg! { Topics: [topic(-1)] })?;
    s.sweep("Fetch", |_| msg! { MaxBytes: -1, Topics: [topic(1000)] })?;
    let partition = msg! { PartitionIndex: 0, Timestamp: -1_i64 };
    let topic = msg! { Name: &name, Partitions: [partition] };
    s.sweep(
        "ListOffsets",
        |_| msg! { IsolationLevel: 2_i8, Topics: [topic.clone()] },
    )
}

fn fetch_limits(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 2)?;
    let name = s.name("t");
    for index in [0, 1] {
        for _ in 0..3 {
            let batch = values(&["x".repeat(80).as_str()]);
            s.setup("Produce", 9, produce(-1, &name, id, index, batch.into()))?;
        }
    }
    let mut ask = |max: i32, of_each: i32, min: i32| {
        let at = |index: i32| {
            msg! {
                Partition: index,
                FetchOffset: 0_i64,
                PartitionMaxBytes: of_each,
            }
        };
        let topic = msg! { Topic: &name, TopicId: id, Partitions: [at(0), at(1)] };
        s.ask(
            "a",
            "Fetch",
            12,
            msg! {
                MaxWaitMs: 50,
                MaxBytes: max,
                MinBytes: min,
                Topics: [topic],
            },
        )
    };
    for (max, of_each) in [
        (1_000_000, 1_000_000),
        (1_000_000, 200),
        (1_000_000, 1),
        (1_000_000, 0),
        (200, 1_000_000),
        (500, 1_000_000),
        (1, 1),
        (0, 1_000_000),
    ] {
        ask(max, of_each, 1)?;
    }
    for min in [0, -1, 100_000, i32::MAX] {
        ask(1_000_000, 1_000_000, min)?;
    }
    s.note("No partitions, and no time.");
    for version in [4, 12, 18] {
        s.ask(
            "a",
            "Fetch",
            version,
            msg! { MaxWaitMs: 50, MinBytes: 1, Topics: EMPTY },
        )?;
        s.ask(
            "a",
            "Fetch",
            version,
            msg! { MaxWaitMs: -1, MinBytes: 1, Topics: EMPTY },
        )?;
    }
    Ok(())
}

fn list_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    s.topic("empty", 1)?;
    let (name, empty) = (s.name("t"), s.name("empty"));
    let batch = Batch::new()
        .record(1000, None, Some("a"))
        .record(3000, None, Some("b"))
        .record(2000, None, Some("c"))
        .bytes();
    s.setup("Produce", 9, produce(-1, &name, id, 0, batch.into()))?;
    s.setup(
        "Produce",
        9,
        produce(-1, &name, id, 0, values(&["d"]).into()),
    )?;
    for time in [
        -1,
        -2,
        -3,
        -4,
        -5,
        -6,
        -7,
        0,
        999,
        1000,
        1001,
        2000,
        2001,
        3000,
        3001,
        i64::MAX,
    ] {
        let of = |topic: &str| {
            let partition = msg! { PartitionIndex: 0, Timestamp: time };
            msg! { Name: topic, Partitions: [partition] }
        };
        s.sweep("ListOffsets", |_| {
            msg! {
                ReplicaId: -1,
                Topics: [of(&name), of(&empty)],
                TimeoutMs: 5000,
            }
        })?;
    }
    list_offsets_by_rules(s, &name)
}

fn list_offsets_by_rules(s: &mut Session<'_>, name: &str) -> anyhow::Result<()> {
    s.note("Of what is committed.");
    for time in [-1_i64, -2, -3, 2000] {
        let partition = msg! { PartitionIndex: 0, Timestamp: time };
        let topic = msg! { Name: name, Partitions: [partition] };
        s.sweep("ListOffsets", |_| {
            msg! {
                ReplicaId: -1,
                IsolationLevel: 1_i8,
                Topics: [topic.clone()],
                TimeoutMs: 5000,
            }
        })?;
    }
    s.note("Epochs of the leader.");
    for epoch in [0, 1, -2] {
        let partition = msg! {
            PartitionIndex: 0,
            CurrentLeaderEpoch: epoch,
            Timestamp: -1_i64,
        };
        let topic = msg! { Name: name, Partitions: [partition] };
        s.sweep(
            "ListOffsets",
            |_| msg! { ReplicaId: -1, Topics: [topic.clone()] },
        )?;
    }
    Ok(())
}

fn list_offsets_of_what_is_not_there(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let of = |topic: &str, index: i32| {
        let partition = msg! { PartitionIndex: index, Timestamp: -1_i64 };
        msg! { Name: topic, Partitions: [partition] }
    };
    for topics in [
        vec![of(&none, 0)],
        vec![of(&name, 7), of(&name, -1)],
        vec![of("bad/name", 0), of("", 0)],
        vec![of(&name, 0), of(&name, 0)],
        vec![msg! { Name: &name }],
        vec![],
    ] {
        s.sweep(
            "ListOffsets",
            |_| msg! { ReplicaId: -1, Topics: topics.clone() },
        )?;
    }
    s.note("As a replica, and as a debugger.");
    for replica in [1, 7, -2] {
        s.sweep(
            "ListOffsets",
            |_| msg! { ReplicaId: replica, Topics: [of(&name, 0)] },
        )?;
    }
    Ok(())
}

fn offset_for_leader_epoch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    s.topic("empty", 1)?;
    let (name, empty, none) = (s.name("t"), s.name("empty"), s.name("none"));
    s.setup(
        "Produce",
        9,
        produce(-1, &name, id, 0, values(&["a", "b"]).into()),
    )?;
    for (current, epoch) in [
        (-1, 0),
        (0, 0),
        (-1, 1),
        (-1, -1),
        (1, 0),
        (-1, i32::MAX),
        (-2, 0),
    ] {
        let partition = |index: i32| {
            msg! {
                Partition: index,
                CurrentLeaderEpoch: current,
                LeaderEpoch: epoch,
            }
        };
        s.sweep("OffsetForLeaderEpoch", |_| {
            msg! {
                Topics: [
                    msg! { Topic: &name, Partitions: [partition(0), partition(7)] },
                    msg! { Topic: &empty, Partitions: [partition(0)] },
                    msg! { Topic: &none, Partitions: [partition(0)] },
                ],
            }
        })?;
    }
    for replica in [-1, 1, 7] {
        let partition = msg! { Partition: 0, LeaderEpoch: 0 };
        let topic = msg! { Topic: &name, Partitions: [partition] };
        s.sweep("OffsetForLeaderEpoch", |_| {
            msg! {
                ReplicaId: replica,
                Topics: [topic.clone()],
            }
        })?;
    }
    s.sweep("OffsetForLeaderEpoch", |_| msg! { Topics: EMPTY })
}

fn delete_records(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let five = values(&["a", "b", "c", "d", "e"]);
    s.setup("Produce", 9, produce(-1, &name, id, 0, five.into()))?;
    let of = |topic: &str, index: i32, offset: i64| {
        let partition = msg! { PartitionIndex: index, Offset: offset };
        msg! { Name: topic, Partitions: [partition] }
    };
    for topics in [
        vec![of(&name, 0, 0)],
        vec![of(&name, 0, 2)],
        vec![of(&name, 0, 1)],
        vec![of(&name, 0, 6)],
        vec![of(&name, 0, -2)],
        vec![of(&name, 7, 0), of(&none, 0, 0)],
        vec![of("bad/name", 0, 0)],
        vec![],
    ] {
        s.sweep(
            "DeleteRecords",
            |_| msg! { Topics: topics.clone(), TimeoutMs: 5000 },
        )?;
    }
    s.note("From the middle of a batch on.");
    let partition = msg! { Partition: 0, FetchOffset: 2_i64, PartitionMaxBytes: 1_000_000 };
    s.ask(
        "a",
        "Fetch",
        12,
        msg! { MinBytes: 1, Topics: [from(&name, id, partition)] },
    )?;
    let partition = msg! { Partition: 0, FetchOffset: 1_i64, PartitionMaxBytes: 1_000_000 };
    s.ask(
        "a",
        "Fetch",
        12,
        msg! { MinBytes: 1, Topics: [from(&name, id, partition)] },
    )?;
    let partition = msg! { PartitionIndex: 0, Timestamp: -2_i64 };
    let topic = msg! { Name: &name, Partitions: [partition] };
    s.ask(
        "a",
        "ListOffsets",
        7,
        msg! { ReplicaId: -1, Topics: [topic] },
    )?;
    s.note("All of them.");
    let request = msg! { Topics: [of(&name, 0, -1)], TimeoutMs: 5000 };
    s.ask("a", "DeleteRecords", 2, request)?;
    s.note("Of a compacted topic.");
    s.topic_with("compact", 1, &[("cleanup.policy", "compact")])?;
    let compact = s.name("compact");
    let request = msg! { Topics: [of(&compact, 0, 0)], TimeoutMs: 5000 };
    s.ask("a", "DeleteRecords", 2, request)?;
    s.note("Of the broker's own topic.");
    let request = msg! { Topics: [of("__consumer_offsets", 0, 0)], TimeoutMs: 5000 };
    s.ask("a", "DeleteRecords", 2, request)?;
    Ok(())
}

fn init_producer_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("Without a transactional id.");
    s.sweep(
        "InitProducerId",
        |_| msg! { TransactionalId: NULL, TransactionTimeoutMs: 1000 },
    )?;
    s.sweep(
        "InitProducerId",
        |_| msg! { TransactionalId: NULL, TransactionTimeoutMs: -1 },
    )?;
    s.note("An empty one.");
    s.sweep(
        "InitProducerId",
        |_| msg! { TransactionalId: "", TransactionTimeoutMs: 1000 },
    )?;
    s.note("Ids and epochs that the client brings.");
    for (id, epoch) in [
        (8_000_000_000_i64, 0),
        (8_000_000_000, -1),
        (-1, 0),
        (-2, -2),
    ] {
        for version in 3..=5 {
            s.ask(
                "a",
                "InitProducerId",
                version,
                msg! {
                    TransactionalId: NULL,
                    TransactionTimeoutMs: 1000,
                    ProducerId: id,
                    ProducerEpoch: epoch,
                },
            )?;
        }
    }
    Ok(())
}

fn describe_producers(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let batch = Batch::new()
        .producer(5_000_000, 3, 0)
        .values(&["a", "b"])
        .bytes();
    s.setup("Produce", 9, produce(-1, &name, id, 0, batch.into()))?;
    for topics in [
        Value::from([msg! { Name: &name, PartitionIndexes: [0, 1, 7, -1] }]),
        Value::from([msg! { Name: &none, PartitionIndexes: [0] }]),
        Value::from([msg! { Name: "bad/name", PartitionIndexes: [0] }]),
        Value::from([msg! { Name: &name, PartitionIndexes: EMPTY }]),
        EMPTY,
    ] {
        s.ask("a", "DescribeProducers", 0, msg! { Topics: topics })?;
    }
    Ok(())
}

fn describe_log_dirs(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    s.setup(
        "Produce",
        9,
        produce(-1, &name, id, 0, values(&["a", "b"]).into()),
    )?;
    for topics in [
        Value::from([msg! { Topic: &name, Partitions: [0] }]),
        Value::from([msg! { Topic: &name, Partitions: [1, 0] }]),
        Value::from([msg! { Topic: &name, Partitions: [7] }]),
        Value::from([msg! { Topic: &none, Partitions: [0] }]),
        Value::from([msg! { Topic: &name, Partitions: EMPTY }]),
        EMPTY,
    ] {
        s.sweep("DescribeLogDirs", |_| msg! { Topics: topics.clone() })?;
    }
    Ok(())
}

fn alter_replica_log_dirs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let directory = format!("{}/data-1", s.broker().place().directory);
    let topics = || {
        [
            msg! { Name: &name, Partitions: [0, 7] },
            msg! { Name: &none, Partitions: [0] },
        ]
    };
    for path in [&*directory, "/no/such/directory", "relative", ""] {
        s.sweep("AlterReplicaLogDirs", |_| {
            msg! {
                Dirs: [msg! { Path: path, Topics: topics() }],
            }
        })?;
    }
    Ok(())
}
