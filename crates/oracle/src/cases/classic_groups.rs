//! Classic groups: how members come, agree, go and are told apart.

use std::time::Duration;

use anyhow::ensure;

use super::kit::{
    self, Join, Member, PATIENT, SOON, commit, group_of_one, member_id, took, two_joined,
};
use crate::broker::Setting;
use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

/// Room for two members.
const SMALL: &[Setting] = &[("group.max.size", "2"), ("offset.metadata.max.bytes", "10")];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (
            "join_with_and_without_id",
            join_with_and_without_id as fn(&mut Session<'_>) -> _,
        ),
        ("joins_that_are_refused", joins_that_are_refused),
        ("every_version_of_join", every_version_of_join),
        ("join_again", join_again),
        ("joining_twice", joining_twice),
        ("sync", sync),
        ("sync_names_its_protocol", sync_names_its_protocol),
        ("heartbeats", heartbeats),
        ("leave", leave),
        ("static_members_replaced", static_members_replaced),
        ("static_leader_comes_back", static_leader_comes_back),
        ("static_members_while_joining", static_members_while_joining),
        ("static_members_fenced", static_members_fenced),
        ("sessions_expire", sessions_expire),
        (
            "who_does_not_join_again_is_out",
            who_does_not_join_again_is_out,
        ),
        ("who_does_not_sync_is_out", who_does_not_sync_is_out),
        ("the_leader_leaves", the_leader_leaves),
        ("groups_deleted", groups_deleted),
        ("commits_by_state", commits_by_state),
        ("commits_of_nobody", commits_of_nobody),
        ("offsets_deleted", offsets_deleted),
        ("offsets_of_several_groups", offsets_of_several_groups),
        ("offsets_of_deleted_topics", offsets_of_deleted_topics),
    ]
    .map(|(name, steps)| Case::new("classic_groups", name, steps))
    .into();
    cases.extend([
        Case::new(
            "classic_groups",
            "no_more_than_so_many",
            no_more_than_so_many,
        )
        .with(SMALL),
        // Its group would be among those of others.
        Case::new("classic_groups", "empty_ids", empty_ids).alone(),
        Case::new(
            "classic_groups",
            "metadata_of_a_length",
            metadata_of_a_length,
        )
        .with(SMALL),
        Case::new(
            "classic_groups",
            "the_first_join_phase",
            the_first_join_phase,
        )
        .with(PATIENT),
    ]);
    cases
}

fn join_with_and_without_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    s.note("Up to version 3 a member is in the group at once.");
    let joined = s.ask("a", "JoinGroup", 3, Join::new(&group).request())?;
    let member = Member::of(&group, &joined)?;
    s.ask(
        "a",
        "LeaveGroup",
        1,
        msg! { GroupId: &group, MemberId: &member.id },
    )?;
    s.note("From 4 on it is told its id first.");
    let told = s.ask("a", "JoinGroup", 4, Join::new(&group).request())?;
    let id = told.text("MemberId")?;
    s.note("Nobody joins with an id that was made up.");
    let stranger = Join::new(&group).member("oracle-of-delphi");
    s.ask("b", "JoinGroup", 4, stranger.request())?;
    let joined = s.ask("a", "JoinGroup", 4, Join::new(&group).member(&id).request())?;
    ensure!(Member::of(&group, &joined)?.id == id, "{joined}");
    s.note("Nor in a group that is not there.");
    let nobody = s.name("nobody");
    s.ask(
        "b",
        "JoinGroup",
        4,
        Join::new(&nobody).member(&id).request(),
    )?;
    Ok(())
}

fn joins_that_are_refused(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    for session_ms in [0, 99, 100, 1_800_000, 1_800_001, -1, i32::MAX] {
        let mut join = Join::new(&group);
        join.session_ms = session_ms;
        s.note(&format!("A session of {session_ms} ms."));
        s.ask("a", "JoinGroup", 9, join.request())?;
    }
    for rebalance_ms in [-1, 0, i32::MIN] {
        let other = s.name(&format!("r{rebalance_ms}"));
        let mut join = Join::new(&other);
        join.rebalance_ms = rebalance_ms;
        s.note(&format!("A rebalance of {rebalance_ms} ms."));
        s.ask("a", "JoinGroup", 3, join.request())?;
    }
    for (protocols, protocol_type) in [
        (&[][..], "consumer"),
        (&[("range", &b"m"[..])], ""),
        (&[("", &b"m"[..])], "consumer"),
        (&[("range", &b"m"[..]), ("range", b"n")], "consumer"),
    ] {
        let other = s.name("h");
        let mut join = Join::new(&other);
        (join.protocols, join.protocol_type) = (protocols, protocol_type);
        s.note(&format!(
            "{} protocols of the type {protocol_type:?}.",
            protocols.len()
        ));
        s.ask("a", "JoinGroup", 3, join.request())?;
    }
    let mut join = Join::new("");
    s.note("No name.");
    s.ask("a", "JoinGroup", 9, join.request())?;
    join.group = &group;
    join.instance = Some("");
    s.note("An instance without a name.");
    s.ask("a", "JoinGroup", 9, join.request())?;
    Ok(())
}

