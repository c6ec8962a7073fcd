//! 56 to 66: offsets by time, and offsets that groups commit.

use std::time::Duration;

use anyhow::ensure;

use super::case;
use crate::broker::Setting;
use crate::case::Case;
use crate::cases::kit::{
    self, Join, Member, SOON, commit, committed, committed_offset, delete_records, fetch, fetched,
    group_of_one, offset, offset_at, write,
};
use crate::msg;
use crate::records::{Batch, values};
use crate::session::Session;
use crate::value::{NULL, Value};

/// Expired offsets go at once.
const SWEPT: &[Setting] = &[("offsets.retention.check.interval.ms", "100")];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_056_a_time_inside_a_batch", time_inside_a_batch),
        case("inc_057_a_time_after_the_last_record", time_after_the_last),
        case("inc_058_list_offsets_0_is_gone", list_offsets_0),
        case("inc_059_list_offsets_by_isolation", by_isolation),
        case("inc_060_times_that_do_not_rise", times_that_do_not_rise),
        case("inc_061_deletion_inside_a_batch", deletion_inside_a_batch),
        case("inc_062_metadata_of_commits", metadata_of_commits),
        case("inc_063_all_offsets_of_a_group", all_offsets),
        case("inc_065_errors_of_leader_epochs", errors_of_leader_epochs),
        case("inc_066_commits_beside_members", commits_beside_members),
        case("inc_066_offsets_of_empty_groups_expire", offsets_expire).with(SWEPT),
    ]
}

/// A batch of records with these times.
fn timed(times: &[i64]) -> Vec<u8> {
    let batch = times.iter().fold(Batch::new(), |batch, time| {
        batch.record(*time, None, Some("a"))
    });
    batch.bytes()
}

/// Asks for the offsets of times, each of which must be the one beside it.
fn check_times(s: &mut Session<'_>, name: &str, times: &[(i64, i64)]) -> anyhow::Result<()> {
    for (time, expected) in times {
        let answer = s.ask("a", "ListOffsets", 7, offset_at(name, 0, *time))?;
        ensure!(offset(&answer)? == *expected, "{time}: {answer}");
    }
    Ok(())
}

fn time_inside_a_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, timed(&[10, 20, 30, 40]))?;
    write(s, &name, 0, timed(&[50, 60]))?;
    check_times(
        s,
        &name,
        &[
            (0, 0),
            (10, 0),
            (11, 1),
            (25, 2),
            (30, 2),
            (31, 3),
            (41, 4),
            (50, 4),
            (60, 5),
        ],
    )
}

fn time_after_the_last(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, timed(&[10, 20]))?;
    for version in [1, 2, 4, 7] {
        let answer = s.ask("a", "ListOffsets", version, offset_at(&name, 0, 21))?;
        ensure!(offset(&answer)? == -1, "v{version}: {answer}");
        ensure!(
            answer.int("Topics[0].Partitions[0].Timestamp")? == -1,
            "v{version}: {answer}"
        );
        ensure!(
            answer.int("Topics[0].Partitions[0].ErrorCode")? == 0,
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn list_offsets_0(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let mut frame = s.frame("ListOffsets", 1, &offset_at(&s.name("t"), 0, -1))?;
    frame[6..8].copy_from_slice(&[0, 0]);
    let answer = s.ask_bytes("a", "ListOffsets 0", &frame, None, SOON)?;
    ensure!(answer.is_null(), "it is answered");
    let answer = s.setup("ApiVersions", 0, msg! {})?;
    let mut keys = answer.array("ApiKeys")?.iter();
    let lowest = keys.find(|key| key.int("ApiKey").is_ok_and(|key| key == 2));
    ensure!(
        lowest.is_some_and(|key| key.int("MinVersion").is_ok_and(|low| low == 1)),
        "{answer}"
    );
    Ok(())
}

fn by_isolation(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, timed(&[10, 20]))?;
    for level in [0, 1] {
        for (time, expected) in [(-1, 2), (-2, 0), (20, 1), (-3, 1)] {
            let partition = msg! { PartitionIndex: 0, Timestamp: time };
            let topic = msg! { Name: &name, Partitions: [partition] };
            let request = msg! { ReplicaId: -1, IsolationLevel: level, Topics: [topic] };
            let answer = s.ask("a", "ListOffsets", 7, request)?;
            ensure!(offset(&answer)? == expected, "{level}, {time}: {answer}");
        }
    }
    Ok(())
}

fn times_that_do_not_rise(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    s.note("An empty log.");
    check_times(s, &name, &[(0, -1), (-3, -1), (-1, 0), (-2, 0)])?;
    write(s, &name, 0, timed(&[50, 10]))?;
    write(s, &name, 0, timed(&[30]))?;
    write(s, &name, 0, timed(&[20, 70, 40]))?;
    write(s, &name, 0, timed(&[60, 70]))?;
    s.note("The first record at or after a time, whatever comes behind it.");
    check_times(
        s,
        &name,
        &[
            (0, 0),
            (10, 0),
            (30, 0),
            (50, 0),
            (51, 4),
            (60, 4),
            (70, 4),
            (71, -1),
            (-3, 4),
        ],
    )?;
    s.note("What is deleted is not found.");
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 1))?;
    check_times(s, &name, &[(0, 1), (11, 2), (50, 4)])?;
    s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, -1))?;
    check_times(s, &name, &[(0, -1), (-1, 8), (-2, 8)])
}

