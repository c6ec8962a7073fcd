//! Records of `__consumer_offsets`, byte for byte as Kafka 4.3 writes them.

use bytes::Bytes;
use ottla_base::{GroupId, LeaderEpoch, MemberId, Millis, Offset, PartitionId, TopicId, TopicName};
use ottla_protocol::internal::{
    Assignment, GroupMember, GroupMetadataValue, OffsetCommitValue, OffsetsKey, OwnedPartitions,
    RecordError, Subscription,
};

#[test]
fn keys_are_written_as_kafka_does() {
    let commit = OffsetsKey::OffsetCommit {
        group: GroupId::from("g"),
        topic: TopicName::from("top"),
        partition: PartitionId(258),
    };
    let bytes = b"\x00\x01\x00\x01g\x00\x03top\x00\x00\x01\x02";
    assert_eq!(&commit.encode().unwrap()[..], bytes);
    assert_eq!(OffsetsKey::decode(bytes), Ok(commit.clone()));
    // Before 0.9 the same key had the type 0.
    let old = b"\x00\x00\x00\x01g\x00\x03top\x00\x00\x01\x02";
    assert_eq!(OffsetsKey::decode(old), Ok(commit));

    let group = OffsetsKey::GroupMetadata {
        group: GroupId::from("g"),
    };
    assert_eq!(&group.encode().unwrap()[..], b"\x00\x02\x00\x01g");
    assert_eq!(OffsetsKey::decode(b"\x00\x02\x00\x01g"), Ok(group));
    let newer = OffsetsKey::decode(b"\x00\x03\x00\x01g");
    assert_eq!(newer, Err(RecordError::UnknownType(3)));
}

#[test]
fn commits_are_written_in_version_4() {
    let commit = commit();
    let mut bytes = b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x00\x00\x05\x03me".to_vec();
    bytes.extend_from_slice(b"\x00\x00\x00\x00\x00\x00\x03\xe8\x01\x00\x10");
    bytes.extend_from_slice(&[9; 16]);
    assert_eq!(&commit.encode().unwrap()[..], &bytes[..]);
    assert_eq!(OffsetCommitValue::decode(&bytes), Ok(commit));
}

#[test]
fn a_commit_without_a_topic_id_has_no_tagged_field() {
    let commit = OffsetCommitValue {
        topic_id: TopicId::ZERO,
        ..commit()
    };
    let bytes = commit.encode().unwrap();
    assert_eq!(bytes.last(), Some(&0));
    assert_eq!(OffsetCommitValue::decode(&bytes), Ok(commit));
}

#[test]
fn a_commit_with_its_own_expiry_is_written_in_version_1() {
    let commit = OffsetCommitValue {
        expires_at: Some(Millis(2_000)),
        ..commit()
    };
    let mut bytes = b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x02me".to_vec();
    bytes.extend_from_slice(b"\x00\x00\x00\x00\x00\x00\x03\xe8\x00\x00\x00\x00\x00\x00\x07\xd0");
    assert_eq!(&commit.encode().unwrap()[..], &bytes[..]);
    let read = OffsetCommitValue {
        leader_epoch: LeaderEpoch::NONE,
        topic_id: TopicId::ZERO,
        ..commit
    };
    assert_eq!(OffsetCommitValue::decode(&bytes), Ok(read));
}

#[test]
fn older_commits_are_read() {
    let offset = b"\x00\x00\x00\x00\x00\x00\x00\x2a";
    let rest = b"\x00\x02me\x00\x00\x00\x00\x00\x00\x03\xe8";
    let cases: [(&[u8], &[u8]); 3] = [
        (b"\x00\x00", b""),
        (b"\x00\x02", b""),
        (b"\x00\x03", b"\x00\x00\x00\x05"),
    ];
    for (version, epoch) in cases {
        let bytes = [version, offset, epoch, rest].concat();
        let read = OffsetCommitValue::decode(&bytes).unwrap();
        let leader_epoch = if epoch.is_empty() {
            LeaderEpoch::NONE
        } else {
            LeaderEpoch(5)
        };
        let expected = OffsetCommitValue {
            leader_epoch,
            topic_id: TopicId::ZERO,
            ..commit()
        };
        assert_eq!(read, expected, "{version:?}");
    }
    assert_eq!(
        OffsetCommitValue::decode(b"\x00\x05"),
        Err(RecordError::UnknownVersion {
            what: "offset commit",
            version: 5
        })
    );
}

#[test]
fn generations_are_written_in_version_3() {
    let group = generation();
    let mut bytes = b"\x00\x03\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x02m1".to_vec();
    bytes.extend_from_slice(b"\x00\x00\x00\x00\x00\x00\x03\xe8\x00\x00\x00\x01");
    bytes.extend_from_slice(b"\x00\x02m1\xff\xff\x00\x06client\x00\x0a/127.0.0.1");
    bytes.extend_from_slice(b"\x00\x00\xea\x60\x00\x00\x27\x10");
    bytes.extend_from_slice(b"\x00\x00\x00\x03sub\x00\x00\x00\x00");
    assert_eq!(&group.encode().unwrap()[..], &bytes[..]);
    assert_eq!(GroupMetadataValue::decode(&bytes), Ok(group));
}