fn every_version_of_join(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=9 {
        let group = s.name(&format!("g{version}"));
        let join = Join::new(&group);
        let mut joined = s.ask("a", "JoinGroup", version, join.request())?;
        if version >= 4 {
            let id = joined.text("MemberId")?;
            joined = s.ask("a", "JoinGroup", version, join.member(&id).request())?;
        }
        let member = Member::of(&group, &joined)?;
        let heard = s.ask(
            "a",
            "SyncGroup",
            version.min(4),
            member.sync(&[(&member.id, b"all")]),
        )?;
        ensure!(heard.bytes("Assignment")? == b"all", "{heard}");
        s.ask("a", "Heartbeat", version.min(4), member.heartbeat())?;
        let leave = match version {
            0..=2 => msg! { GroupId: &group, MemberId: &member.id },
            _ => member.leave(),
        };
        s.ask("a", "LeaveGroup", version.min(5), leave)?;
    }
    Ok(())
}

fn join_again(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let (leader, follower) = two_joined(s, &group)?;
    let again = |member: &Member| Join::new(&group).member(&member.id);
    s.note("While the leader assigns: the same, which may have missed its answer.");
    s.ask("b", "JoinGroup", 9, again(&follower).request())?;
    s.ask("a", "JoinGroup", 9, again(&leader).request())?;
    s.ask(
        "a",
        "SyncGroup",
        4,
        leader.sync(&[(&leader.id, b"1"), (&follower.id, b"2")]),
    )?;
    s.note("Stable: a follower that says the same.");
    s.ask("b", "JoinGroup", 9, again(&follower).request())?;
    s.note("One that says something else.");
    let mut other = again(&follower);
    other.protocols = &[("range", b"other")];
    s.send("b", "JoinGroup", 9, other.request())?;
    kit::until_rebalancing(s, &leader)?;
    s.ask("a", "JoinGroup", 9, again(&leader).request())?;
    let joined = s.receive("b")?;
    let follower = Member::of(&group, &joined)?;
    let leader = Member {
        generation: follower.generation,
        ..leader
    };
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    s.note("The leader always asks for a rebalance.");
    s.send("a", "JoinGroup", 9, again(&leader).request())?;
    kit::until_rebalancing(s, &follower)?;
    let mut other = again(&follower);
    other.protocols = &[("range", b"third")];
    s.ask("b", "JoinGroup", 9, other.request())?;
    s.receive("a")?;
    Ok(())
}

fn joining_twice(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let (leader, follower) = two_joined(s, &group)?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    let again = Join::new(&group).member(&leader.id);
    s.note("The same member on two connections: the later one counts.");
    s.send("a", "JoinGroup", 9, again.request())?;
    kit::until_rebalancing(s, &follower)?;
    s.send("c", "JoinGroup", 9, again.request())?;
    s.receive_within("a", SOON)?;
    s.ask(
        "b",
        "JoinGroup",
        9,
        Join::new(&group).member(&follower.id).request(),
    )?;
    s.receive("c")?;
    Ok(())
}

