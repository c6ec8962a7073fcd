//! 28 to 41: what is produced and how it is kept.

use std::time::Instant;

use anyhow::ensure;

use super::case;
use crate::case::Case;
use crate::cases::kit::{
    self, CRC, MAGIC, MAX_TIMESTAMP, append, base_offset, fetch, fetched, produced, write,
};
use crate::connection::PATIENCE;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::NULL;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_028_timestamps_by_type", timestamps_by_type),
        case("inc_029_bytes_are_kept", bytes_are_kept),
        case("inc_030_every_batch_is_read_back", every_batch),
        case("inc_031_several_batches_and_old_magics", several_batches),
        case("inc_032_no_key_for_a_compacted_topic", no_key),
        case("inc_033_the_limit_of_a_batch", limit_of_a_batch),
        case("inc_034_a_repeated_batch", repeated_batch),
        case("inc_035_an_unknown_producer", unknown_producer),
        case("inc_036_control_batches_of_clients", control_batches),
        case("inc_038_the_compression_of_a_topic", compression_of_a_topic),
        case(
            "inc_039_every_partition_has_a_leader",
            every_partition_has_a_leader,
        ),
        case("inc_040_idempotence_by_default", idempotence_by_default),
        case("inc_041_auto_creation_is_quick", auto_creation_is_quick),
    ]
}

/// Attributes, base timestamp and largest timestamp of the first batch.
fn stamps(batch: &[u8]) -> (u8, i64, i64) {
    let number = |at: usize| i64::from_be_bytes(batch[at..at + 8].try_into().expect("8 bytes"));
    (batch[22], number(27), number(MAX_TIMESTAMP))
}

fn timestamps_by_type(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("created", 1)?;
    s.topic_with(
        "appended",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    )?;
    let batch = || {
        Batch::new()
            .record(5, None, Some("a"))
            .record(9, None, Some("b"))
            .bytes()
    };
    let created = s.name("created");
    let answer = s.ask("a", "Produce", 9, append(&created, 0, batch()))?;
    ensure!(
        answer.int("Responses[0].PartitionResponses[0].LogAppendTimeMs")? == -1,
        "{answer}"
    );
    let answer = s.ask("a", "Fetch", 12, fetch(&created, 0, 0))?;
    ensure!(stamps(&fetched(&answer)?) == (0, 5, 9), "{answer}");
    let appended = s.name("appended");
    let answer = s.ask("a", "Produce", 9, append(&appended, 0, batch()))?;
    let now = answer.int("Responses[0].PartitionResponses[0].LogAppendTimeMs")?;
    ensure!(now > 1_000_000_000_000, "{answer}");
    let answer = s.ask("a", "Fetch", 12, fetch(&appended, 0, 0))?;
    ensure!(stamps(&fetched(&answer)?) == (8, 5, now), "{answer}");
    Ok(())
}

fn bytes_are_kept(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["in front"]))?;
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = Batch::new()
            .compressed(codec)
            .values(&["a", "b", "c"])
            .bytes();
        let at = write(s, &name, 0, batch.clone())?;
        let answer = s.setup("Fetch", 12, fetch(&name, 0, at))?;
        let kept = fetched(&answer)?;
        ensure!(kept[..8] == at.to_be_bytes(), "{codec:?}: the base offset");
        ensure!(kept[8..12] == batch[8..12], "{codec:?}: the length");
        ensure!(kept[12..16] == [0; 4], "{codec:?}: the leader epoch");
        ensure!(kept[MAGIC..] == batch[MAGIC..], "{codec:?}: the rest");
    }
    s.note("From the magic on, every byte comes back as it was sent, with each codec.");
    s.note("A CRC that is not Castagnoli's is refused.");
    let mut batch = values(&["a"]);
    batch[CRC] ^= 1;
    let answer = s.ask("a", "Produce", 9, append(&name, 0, batch))?;
    ensure!(produced(&answer)? == 2, "{answer}");
    Ok(())
}

fn every_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for (at, batch) in [
        values(&["0", "1", "2"]),
        Batch::new()
            .compressed(Compression::Gzip)
            .values(&["3", "4"])
            .bytes(),
        values(&["5"]),
    ]
    .into_iter()
    .enumerate()
    {
        let base = write(s, &name, 0, batch)?;
        ensure!(base == [0, 3, 5][at], "batch {at} begins at {base}");
    }
    let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    let batches = ottla_protocol::records::batches(fetched(&answer)?.into());
    let mut offsets = Vec::new();
    for batch in batches {
        for record in batch?.records()? {
            let record = record?;
            let value = record.value.unwrap_or_default();
            ensure!(value == record.offset.0.to_string(), "{answer}");
            offsets.push(record.offset.0);
        }
    }
    ensure!(offsets == [0, 1, 2, 3, 4, 5], "the offsets are {offsets:?}");
    Ok(())
}

