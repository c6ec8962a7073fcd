//! Every message in every version, against bytes that another encoder made.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response as theirs;
use kafka_protocol::protocol::Encodable;
use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use ottla_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, FetchRequest, FetchResponse, FetchableTopicResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, MetadataRequest,
    MetadataResponse, PartitionData, ProducerId, TopicName, codecs, encode_fetch,
};
use ottla_protocol::{ApiKey, StrBytes, WireClient, WireError, WireRequest};

use crate::golden;

#[test]
fn golden_bodies_come_back_byte_for_byte() {
    for frame in golden::messages() {
        let case = &frame.name;
        let mut body = frame.body.clone();
        let back = if frame.is_request {
            frame.codec.reencode_request(&mut body, frame.version)
        } else {
            {
                let version = frame.version;
                frame.codec.reencode_response(&mut body, version, version)
            }
        };
        let back = back.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(body.len(), 0, "{case} leaves bytes behind");
        if frame.codec.key == ApiKey::Fetch && !frame.is_request && frame.kind == "null" {
            // Null records are answered as empty ones.
            continue;
        }
        assert_eq!(hex(&back), hex(&frame.body), "{case}");
    }
}

#[test]
fn every_served_version_has_golden_bodies() {
    let frames = golden::messages();
    for codec in codecs() {
        for version in codec.versions() {
            let of_version = frames
                .iter()
                .filter(|frame| frame.codec.key == codec.key && frame.version == version);
            assert_eq!(of_version.count(), 6, "{} {version}", codec.key.name());
        }
    }
}

#[test]
fn versions_that_are_not_served_are_refused() {
    for codec in codecs() {
        for version in [codec.version_min - 1, codec.version_max + 1, i16::MAX, -1] {
            let expected = WireError::UnsupportedVersion {
                key: codec.key,
                version,
            };
            let refused = codec.reencode_request(&mut Bytes::new(), version);
            assert_eq!(refused, Err(expected.clone()));
            let refused = codec.reencode_response(&mut Bytes::new(), version, version);
            assert_eq!(refused, Err(expected));
        }
    }
}

#[test]
fn bytes_behind_a_request_are_left_alone() {
    for frame in golden::messages().iter().filter(|frame| frame.is_request) {
        let mut body = BytesMut::from(&frame.body[..]);
        body.extend_from_slice(b"rest");
        let mut body = body.freeze();
        let back = frame.codec.reencode_request(&mut body, frame.version);
        assert_eq!(back.as_ref(), Ok(&frame.body), "{}", frame.name);
        assert_eq!(&body[..], b"rest", "{}", frame.name);
    }
}

#[test]
fn the_newest_shape_of_a_response_fits_every_version() {
    for codec in codecs() {
        let newest = codec.version_max;
        for frame in golden::messages() {
            if frame.codec.key != codec.key || frame.is_request || frame.version != newest {
                continue;
            }
            for version in codec.versions() {
                let case = format!("{} as {version}", frame.name);
                let mut older = codec
                    .reencode_response(&mut frame.body.clone(), newest, version)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
                codec
                    .reencode_response(&mut older, version, version)
                    .unwrap_or_else(|error| panic!("{case} is not read: {error}"));
                assert_eq!(older.len(), 0, "{case} leaves bytes behind");
            }
        }
    }
}

