//! Topics, settings and what the cluster looks like, as an admin client sees them.

use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_configs_request::{
    AlterConfigsResource as Replaced, AlterableConfig as Replacement,
};
use ottla_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use ottla_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as Altered, AlterableConfig as Alteration,
};
use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListConfigResourcesRequest, MetadataRequest, TopicName,
};

use crate::harness::{Client, TestBroker};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    text(name).into()
}

fn topic(of: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(of))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

fn with_config(topic: CreatableTopic, key: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default()
        .with_name(text(key))
        .with_value(value.map(text));
    topic.with_configs(vec![config])
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(5_000)
}

fn codes(response: &CreateTopicsResponse) -> Vec<i16> {
    response
        .topics
        .iter()
        .map(|topic| topic.error_code)
        .collect()
}

async fn topic_names(client: &mut Client) -> Vec<String> {
    let request = MetadataRequest::default().with_topics(None);
    let response = client.call(9, request).await;
    let topics = response.topics.into_iter();
    topics
        .map(|topic| topic.name.expect("a topic has a name").as_str().to_owned())
        .collect()
}

#[tokio::test]
async fn a_created_topic_is_answered_with_all_that_the_version_has() {
    let broker = TestBroker::with_settings(&[("num.partitions", "4")]).await;
    let mut client = broker.connect().await;
    for version in 2..=7 {
        let of = format!("v{version}");
        let topic = with_config(topic(&of), "retention.ms", Some("5"));
        let response = client.call(version, create(vec![topic])).await;
        let result = &response.topics[0];
        assert_eq!((result.name.as_str(), result.error_code), (of.as_str(), 0));
        assert_eq!(result.error_message, None);
        assert_eq!(result.topic_id.is_nil(), version < 7);
        if version >= 5 {
            assert_eq!((result.num_partitions, result.replication_factor), (4, 1));
            let configs = result.configs.as_ref().unwrap();
            let named = |name: &str| configs.iter().find(|config| config.name.as_str() == name);
            let retention = named("retention.ms").unwrap();
            assert_eq!(retention.value.as_ref().unwrap().as_str(), "5");
            assert_eq!(retention.config_source, 1);
            assert_eq!(named("cleanup.policy").unwrap().config_source, 5);
        }
    }
}

/// Numbers are those of the list of known incompatibilities.
#[tokio::test]
async fn inc_088_to_091_a_topic_that_breaks_a_rule_is_refused_with_its_code() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client
        .call(7, create(vec![topic("old"), topic("with.dot")]))
        .await;
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(0)
        .with_broker_ids(vec![9.into()]);
    let cases = [
        (topic("old"), ErrorCode::TopicAlreadyExists),
        (topic("bad/name!"), ErrorCode::InvalidTopic),
        (topic(".."), ErrorCode::InvalidTopic),
        (topic(&"x".repeat(250)), ErrorCode::InvalidTopic),
        (topic("with_dot"), ErrorCode::InvalidTopic),
        (topic("__cluster_metadata"), ErrorCode::InvalidRequest),
        (
            topic("a").with_num_partitions(0),
            ErrorCode::InvalidPartitions,
        ),
        (
            topic("a").with_replication_factor(0),
            ErrorCode::InvalidReplicationFactor,
        ),
        (
            topic("a").with_replication_factor(3),
            ErrorCode::InvalidReplicationFactor,
        ),
        (
            topic("a").with_num_partitions(10_001),
            ErrorCode::PolicyViolation,
        ),
        (
            topic("a").with_assignments(vec![assignment.clone()]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            topic("a")
                .with_assignments(vec![assignment])
                .with_num_partitions(1),
            ErrorCode::InvalidRequest,
        ),
        (
            with_config(topic("a"), "no.such.key", Some("1")),
            ErrorCode::InvalidConfig,
        ),
        (
            with_config(topic("a"), "retention.ms", Some("x")),
            ErrorCode::InvalidConfig,
        ),
        (
            with_config(topic("a"), "retention.ms", None),
            ErrorCode::InvalidConfig,
        ),
        (
            with_config(topic("a"), "max.message.bytes", Some("1000")),
            ErrorCode::None,
        ),
    ];
    for (topic, code) in cases {
        for validate_only in [true, false] {
            let request = create(vec![topic.clone()]).with_validate_only(validate_only);
            let response = client.call(7, request).await;
            assert_eq!(codes(&response), [code.code()], "{topic:?}");
            let has_message = response.topics[0].error_message.is_some();
            assert_eq!(has_message, code != ErrorCode::None, "{topic:?}");
        }
    }
    assert_eq!(topic_names(&mut client).await, ["a", "old", "with.dot"]);
}