/// A message of the formats before record batches.
fn old_message(magic: u8) -> Vec<u8> {
    let time: &[u8] = if magic == 0 {
        &[]
    } else {
        &[0, 0, 0, 0, 0, 0, 3, 0xe8]
    };
    let key_and_value: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, b'a'];
    let message = [&[0, 0, 0, 0, magic, 0][..], time, key_and_value].concat();
    let size = u8::try_from(message.len()).expect("a small message");
    [&[0; 8][..], &[0, 0, 0, size], &message].concat()
}

fn several_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let two = [values(&["a", "b"]), values(&["c"])].concat();
    for version in [3, 9] {
        s.note("Two batches.");
        let answer = s.ask("a", "Produce", version, append(&name, 0, two.clone()))?;
        ensure!(produced(&answer)? == 87, "{answer}");
        for magic in [0, 1] {
            s.note(&format!("Magic {magic}."));
            let answer = s.ask(
                "a",
                "Produce",
                version,
                append(&name, 0, old_message(magic)),
            )?;
            ensure!(produced(&answer)? == 87, "{answer}");
        }
    }
    s.note("Nothing was written.");
    let answer = s.ask("a", "ListOffsets", 7, kit::offset_at(&name, 0, -1))?;
    ensure!(kit::offset(&answer)? == 0, "{answer}");
    Ok(())
}

fn no_key(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("cleanup.policy", "compact")])?;
    let name = s.name("t");
    let batch = Batch::new()
        .record(1000, Some("k"), Some("a"))
        .record(1001, None, Some("b"))
        .record(1002, Some(""), None)
        .record(1003, None, None);
    for version in [7, 8, 9] {
        s.mask("Produce", "BatchIndexErrorMessage");
        s.mask("Produce", "ErrorMessage");
        let answer = s.ask(
            "a",
            "Produce",
            version,
            append(&name, 0, batch.clone().bytes()),
        )?;
        ensure!(produced(&answer)? == 87, "{answer}");
        if version > 7 {
            let errors = answer.array("Responses[0].PartitionResponses[0].RecordErrors")?;
            let blamed: Result<Vec<_>, _> = errors.iter().map(|it| it.int("BatchIndex")).collect();
            ensure!(blamed? == [1, 3], "{answer}");
        }
    }
    let keyed = Batch::new()
        .record(1000, Some("k"), None)
        .record(1001, Some(""), None);
    let answer = s.ask("a", "Produce", 9, append(&name, 0, keyed.bytes()))?;
    ensure!(produced(&answer)? == 0, "{answer}");
    Ok(())
}

/// A batch of so many bytes.
fn sized(bytes: usize) -> Vec<u8> {
    let text = "x".repeat(bytes);
    let mut length = bytes;
    loop {
        let batch = values(&[&text[..length]]);
        if batch.len() <= bytes {
            return batch;
        }
        length -= batch.len() - bytes;
    }
}

fn limit_of_a_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic_with("t", 1, &[("max.message.bytes", "1000")])?;
    let name = s.name("t");
    for (bytes, code) in [(999, 0), (1000, 0), (1001, 10)] {
        let batch = sized(bytes);
        ensure!(batch.len() == bytes, "a batch of {}", batch.len());
        s.mask("Produce", "ErrorMessage");
        let answer = s.ask("a", "Produce", 9, append(&name, 0, batch))?;
        ensure!(produced(&answer)? == code, "{bytes} bytes: {answer}");
    }
    s.note("What counts is the compressed batch,");
    let long = "x".repeat(5000);
    let packed = Batch::new()
        .compressed(Compression::Gzip)
        .values(&[&long])
        .bytes();
    let answer = s.ask("a", "Produce", 9, append(&name, 0, packed.clone()))?;
    ensure!(produced(&answer)? == 0, "{answer}");
    s.note("and again what the broker makes of it.");
    let settings = [
        ("max.message.bytes", "1000"),
        ("compression.type", "uncompressed"),
    ];
    s.topic_with("plain", 1, &settings)?;
    let answer = s.ask("a", "Produce", 9, append(&s.name("plain"), 0, packed))?;
    ensure!(produced(&answer)? == 10, "{answer}");
    Ok(())
}

fn repeated_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    let batch = |sequence| {
        Batch::new()
            .producer(id, 0, sequence)
            .values(&["a", "b"])
            .bytes()
    };
    for sequence in [0, 2, 4] {
        let answer = s.ask("a", "Produce", 9, append(&name, 0, batch(sequence)))?;
        ensure!(base_offset(&answer)? == i64::from(sequence), "{answer}");
    }
    s.note("Again, on another connection.");
    for sequence in [4, 2, 0] {
        let answer = s.ask("b", "Produce", 9, append(&name, 0, batch(sequence)))?;
        ensure!(produced(&answer)? == 0, "{answer}");
        ensure!(base_offset(&answer)? == i64::from(sequence), "{answer}");
    }
    s.note("Nothing was written twice.");
    let answer = s.ask("a", "ListOffsets", 7, kit::offset_at(&name, 0, -1))?;
    ensure!(kit::offset(&answer)? == 6, "{answer}");
    Ok(())
}

