//! Groups over the wire, in every version that is served.

use bytes::Bytes;
use ottla_base::ErrorCode;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
    SyncGroupRequest, SyncGroupResponse,
};
use ottla_protocol::{ApiKey, StrBytes};

use crate::harness::{Client, TestBroker, raw_frame};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A client that has found the coordinator of its group.
async fn client(broker: &TestBroker) -> Client {
    let mut client = broker.connect().await;
    let found = find(&mut client, 4, "g").await;
    assert_eq!(found.coordinators[0].error_code, 0);
    client
}

async fn find(client: &mut Client, version: i16, group: &str) -> FindCoordinatorResponse {
    let request = match version {
        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]),
        _ => FindCoordinatorRequest::default().with_key(text(group)),
    };
    client.call(version, request).await
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"what I can do"));
    JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_member_id(text(member))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("tests"))
        .with_protocols(vec![protocol])
}

fn sync(
    joined: &JoinGroupResponse,
    version: i16,
    work: &[(&StrBytes, &'static str)],
) -> SyncGroupRequest {
    let assignments = work.iter().map(|(member, work)| {
        SyncGroupRequestAssignment::default()
            .with_member_id((*member).clone())
            .with_assignment(Bytes::from_static(work.as_bytes()))
    });
    let protocol = (version >= 5).then(|| (text("tests"), text("range")));
    let (kind, name) = protocol.unzip();
    SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(joined.member_id.clone())
        .with_generation_id(joined.generation_id)
        .with_protocol_type(kind)
        .with_protocol_name(name)
        .with_assignments(assignments.collect())
}

fn heartbeat(joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(joined.member_id.clone())
        .with_generation_id(joined.generation_id)
}

fn leave(version: i16, member: &StrBytes) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(text("g").into());
    if version < 3 {
        return request.with_member_id(member.clone());
    }
    request.with_members(vec![
        MemberIdentity::default().with_member_id(member.clone()),
    ])
}

/// Joins in two steps, where the version has two.
async fn join_fully(client: &mut Client, version: i16) -> JoinGroupResponse {
    let first: JoinGroupResponse = client.call(version, join("g", "")).await;
    if version < 4 {
        return first;
    }
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
    assert_eq!(first.generation_id, -1);
    client.call(version, join("g", &first.member_id)).await
}

#[tokio::test]
async fn the_coordinator_is_found_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for version in 0..=6 {
        let found = find(&mut client, version, "g").await;
        let (code, node, port) = match found.coordinators.first() {
            Some(one) => (one.error_code, one.node_id, one.port),
            None => (found.error_code, found.node_id, found.port),
        };
        assert_eq!(code, 0, "v{version}");
        assert_eq!(node.0, broker.running.node().0, "v{version}");
        assert_ne!(port, 0, "v{version}");
    }
    let several = FindCoordinatorRequest::default().with_coordinator_keys(vec![
        text("a"),
        text(""),
        text("c"),
    ]);
    let found = client.call(6, several).await;
    let keys: Vec<_> = found
        .coordinators
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(keys, ["a", "", "c"]);
}

#[tokio::test]
async fn coordinators_of_other_things() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for (key_type, expected) in [
        (1, ErrorCode::None),
        (2, ErrorCode::InvalidRequest),
        (9, ErrorCode::InvalidRequest),
    ] {
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![text("x")]);
        let found = client.call(6, request).await;
        assert_eq!(found.coordinators[0].error_code, expected.code());
    }
    let topics = broker.running.image();
    assert_eq!(topics.topic_count(), 0, "only groups need their topic");
}

#[tokio::test]
async fn nobody_coordinates_before_the_topic_is_there() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let joined: JoinGroupResponse = client.call(9, join("g", "")).await;
    assert_eq!(joined.error_code, ErrorCode::NotCoordinator.code());
    let listed = client.call(5, ListGroupsRequest::default()).await;
    assert_eq!((listed.error_code, listed.groups.len()), (0, 0));
}

