//! Producing: batches whole and damaged, and the rules of topics.

use std::time::Duration;

use super::super::kit::fetch;
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::{NO_ID, NULL, Value};

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
    ]
}

/// To one partition of one topic, by name or by id.
pub(super) fn produce(
    acks: i16,
    name: &str,
    id: impl Into<Value>,
    index: i32,
    records: Value,
) -> Value {
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
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
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
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;

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
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
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