#[test]
fn an_empty_group_has_null_protocol_and_leader() {
    let group = GroupMetadataValue::default();
    let bytes = group.encode().unwrap();
    let expected = b"\x00\x03\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00";
    assert_eq!(&bytes[..], expected);
    assert_eq!(GroupMetadataValue::decode(&bytes), Ok(group));
}

#[test]
fn older_and_newer_generations_are_read() {
    let head = b"\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x02m1";
    let since = b"\x00\x00\x00\x00\x00\x00\x03\xe8";
    let one = b"\x00\x00\x00\x01";
    let member = b"\x00\x02m1\x00\x06client\x00\x0a/127.0.0.1";
    let rebalance = b"\x00\x00\xea\x60";
    let rest = b"\x00\x00\x27\x10\x00\x00\x00\x03sub\x00\x00\x00\x00";
    let versions: [Vec<&[u8]>; 3] = [
        vec![b"\x00\x00", head, one, member, rest],
        vec![b"\x00\x01", head, one, member, rebalance, rest],
        vec![b"\x00\x02", head, since, one, member, rebalance, rest],
    ];
    for (version, parts) in versions.iter().enumerate() {
        let mut expected = generation();
        if version == 0 {
            expected.members[0].rebalance_timeout_ms = -1;
        }
        if version < 2 {
            expected.state_since = None;
        }
        assert_eq!(
            GroupMetadataValue::decode(&parts.concat()),
            Ok(expected),
            "{version}"
        );
    }
    let flexible = [
        &b"\x00\x04\x09consumer\x00\x00\x00\x04\x06range\x03m1"[..],
        since,
        b"\x02\x03m1\x00\x07client\x0b/127.0.0.1\x00\x00\xea\x60\x00\x00\x27\x10",
        b"\x04sub\x01\x00\x00",
    ];
    assert_eq!(
        GroupMetadataValue::decode(&flexible.concat()),
        Ok(generation())
    );
}

#[test]
fn subscriptions_of_every_version_are_read() {
    let topics = b"\x00\x00\x00\x02\x00\x01a\x00\x01b";
    let no_data = b"\xff\xff\xff\xff";
    let owned = b"\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x01\x00\x00\x00\x03";
    let generation = b"\x00\x00\x00\x07";
    let rack = b"\x00\x01r";
    let whole = Subscription {
        topics: vec![TopicName::from("a"), TopicName::from("b")],
        user_data: None,
        owned: vec![OwnedPartitions {
            topic: TopicName::from("a"),
            partitions: vec![PartitionId(3)],
        }],
        generation: 7,
        rack: Some("r".to_owned()),
    };
    let parts: [&[u8]; 5] = [topics, no_data, owned, generation, rack];
    for (version, count) in [(0_u8, 2), (1, 3), (2, 4), (3, 5), (9, 5)] {
        let bytes = [&[0, version], &parts[..count].concat()[..]].concat();
        let read = Subscription::parse(&bytes).unwrap();
        let expected = Subscription {
            owned: if count > 2 {
                whole.owned.clone()
            } else {
                Vec::new()
            },
            generation: if count > 3 { 7 } else { -1 },
            rack: whole.rack.clone().filter(|_| count > 4),
            ..whole.clone()
        };
        assert_eq!(read, expected, "{version}");
    }
    let written = whole.encode().unwrap();
    assert_eq!(&written[..], &[&[0, 3], &parts.concat()[..]].concat()[..]);
    assert!(Subscription::parse(b"\xff\xff").is_err());
    assert!(Subscription::parse(b"").is_err());
}

#[test]
fn assignments_come_back() {
    let assignment = Assignment {
        assigned: vec![OwnedPartitions {
            topic: TopicName::from("a"),
            partitions: vec![PartitionId(0), PartitionId(1)],
        }],
        user_data: Some(Bytes::from_static(b"data")),
    };
    let bytes = assignment.encode().unwrap();
    assert_eq!(Assignment::parse(&bytes), Ok(assignment));
}

fn commit() -> OffsetCommitValue {
    OffsetCommitValue {
        offset: Offset(42),
        leader_epoch: LeaderEpoch(5),
        metadata: "me".to_owned(),
        committed_at: Millis(1_000),
        expires_at: None,
        topic_id: TopicId([9; 16]),
    }
}

fn generation() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".to_owned(),
        generation: 4,
        protocol: Some("range".to_owned()),
        leader: Some(MemberId::from("m1")),
        state_since: Some(Millis(1_000)),
        members: vec![GroupMember {
            member_id: MemberId::from("m1"),
            group_instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(b"sub"),
            assignment: Bytes::new(),
        }],
    }
}