#[tokio::test]
async fn a_member_comes_and_goes_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for version in 0..=9 {
        let joined = join_fully(&mut client, version).await;
        assert_eq!(joined.error_code, 0, "v{version}");
        assert_eq!(joined.leader, joined.member_id);
        assert!(joined.member_id.starts_with("test-"));
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        let kind = (version >= 7).then_some("tests");
        assert_eq!(joined.protocol_type.as_deref(), kind);
        assert_eq!(joined.members[0].metadata, "what I can do");

        let version = version.min(5);
        let request = sync(&joined, version, &[(&joined.member_id, "work")]);
        let synced = client.call(version, request).await;
        assert_eq!(synced.error_code, 0, "v{version}");
        assert_eq!(synced.assignment, "work");

        let beat = client.call(version.min(4), heartbeat(&joined)).await;
        assert_eq!(beat.error_code, 0, "v{version}");

        let request = leave(version, &joined.member_id);
        let left = client.call(version, request.clone()).await;
        assert_eq!(left.error_code, 0, "v{version}");
        let unknown = ErrorCode::UnknownMemberId.code();
        let again = client.call(version, request).await;
        match version {
            3.. => assert_eq!(again.members[0].error_code, unknown, "v{version}"),
            _ => assert_eq!(again.error_code, unknown, "v{version}"),
        }
    }
}

#[tokio::test]
async fn inc_069_every_member_gets_its_assignment() {
    let broker = TestBroker::start().await;
    let (mut a, mut b) = (client(&broker).await, client(&broker).await);
    let alone = join_fully(&mut a, 9).await;
    let waiting: JoinGroupResponse = b.call(9, join("g", "")).await;
    b.send(9, &join("g", &waiting.member_id)).await;
    loop {
        // A heartbeat tells the first member to come back for the second.
        let beat = a.call(4, heartbeat(&alone)).await;
        if beat.error_code == ErrorCode::RebalanceInProgress.code() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let leader: JoinGroupResponse = a.call(9, join("g", &alone.member_id)).await;
    let follower = b.receive::<JoinGroupRequest>(9).await;
    assert_eq!((leader.generation_id, follower.generation_id), (2, 2));
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));

    b.send(5, &sync(&follower, 5, &[])).await;
    let work = [(&leader.member_id, "one"), (&follower.member_id, "two")];
    let first: SyncGroupResponse = a.call(5, sync(&leader, 5, &work)).await;
    let second = b.receive::<SyncGroupRequest>(5).await;
    assert_eq!(first.assignment, "one");
    assert_eq!(second.assignment, "two");
    assert_eq!(second.protocol_name.as_deref(), Some("range"));
}

#[tokio::test]
async fn a_member_of_these_versions_says_its_protocol() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let joined = join_fully(&mut client, 9).await;
    let silent = sync(&joined, 4, &[]);
    let synced = client.call(5, silent).await;
    let code = ErrorCode::InconsistentGroupProtocol.code();
    assert_eq!(synced.error_code, code);
}

#[tokio::test]
async fn a_static_member_returns_under_a_new_id() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = join("g", "").with_group_instance_id(Some(text("i")));
    let first: JoinGroupResponse = client.call(9, request.clone()).await;
    assert!(first.member_id.starts_with("i-"), "no second step for it");
    let request_sync = sync(&first, 5, &[(&first.member_id, "work")]);
    client.call(5, request_sync).await;

    let second: JoinGroupResponse = client.call(9, request.clone()).await;
    assert!(second.skip_assignment, "it leads and need not assign");
    let third: JoinGroupResponse = client.call(8, request).await;
    assert_eq!(third.leader, second.member_id, "the leader's old id");
    assert_ne!(third.member_id, second.member_id);

    let fenced = heartbeat(&second).with_group_instance_id(Some(text("i")));
    let beat = client.call(4, fenced).await;
    assert_eq!(beat.error_code, ErrorCode::FencedInstanceId.code());
}