fn unknown_producer(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    let batch = |epoch, sequence| {
        let batch = Batch::new().producer(id, epoch, sequence);
        append(&name, 0, batch.values(&["a"]).bytes())
    };
    let answer = s.ask("a", "Produce", 9, batch(3, 77))?;
    ensure!(produced(&answer)? == 0, "{answer}");
    s.note("That is where it goes on.");
    for (epoch, sequence, code) in [(3, 80, 45), (3, 78, 0), (2, 79, 47), (4, 79, 45), (4, 0, 0)] {
        let answer = s.ask("a", "Produce", 9, batch(epoch, sequence))?;
        ensure!(produced(&answer)? == code, "{epoch}, {sequence}: {answer}");
    }
    Ok(())
}

fn control_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.mask("Produce", "ErrorMessage");
    let id = kit::producer(s)?;
    for batch in [
        Batch::new().control().values(&["a"]),
        Batch::new()
            .control()
            .transactional()
            .producer(id, 0, 0)
            .values(&["a"]),
        Batch::new().control().producer(id, 0, -1).values(&["a"]),
    ] {
        let answer = s.ask("a", "Produce", 9, append(&name, 0, batch.bytes()))?;
        ensure!(produced(&answer)? != 0, "{answer}");
    }
    let answer = s.ask("a", "ListOffsets", 7, kit::offset_at(&name, 0, -1))?;
    ensure!(kit::offset(&answer)? == 0, "{answer}");
    Ok(())
}

fn compression_of_a_topic(s: &mut Session<'_>) -> anyhow::Result<()> {
    let codecs = [
        ("uncompressed", 0),
        ("gzip", 1),
        ("snappy", 2),
        ("lz4", 3),
        ("zstd", 4),
    ];
    for (codec, number) in codecs {
        s.topic_with(codec, 1, &[("compression.type", codec)])?;
        let name = s.name(codec);
        write(s, &name, 0, values(&["a", "b"]))?;
        let packed = Batch::new()
            .compressed(Compression::Lz4)
            .values(&["c", "d"])
            .bytes();
        write(s, &name, 0, packed)?;
        let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
        for batch in ottla_protocol::records::batches(fetched(&answer)?.into()) {
            let batch = batch?;
            ensure!(batch.header().attributes.0 == number, "{codec}: {answer}");
            ensure!(batch.verify_crc(), "{codec}: a wrong CRC");
            ensure!(
                batch.records()?.count() == 2,
                "{codec}: records are missing"
            );
        }
    }
    Ok(())
}

fn every_partition_has_a_leader(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 4)?;
    let name = s.name("t");
    let answer = s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    let nodes = answer.array("Brokers")?;
    for partition in answer.array("Topics[0].Partitions")? {
        let leader = partition.int("LeaderId")?;
        let is_there = nodes
            .iter()
            .any(|node| node.int("NodeId").is_ok_and(|id| id == leader));
        ensure!(is_there, "nobody leads: {partition}");
    }
    let batches = (0..4).map(|index| (index, values(&["a"]))).collect();
    let answer = kit::append_each(s, kit::append_by(-1, &name, batches))?;
    for partition in answer.array("Responses[0].PartitionResponses")? {
        ensure!(partition.int("ErrorCode")? == 0, "{partition}");
    }
    Ok(())
}

fn idempotence_by_default(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let request = msg! { TransactionalId: NULL, TransactionTimeoutMs: i32::MAX };
    let answer = s.ask("a", "InitProducerId", 4, request)?;
    let (id, epoch) = (answer.int("ProducerId")?, answer.int("ProducerEpoch")?);
    ensure!(id >= 0 && epoch == 0, "{answer}");
    for sequence in 0..3 {
        let batch = Batch::new()
            .producer(id, 0, sequence)
            .values(&["a"])
            .bytes();
        let answer = s.ask("a", "Produce", 9, append(&name, 0, batch))?;
        ensure!(produced(&answer)? == 0, "{answer}");
    }
    Ok(())
}

fn auto_creation_is_quick(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("t");
    let request = msg! { Topics: [msg! { Name: &name }], AllowAutoTopicCreation: true };
    let began = Instant::now();
    let answer = s.ask_until("a", "Metadata", 12, request, |answer| {
        answer
            .int("Topics[0].ErrorCode")
            .is_ok_and(|code| code == 0)
    })?;
    ensure!(answer.int("Topics[0].ErrorCode")? == 0, "{answer}");
    ensure!(answer.array("Topics[0].Partitions")?.len() == 2, "{answer}");
    let batch = append(&name, 1, values(&["a"]));
    let answer = s.ask_until("a", "Produce", 9, batch, |answer| {
        produced(answer).is_ok_and(|code| code == 0)
    })?;
    ensure!(produced(&answer)? == 0, "{answer}");
    ensure!(began.elapsed() < PATIENCE, "it takes {:?}", began.elapsed());
    Ok(())
}
