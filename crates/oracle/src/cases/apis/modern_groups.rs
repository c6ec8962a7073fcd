//! Groups of the newer protocols, consumers', share and streams: requests that
//! need no story.

use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("modern_groups", name, steps)
    };
    vec![
        case("consumer_group_heartbeat", consumer_group_heartbeat),
        case("consumer_group_describe", consumer_group_describe),
        case("share_group_heartbeat", share_group_heartbeat),
        case("share_fetch", share_fetch),
        case("share_group_offsets", share_group_offsets),
        case("share_group_state", share_group_state),
        case("streams_groups", streams_groups),
    ]
}

/// A member's id that it chose itself.
const MEMBER: &str = "member";

fn consumer_group_heartbeat(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let topic = s.name("t");
    for version in 0..=1 {
        let group = s.name(&format!("v{version}"));
        let joins = || {
            msg! {
                GroupId: &group,
                MemberId: MEMBER,
                RebalanceTimeoutMs: 30_000,
                SubscribedTopicNames: [&*topic],
                TopicPartitions: EMPTY,
            }
        };
        let answer = s.ask("a", "ConsumerGroupHeartbeat", version, joins())?;
        let member = answer
            .text("MemberId")
            .unwrap_or_else(|_| MEMBER.to_owned());
        let beats = |epoch: i32| msg! { GroupId: &group, MemberId: &member, MemberEpoch: epoch };
        for epoch in [9, -3, -1, 1] {
            s.ask("a", "ConsumerGroupHeartbeat", version, beats(epoch))?;
        }
    }
    s.note("Requests that no member may send.");
    let group = s.name("refused");
    for request in [
        msg! { GroupId: "", MemberId: MEMBER, RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY, TopicPartitions: EMPTY },
        msg! { GroupId: &group, MemberId: "", RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY },
        msg! { GroupId: &group, MemberId: MEMBER, RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY },
        msg! { GroupId: &group, MemberId: MEMBER, RebalanceTimeoutMs: 1000, TopicPartitions: EMPTY },
        msg! { GroupId: &group, MemberId: MEMBER, SubscribedTopicNames: EMPTY, TopicPartitions: EMPTY },
        msg! { GroupId: &group, MemberId: MEMBER, RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY, TopicPartitions: EMPTY, ServerAssignor: "none" },
        msg! { GroupId: &group, MemberId: MEMBER, RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY, TopicPartitions: EMPTY, InstanceId: "" },
        msg! { GroupId: &group, MemberId: MEMBER, RebalanceTimeoutMs: 1000, SubscribedTopicNames: EMPTY, TopicPartitions: EMPTY, RackId: "" },
        msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: -2 },
        msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: 5 },
    ] {
        s.sweep("ConsumerGroupHeartbeat", |_| request.clone())?;
    }
    s.note("Regular expressions, from version 1 on.");
    for (at, regex) in ["o-.*", "(", "", "(?=x)"].into_iter().enumerate() {
        s.ask(
            "a",
            "ConsumerGroupHeartbeat",
            1,
            msg! {
                GroupId: s.name(&format!("regex-{at}")),
                MemberId: MEMBER,
                RebalanceTimeoutMs: 1000,
                SubscribedTopicRegex: regex,
                TopicPartitions: EMPTY,
            },
        )?;
    }
    Ok(())
}

fn consumer_group_describe(s: &mut Session<'_>) -> anyhow::Result<()> {
    let none = s.name("none");
    for groups in [
        Value::from([&*none]),
        Value::from([""]),
        Value::from([&*none, &*none]),
        EMPTY,
    ] {
        for operations in [false, true] {
            s.sweep("ConsumerGroupDescribe", |_| {
                msg! {
                    GroupIds: groups.clone(),
                    IncludeAuthorizedOperations: operations,
                }
            })?;
        }
    }
    Ok(())
}

fn share_group_heartbeat(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (topic, group, none) = (s.name("t"), s.name("g"), s.name("none"));
    let mut ask = |request: Value| s.ask("a", "ShareGroupHeartbeat", 1, request);
    ask(msg! { GroupId: &group, MemberId: MEMBER, SubscribedTopicNames: [&*topic] })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: 9 })?;
    ask(msg! { GroupId: &group, MemberId: "stranger", MemberEpoch: 1 })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: -1 })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: -2 })?;
    ask(msg! { GroupId: "", MemberId: MEMBER, SubscribedTopicNames: EMPTY })?;
    ask(msg! { GroupId: &group, MemberId: "", SubscribedTopicNames: EMPTY })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, RackId: "", SubscribedTopicNames: EMPTY })?;
    for groups in [
        Value::from([&*group]),
        Value::from([&*none]),
        Value::from([""]),
        EMPTY,
    ] {
        s.ask("a", "ShareGroupDescribe", 1, msg! { GroupIds: groups })?;
    }
    Ok(())
}

