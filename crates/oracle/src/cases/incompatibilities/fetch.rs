//! 42 to 54: what a fetch gives.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::case;
use crate::case::Case;
use crate::cases::kit::{self, append, fetch, fetch_error, fetch_these, fetched, from, write};
use crate::connection::PATIENCE;
use crate::msg;
use crate::records::values;
use crate::session::Session;
use crate::value::Value;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_042_fetch_offset_inside_a_batch", offset_inside_a_batch),
        case("inc_043_no_preferred_replica", no_preferred_replica),
        case("inc_044_flexible_fetches", flexible_fetches),
        case("inc_045_fetch_tells_the_log_start", tells_the_log_start),
        case("inc_046_waiting_for_bytes", waiting_for_bytes),
        case("inc_047_limits_of_bytes", limits_of_bytes),
        case(
            "inc_048_aborted_transactions_are_listed_for_some",
            aborted_transactions,
        ),
        case(
            "inc_051_an_empty_log_read_committed",
            empty_log_read_committed,
        ),
        case("inc_054_a_thousand_partitions", a_thousand_partitions),
    ]
}

fn offset_inside_a_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["0", "1", "2", "3", "4"]))?;
    write(s, &name, 0, values(&["5", "6"]))?;
    for (offset, base) in [(0, 0_i64), (1, 0), (3, 0), (4, 0), (5, 5), (6, 5)] {
        let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, offset))?;
        ensure!(
            fetched(&answer)?[..8] == base.to_be_bytes(),
            "{offset}: {answer}"
        );
    }
    let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 7))?;
    ensure!(fetched(&answer)?.is_empty(), "{answer}");
    Ok(())
}

fn no_preferred_replica(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    for rack in ["", "somewhere"] {
        for version in [11, 12] {
            let topic = msg! { Topic: &name, Partitions: [from(0, 0)] };
            let request = msg! { MinBytes: 1, Topics: [topic], RackId: rack };
            let answer = s.ask("a", "Fetch", version, request)?;
            let preferred = answer.int("Responses[0].Partitions[0].PreferredReadReplica")?;
            ensure!(preferred == -1 && !fetched(&answer)?.is_empty(), "{answer}");
        }
    }
    Ok(())
}

