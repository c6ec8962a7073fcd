//! Fetches that remember what was asked before, and fetches that wait.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::kit::{self, SOON, append, delete_records, fetch, fetched, from, write};
use crate::case::Case;
use crate::msg;
use crate::records::values;
use crate::session::Session;
use crate::value::{EMPTY, Value};

pub(super) fn cases() -> Vec<Case> {
    [
        (
            "full_then_incremental",
            full_then_incremental as fn(&mut Session<'_>) -> _,
        ),
        ("what_is_news", what_is_news),
        ("forgotten", forgotten),
        ("wrong_ids_and_epochs", wrong_ids_and_epochs),
        ("closed_and_replaced", closed_and_replaced),
        ("nothing_asked_for", nothing_asked_for),
        ("errors_in_a_session", errors_in_a_session),
        ("topics_deleted_in_a_session", topics_deleted),
        (
            "topics_deleted_in_a_session_by_name",
            topics_deleted_by_name,
        ),
        ("topics_unknown_to_a_session", topics_unknown),
        ("names_and_ids_mixed", names_and_ids_mixed),
        ("fairness", fairness),
        ("a_partition_twice", a_partition_twice),
        ("waits", waits),
        ("waits_that_end_early", waits_that_end_early),
        ("deleted_while_it_waits", deleted_while_it_waits),
        ("out_of_range", out_of_range),
        ("sessions_wait_too", sessions_wait_too),
    ]
    .map(|(name, steps)| Case::new("fetch_sessions", name, steps))
    .into()
}

/// A fetch in a session, of partitions of one topic.
fn within(session: i64, epoch: i32, topic: &str, partitions: Vec<Value>) -> Value {
    let topics = match partitions.is_empty() {
        true => vec![],
        false => vec![msg! { Topic: topic, Partitions: partitions }],
    };
    msg! { MinBytes: 1, SessionId: session, SessionEpoch: epoch, Topics: topics }
}

/// Opens a session by name and gives its id.
fn opened(s: &mut Session<'_>, topic: &str, partitions: Vec<Value>) -> anyhow::Result<i64> {
    let answer = s.ask("a", "Fetch", 12, within(0, 0, topic, partitions))?;
    let session = answer.int("SessionId")?;
    ensure!(session != 0, "no session: {answer}");
    Ok(session)
}

fn full_then_incremental(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    for version in [7, 11, 12] {
        let both = vec![from(0, 0), from(1, 0)];
        let answer = s.ask("a", "Fetch", version, within(0, 0, &name, both))?;
        let session = answer.int("SessionId")?;
        s.note("It asks for what it did not move on from, again,");
        s.ask("a", "Fetch", version, within(session, 1, &name, vec![]))?;
        s.note("and then moves on.");
        s.ask(
            "a",
            "Fetch",
            version,
            within(session, 2, &name, vec![from(0, 1)]),
        )?;
        s.ask("a", "Fetch", version, within(session, 3, &name, vec![]))?;
    }
    Ok(())
}

fn what_is_news(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a", "b"]))?;
    let session = opened(s, &name, vec![from(0, 2), from(1, 0)])?;
    s.note("Nothing is.");
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.note("Records are.");
    write(s, &name, 0, values(&["c"]))?;
    s.ask("a", "Fetch", 12, within(session, 2, &name, vec![]))?;
    s.note("They were told, and are told until it moves on.");
    s.ask("a", "Fetch", 12, within(session, 3, &name, vec![]))?;
    s.ask(
        "a",
        "Fetch",
        12,
        within(session, 4, &name, vec![from(0, 3)]),
    )?;
    s.note("A new start of the log is, once.");
    s.ask("b", "DeleteRecords", 2, delete_records(&name, 0, 2))?;
    s.ask("a", "Fetch", 12, within(session, 5, &name, vec![]))?;
    s.ask("a", "Fetch", 12, within(session, 6, &name, vec![]))?;
    s.note("What does not fit is not.");
    write(s, &name, 1, values(&["d"]))?;
    let tiny = msg! { Partition: 1, FetchOffset: 1, PartitionMaxBytes: 1 };
    s.ask("a", "Fetch", 12, within(session, 7, &name, vec![tiny]))?;
    s.ask("a", "Fetch", 12, within(session, 8, &name, vec![]))?;
    Ok(())
}

fn forgotten(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 3)?;
    let name = s.name("t");
    let session = opened(s, &name, vec![from(0, 0), from(1, 0)])?;
    let forget = |epoch: i32, add: Vec<Value>, partitions: Value| {
        let topics = match add.is_empty() {
            true => vec![],
            false => vec![msg! { Topic: &name, Partitions: add }],
        };
        msg! {
            MinBytes: 1,
            SessionId: session,
            SessionEpoch: epoch,
            Topics: topics,
            ForgottenTopicsData: [msg! { Topic: &name, Partitions: partitions }],
        }
    };
    for index in 0..3 {
        write(s, &name, index, values(&["a"]))?;
    }
    s.note("One goes, another comes.");
    s.ask("a", "Fetch", 12, forget(1, vec![from(2, 0)], [0].into()))?;
    s.note("One that is not there goes, and one that comes in the same request.");
    s.ask("a", "Fetch", 12, forget(2, vec![from(0, 0)], [0, 9].into()))?;
    s.note("All go, and the session with them.");
    s.ask("a", "Fetch", 12, forget(3, vec![], [1, 2].into()))?;
    s.ask("a", "Fetch", 12, within(session, 4, &name, vec![]))?;
    Ok(())
}

