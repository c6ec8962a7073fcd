//! Committed offsets over the wire, in every version that is served.

use ottla_base::{ErrorCode, TopicName};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, FindCoordinatorRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetFetchResponse,
};
use ottla_protocol::{StrBytes, Uuid};

use crate::harness::{Client, TestBroker};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A client of a broker with the topic `t`, which has two partitions.
async fn client(broker: &TestBroker) -> Client {
    let mut client = broker.connect().await;
    client.create_topic("t", 2).await;
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    client.call(4, request).await;
    client
}

fn topic_id(broker: &TestBroker, name: &str) -> Uuid {
    let image = broker.running.image();
    let topic = image
        .topic(&TopicName::from(name))
        .expect("the topic is there");
    Uuid::from_bytes(topic.id.0)
}

/// Commits `offset` for both partitions of `topic`, as nobody in particular.
fn commit(version: i16, group: &str, topic: &str, id: Uuid, offset: i64) -> OffsetCommitRequest {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(if version >= 6 { 3 } else { -1 })
            .with_committed_metadata(Some(text("note")))
    };
    let topic = match version {
        10.. => OffsetCommitRequestTopic::default().with_topic_id(id),
        _ => OffsetCommitRequestTopic::default().with_name(text(topic).into()),
    };
    OffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            topic.with_partitions(vec![partition(0), partition(1)]),
        ])
}

fn codes(response: &OffsetCommitResponse) -> Vec<i16> {
    let topics = response.topics.iter();
    let partitions = topics.flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

/// Asks for partitions 0 and 7 of `topic`, or for everything.
fn fetch(version: i16, group: &str, topic: Option<(&str, Uuid)>) -> OffsetFetchRequest {
    let indexes = vec![0, 7];
    if version < 8 {
        let topics = topic.map(|(name, _)| {
            let topic = OffsetFetchRequestTopic::default().with_name(text(name).into());
            vec![topic.with_partition_indexes(indexes)]
        });
        return OffsetFetchRequest::default()
            .with_group_id(text(group).into())
            .with_topics(topics)
            .with_require_stable(version >= 7);
    }
    let topics = topic.map(|(name, id)| {
        let topic = match version {
            10.. => OffsetFetchRequestTopics::default().with_topic_id(id),
            _ => OffsetFetchRequestTopics::default().with_name(text(name).into()),
        };
        vec![topic.with_partition_indexes(indexes)]
    });
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(text(group).into())
        .with_topics(topics);
    OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(true)
}

/// Partition, offset, epoch, metadata and error of each answer.
fn fetched(response: &OffsetFetchResponse) -> Vec<(i32, i64, i32, String, i16)> {
    let old = response.topics.iter().flat_map(|topic| &topic.partitions);
    let old = old.map(|partition| {
        let metadata = partition.metadata.clone().unwrap_or_default();
        (
            partition.partition_index,
            partition.committed_offset,
            partition.committed_leader_epoch,
            metadata.to_string(),
            partition.error_code,
        )
    });
    let topics = response.groups.iter().flat_map(|group| &group.topics);
    let new = topics.flat_map(|topic| &topic.partitions);
    let new = new.map(|partition| {
        let metadata = partition.metadata.clone().unwrap_or_default();
        (
            partition.partition_index,
            partition.committed_offset,
            partition.committed_leader_epoch,
            metadata.to_string(),
            partition.error_code,
        )
    });
    old.chain(new).collect()
}

#[tokio::test]
async fn inc_062_offsets_come_back_with_their_metadata_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    for version in 2..=10_i16 {
        let offset = 100 + i64::from(version);
        let committed = client
            .call(version, commit(version, "g", "t", id, offset))
            .await;
        assert_eq!(codes(&committed), [0, 0], "v{version}");
        assert_eq!(
            committed.topics[0].name.as_str(),
            if version < 10 { "t" } else { "" }
        );
    }
    for version in 1..=10_i16 {
        let response = client
            .call(version, fetch(version, "g", Some(("t", id))))
            .await;
        let epoch = if version >= 5 { 3 } else { -1 };
        let expected = [
            (0, 110, epoch, "note".to_owned(), 0),
            (7, -1, -1, String::new(), 0),
        ];
        assert_eq!(fetched(&response), expected, "v{version}");
    }
}

#[tokio::test]
async fn inc_063_no_topics_means_all() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    client.call(9, commit(9, "g", "t", id, 5)).await;
    for version in 2..=10 {
        let response = client.call(version, fetch(version, "g", None)).await;
        let offsets: Vec<_> = fetched(&response)
            .iter()
            .map(|one| (one.0, one.1))
            .collect();
        assert_eq!(offsets, [(0, 5), (1, 5)], "v{version}");
        if version == 10 {
            assert_eq!(response.groups[0].topics[0].topic_id, id);
        }
        let none = client.call(version, fetch(version, "nobody", None)).await;
        assert_eq!(fetched(&none), [], "v{version}");
    }
}

#[tokio::test]
async fn several_groups_are_fetched_at_once() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    for (group, offset) in [("g", 1), ("h", 2), ("", 3)] {
        client.call(9, commit(9, group, "t", id, offset)).await;
    }
    let groups = ["g", "h", "", "nobody"].map(|group| {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(text("t").into())
            .with_partition_indexes(vec![0]);
        OffsetFetchRequestGroup::default()
            .with_group_id(text(group).into())
            .with_topics(Some(vec![topic]))
    });
    let request = OffsetFetchRequest::default().with_groups(groups.to_vec());
    let response = client.call(9, request).await;
    let offsets: Vec<_> = fetched(&response).iter().map(|one| one.1).collect();
    assert_eq!(offsets, [1, 2, 3, -1]);
}

