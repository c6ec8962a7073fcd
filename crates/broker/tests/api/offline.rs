//! What `ottla check` and `ottla dump` say of a directory that a broker wrote.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ottla_base::{BrokerId, ClusterId};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::DeleteTopicsRequest;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_store::rocks;

use crate::harness::{CLUSTER, TestBroker, copy_directory};
use crate::produce_fetch::{batch, produce};

/// What the program says to a command about the directory, and its status.
fn run(verb: &str, directory: &Path, options: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .arg(verb)
        .arg(directory)
        .args(options.split_whitespace())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

async fn broker_in(directory: &Path) -> TestBroker {
    let options = rocks::Options::new(BrokerId(1), ClusterId::from(CLUSTER));
    let store = rocks::open(directory, options).unwrap();
    TestBroker::with_store(Arc::new(store), &[]).await
}

/// What a broker leaves: two topics, three batches in each, and a third one that
/// was deleted.
async fn written() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let directory = &root.path().join("used");
    let broker = broker_in(directory).await;
    let mut client = broker.connect().await;
    for topic in ["orders", "bills", "gone"] {
        client.create_topic(topic, 1).await;
        for values in [&["one"][..], &["two", "three"], &["a marked value"]] {
            let response = client.call(9, produce(topic, -1, batch(values))).await;
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        }
    }
    let topic =
        DeleteTopicState::default().with_name(Some(StrBytes::from_static_str("gone").into()));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    client.call(6, request).await;
    let busy = run("check", directory, "");
    assert_eq!(busy.0, 1);
    assert!(
        busy.1.contains("is in use by another process"),
        "{}",
        busy.1
    );
    broker.running.stop().await;
    // A directory is free when its process has ended, and this one goes on.
    let left = root.path().join("data");
    copy_directory(directory, &left);
    root
}

/// Flips a bit in the second of the three places where the file says `marked`.
fn harm(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let marks = bytes.windows(6).enumerate();
    let mut marks = marks.filter_map(|(at, bytes)| (bytes == b"marked").then_some(at));
    let at = marks.nth(1).unwrap();
    let file = fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(b"Marked", at.try_into().unwrap())
        .unwrap();
}

#[tokio::test]
async fn a_check_names_the_batch_that_a_flipped_bit_harmed() {
    let root = written().await;
    let data = root.path().join("data");
    let (status, said) = run("check", &data, "");
    assert_eq!(status, 0, "{said}");
    assert!(said.ends_with("are sound\n"), "{said}");

    harm(&data.join("commit/00000000000000000001.log"));
    let (status, said) = run("check", &data, "");
    assert_eq!(status, 1, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with("commit/00000000000000000001.log at "),
        "{said}"
    );
    assert!(
        lines[1].starts_with("bills-0 offset 3: the batch is damaged"),
        "{said}"
    );
    assert!(lines[2].starts_with("2 faults."), "{said}");
}

#[tokio::test]
async fn a_dump_shows_the_batches_that_are_asked_for() {
    let root = written().await;
    let data = root.path().join("data");
    // Where a line's entry lies, and what only this run can know, is left out.
    let batches = |options: &str| -> Vec<String> {
        let (status, said) = run("dump", &data, options);
        assert_eq!(status, 0, "{said}");
        let lines = said.lines().filter(|line| line.contains(" batch "));
        let facts = lines.map(|line| {
            line.split(' ')
                .skip(1)
                .take(6)
                .collect::<Vec<_>>()
                .join(" ")
        });
        facts.collect()
    };
    let orders = [
        "orders-0 batch offsets 0..1 records 1",
        "orders-0 batch offsets 1..3 records 2",
        "orders-0 batch offsets 3..4 records 1",
    ];
    assert_eq!(batches("--topic orders"), orders);
    assert_eq!(
        batches("--topic orders --partition 0 --offset 2"),
        orders[1..]
    );
    assert_eq!(batches("--topic gone").len(), 3);
    let all = batches("");
    for topic in ["orders-0 ", "bills-0 ", "gone-0 ", "__cluster_metadata-0 "] {
        assert!(
            all.iter().any(|line| line.starts_with(topic)),
            "{topic}: {all:?}"
        );
    }
    for (options, absent) in [
        ("--topic nothing", "of nothing"),
        ("--topic orders --partition 1", "of orders-1"),
    ] {
        let (status, said) = run("dump", &data, options);
        assert_eq!((status, said.contains(absent)), (1, true), "{said}");
    }
}

#[test]
fn a_directory_that_no_broker_wrote_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for verb in ["check", "dump"] {
        let (status, said) = run(verb, root.path(), "");
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("is no data directory"), "{said}");
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            0,
            "it was changed"
        );
    }
}
