//! Classic groups: requests that need no story.

use super::super::kit::Join;
use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NO_ID, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("groups", name, steps)
    };
    vec![
        case("find_coordinator", find_coordinator),
        case("find_the_first_coordinator", find_the_first_coordinator).first(),
        case("join_group", join_group),
        case("join_group_refused", join_group_refused),
        case("sync_group", sync_group),
        case("heartbeat", heartbeat),
        case("leave_group", leave_group),
        case("offset_commit", offset_commit),
        case("offset_fetch", offset_fetch),
        case("offset_delete", offset_delete),
        case("describe_groups", describe_groups),
        case("list_groups", list_groups),
        case("delete_groups", delete_groups),
    ]
}

fn find_coordinator(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    for kind in [0_i8, 1, 2, 3, -1] {
        for key in [&*group, "", "ω"] {
            let request = msg! { Key: key, KeyType: kind, CoordinatorKeys: [key] };
            s.sweep("FindCoordinator", |_| request.clone())?;
        }
    }
    s.note("Several, none, and twice the same.");
    let other = s.name("other");
    s.sweep(
        "FindCoordinator",
        |_| msg! { CoordinatorKeys: [&*group, &*other] },
    )?;
    s.sweep("FindCoordinator", |_| msg! { CoordinatorKeys: EMPTY })?;
    s.sweep(
        "FindCoordinator",
        |_| msg! { CoordinatorKeys: [&*group, &*group] },
    )?;
    s.note("Keys as share groups have them.");
    for key in [
        "g:AAAAAAAAAAAAAAAAAAAAAQ:0",
        "g:AAAAAAAAAAAAAAAAAAAAAQ",
        "g:x:0",
        ":::",
    ] {
        s.ask(
            "a",
            "FindCoordinator",
            6,
            msg! { KeyType: 2_i8, CoordinatorKeys: [key] },
        )?;
    }
    Ok(())
}

fn find_the_first_coordinator(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let request = msg! { CoordinatorKeys: [&*group] };
    let is_there = |answer: &Value| {
        let code = answer.int("Coordinators[0].ErrorCode");
        code.is_ok_and(|code| code == 0)
    };
    s.ask("a", "FindCoordinator", 4, request.clone())?;
    s.ask_until("a", "FindCoordinator", 4, request, is_there)?;
    Ok(())
}

/// As a consumer that can do `range` joins.
fn join(group: &str, member: &str) -> Value {
    Join::new(group).member(member).request()
}

fn join_group(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=9 {
        let group = s.name(&format!("v{version}"));
        let mut answer = s.ask("a", "JoinGroup", version, join(&group, ""))?;
        let member = answer.text("MemberId").unwrap_or_default();
        if version >= 4 {
            s.note("With the id that it was given.");
            answer = s.ask("a", "JoinGroup", version, join(&group, &member))?;
        }
        let generation = answer.int("GenerationId").unwrap_or(-1);
        let sync = version.min(5);
        s.ask(
            "a",
            "SyncGroup",
            sync,
            msg! {
                GroupId: &group,
                GenerationId: generation,
                MemberId: &member,
                ProtocolType: "consumer",
                ProtocolName: "range",
                Assignments: [msg! { MemberId: &member, Assignment: b"all of it" }],
            },
        )?;
        let beat = msg! { GroupId: &group, GenerationId: generation, MemberId: &member };
        s.ask("a", "Heartbeat", version.min(4), beat)?;
        s.ask(
            "a",
            "DescribeGroups",
            version.min(6),
            msg! { Groups: [&*group] },
        )?;
        s.ask(
            "a",
            "LeaveGroup",
            version.min(5),
            msg! {
                GroupId: &group,
                MemberId: &member,
                Members: [msg! { MemberId: &member, Reason: "done" }],
            },
        )?;
        s.ask(
            "a",
            "DescribeGroups",
            version.min(6),
            msg! { Groups: [&*group] },
        )?;
        s.note("The group is empty.");
        let beat = msg! { GroupId: &group, GenerationId: generation, MemberId: &member };
        s.ask("a", "Heartbeat", version.min(4), beat)?;
    }
    s.note("A member with a name of its own.");
    for version in 5..=9 {
        let group = s.name(&format!("static-v{version}"));
        let mut request = join(&group, "");
        if let Value::Struct(fields) = &mut request {
            fields.push(("GroupInstanceId", "i".into()));
        }
        s.ask("a", "JoinGroup", version, request)?;
    }
    Ok(())
}

