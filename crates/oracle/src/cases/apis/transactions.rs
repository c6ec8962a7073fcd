//! Transactions: requests that need no story, or a short one.

use super::super::kit::fetch;
use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("transactions", name, steps)
    };
    vec![
        case("init_producer_id", init_producer_id),
        case("add_partitions_to_txn", add_partitions_to_txn),
        case("add_offsets_to_txn", add_offsets_to_txn),
        case("end_txn", end_txn),
        case("txn_offset_commit", txn_offset_commit),
        case("write_txn_markers", write_txn_markers),
        case("describe_transactions", describe_transactions),
        case("list_transactions", list_transactions),
    ]
}

/// A transactional producer's id and epoch; no transcript shows how it got them.
fn begin(s: &mut Session<'_>, short: &str) -> anyhow::Result<(String, i64, i64)> {
    let name = s.name(short);
    let request = || msg! { TransactionalId: &name, TransactionTimeoutMs: 60_000 };
    let began = std::time::Instant::now();
    loop {
        let answer = s.setup("InitProducerId", 4, request())?;
        let is_loading = [14, 16].contains(&answer.int("ErrorCode")?);
        if !is_loading || began.elapsed() > crate::connection::PATIENCE {
            return Ok((
                name,
                answer.int("ProducerId")?,
                answer.int("ProducerEpoch")?,
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn init_producer_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    begin(s, "first")?;
    for version in 0..=5 {
        let name = s.name(&format!("v{version}"));
        let request = || msg! { TransactionalId: &name, TransactionTimeoutMs: 60_000 };
        s.ask("a", "InitProducerId", version, request())?;
        s.ask("a", "InitProducerId", version, request())?;
    }
    s.note("Timeouts that no transaction may have.");
    let name = s.name("odd");
    for timeout in [0, -1, 900_000, 900_001, i32::MAX] {
        s.sweep("InitProducerId", |_| {
            msg! {
                TransactionalId: &name,
                TransactionTimeoutMs: timeout,
            }
        })?;
    }
    s.note("With an id and an epoch of the client's.");
    let (name, id, epoch) = begin(s, "known")?;
    for (id, epoch) in [
        (id, epoch),
        (id, epoch),
        (id, epoch + 9),
        (id + 1, 0),
        (id, -1),
        (-1, 0),
    ] {
        for version in 3..=5 {
            s.ask(
                "a",
                "InitProducerId",
                version,
                msg! {
                    TransactionalId: &name,
                    TransactionTimeoutMs: 60_000,
                    ProducerId: id,
                    ProducerEpoch: epoch,
                },
            )?;
        }
    }
    Ok(())
}

/// In the form of either half of the versions.
fn partitions(name: &str, id: i64, epoch: i64, topic: &str, indexes: [i32; 2]) -> Value {
    let topics = [msg! { Name: topic, Partitions: indexes }];
    msg! {
        V3AndBelowTransactionalId: name,
        V3AndBelowProducerId: id,
        V3AndBelowProducerEpoch: epoch,
        V3AndBelowTopics: topics.clone(),
        Transactions: [msg! {
            TransactionalId: name,
            ProducerId: id,
            ProducerEpoch: epoch,
            Topics: topics,
        }],
    }
}

fn add_partitions_to_txn(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (topic, none) = (s.name("t"), s.name("none"));
    let (name, id, epoch) = begin(s, "p")?;
    for request in [
        partitions(&name, id, epoch, &topic, [0, 1]),
        partitions(&name, id, epoch, &topic, [0, 7]),
        partitions(&name, id, epoch, &none, [0, 1]),
        partitions(&name, id, epoch + 1, &topic, [0, 1]),
        partitions(&name, id + 1, epoch, &topic, [0, 1]),
        partitions(&none, id, epoch, &topic, [0, 1]),
        partitions("", id, epoch, &topic, [0, 1]),
        partitions(&name, -1, -1, &topic, [0, 1]),
    ] {
        s.sweep("AddPartitionsToTxn", |_| request.clone())?;
    }
    Ok(())
}

fn add_offsets_to_txn(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (name, id, epoch) = begin(s, "p")?;
    let (none, group) = (s.name("none"), s.name("g"));
    for (name, id, epoch, group) in [
        (&*name, id, epoch, &*group),
        (&*name, id, epoch, ""),
        (&*name, id, epoch + 1, &*group),
        (&*name, id + 1, epoch, &*group),
        (&*none, id, epoch, &*group),
        ("", id, epoch, &*group),
    ] {
        s.sweep("AddOffsetsToTxn", |_| {
            msg! {
                TransactionalId: name,
                ProducerId: id,
                ProducerEpoch: epoch,
                GroupId: group,
            }
        })?;
    }
    Ok(())
}

fn end_txn(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let none = s.name("none");
    for version in 0..=5 {
        for commits in [true, false] {
            let (name, id, epoch) = begin(s, &format!("v{version}-{commits}"))?;
            let end = || {
                msg! {
                    TransactionalId: &name,
                    ProducerId: id,
                    ProducerEpoch: epoch,
                    Committed: commits,
                }
            };
            s.ask("a", "EndTxn", version, end())?;
        }
    }
    let (name, id, epoch) = begin(s, "p")?;
    s.note("Of producers that there are not.");
    for (name, id, epoch) in [
        (&*name, id, epoch + 1),
        (&*name, id, epoch - 1),
        (&*name, id + 1, epoch),
        (&*none, id, epoch),
        ("", id, epoch),
    ] {
        s.sweep("EndTxn", |_| {
            msg! {
                TransactionalId: name,
                ProducerId: id,
                ProducerEpoch: epoch,
                Committed: true,
            }
        })?;
    }
    Ok(())
}

fn txn_offset_commit(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (topic, none, group) = (s.name("t"), s.name("none"), s.name("g"));
    let (name, id, epoch) = begin(s, "p")?;
    let added = msg! {
        TransactionalId: &name,
        ProducerId: id,
        ProducerEpoch: epoch,
        GroupId: &group,
    };
    s.ask("a", "AddOffsetsToTxn", 3, added)?;
    let of = |topic: &str, index: i32| {
        msg! {
            Name: topic,
            Partitions: [msg! { PartitionIndex: index, CommittedOffset: 5_i64, CommittedMetadata: "m" }],
        }
    };
    for (group, member, generation, topics) in [
        (&*group, "", -1, vec![of(&topic, 0)]),
        (&*group, "stranger", 1, vec![of(&topic, 0)]),
        (&*none, "stranger", 1, vec![of(&topic, 0)]),
        ("", "", -1, vec![of(&topic, 0)]),
        (&*group, "", -1, vec![of(&topic, 7), of(&none, 0)]),
        (&*group, "", -1, vec![]),
    ] {
        s.sweep("TxnOffsetCommit", |_| {
            msg! {
                TransactionalId: &name,
                GroupId: group,
                ProducerId: id,
                ProducerEpoch: epoch,
                GenerationId: generation,
                MemberId: member,
                Topics: topics.clone(),
            }
        })?;
    }
    Ok(())
}

fn write_txn_markers(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (topic, none) = (s.name("t"), s.name("none"));
    for name in [&*topic, &*none] {
        let marker = msg! {
            ProducerId: 6_000_000_i64,
            ProducerEpoch: 0_i16,
            TransactionResult: true,
            Topics: [msg! { Name: name, PartitionIndexes: [0] }],
        };
        s.sweep("WriteTxnMarkers", |_| msg! { Markers: [marker.clone()] })?;
    }
    s.note("It is in the log.");
    s.ask("a", "Fetch", 12, fetch(&topic, 0, 0))?;
    Ok(())
}

fn describe_transactions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, id, epoch) = begin(s, "p")?;
    let (topic, none) = (s.name("t"), s.name("none"));
    s.ask(
        "a",
        "DescribeTransactions",
        0,
        msg! { TransactionalIds: [&*name] },
    )?;
    s.ask(
        "a",
        "AddPartitionsToTxn",
        3,
        partitions(&name, id, epoch, &topic, [0, 1]),
    )?;
    for names in [
        Value::from([&*name]),
        Value::from([&*none]),
        Value::from([""]),
        Value::from([&*name, &*name]),
        EMPTY,
    ] {
        s.ask(
            "a",
            "DescribeTransactions",
            0,
            msg! { TransactionalIds: names },
        )?;
    }
    Ok(())
}

fn list_transactions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (name, id, epoch) = begin(s, "p")?;
    let topic = s.name("t");
    s.ask(
        "a",
        "AddPartitionsToTxn",
        3,
        partitions(&name, id, epoch, &topic, [0, 1]),
    )?;
    let pattern = || format!("{}.*", s_prefix(&name));
    let none = Value::from(["NoSuchState"]);
    for (states, duration, pattern) in [
        (Value::from(["Ongoing"]), -1, NULL),
        (Value::from(["Empty"]), -1, NULL),
        (none, -1, NULL),
        (EMPTY, i64::MAX, NULL),
        (EMPTY, -1, pattern().into()),
        (EMPTY, -1, "(".into()),
        (EMPTY, -1, "".into()),
    ] {
        s.sweep("ListTransactions", |_| {
            msg! {
                StateFilters: states.clone(),
                ProducerIdFilters: [id],
                DurationFilter: duration,
                TransactionalIdPattern: pattern.clone(),
            }
        })?;
    }
    Ok(())
}

/// A name without its last letter.
fn s_prefix(name: &str) -> &str {
    &name[..name.len() - 1]
}
