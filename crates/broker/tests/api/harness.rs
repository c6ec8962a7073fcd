//! A broker in process and a client that speaks bytes to it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ottla_base::config::StartSettings;
use ottla_base::{ClusterId, TopicName};
use ottla_broker::format::Bootstrap;
use ottla_broker::wiring::{self, Running, StartParts};
use ottla_protocol::header::{RequestHeader, decode_response_header};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::{CreateTopicsRequest, FindCoordinatorRequest};
use ottla_protocol::{ApiKey, StrBytes, Uuid, WireClient};
use ottla_store::{Durability, LogStore, memory};

use crate::log_watch::LogWatch;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

pub(crate) const CLUSTER: &str = "test-cluster-0123456789";

/// A broker that keeps everything in memory. It listens on a free port, because
/// clients are told one, but tests talk to it through [`TestBroker::connect`].
/// A test fails if the broker logs a WARN or an ERROR that was not expected.
pub(crate) struct TestBroker {
    pub running: Running,
    log: LogWatch,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::with_settings(&[]).await
    }

    pub(crate) async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let store = memory::open(memory::Options {
            durability: Durability::Fsync,
            stepping: memory::Stepping::Thread,
        });
        Self::with_store(Arc::new(store), settings).await
    }

    pub(crate) async fn with_store(store: Arc<dyn LogStore>, settings: &[(&str, &str)]) -> Self {
        let log = LogWatch::start();
        let mut start = StartSettings::single_node();
        start.add("listeners", "PLAINTEXT://127.0.0.1:0");
        start.add("group.initial.rebalance.delay.ms", "0");
        start.add("offsets.topic.num.partitions", "3");
        for (key, value) in settings {
            start.add(key, value);
        }
        let parts = StartParts {
            settings: start.finish().expect("the settings are right"),
            cluster_id: ClusterId::from(CLUSTER),
            directory: "a".to_owned(),
            bootstrap: Bootstrap::default(),
            store,
            host_default: "localhost".to_owned(),
        };
        let running = wiring::start(parts).await.expect("the broker starts");
        Self { running, log }
    }

    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        let image = self.running.image();
        let topic = image.topic(&TopicName::from(name));
        Uuid::from_bytes(topic.expect("the topic is there").id.0)
    }

    /// Lets the log have WARN and ERROR lines with this text in them.
    pub(crate) fn expect_log(&self, text: &'static str) {
        self.log.expect(text);
    }

    pub(crate) async fn connect(&self) -> Client {
        self.connect_by(1 << 20).await
    }

    /// By a stream that takes so many bytes before they are read.
    pub(crate) async fn connect_by(&self, bytes: usize) -> Client {
        let (client, server) = tokio::io::duplex(bytes);
        self.running.serve(server, "PLAINTEXT");
        Client::over(client)
    }
}

/// One connection.
pub(crate) struct Client<S = DuplexStream> {
    stream: S,
    pub client_id: String,
    correlation_id: i32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            client_id: "test".to_owned(),
            correlation_id: 0,
        }
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn call<R: WireClient>(&mut self, version: i16, request: R) -> R::Response {
        self.send(version, &request).await;
        self.receive::<R>(version).await
    }

    /// Sends a request and does not wait.
    pub(crate) async fn send<R: WireClient>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = RequestHeader {
            key: R::KEY,
            version,
            correlation_id: self.correlation_id,
            client_id: Some(StrBytes::from_string(self.client_id.clone())),
        };
        let mut frame = BytesMut::new();
        header.encode(&mut frame);
        request
            .encode_request(version, &mut frame)
            .expect("the request fits its version");
        self.send_frame(&frame).await;
    }

    pub(crate) async fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = BytesMut::new();
        bytes.put_i32(i32::try_from(frame.len()).expect("a small frame"));
        bytes.extend_from_slice(frame);
        self.stream
            .write_all(&bytes)
            .await
            .expect("the broker reads");
    }

    /// The response to the oldest request that has none yet.
    pub(crate) async fn receive<R: WireClient>(&mut self, version: i16) -> R::Response {
        let mut frame = self.receive_frame().await.expect("the broker answers");
        decode_response_header(R::KEY, version, &mut frame).expect("a response header");
        let response = R::decode_response(&mut frame, version).expect("a response body");
        assert!(!frame.has_remaining(), "bytes behind the response");
        response
    }

    /// None if the broker closes the connection.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    /// Creates a topic with this many partitions.
    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32) {
        self.create(name, partitions, &[]).await;
    }

    /// Creates a topic with one partition and settings of its own.
    pub(crate) async fn create_topic_with(&mut self, name: &str, settings: &[(&str, &str)]) {
        self.create(name, 1, settings).await;
    }

    async fn create(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let configs = settings.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(text(name).into())
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(5_000);
        let response = self.call(7, request).await;
        assert_eq!(response.topics[0].error_code, 0, "topic {name} is created");
    }

    /// Makes sure that groups have a place to live in.
    pub(crate) async fn find_coordinator(&mut self, group: &str) {
        let key = StrBytes::from_string(group.to_owned());
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key]);
        let found = self.call(4, request).await;
        assert_eq!(found.coordinators[0].error_code, 0);
    }

    /// Closes the sending side.
    pub(crate) async fn hang_up(&mut self) {
        self.stream.shutdown().await.expect("a stream that is open");
    }

    /// Sends bytes that need not be a frame.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The broker may have closed the connection on what came before.
        let _closed = self.stream.write_all(bytes).await;
    }
}

/// A frame of any key and version, for what no typed request can say.
pub(crate) fn raw_frame(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = RequestHeader {
        key,
        version,
        correlation_id: 1,
        client_id: None,
    };
    header.encode(&mut frame);
    frame.extend_from_slice(body);
    frame.to_vec()
}

/// Copies what a broker has in a directory. What is gone before it could be copied was there
/// for a moment only, as when the copy of the index is renewed: then it is copied again.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    let is_copied = || {
        let _none = fs::remove_dir_all(to);
        let mut copy = Command::new("cp");
        copy.arg("-r").args([from, to]).stderr(Stdio::null());
        copy.status().expect("cp runs").success()
    };
    assert!((0..100).any(|_| is_copied()), "{from:?} never came to rest");
}