fn deletion_inside_a_batch(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(
        s,
        &name,
        0,
        values(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    )?;
    let answer = s.ask("a", "DeleteRecords", 2, delete_records(&name, 0, 5))?;
    ensure!(
        answer.int("Topics[0].Partitions[0].LowWatermark")? == 5,
        "{answer}"
    );
    check_times(s, &name, &[(-2, 5), (-1, 10), (0, 5), (1007, 7)])?;
    s.note("The whole batch comes, from which a client takes what it asked for.");
    for at in [5, 7] {
        let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, at))?;
        ensure!(fetched(&answer)?[..8] == [0; 8], "{answer}");
    }
    let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 4))?;
    ensure!(kit::fetch_error(&answer)? == 1, "{answer}");
    Ok(())
}

fn metadata_of_commits(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    for metadata in [
        Value::from("about this"),
        Value::from("ünï-cødé"),
        Value::from(""),
        NULL,
    ] {
        let is_null = metadata.is_null();
        let expected = if is_null {
            String::new()
        } else {
            msg! { It: &metadata }.text("It")?
        };
        let partition = msg! {
            PartitionIndex: 0,
            CommittedOffset: 7,
            CommittedMetadata: metadata,
        };
        let topic = msg! { Name: &name, Partitions: [partition] };
        let request = msg! { GroupId: &group, Topics: [topic] };
        let answer = s.ask("a", "OffsetCommit", 8, request)?;
        ensure!(committed(&answer)? == 0, "{answer}");
        let answer = s.ask("a", "OffsetFetch", 8, committed_offset(&group, &name))?;
        let told = answer.text("Groups[0].Topics[0].Partitions[0].Metadata")?;
        ensure!(told == expected, "{answer}");
    }
    Ok(())
}