fn share_fetch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let group = s.name("g");
    let member = Value::from("AAAAAAAAAAAAAAAAAAAAAQ");
    let of = |id: Value, index: i32| {
        msg! {
            TopicId: id,
            Partitions: [msg! { PartitionIndex: index }],
        }
    };
    for (group, member, epoch, topics) in [
        (
            Value::from(&group),
            member.clone(),
            0,
            vec![of(id.into(), 0)],
        ),
        (Value::from(&group), member.clone(), 7, vec![]),
        (Value::from(&group), member.clone(), -1, vec![]),
        (
            Value::from(&group),
            member.clone(),
            0,
            vec![of(Value::Uuid([7; 16]), 0)],
        ),
        (Value::from(&group), NULL, 0, vec![]),
        (NULL, member.clone(), 0, vec![]),
        ("".into(), member, 0, vec![]),
        (Value::from(&group), "no id".into(), 0, vec![]),
    ] {
        for version in 1..=2 {
            s.ask(
                "a",
                "ShareAcknowledge",
                version,
                msg! {
                    GroupId: group.clone(),
                    MemberId: member.clone(),
                    ShareSessionEpoch: epoch,
                    Topics: topics.clone(),
                },
            )?;
            if topics.is_empty() {
                s.ask(
                    "a",
                    "ShareFetch",
                    version,
                    msg! {
                        GroupId: group.clone(),
                        MemberId: member.clone(),
                        ShareSessionEpoch: epoch,
                        MaxRecords: 10,
                        BatchSize: 10,
                    },
                )?;
            }
        }
    }
    Ok(())
}

fn share_group_offsets(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let (topic, none) = (s.name("t"), s.name("none"));
    for group in [&*none, ""] {
        for topics in [
            NULL,
            EMPTY,
            Value::from([msg! { TopicName: &topic, Partitions: [0, 7] }]),
        ] {
            s.sweep("DescribeShareGroupOffsets", |_| {
                msg! {
                    Groups: [msg! { GroupId: group, Topics: topics.clone() }],
                }
            })?;
        }
        s.ask(
            "a",
            "AlterShareGroupOffsets",
            0,
            msg! {
                GroupId: group,
                Topics: [msg! {
                    TopicName: &topic,
                    Partitions: [msg! { PartitionIndex: 0, StartOffset: 0_i64 }],
                }],
            },
        )?;
        s.ask(
            "a",
            "DeleteShareGroupOffsets",
            0,
            msg! {
                GroupId: group,
                Topics: [msg! { TopicName: &topic }],
            },
        )?;
    }
    Ok(())
}

fn share_group_state(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let none = s.name("none");
    for group in [&*none, ""] {
        for id in [Value::from(id), Value::Uuid([7; 16])] {
            let of = |partition: Value| {
                msg! {
                    GroupId: group,
                    Topics: [msg! { TopicId: id.clone(), Partitions: [partition] }],
                }
            };
            s.sweep("ReadShareGroupState", |_| of(msg! { Partition: 0 }))?;
            s.sweep("ReadShareGroupStateSummary", |_| of(msg! { Partition: 0 }))?;
            s.sweep("WriteShareGroupState", |_| {
                of(msg! { Partition: 0, StateEpoch: 9 })
            })?;
            s.sweep("DeleteShareGroupState", |_| of(msg! { Partition: 0 }))?;
            s.sweep("InitializeShareGroupState", |_| of(msg! { Partition: -1 }))?;
        }
    }
    Ok(())
}

fn streams_groups(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    let (topic, group, none) = (s.name("t"), s.name("g"), s.name("none"));
    let topology = || {
        msg! {
            Epoch: 0,
            Subtopologies: [msg! { SubtopologyId: "0", SourceTopics: [&*topic] }],
        }
    };
    let joins = |group: &str, member: &str| {
        msg! {
            GroupId: group,
            MemberId: member,
            RebalanceTimeoutMs: 30_000,
            Topology: topology(),
            ActiveTasks: EMPTY,
            StandbyTasks: EMPTY,
            WarmupTasks: EMPTY,
            ProcessId: "process",
        }
    };
    let mut ask = |request: Value| s.ask("a", "StreamsGroupHeartbeat", 0, request);
    ask(joins(&group, MEMBER))?;
    ask(joins("", MEMBER))?;
    ask(joins(&group, ""))?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: 9 })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: -3 })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER, MemberEpoch: -1 })?;
    ask(msg! { GroupId: &none, MemberId: MEMBER, MemberEpoch: 1 })?;
    ask(msg! { GroupId: &group, MemberId: MEMBER })?;
    for groups in [Value::from([&*none]), Value::from([""]), EMPTY] {
        s.ask("a", "StreamsGroupDescribe", 0, msg! { GroupIds: groups })?;
    }
    Ok(())
}
