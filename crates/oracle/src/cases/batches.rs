//! What a produce may bring for a partition, and who hears of it.

use anyhow::ensure;

use super::kit::{
    self, ATTRIBUTES, CRC, LAST_OFFSET_DELTA, LENGTH, MAGIC, MAX_TIMESTAMP, RECORD_COUNT, append,
    append_by, fetch, offset_at, patched, produced,
};
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    [
        ("acks", acks as fn(&mut Session<'_>) -> _),
        ("acks_mixed_on_one_connection", acks_mixed),
        ("no_batch_and_parts_of_one", no_batch),
        ("damaged", damaged),
        ("counts", counts),
        ("attributes", attributes),
        ("codecs", codecs),
        ("undecodable", undecodable),
        ("timestamps", timestamps),
        ("timestamps_by_time_of_append", timestamps_by_time_of_append),
        ("limits", limits),
        ("several_topics", several_topics),
        ("by_id", by_id),
    ]
    .map(|(name, steps)| Case::new("batches", name, steps))
    .into()
}

fn acks(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for acks in [1, -1, 2, -2, i16::MAX, i16::MIN] {
        s.ask(
            "a",
            "Produce",
            9,
            append_by(acks, &name, vec![(0, values(&["a"]))]),
        )?;
    }
    s.note("Without a time limit.");
    for acks in [1, -1] {
        let topic = msg! {
            Name: &name,
            PartitionData: [msg! { Index: 0, Records: values(&["a"]) }],
        };
        let request = msg! { Acks: acks, TimeoutMs: 0, TopicData: [topic] };
        s.ask("a", "Produce", 9, request)?;
    }
    s.note("Acks of 0 with nothing to write, and the connection goes on.");
    s.send(
        "a",
        "Produce",
        9,
        msg! { Acks: 0, TimeoutMs: 1, TopicData: EMPTY },
    )?;
    s.ask(
        "a",
        "Produce",
        9,
        msg! { Acks: -1, TimeoutMs: 1, TopicData: EMPTY },
    )?;
    Ok(())
}

fn acks_mixed(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("Whatever they wait for, they are written in the order in which they are sent.");
    for acks in [0, -1, 0, 1, 0, 0, -1] {
        s.send(
            "a",
            "Produce",
            9,
            append_by(acks, &name, vec![(0, values(&["a"]))]),
        )?;
    }
    for expected in [1, 3, 6] {
        let answer = s.receive("a")?;
        ensure!(kit::base_offset(&answer)? == expected, "{answer}");
    }
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    s.note("One without acks that fails ends the connection, and what was sent behind it.");
    s.send(
        "a",
        "Produce",
        9,
        append_by(-1, &name, vec![(0, values(&["a"]))]),
    )?;
    s.send(
        "a",
        "Produce",
        9,
        append_by(0, &name, vec![(9, values(&["a"]))]),
    )?;
    s.receive("a")?;
    let answer = s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    ensure!(answer.is_null(), "the connection goes on: {answer}");
    s.ask("b", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    Ok(())
}

/// Produces bytes in the oldest and in a flexible version.
fn check(s: &mut Session<'_>, what: &str, name: &str, records: &Value) -> anyhow::Result<()> {
    s.note(what);
    for version in [3, 9] {
        let partition = msg! { Index: 0, Records: records };
        let topic = msg! { Name: name, PartitionData: [partition] };
        let request = msg! { Acks: -1, TimeoutMs: 10_000, TopicData: [topic] };
        s.ask("a", "Produce", version, request)?;
    }
    Ok(())
}

fn no_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let batch = values(&["a", "b"]);
    let half = batch.len() / 2;
    check(s, "Ten bytes.", &name, &Value::Bytes(batch[..10].to_vec()))?;
    check(s, "A half.", &name, &Value::Bytes(batch[..half].to_vec()))?;
    check(
        s,
        "All but a byte.",
        &name,
        &Value::Bytes(batch[..batch.len() - 1].to_vec()),
    )?;
    let more = [&batch[..], &batch[..half]].concat();
    check(s, "One and a half.", &name, &Value::Bytes(more))?;
    let more = [&batch[..], &batch[..10]].concat();
    check(s, "One and ten bytes.", &name, &Value::Bytes(more))?;
    let more = [&batch[..], &[0; 30]].concat();
    check(s, "One and zeros.", &name, &Value::Bytes(more))?;
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    Ok(())
}

/// A batch with other bytes at a place, and the CRC that it had.
fn broken(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Value {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    Value::Bytes(batch)
}

fn damaged(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    let batch = || values(&["a", "b"]);
    let last = batch().len() - 1;
    check(
        s,
        "A wrong CRC.",
        &name,
        &broken(batch(), CRC, &[1, 2, 3, 4]),
    )?;
    check(
        s,
        "A record that was changed.",
        &name,
        &broken(batch(), last, &[9]),
    )?;
    for length in [0_i32, -1, 10, 48, 49, i32::MAX, i32::MIN] {
        let batch = broken(batch(), LENGTH, &length.to_be_bytes());
        check(s, &format!("The length {length}."), &name, &batch)?;
    }
    for magic in [0_u8, 1, 3, 127, 255] {
        let batch = broken(batch(), MAGIC, &[magic]);
        check(s, &format!("Magic {magic}."), &name, &batch)?;
    }
    for base in [1_i64, -1, i64::MAX] {
        let batch = broken(batch(), 0, &base.to_be_bytes());
        check(s, &format!("The base offset {base}."), &name, &batch)?;
    }
    let batch = broken(batch(), 12, &77_i32.to_be_bytes());
    check(
        s,
        "Another leader epoch, which is the broker's to write.",
        &name,
        &batch,
    )?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

fn counts(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    for (last, count) in [
        (1, 1),
        (0, 2),
        (2, 2),
        (2, 3),
        (0, 1),
        (-1, 0),
        (-1, 2),
        (1, -1),
        (i32::MAX, i32::MAX),
        (i32::MAX - 1, i32::MAX),
    ] {
        let batch = patched(
            values(&["a", "b"]),
            LAST_OFFSET_DELTA,
            &i32::to_be_bytes(last),
        );
        let batch = patched(batch, RECORD_COUNT, &i32::to_be_bytes(count));
        let what = format!("Two records that say {count}, the last of which is {last}.");
        check(s, &what, &name, &Value::Bytes(batch))?;
    }
    s.note("The same, compressed.");
    for (last, count) in [(0, 1), (2, 3), (1, 1)] {
        let batch = Batch::new()
            .compressed(Compression::Gzip)
            .values(&["a", "b"])
            .bytes();
        let batch = patched(batch, LAST_OFFSET_DELTA, &i32::to_be_bytes(last));
        let batch = patched(batch, RECORD_COUNT, &i32::to_be_bytes(count));
        let what = format!("Two records that say {count}, the last of which is {last}.");
        check(s, &what, &name, &Value::Bytes(batch))?;
    }
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    Ok(())
}

fn attributes(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    s.mask("Produce", "BatchIndexErrorMessage");
    for (what, bits) in [
        (
            "The time of append, which is the broker's to set.",
            0x08_i16,
        ),
        ("Part of a transaction.", 0x10),
        ("Control.", 0x20),
        ("A delete horizon.", 0x40),
        ("Bits without a meaning.", 0x7f00),
        ("The codecs 5, 6 and 7.", 0x05),
        ("6.", 0x06),
        ("7.", 0x07),
    ] {
        let batch = patched(values(&["a"]), ATTRIBUTES, &bits.to_be_bytes());
        check(s, what, &name, &Value::Bytes(batch))?;
    }
    s.note("Part of a transaction that is named, and of none.");
    let id = kit::producer(s)?;
    for transaction in [NULL, Value::from("")] {
        let batch = Batch::new()
            .producer(id, 0, 0)
            .transactional()
            .values(&["a"])
            .bytes();
        let topic = msg! { Name: &name, PartitionData: [msg! { Index: 0, Records: batch }] };
        let request = msg! {
            TransactionalId: transaction,
            Acks: -1,
            TimeoutMs: 10_000,
            TopicData: [topic],
        };
        s.ask("a", "Produce", 9, request)?;
    }
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

fn codecs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = Batch::new().compressed(codec).values(&["a", "b"]).bytes();
        s.note(&format!("{codec:?}."));
        for version in [3, 6, 7, 9] {
            s.ask("a", "Produce", version, append(&name, 0, batch.clone()))?;
        }
    }
    for version in [4, 9, 10, 12] {
        s.ask("a", "Fetch", version, fetch(&name, 0, 0))?;
    }
    Ok(())
}

fn undecodable(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    let plain = values(&["a", "b"]);
    for (codec, what) in [(1_i16, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")] {
        let batch = kit::with_records(plain.clone(), codec, b"these are not compressed records");
        check(
            s,
            &format!("Text that calls itself {what}."),
            &name,
            &Value::Bytes(batch),
        )?;
    }
    let batch = kit::with_records(plain.clone(), 0, b"these are not records at all");
    check(
        s,
        "Text that calls itself records.",
        &name,
        &Value::Bytes(batch),
    )?;
    let batch = kit::with_records(plain.clone(), 0, &[]);
    check(s, "Nothing.", &name, &Value::Bytes(batch))?;
    let longer = [&plain[kit::RECORDS..], &[0, 0, 0]].concat();
    let batch = kit::with_records(plain, 0, &longer);
    check(s, "Bytes behind the records.", &name, &Value::Bytes(batch))?;
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    Ok(())
}

/// A record of each time.
fn timed(times: &[i64]) -> Vec<u8> {
    let batch = times.iter().fold(Batch::new(), |batch, time| {
        batch.record(*time, None, Some("a"))
    });
    batch.bytes()
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(0))
}

fn timestamps(s: &mut Session<'_>) -> anyhow::Result<()> {
    const HOUR: i64 = 3_600_000;
    s.topic("t", 1)?;
    let limits = [
        ("message.timestamp.before.max.ms", "3600000"),
        ("message.timestamp.after.max.ms", "3600000"),
    ];
    s.topic_with("narrow", 1, &limits)?;
    s.mask("Produce", "ErrorMessage");
    s.mask("Produce", "BatchIndexErrorMessage");
    for topic in ["t", "narrow"] {
        let name = s.name(topic);
        for (what, times) in [
            ("No time.", vec![-1]),
            ("The beginning of time.", vec![0]),
            ("Before it.", vec![-2]),
            ("Today.", vec![now()]),
            ("In half an hour.", vec![now() + HOUR / 2]),
            ("In two hours.", vec![now() + 2 * HOUR]),
            ("Two hours ago.", vec![now() - 2 * HOUR]),
            (
                "One of three is wrong.",
                vec![now(), now() + 2 * HOUR, now()],
            ),
            ("Never.", vec![i64::MAX]),
        ] {
            s.note(what);
            s.ask("a", "Produce", 9, append(&name, 0, timed(&times)))?;
        }
    }
    let name = s.name("t");
    s.note("A largest time that is not that of the records is put right.");
    let batch = patched(timed(&[5, 9, 7]), MAX_TIMESTAMP, &1_234_i64.to_be_bytes());
    let at = kit::write(s, &name, 0, batch)?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, at))?;
    Ok(())
}

