//! Fetching: where from, how much, and from what is not there.

use super::super::kit::write;
use crate::case::Case;
use crate::msg;
use crate::records::values;
use crate::session::Session;
use crate::value::{EMPTY, NO_ID, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("records", name, steps)
    };
    vec![
        case(
            "produce_and_fetch_several_topics",
            produce_and_fetch_several_topics,
        ),
        case("fetch", fetch),
        case("fetch_from_what_is_not_there", fetch_from_what_is_not_there),
        case("fetch_twice_the_same", fetch_twice_the_same),
        case("fetch_as_a_replica", fetch_as_a_replica),
        case("fetch_with_wrong_numbers", fetch_with_wrong_numbers),
        case("fetch_limits", fetch_limits),
    ]
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

/// From one partition of one topic.
pub(super) fn from(name: &str, id: impl Into<Value>, partition: Value) -> Value {
    msg! { Topic: name, TopicId: id.into(), Partitions: [partition] }
}

fn fetch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for batch in [&["a", "b", "c"][..], &["d"]] {
        write(s, &name, 0, values(batch))?;
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
    write(s, &name, 0, values(&["a"]))?;
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
            write(s, &name, index, batch)?;
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