fn all_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    for (topic, offset) in [("t", 3), ("u", 4)] {
        s.topic(topic, 1)?;
        let name = s.name(topic);
        s.setup("OffsetCommit", 8, commit(&group, -1, "", &name, offset))?;
    }
    for version in 2..=7 {
        for stable in [false, true] {
            if stable && version < 7 {
                continue;
            }
            let request = msg! { GroupId: &group, Topics: NULL, RequireStable: stable };
            let answer = s.ask("a", "OffsetFetch", version, request)?;
            ensure!(answer.array("Topics")?.len() == 2, "v{version}: {answer}");
        }
    }
    for version in 8..=9 {
        let groups = [&group, &s.name("nobody")].map(|group| {
            msg! { GroupId: group, Topics: NULL }
        });
        let request = msg! { Groups: groups, RequireStable: true };
        let answer = s.ask("a", "OffsetFetch", version, request)?;
        ensure!(
            answer.array("Groups[0].Topics")?.len() == 2,
            "v{version}: {answer}"
        );
        ensure!(
            answer.array("Groups[1].Topics")?.is_empty(),
            "v{version}: {answer}"
        );
        ensure!(
            answer.int("Groups[0].ErrorCode")? == 0,
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn errors_of_leader_epochs(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    write(s, &name, 0, values(&["a"]))?;
    let ask = |name: &str, index: i32, current: i32, epoch: i32| {
        let partition = msg! { Partition: index, CurrentLeaderEpoch: current, LeaderEpoch: epoch };
        msg! { Topics: [msg! { Topic: name, Partitions: [partition] }] }
    };
    for (what, request, code) in [
        ("A topic that is not there.", ask(&s.name("u"), 0, -1, 0), 3),
        ("A partition that is not there.", ask(&name, 9, -1, 0), 3),
        ("A leader that is still to come.", ask(&name, 0, 5, 0), 75),
        ("An epoch that is still to come.", ask(&name, 0, -1, 5), 0),
        ("No epoch.", ask(&name, 0, -1, -1), 0),
        ("All is well.", ask(&name, 0, 0, 0), 0),
    ] {
        s.note(what);
        for version in [2, 4] {
            let answer = s.ask("a", "OffsetForLeaderEpoch", version, request.clone())?;
            let told = answer.int("Topics[0].Partitions[0].ErrorCode")?;
            ensure!(told == code, "v{version}: {answer}");
        }
    }
    Ok(())
}

fn commits_beside_members(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    let member = group_of_one(s, &Join::new(&group))?;
    s.note("A member is there, so nobody else commits.");
    let answer = s.ask("b", "OffsetCommit", 8, commit(&group, -1, "", &name, 1))?;
    ensure!(committed(&answer)? == 25, "{answer}");
    let answer = s.ask("a", "OffsetCommit", 8, member.commit(&name, 2))?;
    ensure!(committed(&answer)? == 0, "{answer}");
    s.note("It is gone, so who manages offsets may.");
    s.ask("a", "LeaveGroup", 4, member.leave())?;
    let answer = s.ask("b", "OffsetCommit", 8, commit(&group, -1, "", &name, 3))?;
    ensure!(committed(&answer)? == 0, "{answer}");
    let answer = s.ask("b", "OffsetFetch", 8, committed_offset(&group, &name))?;
    let told = answer.int("Groups[0].Topics[0].Partitions[0].CommittedOffset")?;
    ensure!(told == 3, "{answer}");
    s.note("The member that left may not.");
    let answer = s.ask("a", "OffsetCommit", 8, member.commit(&name, 4))?;
    ensure!(committed(&answer)? == 25, "{answer}");
    Ok(())
}

/// A subscription as consumers send it, to one topic.
fn subscription(topic: &str) -> Vec<u8> {
    let length = i16::try_from(topic.len()).expect("a short name");
    [
        &[0, 0, 0, 0, 0, 1][..],
        &length.to_be_bytes(),
        topic.as_bytes(),
        &[0xff; 4],
    ]
    .concat()
}

/// A commit that expires in a millisecond.
fn short_lived(group: &str, generation: i64, member: &str, topics: &[&str]) -> Value {
    let topics = topics.iter().map(|topic| {
        let partition = msg! { PartitionIndex: 0, CommittedOffset: 1 };
        msg! { Name: *topic, Partitions: [partition] }
    });
    msg! {
        GroupId: group,
        GenerationIdOrMemberEpoch: generation,
        MemberId: member,
        RetentionTimeMs: 1,
        Topics: topics.collect::<Vec<_>>(),
    }
}

fn offsets_expire(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    s.topic("unread", 1)?;
    let (name, unread) = (s.name("t"), s.name("unread"));
    let (active, simple) = (s.name("active"), s.name("simple"));
    let metadata = subscription(&name);
    let mut join = Join::new(&active);
    let protocols: [(&str, &[u8]); 1] = [("range", &metadata)];
    join.protocols = &protocols;
    // Without an id, so that the group is at no time empty and swept away.
    let joined = s.setup("JoinGroup", 3, join.request())?;
    let member = Member::of(&active, &joined)?;
    s.setup("SyncGroup", 3, member.sync(&[]))?;
    let generation = member.generation;
    let both = [&*name, &*unread];
    let answer = s.ask(
        "a",
        "OffsetCommit",
        4,
        short_lived(&active, generation, &member.id, &both),
    )?;
    ensure!(committed(&answer)? == 0, "{answer}");
    let answer = s.ask("a", "OffsetCommit", 4, short_lived(&simple, -1, "", &both))?;
    ensure!(committed(&answer)? == 0, "{answer}");
    let is_gone = |answer: &Value| {
        let told = answer.int("Groups[0].Topics[0].Partitions[0].CommittedOffset");
        told.is_ok_and(|offset| offset == -1)
    };
    s.note("A group without members loses them,");
    let ask = committed_offset(&simple, &name);
    let answer = s.ask_until("b", "OffsetFetch", 8, ask, is_gone)?;
    ensure!(is_gone(&answer), "{answer}");
    s.note("as a group with members loses those of topics that they do not read,");
    let ask = committed_offset(&active, &unread);
    let answer = s.ask_until("b", "OffsetFetch", 8, ask, is_gone)?;
    ensure!(is_gone(&answer), "{answer}");
    s.note("and keeps the others.");
    std::thread::sleep(Duration::from_millis(300));
    let answer = s.ask("b", "OffsetFetch", 8, committed_offset(&active, &name))?;
    ensure!(!is_gone(&answer), "{answer}");
    Ok(())
}
