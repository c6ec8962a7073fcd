//! Where a log begins and ends: by time, by epoch, and after deletions.

use super::kit::{self, append, delete_records, fetch, offset_at, write};
use crate::case::Case;
use crate::msg;
use crate::records::{Batch, Compression, values};
use crate::session::Session;
use crate::value::{EMPTY, Value};

pub(super) fn cases() -> Vec<Case> {
    [
        (
            "special_timestamps",
            special_timestamps as fn(&mut Session<'_>) -> _,
        ),
        ("times_that_fall", times_that_fall),
        ("times_in_compressed_batches", times_in_compressed_batches),
        ("greatest_timestamp", greatest_timestamp),
        ("greatest_timestamp_deleted", greatest_timestamp_deleted),
        ("offsets_of_several_partitions", several_partitions),
        ("leader_epochs_of_list_offsets", epochs_of_list_offsets),
        ("delete_records_to", delete_records_to),
        (
            "delete_records_inside_batches",
            delete_records_inside_batches,
        ),
        ("delete_records_refused", delete_records_refused),
        ("deleted_and_written_again", deleted_and_written_again),
        ("ends_of_epochs", ends_of_epochs),
        ("leader_epochs_of_fetches", epochs_of_fetches),
        ("diverging_epochs", diverging_epochs),
    ]
    .map(|(name, steps)| Case::new("offsets", name, steps))
    .into()
}

/// A batch of records with these times.
fn timed(times: &[i64]) -> Vec<u8> {
    let batch = times.iter().fold(Batch::new(), |batch, time| {
        batch.record(*time, None, Some("a"))
    });
    batch.bytes()
}

/// Asks for the offsets of these times.
fn look_up(s: &mut Session<'_>, name: &str, times: &[i64]) -> anyhow::Result<()> {
    for time in times {
        s.ask("a", "ListOffsets", 7, offset_at(name, 0, *time))?;
    }
    Ok(())
}

fn special_timestamps(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for round in 0..2 {
        for version in [1, 6, 7, 8, 9, 11] {
            for special in [-1, -2, -3, -4, -5, -6, -7, i64::MIN] {
                s.ask("a", "ListOffsets", version, offset_at(&name, 0, special))?;
            }
        }
        if round == 0 {
            s.note("With records.");
            write(s, &name, 0, timed(&[5, 9, 7]))?;
        }
    }
    s.note("As a replica, and as nobody in particular.");
    for replica in [-2, -3, 0, 1, 7] {
        let partition = msg! { PartitionIndex: 0, Timestamp: -1 };
        let topic = msg! { Name: &name, Partitions: [partition] };
        s.ask(
            "a",
            "ListOffsets",
            7,
            msg! { ReplicaId: replica, Topics: [topic] },
        )?;
    }
    Ok(())
}

fn times_that_fall(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for times in [&[900, 100][..], &[500], &[300, 800], &[-1], &[950, 1]] {
        write(s, &name, 0, timed(times))?;
    }
    look_up(
        s,
        &name,
        &[
            0,
            1,
            100,
            101,
            500,
            501,
            800,
            801,
            900,
            901,
            950,
            951,
            i64::MAX,
        ],
    )?;
    s.note("Without the first batch, and without half of the third.");
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 2))?;
    look_up(s, &name, &[0, 300, 501, 801, 900, 951])?;
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 4))?;
    look_up(s, &name, &[0, 300, 501, 801, 900, 951])?;
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 7))?;
    s.note("What is left is early.");
    look_up(s, &name, &[0, 1, 2, 950])?;
    Ok(())
}

fn times_in_compressed_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = Batch::new().compressed(codec);
        let batch = [20, 10, 30, 30]
            .iter()
            .fold(batch, |batch, time| batch.record(*time, None, Some("a")));
        write(s, &name, 0, batch.bytes())?;
        look_up(s, &name, &[0, 10, 20, 21, 30, 31])?;
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, -1))?;
    }
    Ok(())
}