fn timestamps_by_time_of_append(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    s.mask("Produce", "BatchIndexErrorMessage");
    for times in [
        vec![5, 9],
        vec![-1],
        vec![i64::MAX],
        vec![now() + 1_000_000_000],
    ] {
        s.ask("a", "Produce", 9, append(&name, 0, timed(&times)))?;
    }
    let packed = Batch::new()
        .compressed(Compression::Gzip)
        .values(&["a", "b"])
        .bytes();
    s.ask("a", "Produce", 9, append(&name, 0, packed))?;
    let stamped = patched(timed(&[5]), ATTRIBUTES, &8_i16.to_be_bytes());
    s.ask("a", "Produce", 9, append(&name, 0, stamped))?;
    let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    ensure!(!kit::fetched(&answer)?.is_empty(), "{answer}");
    s.note("Times are those of append.");
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, 10))?;
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, i64::MAX))?;
    Ok(())
}

fn limits(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("max.message.bytes", "500")])?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    let long = "x".repeat(600);
    let packed = Batch::new()
        .compressed(Compression::Zstd)
        .values(&[&long])
        .bytes();
    for (what, batch) in [
        ("Too large.", values(&[&long])),
        ("Small again when packed.", packed),
        ("Many records, none of them large.", values(&["x"; 80])),
    ] {
        s.note(what);
        s.ask("a", "Produce", 9, append(&name, 0, batch))?;
    }
    s.note("The limit is raised while the topic is in use.");
    let setting = msg! { Name: "max.message.bytes", ConfigOperation: 0, Value: "1000" };
    let resource = msg! { ResourceType: 2, ResourceName: &name, Configs: [setting] };
    s.ask(
        "a",
        "IncrementalAlterConfigs",
        1,
        msg! { Resources: [resource] },
    )?;
    let answer = s.ask_until(
        "a",
        "Produce",
        9,
        append(&name, 0, values(&[&long])),
        |answer| produced(answer).is_ok_and(|code| code == 0),
    )?;
    ensure!(produced(&answer)? == 0, "{answer}");
    s.note("As large as the broker takes by default, and a byte more.");
    s.topic("whole", 1)?;
    let whole = s.name("whole");
    for size in [1_048_588_usize, 1_048_589] {
        let text = "x".repeat(size - 61 - 11);
        let batch = values(&[&text]);
        ensure!(batch.len() == size, "a batch of {}", batch.len());
        s.ask("a", "Produce", 9, append(&whole, 0, batch))?;
    }
    Ok(())
}

