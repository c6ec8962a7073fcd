//! Producers and the directories in which records lie.

use super::super::kit::write;
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, values};
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("records", name, steps)
    };
    vec![
        case("init_producer_id", init_producer_id),
        case("describe_producers", describe_producers),
        case("describe_log_dirs", describe_log_dirs),
        case("alter_replica_log_dirs", alter_replica_log_dirs),
    ]
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
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    let batch = Batch::new()
        .producer(5_000_000, 3, 0)
        .values(&["a", "b"])
        .bytes();
    write(s, &name, 0, batch)?;
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
    s.topic("t", 2)?;
    let (name, none) = (s.name("t"), s.name("none"));
    write(s, &name, 0, values(&["a", "b"]))?;
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