/// People search for these words, and tests of others compare them.
#[tokio::test]
async fn a_topic_that_is_refused_is_refused_in_kafkas_words() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("old", 1).await;
    let second = CreatableReplicaAssignment::default()
        .with_partition_index(1)
        .with_broker_ids(vec![1.into()]);
    for (topic, words) in [
        (topic("old"), "Topic 'old' already exists."),
        (
            topic("__cluster_metadata"),
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic("new").with_assignments(vec![second]),
            "partitions should be a consecutive 0-based integer sequence",
        ),
    ] {
        let response = client.call(7, create(vec![topic])).await;
        let message = response.topics[0].error_message.as_ref();
        assert_eq!(message.map(|message| message.as_str()), Some(words));
    }
}

#[tokio::test]
async fn a_topic_that_is_named_twice_is_answered_once() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let response = client
        .call(7, create(vec![topic("a"), topic("b"), topic("a")]))
        .await;
    assert_eq!(codes(&response), [ErrorCode::InvalidRequest.code(), 0]);
    assert_eq!(topic_names(&mut client).await, ["b"]);
}

fn delete(names: &[&str]) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default()
        .with_topic_names(names.iter().map(|of| name(of)).collect())
        .with_timeout_ms(5_000)
}

fn outcomes(response: &DeleteTopicsResponse) -> Vec<(Option<&str>, i16)> {
    let results = response.responses.iter();
    results
        .map(|result| {
            (
                result.name.as_ref().map(|name| name.as_str()),
                result.error_code,
            )
        })
        .collect()
}

#[tokio::test]
async fn topics_are_deleted_by_name() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    for version in 1..=5 {
        client.create_topic("a", 2).await;
        let response = client.call(version, delete(&["a", "x", "y", "y"])).await;
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let twice = ErrorCode::InvalidRequest.code();
        let expected = [(Some("a"), 0), (Some("x"), unknown), (Some("y"), twice)];
        assert_eq!(outcomes(&response), expected);
        assert!(topic_names(&mut client).await.is_empty());
    }
}

#[tokio::test]
async fn topics_are_deleted_by_id() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let created = client.call(7, create(vec![topic("a"), topic("b")])).await;
    let id = |index: usize| created.topics[index].topic_id;
    let by_id = |id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let by_name = |of| DeleteTopicState::default().with_name(Some(name(of)));
    let topics = vec![
        by_name("b").with_topic_id(id(1)),
        by_id(ottla_protocol::Uuid::nil()),
        by_id(id(0)),
        by_id(ottla_protocol::Uuid::from_bytes([7; 16])),
        by_name("b"),
    ];
    let request = DeleteTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(5_000);
    let response = client.call(6, request).await;
    let invalid = ErrorCode::InvalidRequest.code();
    let expected = [
        (Some("b"), invalid),
        (None, invalid),
        (Some("a"), 0),
        (None, ErrorCode::UnknownTopicId.code()),
        (Some("b"), 0),
    ];
    assert_eq!(outcomes(&response), expected);
    assert_eq!(response.responses[4].topic_id, id(1));
    assert!(topic_names(&mut client).await.is_empty());
}