fn join_group_refused(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    let with = |name: &'static str, value: Value| {
        let mut request = join(&group, "");
        if let Value::Struct(fields) = &mut request {
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        request
    };
    for (name, value) in [
        ("GroupId", "".into()),
        ("MemberId", "stranger".into()),
        ("SessionTimeoutMs", 1.into()),
        ("SessionTimeoutMs", 0.into()),
        ("SessionTimeoutMs", (-1).into()),
        ("SessionTimeoutMs", i32::MAX.into()),
        ("ProtocolType", "".into()),
        ("Protocols", EMPTY),
    ] {
        s.sweep("JoinGroup", |_| with(name, value.clone()))?;
    }
    s.note("Odd names of members, each in a group of its own.");
    for (at, instance) in ["", ".", "bad/name", "x y", &"x".repeat(250)]
        .iter()
        .enumerate()
    {
        for version in [5, 9] {
            let mut request = join(&s.name(&format!("named-{at}-v{version}")), "");
            if let Value::Struct(fields) = &mut request {
                fields.push(("GroupInstanceId", (*instance).into()));
            }
            s.ask("a", "JoinGroup", version, request)?;
        }
    }
    Ok(())
}

fn sync_group(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("none");
    for (group, member, generation) in [
        (&*group, "stranger", 1),
        (&*group, "", -1),
        ("", "stranger", 1),
        (&*group, "stranger", i32::MIN),
    ] {
        s.sweep("SyncGroup", |_| {
            msg! {
                GroupId: group,
                GenerationId: generation,
                MemberId: member,
                ProtocolType: "consumer",
                ProtocolName: "range",
            }
        })?;
    }
    s.note("Without the protocol's type or name, which version 5 wants.");
    for (kind, name) in [
        (NULL, NULL),
        ("consumer".into(), NULL),
        (NULL, "range".into()),
    ] {
        s.ask(
            "a",
            "SyncGroup",
            5,
            msg! {
                GroupId: &group,
                GenerationId: 1,
                MemberId: "stranger",
                ProtocolType: kind,
                ProtocolName: name,
            },
        )?;
    }
    Ok(())
}

fn heartbeat(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("none");
    for (group, member, generation) in [
        (&*group, "stranger", 1),
        (&*group, "", -1),
        ("", "stranger", 1),
        ("", "", 0),
    ] {
        s.sweep("Heartbeat", |_| {
            msg! {
                GroupId: group,
                GenerationId: generation,
                MemberId: member,
            }
        })?;
        s.sweep("Heartbeat", |_| {
            msg! {
                GroupId: group,
                GenerationId: generation,
                MemberId: member,
                GroupInstanceId: "i",
            }
        })?;
    }
    Ok(())
}

fn leave_group(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("none");
    let stranger = || msg! { MemberId: "stranger" };
    let named = || msg! { MemberId: "", GroupInstanceId: "i" };
    for group in [&*group, ""] {
        for members in [
            vec![stranger()],
            vec![named()],
            vec![stranger(), named(), stranger()],
            vec![],
        ] {
            s.sweep("LeaveGroup", |_| {
                msg! {
                    GroupId: group,
                    MemberId: "stranger",
                    Members: members.clone(),
                }
            })?;
        }
    }
    s.note("Of a group that is empty.");
    let empty = s.name("empty");
    commit(s, &empty)?;
    s.sweep("LeaveGroup", |_| {
        msg! {
            GroupId: &empty,
            MemberId: "stranger",
            Members: [stranger(), named()],
        }
    })
}

/// Leaves a group behind that has an offset and no members.
fn commit(s: &mut Session<'_>, group: &str) -> anyhow::Result<[u8; 16]> {
    let topic = s.name("t");
    let id = s.topic("t", 2).unwrap_or_default();
    let partition = msg! {
        PartitionIndex: 0,
        CommittedOffset: 5_i64,
        CommittedLeaderEpoch: 0,
        CommittedMetadata: "m",
    };
    s.setup(
        "OffsetCommit",
        9,
        msg! {
            GroupId: group,
            Topics: [msg! { Name: &topic, Partitions: [partition] }],
        },
    )?;
    Ok(id)
}