fn greatest_timestamp(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("No time at all.");
    write(s, &name, 0, timed(&[-1, -1]))?;
    look_up(s, &name, &[-3, 0])?;
    s.note("Twice the same.");
    write(s, &name, 0, timed(&[5, 9, 9, 1]))?;
    look_up(s, &name, &[-3])?;
    write(s, &name, 0, timed(&[9]))?;
    look_up(s, &name, &[-3])?;
    s.note("The greater one is earlier.");
    write(s, &name, 0, timed(&[8]))?;
    look_up(s, &name, &[-3])?;
    Ok(())
}

fn greatest_timestamp_deleted(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, timed(&[5, 9, 9, 1]))?;
    write(s, &name, 0, timed(&[9, 8]))?;
    s.note("A later one is the greatest, as far as records are still there.");
    for before in [2, 3, 5, 6] {
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, before))?;
        look_up(s, &name, &[-3, 8, 9])?;
    }
    Ok(())
}

fn several_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    let partition = |index: i32| msg! { PartitionIndex: index, Timestamp: -1 };
    for partitions in [[partition(0), partition(1)], [partition(9), partition(-1)]] {
        let topic = msg! { Name: &name, Partitions: partitions };
        s.ask(
            "a",
            "ListOffsets",
            7,
            msg! { ReplicaId: -1, Topics: [topic] },
        )?;
    }
    s.note("A topic that is not there, and one without partitions.");
    let nobody = msg! { Name: &s.name("nobody"), Partitions: [partition(0)] };
    s.ask(
        "a",
        "ListOffsets",
        7,
        msg! { ReplicaId: -1, Topics: [nobody] },
    )?;
    let topic = msg! { Name: &name, Partitions: EMPTY };
    s.ask(
        "a",
        "ListOffsets",
        7,
        msg! { ReplicaId: -1, Topics: [topic] },
    )?;
    Ok(())
}

fn epochs_of_list_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, timed(&[5, 9]))?;
    for epoch in [-1, 0, 1, 7, -2] {
        for time in [-1, -2, 5] {
            let partition = msg! {
                PartitionIndex: 0,
                CurrentLeaderEpoch: epoch,
                Timestamp: time,
            };
            let topic = msg! { Name: &name, Partitions: [partition] };
            s.ask(
                "a",
                "ListOffsets",
                7,
                msg! { ReplicaId: -1, Topics: [topic] },
            )?;
        }
    }
    Ok(())
}

fn delete_records_to(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for before in [0, -1, 1] {
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, before))?;
    }
    write(s, &name, 0, values(&["0", "1", "2", "3"]))?;
    for before in [0, 2, 2, 1, 5, -2, i64::MAX, i64::MIN, 4, 3, -1] {
        for version in [0, 2] {
            s.ask(
                "a",
                "DeleteRecords",
                version,
                delete_records(&name, 0, before),
            )?;
        }
        look_up(s, &name, &[-2, -1])?;
    }
    s.note("The log is empty, and goes on where it was.");
    s.ask("a", "Fetch", 12, fetch(&name, 0, 4))?;
    s.ask("a", "Fetch", 12, fetch(&name, 0, 3))?;
    s.ask("a", "Produce", 9, append(&name, 0, values(&["4"])))?;
    Ok(())
}

fn delete_records_inside_batches(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["0", "1", "2", "3"]))?;
    let packed = Batch::new()
        .compressed(Compression::Gzip)
        .values(&["4", "5", "6"]);
    write(s, &name, 0, packed.bytes())?;
    write(s, &name, 0, values(&["7", "8"]))?;
    for before in [1, 3, 5, 7, 8] {
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, before))?;
        for at in [before - 1, before, before + 1] {
            s.ask("a", "Fetch", 12, fetch(&name, 0, at))?;
        }
        look_up(s, &name, &[-2, -1, 0])?;
    }
    Ok(())
}

