//! Idempotent producers: what follows, what repeats, who is fenced.

use anyhow::ensure;

use super::kit::{self, append, append_by, delete_records, fetch, offset_at, write};
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::Value;

pub(super) fn cases() -> Vec<Case> {
    [
        ("sequences", sequences as fn(&mut Session<'_>) -> _),
        ("the_window_of_five", window_of_five),
        ("in_flight", in_flight),
        ("epochs", epochs),
        ("the_last_sequence", the_last_sequence),
        ("unknown_producers", unknown_producers),
        ("several_partitions", several_partitions),
        ("half_a_producer", half_a_producer),
        ("repeated_with_other_content", repeated_with_other_content),
        ("repeats_by_time_of_append", repeats_by_time_of_append),
        ("repeats_below_the_log_start", repeats_below_the_log_start),
        ("producers_described", producers_described),
    ]
    .map(|(name, steps)| Case::new("idempotence", name, steps))
    .into()
}

/// A produce of one record for each value.
fn sent(topic: &str, (id, epoch): (i64, i16), sequence: i32, values: &[&str]) -> Value {
    let batch = Batch::new().producer(id, epoch, sequence).values(values);
    append(topic, 0, batch.bytes())
}

fn sequences(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let producer = (kit::producer(s)?, 0);
    for (what, sequence, values) in [
        ("The first.", 0, &["a"][..]),
        ("What follows.", 1, &["b", "c"]),
        ("It repeats.", 1, &["b", "c"]),
        ("A gap.", 4, &["d"]),
        ("It begins with what was sent and goes on.", 2, &["c", "d"]),
        ("Less of what was sent.", 1, &["b"]),
        ("What follows, after all.", 3, &["d"]),
        ("The very first again.", 0, &["a"]),
        ("Backwards.", 2, &["c"]),
    ] {
        s.note(what);
        s.ask("a", "Produce", 9, sent(&name, producer, sequence, values))?;
    }
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

fn window_of_five(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let producer = (kit::producer(s)?, 0);
    for sequence in 0..7 {
        s.setup("Produce", 9, sent(&name, producer, sequence, &["a"]))?;
    }
    s.note("The last five are known, the sixth is not.");
    for sequence in [6, 5, 4, 3, 2, 1, 0] {
        s.ask("a", "Produce", 9, sent(&name, producer, sequence, &["a"]))?;
    }
    s.note("Repeats do not move the window.");
    s.ask("a", "Produce", 9, sent(&name, producer, 2, &["a"]))?;
    s.ask("a", "Produce", 9, sent(&name, producer, 7, &["a"]))?;
    s.ask("a", "Produce", 9, sent(&name, producer, 2, &["a"]))?;
    s.ask("a", "ListOffsets", 7, offset_at(&name, 0, -1))?;
    Ok(())
}

fn in_flight(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let producer = (kit::producer(s)?, 0);
    s.note("Five at once, and all of them again before an answer is read.");
    for _ in 0..2 {
        for sequence in 0..5 {
            s.send("a", "Produce", 9, sent(&name, producer, sequence, &["a"]))?;
        }
    }
    for _ in 0..10 {
        s.receive("a")?;
    }
    s.note("One is missing, and those behind it are refused.");
    for sequence in [6, 7, 5, 6, 7] {
        s.send("a", "Produce", 9, sent(&name, producer, sequence, &["a"]))?;
    }
    for _ in 0..5 {
        s.receive("a")?;
    }
    s.note("Without waiting for the disk.");
    for acks in [1, -1, 1] {
        let batch = Batch::new()
            .producer(producer.0, 0, 8)
            .values(&["a"])
            .bytes();
        s.send("a", "Produce", 9, append_by(acks, &name, vec![(0, batch)]))?;
    }
    for _ in 0..3 {
        s.receive("a")?;
    }
    Ok(())
}

fn epochs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    for (what, epoch, sequence) in [
        ("The first.", 0, 0),
        ("A new epoch begins at zero,", 1, 1),
        ("and not elsewhere.", 1, 0),
        ("The old one is fenced,", 0, 1),
        ("repeats as well.", 0, 0),
        ("The new one repeats", 1, 0),
        ("and goes on.", 1, 1),
        ("Some epochs later.", 7, 0),
        ("The last epoch that there is.", i16::MAX, 0),
        ("And before.", i16::MAX - 1, 0),
    ] {
        s.note(what);
        s.ask(
            "a",
            "Produce",
            9,
            sent(&name, (id, epoch), sequence, &["a"]),
        )?;
    }
    Ok(())
}

fn the_last_sequence(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let producer = (kit::producer(s)?, 0);
    s.note("It begins near the end of the numbers.");
    s.ask(
        "a",
        "Produce",
        9,
        sent(&name, producer, i32::MAX - 3, &["a", "b"]),
    )?;
    s.note("Across the end.");
    s.ask(
        "a",
        "Produce",
        9,
        sent(&name, producer, i32::MAX - 1, &["c", "d", "e"]),
    )?;
    s.note("The same again, then what follows, and a gap.");
    s.ask(
        "a",
        "Produce",
        9,
        sent(&name, producer, i32::MAX - 1, &["c", "d", "e"]),
    )?;
    s.ask("a", "Produce", 9, sent(&name, producer, 1, &["f"]))?;
    s.ask("a", "Produce", 9, sent(&name, producer, 3, &["g"]))?;
    let other = (kit::producer(s)?, 0);
    s.note("The last number itself, and the first behind it.");
    for sequence in [i32::MAX, 0, i32::MAX] {
        s.ask("a", "Produce", 9, sent(&name, other, sequence, &["a"]))?;
    }
    Ok(())
}

fn unknown_producers(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    s.note("Any sequence will do for one that nobody knows,");
    s.ask("a", "Produce", 9, sent(&name, (id, 5), 40, &["a"]))?;
    s.note("whose id nobody was given,");
    s.ask("a", "Produce", 9, sent(&name, (1 << 40, 0), 3, &["a"]))?;
    s.note("not less than zero.");
    for sequence in [-1, -2] {
        s.ask("a", "Produce", 9, sent(&name, (id, 5), sequence, &["a"]))?;
    }
    s.note("An epoch that is none.");
    for epoch in [-1, -2] {
        s.ask("a", "Produce", 9, sent(&name, (id, epoch), 41, &["a"]))?;
    }
    s.note("Another one with such an epoch from the start.");
    let other = kit::producer(s)?;
    for sequence in [0, 1, 5] {
        s.ask(
            "a",
            "Produce",
            9,
            sent(&name, (other, -1), sequence, &["a"]),
        )?;
    }
    Ok(())
}

fn several_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 3)?;
    let name = s.name("t");
    let (id, other) = (kit::producer(s)?, kit::producer(s)?);
    let batch = |id, sequence| {
        Batch::new()
            .producer(id, 0, sequence)
            .values(&["a"])
            .bytes()
    };
    s.note("Each partition has its own sequence; one that fails does not hold up the others.");
    for sequences in [[0, 0, 0], [1, 5, 0], [2, 1, 1]] {
        let batches = (0..3)
            .zip(sequences)
            .map(|(index, sequence)| (index, batch(id, sequence)));
        kit::append_each(s, append_by(-1, &name, batches.collect()))?;
    }
    s.note("Two producers in a request.");
    let batches = vec![(0, batch(id, 3)), (1, batch(other, 0))];
    kit::append_each(s, append_by(-1, &name, batches))?;
    s.note("One of them, and one without.");
    let batches = vec![(0, batch(id, 4)), (1, values(&["a"]))];
    kit::append_each(s, append_by(-1, &name, batches))?;
    for index in 0..3 {
        s.ask("a", "ListOffsets", 7, offset_at(&name, index, -1))?;
    }
    Ok(())
}