#[tokio::test]
async fn deletion_can_be_disabled() {
    let broker = TestBroker::with_settings(&[("delete.topic.enable", "false")]).await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    for (version, code) in [
        (2, ErrorCode::InvalidRequest),
        (3, ErrorCode::TopicDeletionDisabled),
    ] {
        let response = client.call(version, delete(&["a"])).await;
        assert_eq!(outcomes(&response), [(Some("a"), code.code())]);
    }
    assert_eq!(topic_names(&mut client).await, ["a"]);
}

#[tokio::test]
async fn inc_096_topics_get_more_partitions_and_every_one_is_answered() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 2).await;
    client.create_topic("b", 2).await;
    for version in 0..=3 {
        let to = |of: &str, count: i16| {
            let topic = CreatePartitionsTopic::default().with_name(name(of));
            topic.with_count(count.into()).with_assignments(None)
        };
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![to("a", 3 + version), to("b", 2), to("x", 5)])
            .with_timeout_ms(5_000);
        let tried = client
            .call(version, request.clone().with_validate_only(true))
            .await;
        let response = client.call(version, request).await;
        assert_eq!(tried, response);
        let results: Vec<_> = response
            .results
            .iter()
            .map(|result| (result.name.as_str(), result.error_code))
            .collect();
        let expected = [
            ("a", 0),
            ("b", ErrorCode::InvalidPartitions.code()),
            ("x", ErrorCode::UnknownTopicOrPartition.code()),
        ];
        assert_eq!(results, expected);
    }
    let metadata = client
        .call(9, MetadataRequest::default().with_topics(None))
        .await;
    let counts: Vec<_> = metadata
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .collect();
    assert_eq!(counts, [6, 2]);
}

#[tokio::test]
async fn partitions_that_are_too_few_are_refused_in_kafkas_words() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let first = CreatePartitionsAssignment::default().with_broker_ids(vec![1.into()]);
    let topic = CreatePartitionsTopic::default().with_name(name("a"));
    let topic = topic.with_count(3).with_assignments(Some(vec![first]));
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let response = client.call(3, request).await;
    let message = response.results[0].error_message.as_ref();
    assert_eq!(
        message.map(|message| message.as_str()),
        Some(
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
        )
    );
}

async fn describe(
    client: &mut Client,
    kind: i8,
    of: &str,
    keys: Option<&[&str]>,
) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut response = client.call(4, request).await;
    assert_eq!(response.results[0].resource_name.as_str(), of);
    response.results.remove(0)
}

/// Value and source of one setting.
async fn setting(client: &mut Client, kind: i8, of: &str, key: &str) -> (Option<String>, i8) {
    let result = describe(client, kind, of, Some(&[key])).await;
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    let [entry] = result.configs.as_slice() else {
        panic!("{key} of {of:?} has {} rows", result.configs.len());
    };
    (value(entry), entry.config_source)
}

fn value(entry: &DescribeConfigsResourceResult) -> Option<String> {
    entry.value.as_ref().map(|value| value.as_str().to_owned())
}

#[tokio::test]
async fn inc_092_every_setting_of_a_topic_is_described_with_its_source() {
    let broker = TestBroker::with_settings(&[("log.retention.hours", "2")]).await;
    let mut client = broker.connect().await;
    client
        .call(
            7,
            create(vec![with_config(topic("a"), "segment.ms", Some("9000"))]),
        )
        .await;
    let described = describe(&mut client, TOPIC, "a", None).await;
    assert!(described.configs.len() >= 33, "{}", described.configs.len());
    assert!(
        described
            .configs
            .iter()
            .all(|entry| !entry.read_only && entry.documentation.is_some())
    );
    let of = |key: &str| {
        described
            .configs
            .iter()
            .find(|entry| entry.name.as_str() == key)
            .unwrap()
    };
    assert_eq!(
        (
            value(of("cleanup.policy")),
            of("cleanup.policy").config_source
        ),
        (Some("delete".into()), 5)
    );
    assert_eq!(
        (value(of("segment.ms")), of("segment.ms").config_source),
        (Some("9000".into()), 1)
    );
    assert_eq!(value(of("retention.ms")), Some("7200000".into()));
    assert_eq!(of("cleanup.policy").config_type, 7);
    let chain = |key: &str| -> Vec<_> {
        let synonyms = of(key).synonyms.iter();
        synonyms
            .map(|synonym| (synonym.name.as_str(), synonym.source))
            .collect()
    };
    assert_eq!(chain("segment.ms")[0], ("segment.ms", 1));
    let all = describe(&mut client, TOPIC, "a", None).await.configs;
    assert_eq!(
        describe(&mut client, TOPIC, "a", Some(&[])).await.configs,
        all
    );
}

