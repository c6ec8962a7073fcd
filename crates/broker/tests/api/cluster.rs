//! What a client learns first: ApiVersions and Metadata.

use ottla_base::ErrorCode;
use ottla_protocol::messages::api_versions_response::ApiVersion;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
};
use ottla_protocol::{ApiKey, Uuid};

use crate::harness::{Client, TestBroker, raw_frame};
use crate::requests::text;

fn hello(version: i16) -> ApiVersionsRequest {
    match version {
        3.. => ApiVersionsRequest::default()
            .with_client_software_name(text("tests"))
            .with_client_software_version(text("1.0-x")),
        _ => ApiVersionsRequest::default(),
    }
}

fn range(response: &ApiVersionsResponse, key: ApiKey) -> (i16, i16) {
    let keys = &mut response.api_keys.iter();
    let found: Option<&ApiVersion> = keys.find(|one| one.api_key == key.code());
    found.map_or((-1, -1), |one| (one.min_version, one.max_version))
}

#[tokio::test]
async fn inc_001_003_015_every_version_lists_every_api() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for version in 0..=4 {
        let response = client.call(version, hello(version)).await;
        assert_eq!(response.error_code, 0, "v{version}");
        assert_eq!(response.api_keys.len(), ottla_broker::ROUTES.len());
        assert_eq!(
            range(&response, ApiKey::Produce),
            (0, 13),
            "librdkafka looks at it"
        );
        assert_eq!(range(&response, ApiKey::Fetch), (4, 18));
        assert_eq!(range(&response, ApiKey::Metadata), (0, 13), "inc_019");
        assert_eq!(range(&response, ApiKey::ApiVersions), (0, 4));
        assert_eq!(range(&response, ApiKey::OffsetCommit), (2, 10));
        assert_eq!(response.supported_features.is_empty(), version < 3);
        let mut features = response.supported_features.iter();
        let is_low = features.any(|feature| feature.min_version == 0);
        assert!(!is_low || version >= 4, "older parsers refuse 0");
    }
}

#[tokio::test]
async fn inc_002_an_unknown_version_is_answered_and_the_connection_lives() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for version in [5, 99, i16::MAX, -1] {
        client
            .send_frame(&raw_frame(ApiKey::ApiVersions, version, &[0xff; 3]))
            .await;
        let response = client.receive::<ApiVersionsRequest>(0).await;
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
        assert_eq!(range(&response, ApiKey::ApiVersions), (0, 4));
    }
    assert_eq!(client.call(4, hello(4)).await.error_code, 0);
}

#[tokio::test]
async fn inc_004_a_client_says_what_it_is() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for (name, version, expected) in [
        ("a", "1", ErrorCode::None),
        ("kafka-python", "2.0.2", ErrorCode::None),
        ("", "1", ErrorCode::InvalidRequest),
        ("a", "", ErrorCode::InvalidRequest),
        ("-a", "1", ErrorCode::InvalidRequest),
        ("a b", "1", ErrorCode::InvalidRequest),
        ("a", "1.", ErrorCode::InvalidRequest),
    ] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        let response = client.call(3, request).await;
        assert_eq!(response.error_code, expected.code(), "{name:?} {version:?}");
    }
}

/// Key, version and correlation id of a header, then what comes as the client id.
fn header(key: ApiKey, version: i16, client_id: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.code().to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(1_i32.to_be_bytes());
    frame.extend(client_id);
    frame
}

#[tokio::test]
async fn inc_005_a_client_may_have_no_id() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    // Null, a tagged field of three bytes, then: no topics, nothing else wanted.
    let mut frame = header(ApiKey::Metadata, 9, &[0xff, 0xff, 1, 77, 3, 1, 2, 3]);
    frame.extend([1, 0, 0, 0, 0]);
    client.send_frame(&frame).await;
    let response = client.receive::<MetadataRequest>(9).await;
    assert_eq!((response.brokers.len(), response.topics.len()), (1, 0));
}

#[tokio::test]
async fn inc_006_a_client_id_of_negative_length_closes_the_connection() {
    let broker = TestBroker::start().await;
    for length in [-2_i16, -7_530, i16::MIN, i16::MAX] {
        let mut client = broker.connect().await;
        let frame = header(ApiKey::Metadata, 1, &length.to_be_bytes());
        client.send_frame(&frame).await;
        assert_eq!(client.receive_frame().await, None, "{length}");
    }
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(text(name).into()))
}

fn with_id(id: Uuid) -> MetadataRequestTopic {
    MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(id)
}

async fn metadata(
    client: &mut Client,
    version: i16,
    topics: Option<Vec<MetadataRequestTopic>>,
) -> MetadataResponse {
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(version < 4);
    client.call(version, request).await
}

