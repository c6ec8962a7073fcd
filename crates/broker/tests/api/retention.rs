//! Which records retention takes, and which it leaves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_base::{ErrorCode, Millis};
use ottla_protocol::messages::IncrementalAlterConfigsRequest;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::records::BatchBuilder;

use crate::harness::{Client, TestBroker};
use crate::requests::{batch, fetch_from, fetched, listed, put, text, values_in};

const EARLIEST: i64 = -2;
const PATIENCE: Duration = Duration::from_secs(20);
const HOUR_MS: i64 = 3_600_000;

/// No record is too old for the retention of seven days but those of [`batch`],
/// which are years old.
async fn broker() -> TestBroker {
    let settings = [
        ("log.retention.check.interval.ms", "1"),
        ("log.message.timestamp.after.max.ms", "9000000000000"),
    ];
    let broker = TestBroker::with_settings(&settings).await;
    broker.connect().await.create_topic("marker", 1).await;
    broker
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.expect("it is after 1970").as_millis();
    i64::try_from(ms).expect("not that late")
}

/// A batch of records with these timestamps.
fn at(timestamps: &[i64]) -> Bytes {
    let mut batch = BatchBuilder::new();
    for timestamp in timestamps {
        batch.push(Millis(*timestamp), None, Some(b"x"));
    }
    batch.build().expect("a batch").to_bytes()
}

async fn earliest(client: &mut Client, topic: &str) -> i64 {
    listed(client, 7, topic, EARLIEST).await.offset
}

async fn starts_at(client: &mut Client, topic: &str, offset: i64) {
    let begun = Instant::now();
    while earliest(client, topic).await != offset {
        assert!(
            begun.elapsed() < PATIENCE,
            "{topic} does not start at {offset}"
        );
    }
}

/// Returns when retention has looked at everything that is there by now.
async fn looked_at(client: &mut Client) {
    for _ in 0..2 {
        let end = put(client, "marker", batch(&["old"])).await + 1;
        starts_at(client, "marker", end).await;
    }
}

#[tokio::test]
async fn batches_go_when_their_latest_record_is_too_old() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    put(&mut client, "t", batch(&["a", "b"])).await;
    put(&mut client, "t", batch(&["c"])).await;
    put(&mut client, "t", at(&[0, now()])).await;
    put(&mut client, "t", batch(&["behind one that stays"])).await;
    starts_at(&mut client, "t", 3).await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 3);
    let gone = fetched(&mut client, 12, fetch_from("t", 2)).await;
    assert_eq!(gone.error_code, ErrorCode::OffsetOutOfRange.code());
    let found = fetched(&mut client, 12, fetch_from("t", 3)).await;
    assert_eq!(values_in(&found.records).len(), 3);
    assert_eq!(found.log_start_offset, 3);
}

#[tokio::test]
async fn a_record_of_the_future_holds_up_what_is_behind_it() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    put(&mut client, "t", batch(&["old"])).await;
    put(&mut client, "t", at(&[now() + 1_000 * HOUR_MS])).await;
    put(&mut client, "t", batch(&["old"])).await;
    starts_at(&mut client, "t", 1).await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 1);
}

#[tokio::test]
async fn a_log_that_nobody_writes_to_grows_old_too_and_goes_on_where_it_was() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client
        .create_topic_with("t", &[("retention.ms", "150")])
        .await;
    put(&mut client, "t", at(&[now(), now()])).await;
    starts_at(&mut client, "t", 2).await;
    looked_at(&mut client).await;
    assert_eq!(put(&mut client, "t", at(&[now()])).await, 2);
    starts_at(&mut client, "t", 3).await;
}

#[tokio::test]
async fn a_batch_without_a_timestamp_counts_from_when_it_was_seen() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    put(&mut client, "t", at(&[-1])).await;
    put(&mut client, "t", at(&[-1])).await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 0);
    set(&mut client, "retention.ms", "50").await;
    starts_at(&mut client, "t", 2).await;
}

#[tokio::test]
async fn a_changed_setting_holds_for_what_is_there() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    put(&mut client, "t", at(&[now() - HOUR_MS])).await;
    put(&mut client, "t", at(&[now()])).await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 0);
    set(&mut client, "retention.ms", "1800000").await;
    starts_at(&mut client, "t", 1).await;
    set(&mut client, "cleanup.policy", "compact").await;
    set(&mut client, "retention.ms", "0").await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 1);
    set(&mut client, "retention.ms", "-1").await;
    set(&mut client, "cleanup.policy", "compact,delete").await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 1);
    set(&mut client, "retention.ms", "0").await;
    starts_at(&mut client, "t", 2).await;
}

#[tokio::test]
async fn as_many_bytes_stay_as_the_topic_may_hold() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    let one = at(&[now()]);
    let three = (one.len() * 3).to_string();
    client
        .create_topic_with("t", &[("retention.bytes", &three)])
        .await;
    for _ in 0..3 {
        put(&mut client, "t", one.clone()).await;
    }
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 0);
    put(&mut client, "t", one.clone()).await;
    put(&mut client, "t", one.clone()).await;
    starts_at(&mut client, "t", 2).await;
    // What goes is less than what is too much.
    set(
        &mut client,
        "retention.bytes",
        &(one.len() * 2 - 1).to_string(),
    )
    .await;
    starts_at(&mut client, "t", 3).await;
    looked_at(&mut client).await;
    assert_eq!(earliest(&mut client, "t").await, 3);
    set(&mut client, "retention.bytes", "0").await;
    starts_at(&mut client, "t", 5).await;
}

/// A consumer that is slower than retention hears where it can go on.
#[tokio::test]
async fn a_reader_is_told_what_it_missed() {
    let broker = broker().await;
    let mut client = broker.connect().await;
    client
        .create_topic_with("t", &[("retention.bytes", "0")])
        .await;
    let (mut position, mut read, mut missed) = (0, 0, 0);
    for _ in 0..200 {
        put(&mut client, "t", at(&[now()])).await;
        let found = fetched(&mut client, 12, fetch_from("t", position)).await;
        if found.error_code == ErrorCode::OffsetOutOfRange.code() {
            let start = earliest(&mut client, "t").await;
            assert!(
                position < start,
                "{position} is out of range, and {start} is not"
            );
            missed += start - position;
            position = start;
            continue;
        }
        assert_eq!(found.error_code, 0);
        let count = i64::try_from(values_in(&found.records).len()).expect("few");
        read += count;
        position += count;
    }
    let end = 200;
    let start = earliest(&mut client, "t").await;
    assert!(position <= end && start <= end);
    assert_eq!(read + missed, position);
}

/// Changes a setting of `t`.
async fn set(client: &mut Client, key: &str, value: &str) {
    let change = AlterableConfig::default()
        .with_name(text(key))
        .with_value(Some(text(value)));
    let topic = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![topic]);
    let response = client.call(1, request).await;
    assert_eq!(response.responses[0].error_code, 0);
}
