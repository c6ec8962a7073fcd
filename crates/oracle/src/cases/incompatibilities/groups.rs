//! 67 to 77: classic groups.

use std::time::Duration;

use anyhow::{Context, ensure};
use ottla_protocol::records::batches;

use super::case;
use crate::case::Case;
use crate::cases::kit::{
    self, Join, Member, SOON, commit, committed, fetch, fetched, group_of_one, member_id, took,
};
use crate::msg;
use crate::session::Session;
use crate::value::Value;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_067_static_members", static_members),
        case("inc_068_a_second_member", second_member),
        case(
            "inc_069_an_assignment_for_everyone",
            assignment_for_everyone,
        ),
        case("inc_070_a_pending_member", pending_member),
        case("inc_071_the_first_rebalance_waits", first_rebalance_waits).with(kit::PATIENT),
        case("inc_072_commits_in_a_rebalance", commits_in_a_rebalance),
        case("inc_073_the_vote_for_a_protocol", vote_for_a_protocol),
        case("inc_074_groups_described", groups_described),
        case("inc_077_the_log_of_offsets", log_of_offsets),
    ]
}

fn static_members(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 5..=9 {
        let group = s.name(&format!("g{version}"));
        let mut join = Join::new(&group);
        join.instance = Some("i");
        s.note("It joins at once.");
        let joined = s.ask("a", "JoinGroup", version, join.request())?;
        let old = Member::of(&group, &joined)?;
        s.ask("a", "SyncGroup", 3, old.sync(&[(&old.id, b"all")]))?;
        s.note("It comes back without its id, to another one and the same generation.");
        let joined = s.ask("b", "JoinGroup", version, join.request())?;
        let new = Member::of(&group, &joined)?;
        ensure!(
            new.id != old.id && new.generation == old.generation,
            "{joined}"
        );
        s.note("Whoever has the old id is fenced.");
        let fenced = msg! {
            GroupId: &group,
            GenerationId: old.generation,
            MemberId: &old.id,
            GroupInstanceId: "i",
        };
        let answer = s.ask("a", "Heartbeat", 3, fenced)?;
        ensure!(answer.int("ErrorCode")? == 82, "{answer}");
        let leaving = msg! { MemberId: "", GroupInstanceId: "i" };
        let answer = s.ask(
            "b",
            "LeaveGroup",
            3,
            msg! { GroupId: &group, Members: [leaving] },
        )?;
        ensure!(answer.int("Members[0].ErrorCode")? == 0, "{answer}");
        s.note("The group is empty, and it comes again.");
        let joined = s.ask("b", "JoinGroup", version, join.request())?;
        ensure!(
            Member::of(&group, &joined)?.generation > new.generation,
            "{joined}"
        );
    }
    Ok(())
}

fn second_member(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let first = group_of_one(s, &Join::new(&group))?;
    let id = member_id(s, &Join::new(&group))?;
    s.send("b", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    s.note("The first one is told by its heartbeat.");
    let answer = s.ask_until("a", "Heartbeat", 4, first.heartbeat(), |answer| {
        answer.int("ErrorCode").is_ok_and(|code| code == 27)
    })?;
    ensure!(answer.int("ErrorCode")? == 27, "{answer}");
    let joined = s.ask(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&first.id).request(),
    )?;
    let leader = Member::of(&group, &joined)?;
    ensure!(joined.array("Members")?.len() == 2, "{joined}");
    ensure!(leader.generation == first.generation + 1, "{joined}");
    let joined = s.receive("b")?;
    let follower = Member::of(&group, &joined)?;
    ensure!(
        follower.generation == leader.generation && follower.id == id,
        "{joined}"
    );
    ensure!(joined.array("Members")?.is_empty(), "{joined}");
    s.note("The old generation is over.");
    let answer = s.ask("a", "Heartbeat", 4, first.heartbeat())?;
    ensure!(answer.int("ErrorCode")? == 22, "{answer}");
    let answer = s.ask("a", "SyncGroup", 4, first.sync(&[]))?;
    ensure!(answer.int("ErrorCode")? == 22, "{answer}");
    s.send("b", "SyncGroup", 4, follower.sync(&[]))?;
    let parts: [(&str, &[u8]); 2] = [(&leader.id, b"one"), (&follower.id, b"two")];
    let answer = s.ask("a", "SyncGroup", 4, leader.sync(&parts))?;
    ensure!(answer.bytes("Assignment")? == b"one", "{answer}");
    let answer = s.receive("b")?;
    ensure!(answer.bytes("Assignment")? == b"two", "{answer}");
    Ok(())
}