#[tokio::test]
async fn inc_016_020_every_version_describes_the_cluster() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 2).await;
    let node = broker.running.node().0;
    for version in 0..=13 {
        let response = metadata(&mut client, version, Some(vec![named("t")])).await;
        assert_eq!(response.brokers[0].node_id.0, node, "v{version}");
        assert_eq!(response.brokers[0].host.as_str(), "127.0.0.1", "inc_103");
        assert_ne!(response.brokers[0].port, 0);
        if version >= 1 {
            assert_eq!(response.controller_id.0, node, "v{version}");
        }
        assert_eq!(response.cluster_id.is_some(), version >= 2);
        let topic = &response.topics[0];
        assert_eq!((topic.error_code, topic.is_internal), (0, false));
        let id = if version >= 10 {
            broker.topic_id("t")
        } else {
            Uuid::nil()
        };
        assert_eq!(topic.topic_id, id, "v{version}");
        let partitions: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
        assert_eq!(partitions, [0, 1]);
        for partition in &topic.partitions {
            assert_eq!(
                (partition.error_code, partition.leader_id.0),
                (0, node),
                "inc_039"
            );
            assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
            assert_eq!(
                (partition.replica_nodes.len(), partition.isr_nodes.len()),
                (1, 1)
            );
            assert_eq!(partition.offline_replicas.len(), 0);
        }
    }
}

#[tokio::test]
async fn all_topics_are_asked_for_by_null_and_at_first_by_none() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    client.create_topic("b", 1).await;
    assert_eq!(metadata(&mut client, 0, Some(vec![])).await.topics.len(), 2);
    for version in 1..=13 {
        let none = metadata(&mut client, version, Some(vec![])).await;
        assert_eq!(none.topics.len(), 0, "v{version}");
        let all = metadata(&mut client, version, None).await;
        assert_eq!(all.topics.len(), 2, "v{version}");
    }
}

#[tokio::test]
async fn topics_are_found_by_id_since_version_12() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    let id = broker.topic_id("t");
    for version in 12..=13 {
        let wanted = vec![with_id(id), with_id(Uuid::from_u128(7))];
        let response = metadata(&mut client, version, Some(wanted)).await;
        let found = &response.topics[0];
        assert_eq!(found.name.as_ref().map(|name| name.as_str()), Some("t"));
        let missing = &response.topics[1];
        assert_eq!(missing.error_code, ErrorCode::UnknownTopicId.code());
        assert_eq!(
            (missing.name.is_none(), missing.topic_id),
            (true, Uuid::from_u128(7))
        );
        let mixed = vec![named("t"), with_id(id)];
        let response = metadata(&mut client, version, Some(mixed)).await;
        assert_eq!(response.topics.len(), 1, "names are passed over beside ids");
    }
}

#[tokio::test]
async fn inc_099_topics_are_created_only_if_the_client_and_the_broker_want_it() {
    let broker = TestBroker::start().await;
    let silent = TestBroker::with_settings(&[("auto.create.topics.enable", "false")]).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    for (broker, allow, created) in [(&broker, false, 0), (&silent, true, 0), (&broker, true, 1)] {
        let mut client = broker.connect().await;
        let request = MetadataRequest::default()
            .with_topics(Some(vec![named("new")]))
            .with_allow_auto_topic_creation(allow);
        let response = client.call(13, request).await;
        assert_eq!(response.topics[0].error_code, unknown, "it is asynchronous");
        // A topic that is created later is committed after this one.
        client.create_topic(&format!("after-{allow}"), 1).await;
        let image = broker.running.image();
        let topics = image.topics().filter(|topic| topic.name.as_str() == "new");
        assert_eq!(topics.count(), created, "allowed: {allow}");
    }
}

#[tokio::test]
async fn names_that_no_topic_can_have_are_refused() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for name in ["", ".", "..", "a b", "a/b", &"x".repeat(250)] {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![named(name)]))
            .with_allow_auto_topic_creation(true);
        let response = client.call(9, request).await;
        assert_eq!(
            response.topics[0].error_code,
            ErrorCode::InvalidTopic.code(),
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn authorized_operations_are_told_to_those_who_ask() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    for version in 8..=10 {
        for asked in [false, true] {
            let request = MetadataRequest::default()
                .with_topics(Some(vec![named("t")]))
                .with_include_cluster_authorized_operations(asked)
                .with_include_topic_authorized_operations(asked);
            let response = client.call(version, request).await;
            let told = response.cluster_authorized_operations != i32::MIN;
            assert_eq!(told, asked, "v{version}");
            let told = response.topics[0].topic_authorized_operations != i32::MIN;
            assert_eq!(told, asked, "v{version}");
        }
    }
}