fn wrong_ids_and_epochs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let session = opened(s, &name, vec![from(0, 0)])?;
    s.note("An id that is none, and no id.");
    let other = if session == 1 { 2 } else { 1 };
    s.ask("a", "Fetch", 12, within(other, 1, &name, vec![]))?;
    s.ask("a", "Fetch", 12, within(0, 1, &name, vec![from(0, 0)]))?;
    s.note("Epochs that are not the next, after which the next is still it.");
    for epoch in [2, i32::MAX, -2] {
        s.ask("a", "Fetch", 12, within(session, epoch, &name, vec![]))?;
    }
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.ask("b", "Fetch", 12, within(session, 2, &name, vec![]))?;
    Ok(())
}

fn closed_and_replaced(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let session = opened(s, &name, vec![from(0, 0)])?;
    s.note("The last request of a session.");
    s.ask(
        "a",
        "Fetch",
        12,
        within(session, -1, &name, vec![from(0, 0)]),
    )?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.note("A session instead of another one.");
    let session = opened(s, &name, vec![from(0, 0)])?;
    let answer = s.ask(
        "a",
        "Fetch",
        12,
        within(session, 0, &name, vec![from(0, 0)]),
    )?;
    let next = answer.int("SessionId")?;
    ensure!(next != session, "{answer}");
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.ask("a", "Fetch", 12, within(next, 1, &name, vec![]))?;
    s.note("Instead of one that is not there.");
    let other = if next == 1 { 2 } else { 1 };
    s.ask("a", "Fetch", 12, within(other, 0, &name, vec![from(0, 0)]))?;
    Ok(())
}

fn nothing_asked_for(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for epoch in [-1, 0] {
        for version in [7, 12, 13, 18] {
            s.ask("a", "Fetch", version, within(0, epoch, &name, vec![]))?;
        }
    }
    s.note("A session of nothing, which is asked for something.");
    let answer = s.ask("a", "Fetch", 12, within(0, 0, &name, vec![]))?;
    let session = answer.int("SessionId")?;
    s.ask(
        "a",
        "Fetch",
        12,
        within(session, 1, &name, vec![from(0, 0)]),
    )?;
    s.note("It waits for nothing.");
    let began = Instant::now();
    s.ask(
        "a",
        "Fetch",
        12,
        msg! { MaxWaitMs: 5000, MinBytes: 1, Topics: EMPTY },
    )?;
    ensure!(began.elapsed() < Duration::from_secs(4), "it waits");
    Ok(())
}

