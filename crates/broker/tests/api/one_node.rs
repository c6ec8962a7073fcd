//! What an admin client asks of a cluster that this one node answers alone:
//! elections, moves between brokers and directories, the quorum.

use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use ottla_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use ottla_protocol::messages::describe_quorum_response::PartitionData as Described;
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId,
    DescribeLogDirsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, TopicName,
};

use crate::harness::{Client, TestBroker};

const OK: i16 = 0;
const UNKNOWN: i16 = ErrorCode::UnknownTopicOrPartition.code();

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    text(name).into()
}

#[tokio::test]
async fn no_partition_needs_an_election() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 2).await;
    let topic = |of, partitions: &[i32]| {
        let topic = TopicPartitions::default().with_topic(name(of));
        topic.with_partitions(partitions.to_vec())
    };
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    for (version, election) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let elect = |topics| {
            let request = ElectLeadersRequest::default().with_topic_partitions(topics);
            request.with_election_type(election)
        };
        let topics = vec![topic("a", &[1, 2, -1, 0]), topic("x", &[0])];
        let response = client.call(version, elect(Some(topics))).await;
        assert_eq!(response.error_code, OK);
        let results = response.replica_election_results.iter();
        let results: Vec<_> = results
            .flat_map(|topic| topic.partition_result.iter().map(|of| (&topic.topic, of)))
            .inspect(|(_, of)| assert!(of.error_message.is_some()))
            .map(|(topic, of)| (topic.as_str(), of.partition_id, of.error_code))
            .collect();
        let expected = [
            ("a", 1, not_needed),
            ("a", 2, UNKNOWN),
            ("a", -1, UNKNOWN),
            ("a", 0, not_needed),
            ("x", 0, UNKNOWN),
        ];
        assert_eq!(results, expected);
        // Of all partitions, those that need no election are left out.
        let response = client.call(version, elect(None)).await;
        assert_eq!(response.error_code, OK);
        let [a] = response.replica_election_results.as_slice() else {
            panic!("{response:?}");
        };
        assert_eq!((a.topic.as_str(), a.partition_result.len()), ("a", 0));
    }
    let request = ElectLeadersRequest::default().with_election_type(2);
    let response = client.call(1, request).await;
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
}

async fn reassign(client: &mut Client, of: &str, index: i32, replicas: Option<&[i32]>) -> i16 {
    let partition = ReassignablePartition::default()
        .with_partition_index(index)
        .with_replicas(replicas.map(|ids| ids.iter().copied().map(BrokerId).collect()));
    let topic = ReassignableTopic::default()
        .with_name(name(of))
        .with_partitions(vec![partition]);
    let mut codes = Vec::new();
    for (version, may_change) in [(0, true), (1, true), (1, false)] {
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic.clone()])
            .with_allow_replication_factor_change(may_change);
        let response = client.call(version, request).await;
        assert_eq!((response.error_code, response.error_message), (OK, None));
        assert_eq!(response.allow_replication_factor_change, may_change);
        let [answered] = response.responses.as_slice() else {
            panic!("{:?}", response.responses);
        };
        assert_eq!(answered.name, topic.name);
        let partition = &answered.partitions[0];
        assert_eq!(partition.partition_index, index);
        assert_eq!(
            partition.error_message.is_none(),
            partition.error_code == OK
        );
        codes.push(partition.error_code);
    }
    assert_eq!(codes, [codes[0]; 3]);
    codes[0]
}

#[tokio::test]
async fn a_partition_is_assigned_to_where_it_is_and_nowhere_else() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let own = broker.running.node().0;
    let idle = ErrorCode::NoReassignmentInProgress.code();
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    let cases = [
        ("a", 0, Some(vec![own]), OK),
        ("a", 0, None, idle),
        ("a", 0, Some(vec![]), invalid),
        ("a", 0, Some(vec![own, own]), invalid),
        ("a", 0, Some(vec![own + 1]), invalid),
        ("a", 0, Some(vec![own, own + 1]), invalid),
        ("a", 1, Some(vec![own]), UNKNOWN),
        ("a", -1, None, UNKNOWN),
        ("x", 0, None, UNKNOWN),
    ];
    for (of, index, replicas, expected) in cases {
        let code = reassign(&mut client, of, index, replicas.as_deref()).await;
        assert_eq!(code, expected, "{of}-{index} to {replicas:?}");
    }
}

#[tokio::test]
async fn no_partition_is_on_its_way_to_another_broker() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let topic = |of| {
        let topic = ListPartitionReassignmentsTopics::default().with_name(name(of));
        topic.with_partition_indexes(vec![0])
    };
    for topics in [None, Some(vec![]), Some(vec![topic("a"), topic("x")])] {
        let request = ListPartitionReassignmentsRequest::default().with_topics(topics);
        let response = client.call(0, request).await;
        assert_eq!((response.error_code, response.error_message), (OK, None));
        assert_eq!(response.topics, []);
    }
}