fn sync(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    s.note("Before there is a group.");
    let nobody = Member {
        group: group.clone(),
        id: "x".to_owned(),
        generation: 1,
    };
    s.ask("a", "SyncGroup", 4, nobody.sync(&[]))?;
    let (leader, follower) = two_joined(s, &group)?;
    s.note("By someone else, and in another generation.");
    s.ask("c", "SyncGroup", 4, nobody.sync(&[]))?;
    for generation in [leader.generation - 1, leader.generation + 1, -1] {
        let other = Member {
            generation,
            ..leader.clone()
        };
        s.ask("c", "SyncGroup", 4, other.sync(&[]))?;
    }
    s.note("A follower waits, and its assignments mean nothing.");
    s.send(
        "b",
        "SyncGroup",
        4,
        follower.sync(&[(&follower.id, b"stolen")]),
    )?;
    s.receive_within("b", SOON)?;
    s.note("The leader names a stranger too.");
    let parts: [(&str, &[u8]); 3] = [(&leader.id, b"1"), (&follower.id, b"2"), ("x", b"3")];
    s.ask("a", "SyncGroup", 4, leader.sync(&parts))?;
    s.receive("b")?;
    s.note("Again, with another assignment, which comes too late.");
    s.ask("a", "SyncGroup", 4, leader.sync(&[(&leader.id, b"late")]))?;
    s.ask("b", "SyncGroup", 4, follower.sync(&[]))?;
    s.note("While members join.");
    let id = member_id(s, &Join::new(&group))?;
    s.send("c", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    kit::until_rebalancing(s, &leader)?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    Ok(())
}

fn sync_names_its_protocol(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let id = member_id(s, &Join::new(&group))?;
    let joined = s.ask("a", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    let member = Member::of(&group, &joined)?;
    let named = |kind: Value, name: Value| {
        msg! {
            GroupId: &group,
            GenerationId: member.generation,
            MemberId: &member.id,
            ProtocolType: kind,
            ProtocolName: name,
            Assignments: EMPTY,
        }
    };
    let (kind, name) = (|| Value::from("consumer"), || Value::from("range"));
    for (kind, name) in [
        (NULL, NULL),
        (kind(), NULL),
        (NULL, name()),
        (Value::from("connect"), name()),
        (kind(), Value::from("sticky")),
        (Value::from(""), Value::from("")),
        (kind(), name()),
    ] {
        s.ask("a", "SyncGroup", 5, named(kind, name))?;
    }
    Ok(())
}

fn heartbeats(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let beat = |member: &str, generation: i64| {
        msg! { GroupId: &group, GenerationId: generation, MemberId: member }
    };
    s.note("Before there is a group.");
    s.ask("a", "Heartbeat", 4, beat("x", 1))?;
    let (leader, follower) = two_joined(s, &group)?;
    s.note("While the leader assigns.");
    s.ask("b", "Heartbeat", 4, follower.heartbeat())?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    s.note("Stable.");
    s.ask("b", "Heartbeat", 4, follower.heartbeat())?;
    s.ask("b", "Heartbeat", 4, beat("x", leader.generation))?;
    s.ask("b", "Heartbeat", 4, beat("", leader.generation))?;
    for generation in [leader.generation - 1, leader.generation + 1, -1, 0] {
        s.ask("b", "Heartbeat", 4, beat(&follower.id, generation))?;
    }
    s.note("An id that was told and not used yet.");
    let id = member_id(s, &Join::new(&group))?;
    s.ask("c", "Heartbeat", 4, beat(&id, leader.generation))?;
    s.send("c", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    kit::until_rebalancing(s, &leader)?;
    s.note("While members join.");
    for generation in [leader.generation, leader.generation + 1] {
        s.ask("b", "Heartbeat", 4, beat(&follower.id, generation))?;
    }
    s.ask("b", "Heartbeat", 4, beat(&id, leader.generation))?;
    s.note("Empty.");
    for id in [&leader.id, &follower.id, &id] {
        let leaving = msg! { MemberId: id };
        s.setup(
            "LeaveGroup",
            3,
            msg! { GroupId: &group, Members: [leaving] },
        )?;
    }
    s.receive("c")?;
    s.ask("b", "Heartbeat", 4, follower.heartbeat())?;
    Ok(())
}

fn leave(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let leaving = |member: &str, instance: Option<&str>| {
        msg! { MemberId: member, GroupInstanceId: instance }
    };
    let all = |members: Vec<Value>| msg! { GroupId: &group, Members: members };
    s.note("Before there is a group.");
    s.ask(
        "a",
        "LeaveGroup",
        1,
        msg! { GroupId: &group, MemberId: "x" },
    )?;
    s.ask(
        "a",
        "LeaveGroup",
        3,
        all(vec![leaving("x", None), leaving("", Some("i"))]),
    )?;
    let (leader, follower) = two_joined(s, &group)?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    s.note("Nobody, and members that are not there, or not by that instance.");
    s.ask("c", "LeaveGroup", 4, all(vec![]))?;
    s.ask(
        "c",
        "LeaveGroup",
        1,
        msg! { GroupId: &group, MemberId: "x" },
    )?;
    let members = vec![
        leaving("x", None),
        leaving("", None),
        leaving(&leader.id, Some("i")),
        leaving("", Some("i")),
    ];
    s.ask("c", "LeaveGroup", 4, all(members))?;
    s.ask("a", "Heartbeat", 4, leader.heartbeat())?;
    s.note("One of two, and it again.");
    s.ask(
        "c",
        "LeaveGroup",
        5,
        all(vec![
            leaving(&follower.id, None),
            leaving(&follower.id, None),
        ]),
    )?;
    s.ask("a", "Heartbeat", 4, leader.heartbeat())?;
    s.ask("b", "Heartbeat", 4, follower.heartbeat())?;
    let joined = s.ask(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&leader.id).request(),
    )?;
    ensure!(joined.array("Members")?.len() == 1, "{joined}");
    s.note("An id that was told and not used yet.");
    let id = member_id(s, &Join::new(&group))?;
    s.ask(
        "c",
        "LeaveGroup",
        1,
        msg! { GroupId: &group, MemberId: &id },
    )?;
    s.ask("c", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    Ok(())
}

/// A static member's join.
fn fixed<'a>(group: &'a str, instance: &'a str) -> Join<'a> {
    Join {
        instance: Some(instance),
        ..Join::new(group)
    }
}

fn static_members_replaced(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let one = group_of_one(s, &fixed(&group, "one"))?;
    let two = s.name("unused");
    s.send("b", "JoinGroup", 9, fixed(&group, "two").request())?;
    kit::until_rebalancing(s, &one)?;
    let again = fixed(&group, "one").member(&one.id);
    let joined = s.ask("a", "JoinGroup", 9, again.request())?;
    let leader = Member::of(&group, &joined)?;
    let follower = Member::of(&group, &s.receive("b")?)?;
    ensure!(two != follower.id, "an id of our own making");
    s.send("b", "SyncGroup", 4, follower.sync(&[]))?;
    s.ask(
        "a",
        "SyncGroup",
        4,
        leader.sync(&[(&leader.id, b"1"), (&follower.id, b"2")]),
    )?;
    s.receive("b")?;
    s.note("The follower comes back and finds its part.");
    let joined = s.ask("c", "JoinGroup", 9, fixed(&group, "two").request())?;
    let new = Member::of(&group, &joined)?;
    s.ask("c", "SyncGroup", 4, new.sync(&[]))?;
    s.ask("a", "Heartbeat", 4, leader.heartbeat())?;
    s.note("With something else to say, which changes nothing as long as the protocol stays.");
    let mut other = fixed(&group, "two");
    other.protocols = &[("range", b"other")];
    let joined = s.ask("d", "JoinGroup", 9, other.request())?;
    let newer = Member::of(&group, &joined)?;
    s.ask("a", "Heartbeat", 4, leader.heartbeat())?;
    s.ask("a", "DescribeGroups", 5, msg! { Groups: [&*group] })?;
    s.note("With its id, which is the current one.");
    let by_id = other.clone().member(&newer.id);
    s.ask("d", "JoinGroup", 9, by_id.request())?;
    s.note("And with the one before.");
    s.ask("c", "JoinGroup", 9, other.member(&new.id).request())?;
    Ok(())
}

fn static_leader_comes_back(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in [5, 8, 9] {
        let group = s.name(&format!("g{version}"));
        let one = group_of_one(s, &fixed(&group, "one"))?;
        s.note("A leader that need not assign.");
        let joined = s.ask("a", "JoinGroup", version, fixed(&group, "one").request())?;
        let new = Member::of(&group, &joined)?;
        ensure!(new.generation == one.generation, "{joined}");
        s.ask("a", "SyncGroup", 4, new.sync(&[]))?;
        s.note("It leads: joining by its id begins a rebalance.");
        let again = fixed(&group, "one").member(&new.id);
        s.ask("a", "JoinGroup", version, again.request())?;
    }
    s.note("One that votes for another protocol begins one too.");
    let group = s.name("vote");
    let mut join = fixed(&group, "one");
    join.protocols = &[("range", b"m"), ("sticky", b"m")];
    group_of_one(s, &join)?;
    join.protocols = &[("sticky", b"m"), ("range", b"m")];
    s.ask("a", "JoinGroup", 9, join.request())?;
    Ok(())
}

fn static_members_while_joining(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let one = group_of_one(s, &fixed(&group, "one"))?;
    s.send("b", "JoinGroup", 9, fixed(&group, "two").request())?;
    kit::until_rebalancing(s, &one)?;
    s.note("While members join: the one that waits is fenced, the new one waits instead.");
    s.send("c", "JoinGroup", 9, fixed(&group, "two").request())?;
    s.receive("b")?;
    s.receive_within("c", SOON)?;
    let again = fixed(&group, "one").member(&one.id);
    let joined = s.ask("a", "JoinGroup", 9, again.request())?;
    let leader = Member::of(&group, &joined)?;
    let follower = Member::of(&group, &s.receive("c")?)?;
    s.note("While the leader assigns: everybody has to join again.");
    s.send("c", "SyncGroup", 4, follower.sync(&[]))?;
    s.receive_within("c", SOON)?;
    s.send("d", "JoinGroup", 9, fixed(&group, "two").request())?;
    s.receive("c")?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    s.ask("a", "JoinGroup", 9, again.request())?;
    s.receive("d")?;
    Ok(())
}

fn static_members_fenced(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    let old = group_of_one(s, &fixed(&group, "one"))?;
    let joined = s.ask("a", "JoinGroup", 9, fixed(&group, "one").request())?;
    let new = Member::of(&group, &joined)?;
    for (what, id, instance) in [
        (
            "The id from before, with the instance.",
            &*old.id,
            Some("one"),
        ),
        ("Without it.", &old.id, None),
        ("The right id with another instance.", &new.id, Some("two")),
        ("Another id.", "x", Some("one")),
        ("The right one.", &new.id, Some("one")),
        ("The right one, without the instance.", &new.id, None),
    ] {
        s.note(what);
        let beat = msg! {
            GroupId: &group,
            GenerationId: new.generation,
            MemberId: id,
            GroupInstanceId: instance,
        };
        s.ask("b", "Heartbeat", 4, beat.clone())?;
        s.ask("b", "SyncGroup", 4, beat)?;
        let partition = msg! { PartitionIndex: 0, CommittedOffset: 1 };
        let request = msg! {
            GroupId: &group,
            GenerationIdOrMemberEpoch: new.generation,
            MemberId: id,
            GroupInstanceId: instance,
            Topics: [msg! { Name: &name, Partitions: [partition] }],
        };
        s.ask("b", "OffsetCommit", 8, request)?;
    }
    s.note("Leaving by the id from before, and then by the instance alone.");
    for id in [&*old.id, ""] {
        let leaving = msg! { MemberId: id, GroupInstanceId: "one" };
        s.ask(
            "b",
            "LeaveGroup",
            4,
            msg! { GroupId: &group, Members: [leaving] },
        )?;
    }
    Ok(())
}

fn sessions_expire(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let mut join = Join::new(&group);
    join.session_ms = 1000;
    let member = group_of_one(s, &join)?;
    s.note("Who is silent is out.");
    let gone = |answer: &Value| {
        answer
            .text("Groups[0].GroupState")
            .is_ok_and(|it| it == "Empty")
    };
    let describe = msg! { Groups: [&*group] };
    let answer = s.ask_until("b", "DescribeGroups", 5, describe, gone)?;
    ensure!(gone(&answer), "{answer}");
    s.ask("a", "Heartbeat", 4, member.heartbeat())?;
    s.note("The other one has to join again.");
    let other = s.name("h");
    let lasting = group_of_one(s, &Join::new(&other))?;
    let mut short = Join::new(&other);
    short.session_ms = 1000;
    let id = member_id(s, &short)?;
    s.send("b", "JoinGroup", 9, short.member(&id).request())?;
    kit::until_rebalancing(s, &lasting)?;
    let again = Join::new(&other).member(&lasting.id);
    let joined = s.ask("a", "JoinGroup", 9, again.request())?;
    let leader = Member::of(&other, &joined)?;
    s.receive("b")?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    let told = |answer: &Value| answer.int("ErrorCode").is_ok_and(|code| code == 27);
    let answer = s.ask_until("a", "Heartbeat", 4, leader.heartbeat(), told)?;
    ensure!(told(&answer), "{answer}");
    let joined = s.ask("a", "JoinGroup", 9, again.request())?;
    ensure!(joined.array("Members")?.len() == 1, "{joined}");
    Ok(())
}

fn who_does_not_join_again_is_out(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let mut join = Join::new(&group);
    join.rebalance_ms = 1000;
    let first = group_of_one(s, &join)?;
    let id = member_id(s, &join)?;
    s.send("b", "JoinGroup", 9, join.member(&id).request())?;
    s.receive_within("b", SOON)?;
    let (joined, is_late) = took(s, "b", Duration::from_millis(200))?;
    ensure!(is_late && joined.array("Members")?.len() == 1, "{joined}");
    s.ask("a", "Heartbeat", 4, first.heartbeat())?;
    s.note("A static one stays.");
    let other = s.name("h");
    let mut join = fixed(&other, "one");
    join.rebalance_ms = 1000;
    let first = group_of_one(s, &join)?;
    let mut join = fixed(&other, "two");
    join.rebalance_ms = 1000;
    let joined = s.ask("b", "JoinGroup", 9, join.request())?;
    ensure!(
        joined.text("Leader")? == joined.text("MemberId")?,
        "{joined}"
    );
    ensure!(joined.array("Members")?.len() == 2, "{joined}");
    s.ask("a", "Heartbeat", 4, first.heartbeat())?;
    Ok(())
}

fn who_does_not_sync_is_out(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let mut join = Join::new(&group);
    join.rebalance_ms = 1000;
    let first = group_of_one(s, &join)?;
    let id = member_id(s, &join)?;
    s.send("b", "JoinGroup", 9, join.clone().member(&id).request())?;
    kit::until_rebalancing(s, &first)?;
    let joined = s.ask("a", "JoinGroup", 9, join.member(&first.id).request())?;
    let leader = Member::of(&group, &joined)?;
    s.receive("b")?;
    s.note("The leader assigns, and the follower never asks for its part.");
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    let told = |answer: &Value| answer.int("ErrorCode").is_ok_and(|code| code == 27);
    let answer = s.ask_until("a", "Heartbeat", 4, leader.heartbeat(), told)?;
    ensure!(told(&answer), "{answer}");
    let beat = msg! { GroupId: &group, GenerationId: leader.generation, MemberId: &id };
    s.ask("b", "Heartbeat", 4, beat)?;
    Ok(())
}

fn the_leader_leaves(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let (leader, follower) = two_joined(s, &group)?;
    s.note("While it should assign, so that who waits for it has to join again.");
    s.send("b", "SyncGroup", 4, follower.sync(&[]))?;
    s.receive_within("b", SOON)?;
    s.ask("a", "LeaveGroup", 4, leader.leave())?;
    s.receive("b")?;
    let joined = s.ask(
        "b",
        "JoinGroup",
        9,
        Join::new(&group).member(&follower.id).request(),
    )?;
    ensure!(joined.text("Leader")? == follower.id, "{joined}");
    Ok(())
}

fn groups_deleted(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, full, simple) = (s.name("t"), s.name("full"), s.name("simple"));
    let nobody = s.name("nobody");
    let member = group_of_one(s, &Join::new(&full))?;
    s.setup("OffsetCommit", 8, commit(&simple, -1, "", &name, 1))?;
    s.setup("OffsetCommit", 8, member.commit(&name, 1))?;
    for groups in [[&*full], [&simple], [&simple], [&nobody], [""]] {
        s.ask("a", "DeleteGroups", 2, msg! { GroupsNames: groups })?;
    }
    s.ask("a", "OffsetFetch", 8, kit::committed_offset(&simple, &name))?;
    s.note("An id that was told does not hold it up.");
    s.setup("LeaveGroup", 3, member.leave())?;
    let id = member_id(s, &Join::new(&full))?;
    s.ask("a", "DeleteGroups", 0, msg! { GroupsNames: [&*full] })?;
    s.ask("a", "JoinGroup", 9, Join::new(&full).member(&id).request())?;
    s.ask("a", "OffsetFetch", 8, kit::committed_offset(&full, &name))?;
    Ok(())
}

fn commits_by_state(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    let all = |s: &mut Session<'_>, member: &str, generation: i64| -> anyhow::Result<()> {
        for (generation, member) in [
            (-1, ""),
            (generation, member),
            (generation + 1, member),
            (-1, member),
            (generation, ""),
            (generation, "x"),
            (-1, "x"),
        ] {
            s.ask(
                "a",
                "OffsetCommit",
                8,
                commit(&group, generation, member, &name, 7),
            )?;
        }
        Ok(())
    };
    s.note("Empty.");
    s.setup("OffsetCommit", 8, commit(&group, -1, "", &name, 1))?;
    all(s, "y", 0)?;
    s.note("Waiting for the leader.");
    let id = member_id(s, &Join::new(&group))?;
    let joined = s.ask("b", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    let member = Member::of(&group, &joined)?;
    all(s, &member.id, member.generation)?;
    s.note("Stable.");
    s.ask("b", "SyncGroup", 4, member.sync(&[]))?;
    all(s, &member.id, member.generation)?;
    s.note("Waiting for members.");
    let other = member_id(s, &Join::new(&group))?;
    s.send(
        "c",
        "JoinGroup",
        9,
        Join::new(&group).member(&other).request(),
    )?;
    kit::until_rebalancing(s, &member)?;
    all(s, &member.id, member.generation)?;
    all(s, &other, member.generation)?;
    Ok(())
}

fn commits_of_nobody(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, nobody) = (s.name("t"), s.name("nobody"));
    s.note("No group, and yet a generation.");
    for version in [2, 8, 9] {
        s.ask(
            "a",
            "OffsetCommit",
            version,
            commit(&nobody, 3, "x", &name, 1),
        )?;
        s.ask(
            "a",
            "OffsetCommit",
            version,
            commit(&nobody, -1, "x", &name, 1),
        )?;
    }
    let group = s.name("g");
    s.note("Topics and partitions that are not there, among one that is.");
    let partition = |index: i32| msg! { PartitionIndex: index, CommittedOffset: 5 };
    let topics = [
        msg! { Name: &s.name("u"), Partitions: [partition(0)] },
        msg! { Name: &name, Partitions: [partition(0), partition(1), partition(-1)] },
    ];
    let request = msg! { GroupId: &group, Topics: topics };
    for version in [2, 9] {
        s.ask("a", "OffsetCommit", version, request.clone())?;
    }
    s.note("Nothing.");
    s.ask(
        "a",
        "OffsetCommit",
        8,
        msg! { GroupId: &group, Topics: EMPTY },
    )?;
    s.note("Offsets that are none.");
    for offset in [-1, -2, i64::MIN, i64::MAX] {
        s.ask(
            "a",
            "OffsetCommit",
            8,
            commit(&group, -1, "", &name, offset),
        )?;
        s.ask("a", "OffsetFetch", 8, kit::committed_offset(&group, &name))?;
    }
    Ok(())
}

fn offsets_deleted(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    s.topic("u", 1)?;
    let (t, u, group) = (s.name("t"), s.name("u"), s.name("g"));
    let delete = |group: &str, topics: &[(&str, i32)]| {
        let topics = topics.iter().map(|(name, index)| {
            msg! { Name: *name, Partitions: [msg! { PartitionIndex: *index }] }
        });
        msg! { GroupId: group, Topics: topics.collect::<Vec<_>>() }
    };
    s.note("No group.");
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 0)]))?;
    s.ask("a", "OffsetDelete", 0, delete("", &[(&t, 0)]))?;
    for name in [&t, &u] {
        s.setup("OffsetCommit", 8, commit(&group, -1, "", name, 5))?;
    }
    s.note("An empty one.");
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 0)]))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 0)]))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 1)]))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 7)]))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&s.name("v"), 0)]))?;
    s.ask(
        "a",
        "OffsetFetch",
        8,
        msg! { Groups: [msg! { GroupId: &group, Topics: NULL }] },
    )?;
    s.note("One with members that say what they read.");
    let length = u8::try_from(t.len())?;
    let subscription = [&[0, 0, 0, 0, 0, 1, 0, length][..], t.as_bytes(), &[0xff; 4]].concat();
    let protocols: [(&str, &[u8]); 1] = [("range", &subscription)];
    let join = Join {
        protocols: &protocols,
        ..Join::new(&group)
    };
    let member = group_of_one(s, &join)?;
    s.setup("OffsetCommit", 8, member.commit(&t, 6))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&t, 0)]))?;
    s.ask("a", "OffsetDelete", 0, delete(&group, &[(&u, 0)]))?;
    s.note("One of another type.");
    let other = s.name("h");
    let join = Join {
        protocol_type: "connect",
        ..Join::new(&other)
    };
    let member = group_of_one(s, &join)?;
    s.setup("OffsetCommit", 8, member.commit(&t, 6))?;
    s.ask("a", "OffsetDelete", 0, delete(&other, &[(&t, 0)]))?;
    Ok(())
}