fn errors_in_a_session(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    let session = opened(s, &name, vec![from(0, 1), from(7, 0)])?;
    s.note("An error is told each time.");
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.ask(
        "a",
        "Fetch",
        12,
        within(session, 2, &name, vec![from(0, 5)]),
    )?;
    s.note("And all is told when it is over.");
    s.ask(
        "a",
        "Fetch",
        12,
        within(session, 3, &name, vec![from(0, 1)]),
    )?;
    s.ask("a", "Fetch", 12, within(session, 4, &name, vec![]))?;
    s.note("Epochs of leaders are kept as they were given.");
    let ahead = msg! {
        Partition: 0,
        FetchOffset: 1,
        CurrentLeaderEpoch: 9,
        PartitionMaxBytes: 100,
    };
    s.ask("a", "Fetch", 12, within(session, 5, &name, vec![ahead]))?;
    s.ask("a", "Fetch", 12, within(session, 6, &name, vec![]))?;
    Ok(())
}

/// A fetch in a session, by the id of a topic.
fn within_by_id(session: i64, epoch: i32, topics: Vec<([u8; 16], Vec<Value>)>) -> Value {
    let topics = topics.into_iter();
    let topics = topics.map(|(id, partitions)| msg! { TopicId: id, Partitions: partitions });
    msg! {
        MinBytes: 1,
        SessionId: session,
        SessionEpoch: epoch,
        Topics: topics.collect::<Vec<_>>(),
    }
}

/// Deletes a topic, and waits until nobody knows it.
fn deleted(s: &mut Session<'_>, name: &str) -> anyhow::Result<()> {
    s.ask("b", "DeleteTopics", 5, kit::delete_topic(name))?;
    let gone = |answer: &Value| {
        answer
            .int("Topics[0].ErrorCode")
            .is_ok_and(|code| code == 3)
    };
    let answer = s.ask_until("b", "Metadata", 12, kit::metadata(name), gone)?;
    ensure!(gone(&answer), "it is still there: {answer}");
    Ok(())
}

fn topics_deleted(s: &mut Session<'_>) -> anyhow::Result<()> {
    let old = s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    let request = within_by_id(0, 0, vec![(old, vec![from(0, 1)])]);
    let answer = s.ask("a", "Fetch", 13, request)?;
    let session = answer.int("SessionId")?;
    deleted(s, &name)?;
    s.note("The topic is gone.");
    s.ask("a", "Fetch", 13, within_by_id(session, 1, vec![]))?;
    let new = s.topic("t", 1)?;
    write(s, &name, 0, values(&["b", "c"]))?;
    s.note("Another one has its name.");
    s.ask("a", "Fetch", 13, within_by_id(session, 2, vec![]))?;
    s.note("It is asked for besides, and then instead.");
    let request = within_by_id(session, 3, vec![(new, vec![from(0, 0)])]);
    s.ask("a", "Fetch", 13, request)?;
    let forget = msg! {
        MinBytes: 1,
        SessionId: session,
        SessionEpoch: 4,
        Topics: EMPTY,
        ForgottenTopicsData: [msg! { TopicId: old, Partitions: [0] }],
    };
    s.ask("a", "Fetch", 13, forget)?;
    s.note("Without a session the old id is unknown.");
    let request = within_by_id(0, -1, vec![(old, vec![from(0, 0)])]);
    s.ask("a", "Fetch", 13, request)?;
    Ok(())
}

fn topics_deleted_by_name(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    let session = opened(s, &name, vec![from(0, 1)])?;
    deleted(s, &name)?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.topic("t", 1)?;
    s.note("Another one has its name, and is shorter.");
    s.ask("a", "Fetch", 12, within(session, 2, &name, vec![]))?;
    write(s, &name, 0, values(&["b", "c"]))?;
    s.ask("a", "Fetch", 12, within(session, 3, &name, vec![]))?;
    Ok(())
}

