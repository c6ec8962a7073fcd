//! Finding offsets, by time and by epoch, and deleting records.

use super::super::kit::{fetch, write};
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, values};
use crate::session::Session;
use crate::value::EMPTY;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("records", name, steps)
    };
    vec![
        case("list_offsets", list_offsets),
        case(
            "list_offsets_of_what_is_not_there",
            list_offsets_of_what_is_not_there,
        ),
        case("offset_for_leader_epoch", offset_for_leader_epoch),
        case("delete_records", delete_records),
    ]
}

fn list_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    s.topic("empty", 1)?;
    let (name, empty) = (s.name("t"), s.name("empty"));
    let batch = Batch::new()
        .record(1000, None, Some("a"))
        .record(3000, None, Some("b"))
        .record(2000, None, Some("c"))
        .bytes();
    write(s, &name, 0, batch)?;
    write(s, &name, 0, values(&["d"]))?;
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
    s.topic("t", 1)?;
    s.topic("empty", 1)?;
    let (name, empty, none) = (s.name("t"), s.name("empty"), s.name("none"));
    write(s, &name, 0, values(&["a", "b"]))?;
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
    s.topic("t", 1)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let five = values(&["a", "b", "c", "d", "e"]);
    write(s, &name, 0, five)?;
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
    s.ask("a", "Fetch", 12, fetch(&name, 0, 2))?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, 1))?;
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