fn offsets_of_several_groups(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 2)?;
    let (name, group, nobody) = (s.name("t"), s.name("g"), s.name("nobody"));
    s.setup("OffsetCommit", 8, commit(&group, -1, "", &name, 5))?;
    for version in 1..=7 {
        let topic = msg! { Name: &name, PartitionIndexes: [0, 1, 9] };
        let request = msg! { GroupId: &group, Topics: [topic] };
        s.ask("a", "OffsetFetch", version, request)?;
    }
    for version in 8..=10 {
        let topic = msg! { Name: &name, TopicId: id, PartitionIndexes: [0, 1] };
        let groups =
            [&group, &nobody].map(|group| msg! { GroupId: group, Topics: [topic.clone()] });
        s.ask("a", "OffsetFetch", version, msg! { Groups: groups })?;
    }
    s.note("By the id of a topic that is not there, and by none.");
    for id in [kit::NOBODYS, [0; 16]] {
        let topic = msg! { TopicId: id, PartitionIndexes: [0] };
        let groups = [msg! { GroupId: &group, Topics: [topic] }];
        s.ask("a", "OffsetFetch", 10, msg! { Groups: groups })?;
    }
    s.note("No topics, and no groups.");
    let groups = [msg! { GroupId: &group, Topics: EMPTY }];
    s.ask("a", "OffsetFetch", 8, msg! { Groups: groups })?;
    s.ask("a", "OffsetFetch", 8, msg! { Groups: EMPTY })?;
    s.note("As a member, which it is not.");
    let topic = msg! { Name: &name, PartitionIndexes: [0] };
    let groups = [msg! { GroupId: &group, MemberId: "x", MemberEpoch: 4, Topics: [topic] }];
    s.ask("a", "OffsetFetch", 9, msg! { Groups: groups })?;
    Ok(())
}