#[tokio::test]
async fn groups_are_described_and_listed_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let joined = join_fully(&mut client, 9).await;
    let request = sync(&joined, 5, &[(&joined.member_id, "work")]);
    client.call(5, request).await;
    for version in 0..=6 {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![text("g").into(), text("none").into()])
            .with_include_authorized_operations(version >= 3);
        let described: DescribeGroupsResponse = client.call(version, request).await;
        let [group, none] = &described.groups[..] else {
            panic!("two groups were asked for");
        };
        assert_eq!(group.error_code, 0, "v{version}");
        assert_eq!(group.group_state.as_str(), "Stable");
        assert_eq!(group.protocol_type.as_str(), "tests");
        assert_eq!(group.protocol_data.as_str(), "range");
        assert_eq!(group.members[0].client_id.as_str(), "test");
        assert_eq!(group.members[0].member_metadata, "what I can do");
        assert_eq!(group.members[0].member_assignment, "work");
        let operations = if version >= 3 { 0xd48 } else { i32::MIN };
        assert_eq!(group.authorized_operations, operations, "v{version}");
        assert_eq!(none.group_state.as_str(), "Dead");
        let unknown = match version {
            6 => ErrorCode::GroupIdNotFound,
            _ => ErrorCode::None,
        };
        assert_eq!(none.error_code, unknown.code(), "v{version}");
    }
    for version in 0..=5 {
        let listed = client.call(version, ListGroupsRequest::default()).await;
        assert_eq!(listed.groups[0].group_id.as_str(), "g");
        assert_eq!(listed.groups[0].protocol_type.as_str(), "tests");
        let state = if version >= 4 { "Stable" } else { "" };
        assert_eq!(listed.groups[0].group_state.as_str(), state);
        let kind = if version >= 5 { "classic" } else { "" };
        assert_eq!(listed.groups[0].group_type.as_str(), kind);
    }
}

#[tokio::test]
async fn inc_074_groups_are_listed_by_state_and_type() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    join_fully(&mut client, 9).await;
    for (states, kinds, count) in [
        (vec!["completingREBALANCE"], vec![], 1),
        (vec!["Stable", "Empty"], vec![], 0),
        (vec!["nonsense"], vec![], 0),
        (vec![], vec!["Classic"], 1),
        (vec![], vec!["consumer"], 0),
    ] {
        let names = |names: Vec<&str>| names.into_iter().map(text).collect();
        let request = ListGroupsRequest::default()
            .with_states_filter(names(states))
            .with_types_filter(names(kinds));
        let listed = client.call(5, request).await;
        assert_eq!((listed.error_code, listed.groups.len()), (0, count));
    }
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let cases = [
        (join("", ""), ErrorCode::InvalidGroupId),
        (join("g", "guess"), ErrorCode::UnknownMemberId),
        (
            join("g", "").with_session_timeout_ms(1),
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            join("g", "").with_protocols(Vec::new()),
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            join("g", "").with_protocol_type(text(&"x".repeat(40_000))),
            ErrorCode::InvalidRequest,
        ),
        (join(&"g".repeat(40_000), ""), ErrorCode::InvalidGroupId),
    ];
    for (request, expected) in cases {
        let refused: JoinGroupResponse = client.call(9, request.clone()).await;
        assert_eq!(refused.error_code, expected.code());
        assert_eq!(refused.generation_id, -1);
        assert_eq!(refused.member_id, request.member_id);
    }
    let joined = join_fully(&mut client, 9).await;
    let mut late = joined.clone();
    late.generation_id += 1;
    let beat = client.call(4, heartbeat(&late)).await;
    assert_eq!(beat.error_code, ErrorCode::IllegalGeneration.code());
    let synced = client.call(5, sync(&late, 5, &[])).await;
    assert_eq!(synced.error_code, ErrorCode::IllegalGeneration.code());
}

#[tokio::test]
async fn hostile_counts_close_the_connection() {
    let broker = TestBroker::start().await;
    for key in [
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::LeaveGroup,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::DescribeGroups,
        ApiKey::DeleteGroups,
    ] {
        let mut client = broker.connect().await;
        let body = [0xff, 0xff, 0xff, 0xff, 0x0f].repeat(8);
        client.send_frame(&raw_frame(key, 2, &body)).await;
        assert!(client.receive_frame().await.is_none(), "{key:?}");
    }
}