#[tokio::test]
async fn inc_093_a_broker_describes_itself_and_no_other() {
    let broker = TestBroker::with_settings(&[("num.partitions", "4")]).await;
    let mut client = broker.connect().await;
    let own = broker.running.node().to_string();
    let partitions = setting(&mut client, BROKER, &own, "num.partitions").await;
    assert_eq!(partitions, (Some("4".into()), 4));
    for key in [
        "default.replication.factor",
        "auto.create.topics.enable",
        "delete.topic.enable",
    ] {
        setting(&mut client, BROKER, &own, key).await;
    }
    assert_eq!(describe(&mut client, BROKER, "", None).await.configs, []);
    assert_eq!(
        describe(&mut client, BROKER_LOGGER, &own, None)
            .await
            .error_code,
        0
    );
    let session = setting(&mut client, GROUP, "g", "consumer.session.timeout.ms").await;
    assert_eq!(session.0, Some("45000".into()));
    let interval = setting(&mut client, CLIENT_METRICS, "m", "interval.ms").await;
    assert_eq!(interval, (Some("300000".into()), 5));
    for (kind, of, code) in [
        (BROKER, "99", ErrorCode::InvalidRequest),
        (BROKER, "x", ErrorCode::InvalidRequest),
        (TOPIC, "x", ErrorCode::UnknownTopicOrPartition),
        (TOPIC, "x/y", ErrorCode::InvalidTopic),
        (GROUP, "", ErrorCode::InvalidRequest),
        (77, "x", ErrorCode::InvalidRequest),
    ] {
        let refused = describe(&mut client, kind, of, None).await;
        assert_eq!(refused.error_code, code.code(), "{kind} {of}");
        assert!(refused.error_message.is_some());
    }
}

/// One change of one setting: (name, operation, value).
type Change<'a> = (&'a str, i8, Option<&'a str>);

