//! Input that no client sends: the connection is answered or closed, and the next
//! one is served.

use std::time::Duration;

use ottla_broker::ROUTES;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::MetadataRequest;

use crate::harness::{TestBroker, raw_frame};
use crate::requests::{batch, fetch_from, fetched, produce_to};

/// Longer than any answer takes that does not wait for something.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sends each body on a connection of its own, for every API and version.
async fn send_everywhere(broker: &TestBroker, bodies: &[Vec<u8>]) {
    for route in ROUTES {
        for version in route.served.clone() {
            for body in bodies {
                let mut client = broker.connect().await;
                client
                    .send_frame(&raw_frame(route.key, version, body))
                    .await;
                // Answered or closed; a body may also be a request that waits.
                let _either = tokio::time::timeout(PATIENCE, client.receive_frame()).await;
            }
        }
        still_serves(broker).await;
    }
}

async fn still_serves(broker: &TestBroker) {
    let mut client = broker.connect().await;
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let response = client.call(9, request).await;
    assert_eq!(response.brokers.len(), 1);
}

#[tokio::test]
async fn inc_007_bodies_of_one_byte_repeated() {
    let broker = TestBroker::start().await;
    broker.expect_log("a request failed in a way that nobody expected");
    let lengths = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 64];
    let bytes = [0xff, 0x7f, 0x00, 0x01, 0x80];
    let bodies = lengths
        .iter()
        .flat_map(|length| bytes.map(|byte| vec![byte; *length]));
    send_everywhere(&broker, &bodies.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn bodies_that_end_early_at_every_length() {
    let broker = TestBroker::start().await;
    broker.expect_log("a request failed in a way that nobody expected");
    // Small counts, short names, then nothing: every decoder gets some way.
    let shape = [0, 1, 0, 1, b'a', 0, 0, 0, 1, 2, b'b', 0, 0, 2, 2, 0, 1];
    let shape: Vec<u8> = shape.into_iter().cycle().take(64).collect();
    let bodies: Vec<_> = (0..=64).map(|length| shape[..length].to_vec()).collect();
    send_everywhere(&broker, &bodies).await;
}

#[tokio::test]
async fn inc_010_arrays_of_two_billion_and_tags_as_long() {
    let broker = TestBroker::start().await;
    let largest = [0x7f, 0xff, 0xff, 0xff];
    let compact = [0xff, 0xff, 0xff, 0xff, 0x07];
    let mut bodies = Vec::new();
    // At each of the places where the first array of a request can be.
    for before in 0..32 {
        for count in [&largest[..], &compact[..]] {
            bodies.push([&vec![0; before][..], count].concat());
            bodies.push([&vec![1; before][..], count, &[1; 8]].concat());
        }
    }
    send_everywhere(&broker, &bodies).await;
}

#[tokio::test]
async fn frames_that_are_none_close_the_connection() {
    let broker = TestBroker::with_settings(&[("socket.request.max.bytes", "1000")]).await;
    let above = 1_001_i32.to_be_bytes();
    let empty = [0; 4];
    for (what, bytes) in [
        ("a negative length", &[0xff; 8][..]),
        ("the most negative length", &[0x80, 0, 0, 0, 0, 0]),
        ("a length above the limit", &above),
        ("an empty frame", &empty),
        ("half a header", &[0, 0, 0, 3, 0, 3, 0]),
        (
            "a header without a client id",
            &[0, 0, 0, 8, 0, 3, 0, 1, 0, 0, 0, 1],
        ),
        (
            "a client of HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        ("a client of TLS", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    ] {
        let mut client = broker.connect().await;
        client.send_bytes(bytes).await;
        assert_eq!(client.receive_frame().await, None, "{what}");
        still_serves(&broker).await;
    }
}

#[tokio::test]
async fn apis_and_versions_that_are_not_served_close_the_connection() {
    let broker = TestBroker::start().await;
    for (key, version) in [
        (ApiKey::Produce, 2),
        (ApiKey::Fetch, 3),
        (ApiKey::Metadata, 14),
        (ApiKey::Heartbeat, -1),
    ] {
        let mut client = broker.connect().await;
        client.send_frame(&raw_frame(key, version, &[0; 32])).await;
        assert_eq!(client.receive_frame().await, None, "{key:?} v{version}");
    }
    for key in [999_i16, -1, i16::MIN] {
        let mut client = broker.connect().await;
        let mut frame = vec![0; 32];
        frame[..2].copy_from_slice(&key.to_be_bytes());
        client.send_frame(&frame).await;
        assert_eq!(client.receive_frame().await, None, "{key}");
    }
}

#[tokio::test]
async fn what_was_answered_before_the_bad_request_still_arrives() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    client.send(9, &produce_to("t", 0, -1, batch(&["x"]))).await;
    client
        .send_frame(&raw_frame(ApiKey::Produce, 9, &[0xff; 9]))
        .await;
    assert!(
        client.receive_frame().await.is_some(),
        "the first is answered"
    );
    assert_eq!(client.receive_frame().await, None);
    let mut other = broker.connect().await;
    let found = fetched(&mut other, 12, fetch_from("t", 0)).await;
    assert_eq!(found.high_watermark, 1);
}

#[tokio::test]
async fn a_client_that_left_during_a_long_poll_is_let_go() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    let request = fetch_from("t", 0).with_max_wait_ms(i32::MAX);
    client.send(12, &request).await;
    client.hang_up().await;
    let closed = tokio::time::timeout(Duration::from_secs(30), client.receive_frame());
    assert_eq!(closed.await, Ok(None));
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_let_go() {
    let broker = TestBroker::with_settings(&[
        ("connections.max.idle.ms", "50"),
        ("connection.failed.authentication.delay.ms", "0"),
    ])
    .await;
    let mut client = broker.connect_by(64).await;
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    client.send(9, &request).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(client.receive_frame().await, None, "the rest never comes");
}