fn topics_unknown(s: &mut Session<'_>) -> anyhow::Result<()> {
    let known = s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    let topics = vec![
        (kit::NOBODYS, vec![from(0, 0)]),
        (known, vec![from(0, 1), from(3, 0)]),
    ];
    for version in [13, 18] {
        let answer = s.ask("a", "Fetch", version, within_by_id(0, 0, topics.clone()))?;
        let session = answer.int("SessionId")?;
        s.ask("a", "Fetch", version, within_by_id(session, 1, vec![]))?;
    }
    s.note("By name: one that comes later.");
    let later = s.name("later");
    let session = opened(s, &later, vec![from(0, 0)])?;
    s.topic("later", 1)?;
    write(s, &later, 0, values(&["a"]))?;
    s.ask("a", "Fetch", 12, within(session, 1, &later, vec![]))?;
    s.note("No id.");
    let request = within_by_id(0, -1, vec![([0; 16], vec![from(0, 0)])]);
    s.ask("a", "Fetch", 13, request)?;
    Ok(())
}

fn names_and_ids_mixed(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let session = opened(s, &name, vec![from(0, 0)])?;
    s.note("Ids in a session of names.");
    s.ask("a", "Fetch", 13, within_by_id(session, 1, vec![]))?;
    let request = within_by_id(session, 1, vec![(id, vec![from(0, 0)])]);
    s.ask("a", "Fetch", 13, request)?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.note("Names in a session of ids.");
    let request = within_by_id(0, 0, vec![(id, vec![from(0, 0)])]);
    let answer = s.ask("a", "Fetch", 13, request)?;
    let session = answer.int("SessionId")?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, vec![]))?;
    s.ask("a", "Fetch", 13, within_by_id(session, 1, vec![]))?;
    Ok(())
}

fn fairness(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 3)?;
    let name = s.name("t");
    let long = "x".repeat(500);
    for index in 0..3 {
        for _ in 0..3 {
            write(s, &name, index, values(&[&long]))?;
        }
    }
    let partitions = (0..3).map(|index| from(index, 0)).collect();
    let tight = |session: i64, epoch: i32, partitions: Vec<Value>| {
        let topics = match partitions.is_empty() {
            true => vec![],
            false => vec![msg! { Topic: &name, Partitions: partitions }],
        };
        msg! {
            MinBytes: 1,
            MaxBytes: 1,
            SessionId: session,
            SessionEpoch: epoch,
            Topics: topics,
        }
    };
    s.note("There is room for one, and whoever got something is last the next time.");
    let answer = s.ask("a", "Fetch", 12, tight(0, 0, partitions))?;
    let session = answer.int("SessionId")?;
    for epoch in 1..5 {
        s.ask("a", "Fetch", 12, tight(session, epoch, vec![]))?;
    }
    Ok(())
}

fn a_partition_twice(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    write(s, &name, 0, values(&["b"]))?;
    let twice = vec![from(0, 0), from(0, 1)];
    s.ask("a", "Fetch", 12, within(0, -1, &name, twice.clone()))?;
    let session = opened(s, &name, twice.clone())?;
    s.ask("a", "Fetch", 12, within(session, 1, &name, twice))?;
    s.note("The topic twice.");
    let topic = |offset: i64| msg! { Topic: &name, Partitions: [from(0, offset)] };
    s.ask(
        "a",
        "Fetch",
        12,
        msg! { MinBytes: 1, Topics: [topic(1), topic(0)] },
    )?;
    Ok(())
}

/// A fetch of partition 0 that waits.
fn patient(topic: &str, offset: i64, ms: i32, bytes: i32) -> Value {
    let topic = msg! { Topic: topic, Partitions: [from(0, offset)] };
    msg! { MaxWaitMs: ms, MinBytes: bytes, Topics: [topic] }
}