fn delete_records_refused(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    s.topic_with("compact", 1, &[("cleanup.policy", "compact")])?;
    s.topic_with("both", 1, &[("cleanup.policy", "compact,delete")])?;
    for name in ["compact", "both"] {
        let name = s.name(name);
        let batch = Batch::new().record(1000, Some("k"), Some("v")).bytes();
        write(s, &name, 0, batch)?;
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 1))?;
    }
    let (name, nobody) = (s.name("t"), s.name("nobody"));
    s.ask("a", "DeleteRecords", 2, delete_records(&nobody, 0, 0))?;
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 9, 0))?;
    s.ask(
        "a",
        "DeleteRecords",
        2,
        delete_records("__consumer_offsets", 0, 0),
    )?;
    s.ask(
        "a",
        "DeleteRecords",
        2,
        msg! { Topics: EMPTY, TimeoutMs: 5000 },
    )?;
    Ok(())
}

fn deleted_and_written_again(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for round in 0..3 {
        write(s, &name, 0, values(&["a", "b", "c"]))?;
        s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, -1))?;
        let at = 3 * (round + 1);
        s.ask("a", "Fetch", 12, fetch(&name, 0, at))?;
        s.ask("a", "OffsetForLeaderEpoch", 4, end_of(&name, -1, 0))?;
    }
    Ok(())
}

/// A question for the end of an epoch.
fn end_of(topic: &str, current: i32, epoch: i32) -> Value {
    let partition = msg! { Partition: 0, CurrentLeaderEpoch: current, LeaderEpoch: epoch };
    msg! { Topics: [msg! { Topic: topic, Partitions: [partition] }] }
}

fn ends_of_epochs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("An empty log.");
    for epoch in [0, 1, -1, -2] {
        s.ask("a", "OffsetForLeaderEpoch", 4, end_of(&name, -1, epoch))?;
    }
    write(s, &name, 0, values(&["a", "b"]))?;
    for epoch in [0, 1, -1, -2, i32::MAX] {
        for current in [-1, 0, 1, -2] {
            for version in [2, 4] {
                s.ask(
                    "a",
                    "OffsetForLeaderEpoch",
                    version,
                    end_of(&name, current, epoch),
                )?;
            }
        }
    }
    s.note("As a replica.");
    let partition = msg! { Partition: 0, LeaderEpoch: 0 };
    let topic = msg! { Topic: &name, Partitions: [partition] };
    for replica in [-1, -2, 1, 7] {
        let request = msg! { ReplicaId: replica, Topics: [topic.clone()] };
        s.ask("a", "OffsetForLeaderEpoch", 4, request)?;
    }
    Ok(())
}

/// A fetch by who knows epochs.
fn knowing(topic: &str, offset: i64, current: i32, last: i32) -> Value {
    let partition = msg! {
        Partition: 0,
        CurrentLeaderEpoch: current,
        FetchOffset: offset,
        LastFetchedEpoch: last,
        PartitionMaxBytes: 1000,
    };
    kit::fetch_these(topic, vec![partition])
}

fn epochs_of_fetches(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a", "b"]))?;
    for version in [9, 12] {
        for (offset, current) in [(0, 0), (0, 1), (0, -1), (0, -2), (9, 1), (9, 0)] {
            s.ask("a", "Fetch", version, knowing(&name, offset, current, -1))?;
        }
    }
    Ok(())
}

fn diverging_epochs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("An empty log.");
    for (offset, last) in [(0, 0), (0, 5), (3, 0)] {
        s.ask("a", "Fetch", 12, knowing(&name, offset, -1, last))?;
    }
    write(s, &name, 0, values(&["a", "b"]))?;
    for (what, offset, current, last) in [
        ("All is well.", 1, 0, 0),
        ("At the end.", 2, 0, 0),
        ("Behind the end.", 3, 0, 0),
        ("Far behind the end.", 300, -1, 0),
        ("An epoch that is still to come.", 1, 0, 1),
        ("Of an epoch before all.", 1, 0, -2),
        ("With a leader that is still to come.", 1, 1, 1),
    ] {
        s.note(what);
        s.ask("a", "Fetch", 12, knowing(&name, offset, current, last))?;
    }
    s.note("Below the start of the log.");
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 1))?;
    s.ask("a", "Fetch", 12, knowing(&name, 0, 0, 0))?;
    Ok(())
}