fn half_a_producer(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("No id, and yet an epoch, a sequence, or both.");
    for (id, epoch, sequence) in [(-1, 0, 0), (-1, 0, -1), (-1, -1, 7), (-2, 0, 0)] {
        s.ask(
            "a",
            "Produce",
            9,
            sent(&name, (id, epoch), sequence, &["a"]),
        )?;
    }
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

fn repeated_with_other_content(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    s.ask("a", "Produce", 9, sent(&name, (id, 0), 0, &["a", "b"]))?;
    s.note("The numbers alone make it the same.");
    s.ask("a", "Produce", 9, sent(&name, (id, 0), 0, &["x", "y"]))?;
    let packed = Batch::new()
        .producer(id, 0, 0)
        .compressed(Compression::Zstd)
        .values(&["a", "b"]);
    s.ask("a", "Produce", 9, append(&name, 0, packed.bytes()))?;
    s.note("It is looked at first.");
    s.mask("Produce", "ErrorMessage");
    let late = Batch::new().producer(id, 0, 0).record(i64::MAX, None, None);
    let late = late.record(i64::MAX, None, None);
    s.mask("Produce", "BatchIndexErrorMessage");
    s.ask("a", "Produce", 9, append(&name, 0, late.bytes()))?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

fn repeats_by_time_of_append(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("created", 1)?;
    s.topic_with(
        "appended",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    )?;
    for topic in ["created", "appended"] {
        let name = s.name(topic);
        let id = kit::producer(s)?;
        s.note("A repeat is answered with the time of the batch, whatever kind of time that is.");
        let first = s.ask("a", "Produce", 9, sent(&name, (id, 0), 0, &["a", "b"]))?;
        let again = s.ask("a", "Produce", 9, sent(&name, (id, 0), 0, &["a", "b"]))?;
        let time =
            |answer: &Value| answer.int("Responses[0].PartitionResponses[0].LogAppendTimeMs");
        ensure!(
            topic == "created" || time(&first)? == time(&again)?,
            "{first} {again}"
        );
    }
    Ok(())
}

fn repeats_below_the_log_start(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let producer = (kit::producer(s)?, 0);
    for sequence in 0..3 {
        write(
            s,
            &name,
            0,
            Batch::new()
                .producer(producer.0, 0, sequence)
                .values(&["a"])
                .bytes(),
        )?;
    }
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 2))?;
    s.note("What is deleted is known all the same.");
    for sequence in [0, 1, 2] {
        s.ask("a", "Produce", 9, sent(&name, producer, sequence, &["a"]))?;
    }
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, -1))?;
    for sequence in [2, 3, 5] {
        s.ask("a", "Produce", 9, sent(&name, producer, sequence, &["a"]))?;
    }
    Ok(())
}

fn producers_described(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    let id = kit::producer(s)?;
    let describe = |name: &str| {
        let topic = msg! { Name: name, PartitionIndexes: [0, 1, 7] };
        msg! { Topics: [topic] }
    };
    s.ask("a", "DescribeProducers", 0, describe(&name))?;
    s.setup("Produce", 9, sent(&name, (id, 2), 10, &["a", "b", "c"]))?;
    s.ask("a", "DescribeProducers", 0, describe(&name))?;
    s.setup("Produce", 9, sent(&name, (id, 3), 0, &["a"]))?;
    s.ask("a", "DescribeProducers", 0, describe(&name))?;
    s.ask("a", "DescribeProducers", 0, describe(&s.name("nobody")))?;
    Ok(())
}