fn assignment_for_everyone(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let (leader, follower) = kit::two_joined(s, &group)?;
    s.send("b", "SyncGroup", 4, follower.sync(&[]))?;
    s.note("The leader names itself alone.");
    let answer = s.ask("a", "SyncGroup", 4, leader.sync(&[(&leader.id, b"all")]))?;
    ensure!(answer.bytes("Assignment")? == b"all", "{answer}");
    let answer = s.receive("b")?;
    ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    ensure!(answer.bytes("Assignment")?.is_empty(), "{answer}");
    s.note("Again, in every version.");
    for version in 0..=4 {
        let answer = s.ask("b", "SyncGroup", version, follower.sync(&[]))?;
        ensure!(
            answer.bytes("Assignment")?.is_empty(),
            "v{version}: {answer}"
        );
        let answer = s.ask("a", "SyncGroup", version, leader.sync(&[]))?;
        ensure!(
            answer.bytes("Assignment")? == b"all",
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn pending_member(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let member = group_of_one(s, &Join::new(&group))?;
    let mut absent = Join::new(&group);
    absent.session_ms = 1500;
    s.note("Somebody asks for an id and does not come back with it.");
    let answer = s.ask("b", "JoinGroup", 9, absent.request())?;
    ensure!(answer.int("ErrorCode")? == 79, "{answer}");
    let absentee = answer.text("MemberId")?;
    s.note("Nobody hears of that before the others join again,");
    let answer = s.ask("a", "Heartbeat", 4, member.heartbeat())?;
    ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    s.send(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&member.id).request(),
    )?;
    s.note("and then they wait until its session is over.");
    let answer = s.receive_within("a", SOON)?;
    ensure!(answer.is_null(), "{answer}");
    let (joined, is_late) = took(s, "a", Duration::from_millis(400))?;
    ensure!(is_late && joined.array("Members")?.len() == 1, "{joined}");
    s.note("The id is worth nothing any more.");
    let late = absent.member(&absentee);
    let answer = s.ask("b", "JoinGroup", 9, late.request())?;
    ensure!(answer.int("ErrorCode")? == 25, "{answer}");
    Ok(())
}

fn first_rebalance_waits(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let ids = [
        member_id(s, &Join::new(&group))?,
        member_id(s, &Join::new(&group))?,
    ];
    s.send(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&ids[0]).request(),
    )?;
    let answer = s.receive_within("a", SOON)?;
    ensure!(answer.is_null(), "{answer}");
    s.send(
        "b",
        "JoinGroup",
        9,
        Join::new(&group).member(&ids[1]).request(),
    )?;
    s.note("Both are in the first generation, and it was worth waiting.");
    let (joined, is_late) = took(s, "a", Duration::from_millis(300))?;
    ensure!(is_late, "the join phase was over at once: {joined}");
    ensure!(
        joined.int("GenerationId")? == 1 && joined.array("Members")?.len() == 2,
        "{joined}"
    );
    let joined = s.receive("b")?;
    ensure!(joined.int("GenerationId")? == 1, "{joined}");
    Ok(())
}

fn commits_in_a_rebalance(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    let first = group_of_one(s, &Join::new(&group))?;
    let id = member_id(s, &Join::new(&group))?;
    s.send("b", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    s.ask_until("a", "Heartbeat", 4, first.heartbeat(), |answer| {
        answer.int("ErrorCode").is_ok_and(|code| code == 27)
    })?;
    s.note("While members join, those of the old generation commit.");
    let answer = s.ask("a", "OffsetCommit", 8, first.commit(&name, 1))?;
    ensure!(committed(&answer)? == 0, "{answer}");
    s.note("Who has not joined yet does not.");
    let answer = s.ask(
        "a",
        "OffsetCommit",
        8,
        commit(&group, first.generation, &id, &name, 1),
    )?;
    ensure!(!answer.is_null(), "no answer");
    let joined = s.ask(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&first.id).request(),
    )?;
    let leader = Member::of(&group, &joined)?;
    s.receive("b")?;
    s.note("While the leader assigns, nobody does.");
    let answer = s.ask("a", "OffsetCommit", 8, first.commit(&name, 2))?;
    ensure!(committed(&answer)? == 22, "{answer}");
    let answer = s.ask("a", "OffsetCommit", 8, leader.commit(&name, 2))?;
    ensure!(committed(&answer)? == 27, "{answer}");
    s.ask("a", "SyncGroup", 4, leader.sync(&[(&leader.id, b"all")]))?;
    let answer = s.ask("a", "OffsetCommit", 8, leader.commit(&name, 2))?;
    ensure!(committed(&answer)? == 0, "{answer}");
    Ok(())
}

fn vote_for_a_protocol(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let mut first = Join::new(&group);
    first.protocols = &[("sticky", b"s"), ("range", b"r"), ("own", b"o")];
    let member = group_of_one(s, &first)?;
    let mut second = Join::new(&group);
    second.protocols = &[("range", b"R"), ("other", b"x"), ("sticky", b"S")];
    let mut third = Join::new(&group);
    third.protocols = &[("range", b"3"), ("sticky", b"3")];
    s.note("Nothing in common, and another type.");
    for (protocols, protocol_type) in [
        (&[("other", &b""[..])][..], "consumer"),
        (&[], "consumer"),
        (&[("range", b"")], "connect"),
        (&[("range", b"")], ""),
    ] {
        let mut stranger = Join::new(&group);
        (stranger.protocols, stranger.protocol_type) = (protocols, protocol_type);
        let answer = s.ask("b", "JoinGroup", 9, stranger.request())?;
        ensure!(answer.int("ErrorCode")? == 23, "{answer}");
    }
    let ids = [member_id(s, &second)?, member_id(s, &third)?];
    s.send("b", "JoinGroup", 9, second.member(&ids[0]).request())?;
    s.send("c", "JoinGroup", 9, third.member(&ids[1]).request())?;
    kit::until_rebalancing(s, &member)?;
    s.note("Each votes for what it likes best of what all know.");
    let joined = s.ask("a", "JoinGroup", 9, first.member(&member.id).request())?;
    ensure!(joined.text("ProtocolName")? == "range", "{joined}");
    for on in ["b", "c"] {
        let joined = s.receive(on)?;
        ensure!(joined.text("ProtocolName")? == "range", "{joined}");
    }
    Ok(())
}

fn groups_described(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let group = s.name("g");
    let show = |s: &mut Session<'_>, state: &str| -> anyhow::Result<()> {
        for version in [0, 4, 6] {
            let answer = s.ask("c", "DescribeGroups", version, msg! { Groups: [&*group] })?;
            ensure!(answer.text("Groups[0].GroupState")? == state, "{answer}");
        }
        let answer = s.ask("c", "ListGroups", 5, msg! {})?;
        let mut groups = answer.array("Groups")?.iter();
        let listed = groups.find(|it| it.text("GroupId").is_ok_and(|id| id == group));
        match listed {
            Some(listed) => ensure!(listed.text("GroupState")? == state, "{listed}"),
            None => ensure!(state == "Dead", "it is not listed"),
        }
        Ok(())
    };
    show(s, "Dead")?;
    s.setup("OffsetCommit", 8, commit(&group, -1, "", &s.name("t"), 1))?;
    show(s, "Empty")?;
    let join = Join::new(&group);
    let id = member_id(s, &join)?;
    let joined = s.ask("a", "JoinGroup", 9, join.clone().member(&id).request())?;
    let member = Member::of(&group, &joined)?;
    show(s, "CompletingRebalance")?;
    s.ask("a", "SyncGroup", 4, member.sync(&[(&member.id, b"all")]))?;
    show(s, "Stable")?;
    let other = member_id(s, &join)?;
    s.send("b", "JoinGroup", 9, join.member(&other).request())?;
    kit::until_rebalancing(s, &member)?;
    show(s, "PreparingRebalance")?;
    s.ask("a", "LeaveGroup", 4, member.leave())?;
    let joined = s.receive("b")?;
    let left = Member::of(&group, &joined)?;
    s.ask("b", "LeaveGroup", 4, left.leave())?;
    show(s, "Empty")?;
    s.note("The same group twice, and one that is not there.");
    let nobody = s.name("nobody");
    let request = msg! { Groups: [&*group, &*nobody, &*group] };
    for version in [5, 6] {
        let answer = s.ask("c", "DescribeGroups", version, request.clone())?;
        ensure!(!answer.array("Groups")?.is_empty(), "{answer}");
    }
    for state in ["empty", "STABLE", "Nonsense"] {
        let answer = s.ask("c", "ListGroups", 4, msg! { StatesFilter: [state] })?;
        ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    }
    Ok(())
}