fn offset_commit(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let (topic, none, group) = (s.name("t"), s.name("none"), s.name("g"));
    let unknown = Value::Uuid([7; 16]);
    let at = |index: i32, offset: i64, metadata: Value| {
        msg! {
            PartitionIndex: index,
            CommittedOffset: offset,
            CommittedMetadata: metadata,
        }
    };
    let of = |partitions: Vec<Value>| {
        msg! {
            Name: &topic,
            TopicId: id,
            Partitions: partitions,
        }
    };
    let each = |s: &mut Session<'_>, topics: Vec<Value>| {
        s.sweep(
            "OffsetCommit",
            |_| msg! { GroupId: &group, Topics: topics.clone() },
        )
    };
    for (offset, metadata) in [
        (5, "m".into()),
        (0, "".into()),
        (-1, NULL),
        (i64::MIN, NULL),
        (i64::MAX, NULL),
        (5, "x".repeat(4096).into()),
        (5, "x".repeat(4097).into()),
    ] {
        each(s, vec![of(vec![at(0, offset, metadata)])])?;
    }
    s.note("Partitions and topics that there are not.");
    each(
        s,
        vec![of(vec![at(7, 5, NULL), at(0, 6, NULL), at(-1, 5, NULL)])],
    )?;
    let missing = msg! { Name: &none, TopicId: &unknown, Partitions: [at(0, 5, NULL)] };
    each(s, vec![missing, of(vec![at(0, 6, NULL)])])?;
    each(
        s,
        vec![msg! { Name: "", TopicId: NO_ID, Partitions: [at(0, 5, NULL)] }],
    )?;
    each(s, vec![of(vec![])])?;
    each(s, vec![])?;
    s.note("Groups and members that there are not.");
    let of = of(vec![at(0, 5, NULL)]);
    for (group, member, generation) in [
        ("", "", -1),
        (&*none, "stranger", 1),
        (&*none, "", 1),
        (&*none, "stranger", -1),
        (&*group, "stranger", 1),
        (&*group, "", 0),
    ] {
        s.sweep("OffsetCommit", |_| {
            msg! {
                GroupId: group,
                GenerationIdOrMemberEpoch: generation,
                MemberId: member,
                Topics: [of.clone()],
            }
        })?;
    }
    keep_for_a_time(s, &group, &of)
}

fn keep_for_a_time(s: &mut Session<'_>, group: &str, topic: &Value) -> anyhow::Result<()> {
    s.note("Kept for a time of their own.");
    for retention in [0, 1, i64::MAX] {
        for version in [2, 3, 4] {
            s.ask(
                "a",
                "OffsetCommit",
                version,
                msg! { GroupId: group, RetentionTimeMs: retention, Topics: [topic.clone()] },
            )?;
        }
    }
    Ok(())
}

fn offset_fetch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (group, none) = (s.name("g"), s.name("none"));
    let id = commit(s, &group)?;
    let topic = s.name("t");
    let unknown = Value::Uuid([7; 16]);
    let of = |name: &str, id: Value, indexes: Vec<i32>| {
        let indexes: Vec<Value> = indexes.into_iter().map(Value::from).collect();
        msg! { Name: name, TopicId: id, PartitionIndexes: indexes }
    };
    let each = |s: &mut Session<'_>, group: &str, topics: Value, stable: bool| {
        // The older form has the topics of one group at the top.
        let old: Value = match topics.array("") {
            Ok(topics) => topics.iter().map(without_id).collect::<Vec<_>>().into(),
            Err(_) => NULL,
        };
        s.sweep("OffsetFetch", |version| {
            let old = if version == 1 && old.is_null() {
                EMPTY
            } else {
                old.clone()
            };
            msg! {
                GroupId: group,
                Topics: old,
                Groups: [msg! { GroupId: group, Topics: topics.clone() }],
                RequireStable: stable,
            }
        })
    };
    each(
        s,
        &group,
        Value::from([of(&topic, id.into(), vec![0, 1])]),
        false,
    )?;
    each(
        s,
        &group,
        Value::from([of(&topic, id.into(), vec![0])]),
        true,
    )?;
    each(s, &group, NULL, false)?;
    each(s, &group, EMPTY, false)?;
    s.note("Partitions, topics and groups that there are not.");
    each(
        s,
        &group,
        Value::from([of(&topic, id.into(), vec![7, -1])]),
        false,
    )?;
    each(s, &group, Value::from([of(&none, unknown, vec![0])]), false)?;
    each(
        s,
        &group,
        Value::from([of("", NO_ID, vec![0]), of(&topic, id.into(), vec![])]),
        false,
    )?;
    each(
        s,
        &none,
        Value::from([of(&topic, id.into(), vec![0])]),
        false,
    )?;
    each(s, &none, NULL, false)?;
    each(s, "", Value::from([of(&topic, id.into(), vec![0])]), false)?;
    offset_fetch_of_several(s, &group, &none)
}