#[tokio::test]
async fn a_partition_stays_in_the_one_directory() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 2).await;
    let described = client.call(5, DescribeLogDirsRequest::default()).await;
    let own = described.results[0].log_dir.as_str();
    let directory = |path: &str, of: &str, partitions: &[i32]| {
        let topic = AlterReplicaLogDirTopic::default()
            .with_name(name(of))
            .with_partitions(partitions.to_vec());
        AlterReplicaLogDir::default()
            .with_path(text(path))
            .with_topics(vec![topic])
    };
    let elsewhere = ErrorCode::LogDirNotFound.code();
    for version in 1..=2 {
        let dirs = vec![
            directory("/elsewhere", "a", &[0, 1]),
            directory(own, "a", &[0, 2]),
            directory(own, "x", &[0]),
            directory("/elsewhere", "y", &[0]),
        ];
        let request = AlterReplicaLogDirsRequest::default().with_dirs(dirs);
        let response = client.call(version, request).await;
        let topics = response.results.iter();
        let codes: Vec<_> = topics
            .flat_map(|topic| topic.partitions.iter().map(|of| (&topic.topic_name, of)))
            .map(|(topic, of)| (topic.as_str(), of.partition_index, of.error_code))
            .collect();
        let expected = [
            ("a", 0, OK),
            ("a", 1, elsewhere),
            ("a", 2, UNKNOWN),
            ("x", 0, UNKNOWN),
            ("y", 0, elsewhere),
        ];
        assert_eq!(codes, expected);
    }
}

async fn quorum(client: &mut Client, version: i16, asked: &[(&str, &[i32])]) -> Vec<Described> {
    let topics = asked.iter().map(|(topic, partitions)| {
        let partitions = partitions
            .iter()
            .map(|index| PartitionData::default().with_partition_index(*index));
        TopicData::default()
            .with_topic_name(name(topic))
            .with_partitions(partitions.collect())
    });
    let request = DescribeQuorumRequest::default().with_topics(topics.collect());
    let response = client.call(version, request).await;
    assert_eq!(response.error_code, OK);
    let answered = response
        .topics
        .iter()
        .map(|topic| topic.topic_name.as_str());
    assert!(answered.eq(asked.iter().map(|(topic, _)| *topic)));
    let topics = response.topics.into_iter();
    topics.flat_map(|topic| topic.partitions).collect()
}

const METADATA: &str = "__cluster_metadata";

#[tokio::test]
async fn the_quorum_is_this_node() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let own = BrokerId(broker.running.node().0);
    let mut high_watermark = 0;
    for version in 0..=2 {
        let partitions = quorum(&mut client, version, &[(METADATA, &[0])]).await;
        let [partition] = partitions.as_slice() else {
            panic!("{partitions:?}");
        };
        assert_eq!((partition.partition_index, partition.error_code), (0, OK));
        assert_eq!(partition.leader_id, own);
        assert!(partition.leader_epoch >= 0);
        // Every topic is a record, committed before the client hears of it.
        assert!(partition.high_watermark > high_watermark);
        high_watermark = partition.high_watermark;
        let [voter] = partition.current_voters.as_slice() else {
            panic!("{partition:?}");
        };
        assert_eq!(voter.replica_id, own);
        assert!(voter.log_end_offset >= high_watermark);
        assert_eq!(voter.last_caught_up_timestamp > 0, version >= 1);
        assert_eq!(partition.observers, []);
        client.create_topic(&format!("t{version}"), 1).await;
    }
}

#[tokio::test]
async fn nothing_but_the_metadata_has_a_quorum() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("a", 1).await;
    let others: &[&[(&str, &[i32])]] = &[
        &[("a", &[0])],
        &[(METADATA, &[1])],
        &[(METADATA, &[0, 1])],
        &[(METADATA, &[0]), ("a", &[0])],
    ];
    for asked in others {
        for version in 0..=2 {
            let partitions = quorum(&mut client, version, asked).await;
            let indexes = asked
                .iter()
                .flat_map(|(_, indexes)| indexes.iter().copied());
            let expected: Vec<_> = indexes.map(|index| (index, UNKNOWN)).collect();
            let answered = partitions.iter();
            let answered = answered.map(|of| (of.partition_index, of.error_code));
            assert_eq!(answered.collect::<Vec<_>>(), expected, "{asked:?}");
        }
    }
    assert_eq!(quorum(&mut client, 2, &[]).await, []);
}