fn flexible_fetches(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    for version in 12..=18 {
        let topic = msg! { Topic: &name, TopicId: id, Partitions: [from(0, 0)] };
        let request = msg! { MinBytes: 1, SessionEpoch: 0, Topics: [topic] };
        let answer = s.ask("a", "Fetch", version, request)?;
        let session = answer.int("SessionId")?;
        ensure!(
            session != 0 && !fetched(&answer)?.is_empty(),
            "v{version}: {answer}"
        );
        let topic = msg! { Topic: &name, TopicId: id, Partitions: [from(0, 1)] };
        let request = msg! {
            MinBytes: 1,
            SessionId: session,
            SessionEpoch: 1,
            Topics: [topic],
        };
        let answer = s.ask("a", "Fetch", version, request)?;
        ensure!(
            answer.array("Responses")?.is_empty(),
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn tells_the_log_start(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a", "b", "c", "d"]))?;
    for (before, start) in [(0, 0), (2, 2), (4, 4)] {
        let answer = s.ask(
            "a",
            "DeleteRecords",
            2,
            kit::delete_records(&name, 0, before),
        )?;
        ensure!(
            answer.int("Topics[0].Partitions[0].ErrorCode")? == 0,
            "{answer}"
        );
        for version in [5, 12] {
            let answer = s.ask("a", "Fetch", version, fetch(&name, 0, 4))?;
            let told = answer.int("Responses[0].Partitions[0].LogStartOffset")?;
            ensure!(told == start, "{answer}");
        }
    }
    Ok(())
}

fn waiting_for_bytes(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let wait = |ms: i32, bytes: i32| {
        let topic = msg! { Topic: &name, Partitions: [from(0, 0)] };
        msg! { MaxWaitMs: ms, MinBytes: bytes, Topics: [topic] }
    };
    s.note("Nothing comes, so the answer is empty, and late.");
    let began = Instant::now();
    let answer = s.ask("a", "Fetch", 12, wait(500, 1))?;
    ensure!(
        fetched(&answer)?.is_empty() && fetch_error(&answer)? == 0,
        "{answer}"
    );
    let late = began.elapsed();
    ensure!((500..3000).contains(&late.as_millis()), "it took {late:?}");
    s.note("Records come, so the answer does not wait for its time.");
    s.send("a", "Fetch", 12, wait(60_000, 1))?;
    let answer = s.receive_within("a", Duration::from_millis(200))?;
    ensure!(answer.is_null(), "{answer}");
    s.ask("b", "Produce", 9, append(&name, 0, values(&["a"])))?;
    let answer = s.receive("a")?;
    ensure!(!fetched(&answer)?.is_empty(), "{answer}");
    s.note("Too few come, and then enough.");
    s.send("a", "Fetch", 12, wait(60_000, 200))?;
    s.ask("b", "Produce", 9, append(&name, 0, values(&["b"])))?;
    let answer = s.receive_within("a", Duration::from_millis(200))?;
    ensure!(answer.is_null(), "{answer}");
    s.ask("b", "Produce", 9, append(&name, 0, values(&["c"])))?;
    let answer = s.receive("a")?;
    ensure!(fetched(&answer)?.len() > 200, "{answer}");
    Ok(())
}

fn limits_of_bytes(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    let long = "x".repeat(1000);
    for index in [0, 1] {
        for _ in 0..4 {
            write(s, &name, index, values(&[&long]))?;
        }
    }
    let whole = |bytes: Vec<u8>| {
        let batches = ottla_protocol::records::batches(bytes.into());
        batches.filter(Result::is_ok).count()
    };
    let ask = |each: i32, all: i32| {
        let partition = |index: i32| {
            msg! { Partition: index, FetchOffset: 0, PartitionMaxBytes: each }
        };
        let topic = msg! { Topic: &name, Partitions: [partition(0), partition(1)] };
        msg! { MinBytes: 1, MaxBytes: all, Topics: [topic] }
    };
    for (each, all, expected) in [
        (1 << 20, 1 << 20, [4, 4]),
        (2500, 1 << 20, [2, 2]),
        // The first batch is given however large it is, once.
        (1, 1 << 20, [1, 0]),
        (1 << 20, 1, [1, 0]),
        (0, 0, [1, 0]),
        (1 << 20, 5000, [4, 0]),
    ] {
        let answer = s.setup("Fetch", 12, ask(each, all))?;
        let of = |index: usize| answer.bytes(&format!("Responses[0].Partitions[{index}].Records"));
        let given = [whole(of(0)?), whole(of(1)?)];
        s.note(&format!(
            "{each} bytes each, {all} in all: {given:?} batches."
        ));
        ensure!(given == expected, "{each} and {all} give {given:?}");
    }
    Ok(())
}

fn isolated(topic: &str, level: i8) -> Value {
    let topic = msg! { Topic: topic, Partitions: [from(0, 0)] };
    msg! { MinBytes: 1, IsolationLevel: level, Topics: [topic] }
}

fn aborted_transactions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    for version in [4, 11, 12] {
        let path = "Responses[0].Partitions[0].AbortedTransactions";
        let answer = s.ask("a", "Fetch", version, isolated(&name, 0))?;
        ensure!(answer.at(path)?.is_null(), "v{version}: {answer}");
        let answer = s.ask("a", "Fetch", version, isolated(&name, 1))?;
        ensure!(answer.array(path)?.is_empty(), "v{version}: {answer}");
        ensure!(!fetched(&answer)?.is_empty(), "v{version}: {answer}");
    }
    Ok(())
}

fn empty_log_read_committed(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let answer = s.ask("a", "Fetch", 12, isolated(&name, 1))?;
    ensure!(
        fetch_error(&answer)? == 0 && fetched(&answer)?.is_empty(),
        "{answer}"
    );
    s.note("Emptied.");
    write(s, &name, 0, values(&["a"]))?;
    s.ask("a", "DeleteRecords", 2, kit::delete_records(&name, 0, -1))?;
    let topic = msg! { Topic: &name, Partitions: [from(0, 1)] };
    let request = msg! { MinBytes: 1, IsolationLevel: 1, Topics: [topic] };
    let answer = s.ask("a", "Fetch", 12, request)?;
    ensure!(
        fetch_error(&answer)? == 0 && fetched(&answer)?.is_empty(),
        "{answer}"
    );
    Ok(())
}

fn a_thousand_partitions(s: &mut Session<'_>) -> anyhow::Result<()> {
    const MANY: i32 = 1_100;
    s.topic("t", MANY)?;
    let name = s.name("t");
    let batches = (0..MANY).map(|index| (index, values(&["a"])));
    let answer = s.setup("Produce", 9, kit::append_by(1, &name, batches.collect()))?;
    let written = answer.array("Responses[0].PartitionResponses")?;
    for partition in written {
        ensure!(partition.int("ErrorCode")? == 0, "{partition}");
    }
    let began = Instant::now();
    let partitions = (0..MANY).map(|index| from(index, 0)).collect();
    let answer = s.setup("Fetch", 12, fetch_these(&name, partitions))?;
    let given = answer.array("Responses[0].Partitions")?;
    ensure!(
        given.len() == usize::try_from(MANY)?,
        "{} partitions",
        given.len()
    );
    for partition in given {
        ensure!(!partition.bytes("Records")?.is_empty(), "{partition}");
    }
    ensure!(began.elapsed() < PATIENCE, "it took {:?}", began.elapsed());
    let answer = s.setup("Metadata", 12, kit::metadata(&name))?;
    ensure!(
        answer.array("Topics[0].Partitions")?.len() == given.len(),
        "Metadata knows fewer"
    );
    s.note("Each gets a record by one produce, and one fetch reads them all.");
    Ok(())
}