fn offset_fetch_of_several(s: &mut Session<'_>, group: &str, none: &str) -> anyhow::Result<()> {
    s.note("Several groups, twice the same, and a member that is none.");
    for version in 8..=10 {
        let group_of = |group: &str| msg! { GroupId: group, Topics: NULL };
        for groups in [
            vec![group_of(group), group_of(none)],
            vec![group_of(group), group_of(group)],
            vec![],
            vec![msg! { GroupId: group, MemberId: "stranger", MemberEpoch: 1, Topics: NULL }],
            vec![msg! { GroupId: none, MemberId: "stranger", MemberEpoch: 1, Topics: NULL }],
            vec![msg! { GroupId: group, MemberId: "stranger", MemberEpoch: -1, Topics: NULL }],
        ] {
            s.ask("a", "OffsetFetch", version, msg! { Groups: groups })?;
        }
    }
    Ok(())
}

fn without_id(topic: &Value) -> Value {
    let Value::Struct(fields) = topic else {
        return topic.clone();
    };
    let kept = fields
        .iter()
        .filter(|(name, _)| *name != "TopicId")
        .cloned();
    Value::Struct(kept.collect())
}

fn offset_delete(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (group, none) = (s.name("g"), s.name("none"));
    commit(s, &group)?;
    let topic = s.name("t");
    let at = |index: i32| msg! { PartitionIndex: index };
    for (group, topics) in [
        (&*none, vec![msg! { Name: &topic, Partitions: [at(0)] }]),
        ("", vec![msg! { Name: &topic, Partitions: [at(0)] }]),
        (&*group, vec![msg! { Name: &none, Partitions: [at(0)] }]),
        (
            &*group,
            vec![msg! { Name: &topic, Partitions: [at(7), at(-1)] }],
        ),
        (
            &*group,
            vec![msg! { Name: &topic, Partitions: [at(0), at(1)] }],
        ),
        (&*group, vec![]),
    ] {
        s.ask(
            "a",
            "OffsetDelete",
            0,
            msg! { GroupId: group, Topics: topics },
        )?;
    }
    s.note("The group is gone with its last offset, or not.");
    s.ask("a", "DescribeGroups", 6, msg! { Groups: [&*group] })?;
    Ok(())
}

fn describe_groups(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (group, none) = (s.name("g"), s.name("none"));
    commit(s, &group)?;
    for groups in [
        Value::from([&*group]),
        Value::from([&*none]),
        Value::from([""]),
        Value::from([&*group, &*none, &*group]),
        EMPTY,
    ] {
        for operations in [false, true] {
            s.sweep("DescribeGroups", |_| {
                msg! {
                    Groups: groups.clone(),
                    IncludeAuthorizedOperations: operations,
                }
            })?;
        }
    }
    Ok(())
}

fn list_groups(s: &mut Session<'_>) -> anyhow::Result<()> {
    let group = s.name("g");
    commit(s, &group)?;
    s.sweep("ListGroups", |_| msg! {})?;
    for states in [
        Value::from(["Empty"]),
        Value::from(["empty", "Stable"]),
        Value::from(["Stable"]),
        Value::from(["None"]),
        Value::from([""]),
    ] {
        s.sweep("ListGroups", |_| msg! { StatesFilter: states.clone() })?;
    }
    for kinds in [
        Value::from(["classic"]),
        Value::from(["Classic", "consumer"]),
        Value::from(["consumer"]),
        Value::from(["none"]),
        Value::from([""]),
    ] {
        s.sweep("ListGroups", |_| msg! { TypesFilter: kinds.clone() })?;
    }
    Ok(())
}

fn delete_groups(s: &mut Session<'_>) -> anyhow::Result<()> {
    let none = s.name("none");
    for version in 0..=2 {
        let group = s.name(&format!("v{version}"));
        commit(s, &group)?;
        let groups = [&*group, &*none, ""];
        s.ask("a", "DeleteGroups", version, msg! { GroupsNames: groups })?;
    }
    s.note("Twice the same, and none.");
    let group = s.name("twice");
    commit(s, &group)?;
    s.ask(
        "a",
        "DeleteGroups",
        2,
        msg! { GroupsNames: [&*group, &*group] },
    )?;
    s.ask("a", "DeleteGroups", 2, msg! { GroupsNames: EMPTY })?;
    Ok(())
}