/// A field that begins with its length.
fn text(bytes: &mut &[u8]) -> anyhow::Result<String> {
    let (length, rest) = bytes.split_first_chunk().context("no length")?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (text, rest) = rest.split_at_checked(length).context("it is cut off")?;
    *bytes = rest;
    Ok(String::from_utf8(text.to_vec())?)
}

fn number<const N: usize>(bytes: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk().context("it is cut off")?;
    *bytes = rest;
    Ok(*number)
}

/// Group, topic, partition and offset of a record in Kafka's format; `None` for
/// another kind of record.
fn commit_record(key: &[u8], value: &[u8]) -> anyhow::Result<Option<(String, String, i32, i64)>> {
    let (mut key, mut value) = (key, value);
    if !(0..=1).contains(&i16::from_be_bytes(number(&mut key)?)) {
        return Ok(None);
    }
    let (group, topic) = (text(&mut key)?, text(&mut key)?);
    let partition = i32::from_be_bytes(number(&mut key)?);
    let version = i16::from_be_bytes(number(&mut value)?);
    // Version 4 has tags, and text of another form behind the numbers.
    ensure!((0..=4).contains(&version), "version {version} of the value");
    let offset = i64::from_be_bytes(number(&mut value)?);
    Ok(Some((group, topic, partition, offset)))
}

fn log_of_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    s.setup("OffsetCommit", 8, commit(&group, -1, "", &name, 42))?;
    let mut found = Vec::new();
    for partition in 0..5 {
        let answer = s.setup("Fetch", 12, fetch("__consumer_offsets", partition, 0))?;
        ensure!(kit::fetch_error(&answer)? == 0, "{answer}");
        for batch in batches(fetched(&answer)?.into()) {
            for record in batch?.records()? {
                let record = record?;
                let (key, value) = (record.key.context("no key")?, record.value);
                let Some(value) = value else {
                    continue;
                };
                found.extend(commit_record(&key, &value)?);
            }
        }
    }
    let expected = (group, name, 0, 42);
    ensure!(
        found.contains(&expected),
        "{expected:?} is not among {found:?}"
    );
    s.note("The commit lies in __consumer_offsets as Kafka writes it.");
    let answer: Value = s.ask("a", "Metadata", 12, kit::metadata("__consumer_offsets"))?;
    ensure!(
        answer.at("Topics[0].IsInternal")? == &Value::Bool(true),
        "{answer}"
    );
    Ok(())
}