fn offsets_of_deleted_topics(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (name, group) = (s.name("t"), s.name("g"));
    s.setup("OffsetCommit", 8, commit(&group, -1, "", &name, 5))?;
    s.ask("a", "DeleteTopics", 5, kit::delete_topic(&name))?;
    let gone = |answer: &Value| {
        let told = answer.int("Groups[0].Topics[0].Partitions[0].CommittedOffset");
        told.is_ok_and(|offset| offset == -1)
    };
    s.note("What was committed for a topic that is gone is gone.");
    let ask = kit::committed_offset(&group, &name);
    let answer = s.ask_until("a", "OffsetFetch", 8, ask.clone(), gone)?;
    ensure!(gone(&answer), "{answer}");
    s.topic("t", 1)?;
    s.ask("a", "OffsetFetch", 8, ask)?;
    Ok(())
}

fn empty_ids(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let nobody = Member {
        group: String::new(),
        id: "x".to_owned(),
        generation: 1,
    };
    s.ask("a", "SyncGroup", 4, nobody.sync(&[]))?;
    s.ask("a", "Heartbeat", 4, nobody.heartbeat())?;
    s.ask("a", "LeaveGroup", 1, msg! { GroupId: "", MemberId: "x" })?;
    s.ask("a", "LeaveGroup", 4, nobody.leave())?;
    s.ask("a", "DescribeGroups", 5, msg! { Groups: [""] })?;
    s.note("Offsets may be those of a group without a name.");
    s.ask("a", "OffsetCommit", 8, commit("", -1, "", &name, 3))?;
    s.ask("a", "OffsetFetch", 8, kit::committed_offset("", &name))?;
    s.ask("a", "FindCoordinator", 3, msg! { Key: "" })?;
    Ok(())
}