async fn alter(client: &mut Client, kind: i8, of: &str, changes: &[Change<'_>]) -> i16 {
    altered(client, kind, of, changes).await.error_code
}

async fn altered(
    client: &mut Client,
    kind: i8,
    of: &str,
    changes: &[Change<'_>],
) -> AlterConfigsResourceResponse {
    let configs = changes.iter().map(|(name, op, value)| {
        let config = Alteration::default().with_name(text(name));
        config
            .with_config_operation(*op)
            .with_value(value.map(text))
    });
    let resource = Altered::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(1, request).await.responses.remove(0)
}

#[tokio::test]
async fn a_change_that_is_refused_is_refused_in_kafkas_words() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let twice = [
        ("retention.ms", 0, Some("1")),
        ("retention.ms", 0, Some("2")),
    ];
    let short = [("consumer.session.timeout.ms", 0, Some("5"))];
    for (kind, of, changes, words) in [
        (TOPIC, "a", &twice[..], "Error due to duplicate config keys"),
        (
            GROUP,
            "g",
            &short[..],
            "consumer.session.timeout.ms must be greater than or equal to \
             group.consumer.min.session.timeout.ms",
        ),
    ] {
        let response = altered(&mut client, kind, of, changes).await;
        let message = response.error_message.as_ref();
        assert_eq!(message.map(|message| message.as_str()), Some(words));
    }
}

#[tokio::test]
async fn inc_094_settings_are_changed_one_by_one() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let invalid_config = ErrorCode::InvalidConfig.code();
    let invalid_request = ErrorCode::InvalidRequest.code();
    for (changes, code) in [
        (&[("cleanup.policy", 2, Some("compact"))][..], 0),
        (
            &[
                ("cleanup.policy", 3, Some("delete")),
                ("retention.ms", 0, Some("7")),
            ],
            0,
        ),
        (&[("retention.ms", 1, None)], 0),
        (&[("retention.ms", 2, Some("7"))], invalid_config),
        (&[("retention.ms", 0, Some("x"))], invalid_config),
        (&[("no.such.key", 0, Some("x"))], invalid_config),
        (&[("retention.ms", 0, None)], invalid_request),
        (&[("retention.ms", 9, Some("7"))], invalid_request),
        (
            &[("segment.ms", 1, None), ("segment.ms", 0, Some("7"))],
            invalid_request,
        ),
    ] {
        assert_eq!(
            alter(&mut client, TOPIC, "a", changes).await,
            code,
            "{changes:?}"
        );
    }
    let policy = setting(&mut client, TOPIC, "a", "cleanup.policy").await;
    assert_eq!(policy, (Some("compact".into()), 1));
    assert_eq!(setting(&mut client, TOPIC, "a", "retention.ms").await.1, 5);
    let unknown = alter(&mut client, TOPIC, "x", &[("retention.ms", 0, Some("7"))]).await;
    assert_eq!(unknown, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn settings_of_brokers_change_while_they_run() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let own = broker.running.node().to_string();
    let retention = |value| [("log.retention.ms", 0, Some(value))];
    assert_eq!(alter(&mut client, BROKER, "", &retention("8")).await, 0);
    assert_eq!(
        setting(&mut client, BROKER, "", "log.retention.ms").await,
        (Some("8".into()), 3)
    );
    assert_eq!(
        setting(&mut client, TOPIC, "a", "retention.ms").await,
        (Some("8".into()), 3)
    );
    assert_eq!(alter(&mut client, BROKER, &own, &retention("7")).await, 0);
    assert_eq!(
        setting(&mut client, BROKER, &own, "log.retention.ms").await,
        (Some("7".into()), 2)
    );
    assert_eq!(
        setting(&mut client, TOPIC, "a", "retention.ms").await,
        (Some("7".into()), 2)
    );
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(
        alter(
            &mut client,
            BROKER,
            &own,
            &[("num.partitions", 0, Some("2"))]
        )
        .await,
        invalid
    );
    assert_eq!(
        alter(&mut client, BROKER, "99", &retention("7")).await,
        invalid
    );
    assert_eq!(
        alter(&mut client, BROKER_LOGGER, &own, &[("x", 0, Some("DEBUG"))]).await,
        ErrorCode::InvalidConfig.code()
    );
}

#[tokio::test]
async fn what_was_read_can_be_written_back_whole() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client
        .call(
            7,
            create(vec![with_config(topic("a"), "segment.ms", Some("9000"))]),
        )
        .await;
    let described = describe(&mut client, TOPIC, "a", None).await;
    for version in 0..=2 {
        let configs = described.configs.iter().map(|entry| {
            let config = Replacement::default().with_name(entry.name.clone());
            config.with_value(entry.value.clone())
        });
        let resource = Replaced::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("a"))
            .with_configs(configs.collect());
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let response = client.call(version, request).await;
        assert_eq!(response.responses[0].error_message, None);
        assert_eq!(response.responses[0].error_code, 0);
    }
    assert_eq!(
        setting(&mut client, TOPIC, "a", "retention.ms").await,
        (Some("604800000".into()), 1)
    );
    let nothing = Replaced::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("a"));
    let request =
        AlterConfigsRequest::default().with_resources(vec![nothing.clone(), nothing.clone()]);
    let twice = client.call(2, request).await;
    let codes: Vec<_> = twice
        .responses
        .iter()
        .map(|response| response.error_code)
        .collect();
    assert_eq!(codes, [ErrorCode::InvalidRequest.code(); 2]);
    client
        .call(
            2,
            AlterConfigsRequest::default().with_resources(vec![nothing]),
        )
        .await;
    assert_eq!(setting(&mut client, TOPIC, "a", "segment.ms").await.1, 5);
}