#[test]
fn fields_that_a_version_lacks_are_left_out_whatever_they_hold() {
    let topic = MetadataResponseTopic::default()
        .with_name(None)
        .with_topic_authorized_operations(5);
    encodes::<MetadataRequest>(
        &MetadataResponse::default()
            .with_cluster_authorized_operations(5)
            .with_topics(vec![topic]),
    );
    encodes::<JoinGroupRequest>(
        &JoinGroupResponse::default()
            .with_skip_assignment(true)
            .with_protocol_name(None),
    );
    let group = DescribedGroup::default()
        .with_error_message(Some(StrBytes::from_static_str("gone")))
        .with_authorized_operations(5);
    encodes::<DescribeGroupsRequest>(&DescribeGroupsResponse::default().with_groups(vec![group]));
    let broker = DescribeClusterBroker::default().with_is_fenced(true);
    encodes::<DescribeClusterRequest>(
        &DescribeClusterResponse::default()
            .with_endpoint_type(2)
            .with_brokers(vec![broker]),
    );
    encodes::<InitProducerIdRequest>(
        &InitProducerIdResponse::default()
            .with_ongoing_txn_producer_id(ProducerId(1))
            .with_ongoing_txn_producer_epoch(1),
    );
    encodes::<FetchRequest>(&FetchResponse {
        session_id: 5,
        responses: vec![FetchableTopicResponse {
            partitions: vec![PartitionData {
                preferred_read_replica: BrokerId(3),
                ..PartitionData::default()
            }],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    });
}

fn encodes<R: WireRequest>(response: &R::Response) {
    for version in R::VERSIONS {
        let encoded = R::encode(response, version, &mut BytesMut::new());
        assert_eq!(encoded, Ok(()), "{} {version}", R::KEY.name());
    }
}

#[test]
fn one_coordinator_is_told_in_the_old_shape_and_several_in_the_new() {
    let coordinator = Coordinator::default()
        .with_key(StrBytes::from_static_str("group"))
        .with_node_id(BrokerId(7))
        .with_host(StrBytes::from_static_str("host"))
        .with_port(9092);
    let response = FindCoordinatorResponse::default().with_coordinators(vec![coordinator]);
    let old = recast::<FindCoordinatorRequest>(&response, 3);
    assert_eq!((old.node_id, old.port), (BrokerId(7), 9092));
    assert_eq!(&*old.host, "host");
    assert_eq!(recast::<FindCoordinatorRequest>(&response, 4), response);
}

#[test]
fn a_member_that_may_not_leave_is_told_in_the_old_shape_too() {
    let refused = MemberResponse::default().with_error_code(25);
    let response = LeaveGroupResponse::default().with_members(vec![refused]);
    assert_eq!(recast::<LeaveGroupRequest>(&response, 2).error_code, 25);
    assert_eq!(recast::<LeaveGroupRequest>(&response, 5), response);
}

#[test]
fn fetched_records_are_the_memory_that_was_given() {
    let records = [&b"first"[..], b"", b"second", b"third"].map(Bytes::from_static);
    let partition = |chunks: &[Bytes]| PartitionData {
        records: chunks.to_vec(),
        ..PartitionData::default()
    };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: TopicName(StrBytes::from_static_str("topic")),
            partitions: vec![partition(&records[..3]), partition(&records[3..])],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    };
    for version in 4..=18 {
        let chunks = encode_fetch(&response, version).unwrap();
        let shared = |given: &&Bytes| chunks.iter().any(|chunk| chunk.as_ptr() == given.as_ptr());
        assert_eq!(records.iter().filter(shared).count(), 3, "{version}");
        assert_eq!(
            hex(&chunks.concat()),
            hex(&theirs(&response, version)),
            "{version}"
        );
    }
}

/// What the crate's encoder makes of it.
fn theirs(response: &FetchResponse, version: i16) -> Vec<u8> {
    let topics = response.responses.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            theirs::PartitionData::default()
                .with_high_watermark(partition.high_watermark)
                .with_aborted_transactions(None)
                .with_records(Some(Bytes::from(partition.records.concat())))
        });
        theirs::FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    let response = theirs::FetchResponse::default().with_responses(topics.collect());
    let mut out = BytesMut::new();
    response.encode(&mut out, version).unwrap();
    out.to_vec()
}

/// A response as a client of this version reads it.
fn recast<R: WireClient>(response: &R::Response, version: i16) -> R::Response {
    let mut out = BytesMut::new();
    R::encode(response, version, &mut out).unwrap();
    R::decode_response(&mut out.freeze(), version).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