fn no_more_than_so_many(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let (leader, follower) = two_joined(s, &group)?;
    s.ask("a", "SyncGroup", 4, leader.sync(&[]))?;
    s.note("The third is refused, with an id and without, static or not.");
    s.ask("c", "JoinGroup", 9, Join::new(&group).request())?;
    s.ask("c", "JoinGroup", 3, Join::new(&group).request())?;
    s.ask("c", "JoinGroup", 9, fixed(&group, "one").request())?;
    s.ask("c", "JoinGroup", 9, Join::new(&group).member("x").request())?;
    s.note("One leaves, and there is room.");
    s.ask("b", "LeaveGroup", 4, follower.leave())?;
    let id = member_id(s, &Join::new(&group))?;
    s.send("c", "JoinGroup", 9, Join::new(&group).member(&id).request())?;
    s.ask(
        "a",
        "JoinGroup",
        9,
        Join::new(&group).member(&leader.id).request(),
    )?;
    s.receive("c")?;
    s.note("More ids may be told than there is room for.");
    let other = s.name("h");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let told = s.ask("a", "JoinGroup", 9, Join::new(&other).request())?;
        ids.push(told.text("MemberId")?);
    }
    for (on, id) in ["a", "b", "c"].into_iter().zip(&ids) {
        let mut join = Join::new(&other).member(id);
        join.rebalance_ms = 1500;
        s.send(on, "JoinGroup", 9, join.request())?;
        s.receive_within(on, SOON)?;
    }
    Ok(())
}