#[tokio::test]
async fn resources_with_settings_are_listed_by_kind() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    alter(
        &mut client,
        CLIENT_METRICS,
        "m",
        &[("interval.ms", 0, Some("1000"))],
    )
    .await;
    alter(
        &mut client,
        GROUP,
        "g",
        &[("consumer.session.timeout.ms", 0, Some("50000"))],
    )
    .await;
    let mut list = async |version, kinds: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
        let response = client.call(version, request).await;
        let resources = response.config_resources.into_iter();
        let resources =
            resources.map(|of| (of.resource_type, of.resource_name.as_str().to_owned()));
        (response.error_code, resources.collect::<Vec<_>>())
    };
    let own = broker.running.node().to_string();
    let of = |kind, name: &str| (kind, name.to_owned());
    let all = [
        of(GROUP, "g"),
        of(CLIENT_METRICS, "m"),
        of(BROKER_LOGGER, &own),
        of(BROKER, &own),
        of(TOPIC, "a"),
    ];
    // Version 0 has no kinds: all that it lists are subscriptions.
    assert_eq!(list(0, &[]).await.1.len(), 1);
    assert_eq!(list(1, &[]).await, (0, all.to_vec()));
    assert_eq!(
        list(1, &[TOPIC, GROUP]).await,
        (0, vec![all[0].clone(), all[4].clone()])
    );
    assert_eq!(
        list(1, &[77]).await,
        (ErrorCode::UnsupportedVersion.code(), vec![])
    );
}

#[tokio::test]
async fn inc_098_the_cluster_is_described_by_this_listener() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let own = broker.running.node().0;
    for version in 0..=2 {
        let request =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let response = client.call(version, request).await;
        assert_eq!((response.error_code, response.error_message), (0, None));
        assert_eq!(response.cluster_id.as_str(), "test-cluster-0123456789");
        assert_eq!(response.controller_id.0, own);
        assert_eq!(response.brokers[0].broker_id.0, own);
        assert_eq!(response.brokers[0].host.as_str(), "127.0.0.1");
        assert_ne!(response.brokers[0].port, 0);
        assert_ne!(response.cluster_authorized_operations, i32::MIN);
    }
    for (kind, code) in [
        (2, ErrorCode::MismatchedEndpointType),
        (3, ErrorCode::UnsupportedEndpointType),
    ] {
        let request = DescribeClusterRequest::default().with_endpoint_type(kind);
        assert_eq!(client.call(1, request).await.error_code, code.code());
    }
}

/// The names and partitions of one page, and where the next one starts.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

async fn page(client: &mut Client, names: &[&str], limit: i32, from: Option<(&str, i32)>) -> Page {
    let cursor = from.map(|(topic, partition)| {
        let cursor = Cursor::default().with_topic_name(name(topic));
        cursor.with_partition_index(partition)
    });
    let topics = names
        .iter()
        .map(|of| TopicRequest::default().with_name(name(of)));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    let response = client.call(0, request).await;
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let indexes = partitions
            .map(|partition| partition.partition_index)
            .collect();
        (
            topic
                .name
                .as_ref()
                .expect("a topic has a name")
                .as_str()
                .to_owned(),
            topic.error_code,
            indexes,
        )
    });
    let next = response.next_cursor.map(|cursor| {
        (
            cursor.topic_name.as_str().to_owned(),
            cursor.partition_index,
        )
    });
    (topics.collect(), next)
}