#[tokio::test]
async fn topics_that_are_not_known_come_last() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    client.call(9, commit(9, "g", "t", id, 5)).await;
    let nowhere = Uuid::from_u128(7);
    let topics = [nowhere, id].map(|id| {
        OffsetFetchRequestTopics::default()
            .with_topic_id(id)
            .with_partition_indexes(vec![0])
    });
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(text("g").into())
        .with_topics(Some(topics.to_vec()));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let response = client.call(10, request).await;
    let topics = response.groups[0].topics.iter();
    let answered: Vec<_> = topics.map(|topic| topic.topic_id).collect();
    assert_eq!(answered, [id, nowhere]);
    let offsets: Vec<_> = fetched(&response).iter().map(|one| one.1).collect();
    assert_eq!(offsets, [5, -1]);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_itself() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let nowhere = Uuid::from_u128(7);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let response = client.call(9, commit(9, "g", "none", nowhere, 5)).await;
    assert_eq!(codes(&response), [unknown; 2]);
    let response = client.call(10, commit(10, "g", "none", nowhere, 5)).await;
    assert_eq!(codes(&response), [ErrorCode::UnknownTopicId.code(); 2]);
    assert_eq!(response.topics[0].topic_id, nowhere);
    let response = client
        .call(10, fetch(10, "g", Some(("none", nowhere))))
        .await;
    let errors: Vec<_> = fetched(&response).iter().map(|one| one.4).collect();
    assert_eq!(errors, [ErrorCode::UnknownTopicId.code(); 2]);

    // The partitions that exist are committed all the same.
    let mut request = commit(9, "g", "t", nowhere, 5);
    request.topics[0].partitions[1].partition_index = 2;
    let large = text(&"m".repeat(4_097));
    let mut third = request.topics[0].partitions[0].clone();
    third.partition_index = 1;
    third.committed_metadata = Some(large);
    request.topics[0].partitions.push(third);
    let response = client.call(9, request).await;
    let too_large = ErrorCode::OffsetMetadataTooLarge.code();
    assert_eq!(codes(&response), [0, unknown, too_large]);
}

#[tokio::test]
async fn inc_072_members_that_nobody_knows_commit_nothing() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    for (version, expected) in [
        (8, ErrorCode::IllegalGeneration),
        (9, ErrorCode::GroupIdNotFound),
    ] {
        let request = commit(version, "none", "t", id, 5)
            .with_member_id(text("m"))
            .with_generation_id_or_member_epoch(1);
        let response = client.call(version, request).await;
        assert_eq!(codes(&response), [expected.code(); 2], "v{version}");
    }
    let mut before = broker.connect().await;
    let listed = before.call(5, ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.len(), 0);
}

#[tokio::test]
async fn errors_of_a_group_are_where_each_version_has_them() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let code = ErrorCode::NotCoordinator.code();
    for version in 1..=10 {
        let topic = Some(("t", Uuid::from_u128(7)));
        let topic = if version == 10 { None } else { topic };
        let response = client.call(version, fetch(version, "g", topic)).await;
        match version {
            8.. => assert_eq!(response.groups[0].error_code, code),
            2.. => assert_eq!(response.error_code, code),
            _ => assert_eq!(fetched(&response)[1], (7, -1, -1, String::new(), code)),
        }
    }
}

#[tokio::test]
async fn offsets_and_groups_are_deleted() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = topic_id(&broker, "t");
    client.call(9, commit(9, "g", "t", id, 5)).await;
    let delete = |group: &str, topic: &str| {
        let partitions =
            [0, 9].map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(text(topic).into())
            .with_partitions(partitions.to_vec());
        OffsetDeleteRequest::default()
            .with_group_id(text(group).into())
            .with_topics(vec![topic])
    };
    let response = client.call(0, delete("g", "t")).await;
    let codes: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|one| one.error_code)
        .collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()]);
    let response = client.call(0, delete("none", "t")).await;
    assert_eq!(response.error_code, ErrorCode::GroupIdNotFound.code());
    let response = client.call(9, fetch(9, "g", None)).await;
    assert_eq!(fetched(&response).len(), 1, "partition 1 is left");

    for version in 0..=2 {
        client.call(9, commit(9, "g", "t", id, 5)).await;
        let names = ["g", "none", "g"].map(|name| text(name).into());
        let request = DeleteGroupsRequest::default().with_groups_names(names.to_vec());
        let response = client.call(version, request).await;
        let codes: Vec<_> = response.results.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::GroupIdNotFound.code()], "v{version}");
    }
    let response = client.call(9, fetch(9, "g", None)).await;
    assert_eq!(fetched(&response), []);
}

#[tokio::test]
async fn a_deleted_topic_takes_its_offsets_along() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    client.create_topic("u", 2).await;
    for topic in ["t", "u"] {
        let id = topic_id(&broker, topic);
        client.call(9, commit(9, "g", topic, id, 5)).await;
    }
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![text("t").into()])
        .with_timeout_ms(5_000);
    client.call(5, request).await;
    let response = client.call(9, fetch(9, "g", None)).await;
    let topics: Vec<_> = response.groups[0]
        .topics
        .iter()
        .map(|topic| topic.name.as_str())
        .collect();
    assert_eq!(topics, ["u"]);
}