fn metadata_of_a_length(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    s.note("Each offset by itself.");
    let mut topics = Vec::new();
    for (short, text) in [
        ("t", "0123456789"),
        ("u", "0123456789a"),
        ("v", "äöüäöüäöü"),
    ] {
        s.topic(short, 1)?;
        let partition = msg! { PartitionIndex: 0, CommittedOffset: 1, CommittedMetadata: text };
        topics.push(msg! { Name: &s.name(short), Partitions: [partition] });
    }
    s.ask(
        "a",
        "OffsetCommit",
        8,
        msg! { GroupId: &group, Topics: topics },
    )?;
    s.ask(
        "a",
        "OffsetFetch",
        8,
        msg! { Groups: [msg! { GroupId: &group, Topics: NULL }] },
    )?;
    Ok(())
}

fn the_first_join_phase(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let mut join = Join::new(&group);
    join.rebalance_ms = 1000;
    let ids = [member_id(s, &join)?, member_id(s, &join)?];
    s.send("a", "JoinGroup", 9, join.clone().member(&ids[0]).request())?;
    s.note("Nobody has a generation yet.");
    let describe = msg! { Groups: [&*group] };
    for version in [0, 5] {
        let joins = |answer: &Value| {
            let state = answer.text("Groups[0].GroupState");
            state.is_ok_and(|state| state == "PreparingRebalance")
        };
        let answer = s.ask_until("c", "DescribeGroups", version, describe.clone(), joins)?;
        ensure!(joins(&answer), "{answer}");
    }
    for generation in [0, 1] {
        let beat = msg! { GroupId: &group, GenerationId: generation, MemberId: &ids[0] };
        s.ask("c", "Heartbeat", 4, beat)?;
    }
    s.note("It lasts as long as the members give one another, at most.");
    s.send("b", "JoinGroup", 9, join.member(&ids[1]).request())?;
    let first = s.receive("a")?;
    let second = s.receive("b")?;
    ensure!(
        first.int("GenerationId")? == second.int("GenerationId")?,
        "{first} {second}"
    );
    s.note("It goes on by whole waits: two who come together wait twice.");
    let pair = s.name("p");
    let join = Join::new(&pair);
    let ids = [member_id(s, &join)?, member_id(s, &join)?];
    s.send("a", "JoinGroup", 9, join.clone().member(&ids[0]).request())?;
    s.receive_within("a", Duration::from_millis(100))?;
    s.send("b", "JoinGroup", 9, join.member(&ids[1]).request())?;
    s.receive_within("a", Duration::from_millis(1200))?;
    s.receive("a")?;
    s.receive("b")?;
    s.note("All of them leave before it is over.");
    let other = s.name("h");
    let id = member_id(s, &Join::new(&other))?;
    s.send("d", "JoinGroup", 9, Join::new(&other).member(&id).request())?;
    s.receive_within("d", Duration::from_millis(100))?;
    let leaving = msg! { MemberId: &id };
    s.ask(
        "c",
        "LeaveGroup",
        3,
        msg! { GroupId: &other, Members: [leaving] },
    )?;
    s.receive("d")?;
    s.ask("c", "DescribeGroups", 5, msg! { Groups: [&*other] })?;
    Ok(())
}