#[tokio::test]
async fn topics_are_described_page_by_page() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("b", 3).await;
    client.create_topic("a", 2).await;
    let of = |name: &str, indexes: &[i32]| (name.to_owned(), 0, indexes.to_vec());
    let next = |name: &str, index| Some((name.to_owned(), index));
    let (a, b) = (of("a", &[0, 1]), of("b", &[0, 1, 2]));
    assert_eq!(
        page(&mut client, &[], 100, None).await,
        (vec![a.clone(), b.clone()], None)
    );
    assert_eq!(
        page(&mut client, &[], 2, None).await,
        (vec![a.clone()], next("b", 0))
    );
    assert_eq!(
        page(&mut client, &[], 3, None).await,
        (vec![a, of("b", &[0])], next("b", 1))
    );
    let rest = page(&mut client, &[], 3, Some(("b", 1))).await;
    assert_eq!(rest, (vec![of("b", &[1, 2])], None));
    // The least page has one partition.
    assert_eq!(
        page(&mut client, &["b"], -5, None).await,
        (vec![of("b", &[0])], next("b", 1))
    );
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let illegal = ErrorCode::InvalidTopic.code();
    let (topics, _) = page(&mut client, &["x", "b", "c/d"], 100, None).await;
    let expected = [
        b,
        ("c/d".to_owned(), illegal, vec![]),
        ("x".to_owned(), unknown, vec![]),
    ];
    assert_eq!(topics, expected);
    let (topics, _) = page(&mut client, &["b"], 100, Some(("a", 0))).await;
    assert_eq!(
        topics,
        [("b".to_owned(), ErrorCode::InvalidRequest.code(), vec![])]
    );
}

#[tokio::test]
async fn inc_097_the_one_log_directory_is_described() {
    let broker = TestBroker::with_settings(&[("log.dirs", "/tmp")]).await;
    let mut client = broker.connect().await;
    client.create_topic("a", 2).await;
    for version in 1..=5 {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let response = client.call(version, request).await;
        let [directory] = response.results.as_slice() else {
            panic!("{response:?}");
        };
        assert_eq!(directory.log_dir.as_str(), "/tmp");
        assert_eq!(directory.total_bytes > 0, version >= 4);
        let topics = &directory.topics;
        assert_eq!(
            (
                directory.error_code,
                topics.len(),
                topics[0].partitions.len()
            ),
            (0, 1, 2)
        );
        let nothing = DescribeLogDirsRequest::default().with_topics(Some(vec![]));
        assert_eq!(client.call(version, nothing).await.results[0].topics, []);
    }
}

#[tokio::test]
async fn inc_017_producers_get_ids_that_nobody_else_has() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let fresh = || InitProducerIdRequest::default().with_transactional_id(None);
    let mut ids = Vec::new();
    for version in (0..=5).cycle().take(2_100) {
        let response = client.call(version, fresh()).await;
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id.0);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_100);
    let resumed = fresh().with_producer_id(5.into()).with_producer_epoch(3);
    let response = client.call(5, resumed).await;
    assert_eq!((response.error_code, response.producer_epoch), (0, 0));
    let transactional = |id: &str| fresh().with_transactional_id(Some(text(id).into()));
    for (request, code) in [
        (
            fresh().with_producer_id(5.into()),
            ErrorCode::InvalidRequest,
        ),
        (fresh().with_producer_epoch(5), ErrorCode::InvalidRequest),
        (transactional(""), ErrorCode::InvalidRequest),
        (transactional("t"), ErrorCode::UnsupportedVersion),
    ] {
        let response = client.call(5, request).await;
        let refused = (
            response.error_code,
            response.producer_id.0,
            response.producer_epoch,
        );
        assert_eq!(refused, (code.code(), -1, -1));
    }
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_told_that_time_is_up() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let response = client
        .call(7, create(vec![topic("a")]).with_timeout_ms(0))
        .await;
    let timed_out = ErrorCode::RequestTimedOut.code();
    assert!(
        [0, timed_out].contains(&response.topics[0].error_code),
        "{response:?}"
    );
}