fn several_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    s.topic("u", 1)?;
    let (t, u, nobody) = (s.name("t"), s.name("u"), s.name("nobody"));
    let topic = |name: &str, indices: &[i32]| {
        let partitions = indices.iter().map(|index| {
            msg! { Index: *index, Records: values(&["a"]) }
        });
        msg! { Name: name, PartitionData: partitions.collect::<Vec<_>>() }
    };
    let topics = [
        topic(&t, &[0, 1, 2]),
        topic(&nobody, &[0]),
        topic(&u, &[0, -1]),
    ];
    let request = msg! { Acks: -1, TimeoutMs: 10_000, TopicData: topics };
    kit::append_each(s, request)?;
    s.note("An internal topic, which clients do not write to.");
    let internal = append("__consumer_offsets", 0, values(&["a"]));
    s.ask("a", "Produce", 9, internal)?;
    Ok(())
}

fn by_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    for id in [id, [0; 16], kit::NOBODYS] {
        let partition = msg! { Index: 0, Records: values(&["a"]) };
        let topic = msg! { TopicId: id, PartitionData: [partition] };
        let request = msg! { Acks: -1, TimeoutMs: 10_000, TopicData: [topic] };
        s.ask("a", "Produce", 13, request)?;
    }
    Ok(())
}