fn waits(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    for (what, ms, bytes, shortest) in [
        ("No bytes are as good as any.", 5000, 0, 0),
        ("No time.", 0, 1, 0),
        ("Less than no time.", -1, 1, 0),
        ("Half a second.", 500, 1, 500),
    ] {
        s.note(what);
        let began = Instant::now();
        s.ask("a", "Fetch", 12, patient(&name, 0, ms, bytes))?;
        let took = began.elapsed().as_millis();
        ensure!(
            (shortest..shortest + 3000).contains(&took),
            "it took {took} ms"
        );
    }
    s.note("Bytes of two partitions count together.");
    let topic = msg! { Topic: &name, Partitions: [from(0, 0), from(1, 0)] };
    let request = msg! { MaxWaitMs: 60_000, MinBytes: 100, Topics: [topic] };
    s.send("a", "Fetch", 12, request)?;
    s.ask("b", "Produce", 9, append(&name, 0, values(&["a"])))?;
    s.receive_within("a", SOON)?;
    s.ask("b", "Produce", 9, append(&name, 1, values(&["b"])))?;
    s.receive("a")?;
    s.note("More bytes than may be given are no reason to wait.");
    let topic = msg! { Topic: &name, Partitions: [from(0, 0)] };
    let request = msg! { MaxWaitMs: 60_000, MinBytes: 1000, MaxBytes: 50, Topics: [topic] };
    s.ask("a", "Fetch", 12, request)?;
    Ok(())
}

fn waits_that_end_early(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    s.note("The offset is out of range.");
    s.ask("a", "Fetch", 12, patient(&name, 9, 60_000, 1))?;
    s.note("The topic is deleted.");
    s.send("c", "Fetch", 12, patient(&name, 1, 60_000, 1000))?;
    s.receive_within("c", SOON)?;
    s.ask("b", "DeleteTopics", 5, kit::delete_topic(&name))?;
    s.receive("c")?;
    s.note("A connection that closes while its fetch waits disturbs nobody.");
    s.topic("u", 1)?;
    let other = s.name("u");
    s.send("d", "Fetch", 12, patient(&other, 0, 60_000, 1))?;
    s.disconnect("d");
    write(s, &other, 0, values(&["a"]))?;
    s.ask("a", "Fetch", 12, fetch(&other, 0, 0))?;
    Ok(())
}

fn deleted_while_it_waits(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a", "b", "c"]))?;
    s.note("What it waits for is no longer in the log.");
    s.send("a", "Fetch", 12, patient(&name, 0, 60_000, 1000))?;
    s.receive_within("a", SOON)?;
    s.ask("b", "DeleteRecords", 2, delete_records(&name, 0, 2))?;
    s.receive_within("a", SOON)?;
    Ok(())
}

fn out_of_range(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    for offset in [0, 1, -1] {
        s.ask("a", "Fetch", 12, fetch(&name, 0, offset))?;
    }
    write(s, &name, 0, values(&["a", "b", "c"]))?;
    s.ask("b", "DeleteRecords", 2, delete_records(&name, 0, 2))?;
    for version in [4, 12] {
        for offset in [-1, 0, 1, 2, 3, 4, i64::MAX, i64::MIN] {
            s.ask("a", "Fetch", version, fetch(&name, 0, offset))?;
        }
    }
    Ok(())
}

fn sessions_wait_too(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let name = s.name("t");
    let session = opened(s, &name, vec![from(0, 0), from(1, 0)])?;
    let request = msg! {
        MaxWaitMs: 60_000,
        MinBytes: 1,
        SessionId: session,
        SessionEpoch: 1,
        Topics: EMPTY,
    };
    s.send("a", "Fetch", 12, request)?;
    s.receive_within("a", SOON)?;
    s.ask("b", "Produce", 9, append(&name, 1, values(&["a"])))?;
    let answer = s.receive("a")?;
    ensure!(!fetched(&answer)?.is_empty(), "{answer}");
    s.note("A change that brings no bytes does not end the wait.");
    let request = msg! {
        MaxWaitMs: 700,
        MinBytes: 1,
        SessionId: session,
        SessionEpoch: 2,
        Topics: [msg! { Topic: &name, Partitions: [from(1, 1)] }],
    };
    s.send("a", "Fetch", 12, request)?;
    s.ask("b", "DeleteRecords", 2, delete_records(&name, 1, 1))?;
    s.receive("a")?;
    Ok(())
}
