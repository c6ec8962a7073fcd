//! Starting a node: sources put together, listeners, what is refused and what is said.

use std::sync::Arc;

use ottla_base::BrokerId;
use ottla_base::config::{
    FlushPolicy, Layers, Listener, Overrides, Roles, SecurityProtocol, Start, StartSettings,
};

fn start(properties: &str) -> Result<Start, String> {
    let mut settings = StartSettings::new();
    settings
        .add_properties(properties)
        .map_err(|error| error.to_string())?;
    settings.finish().map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("\n")
    })
}

fn listener(name: &str, protocol: SecurityProtocol, host: Option<&str>, port: u16) -> Listener {
    Listener {
        name: name.to_owned(),
        protocol,
        host: host.map(str::to_owned),
        port,
    }
}

/// As Kafka ships it, comments and all, shortened.
const SERVER_PROPERTIES: &str = "
############################# Server Basics #############################
# The role of this server.
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\\
    SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

#[test]
fn kafkas_own_file_starts_a_node() {
    let start = start(SERVER_PROPERTIES).unwrap();
    let listeners = &start.listeners;
    assert_eq!(listeners.node, BrokerId(1));
    assert_eq!(
        listeners.bound,
        [
            listener("PLAINTEXT", SecurityProtocol::Plaintext, None, 9092),
            listener("CONTROLLER", SecurityProtocol::Plaintext, None, 9093),
        ]
    );
    assert_eq!(
        listeners.advertised,
        [listener(
            "PLAINTEXT",
            SecurityProtocol::Plaintext,
            Some("localhost"),
            9092
        )]
    );
    assert_eq!(listeners.inter_broker, "PLAINTEXT");
    assert!(listeners.is_for_controllers("CONTROLLER"));
    assert_eq!(
        start.broker.log_dirs.as_deref(),
        Some(&["/tmp/kraft-combined-logs".to_owned()][..])
    );
    assert_eq!(start.unknown, []);
    assert_eq!(
        start.ignored_line().unwrap(),
        "settings of Kafka that are accepted and have no effect here: num.io.threads, num.network.threads, \
         share.coordinator.state.topic.replication.factor, transaction.state.log.min.isr"
    );
}

#[test]
fn a_node_that_is_told_nothing_is_broker_and_controller() {
    let start = StartSettings::single_node().finish().unwrap();
    assert_eq!(start.listeners.node, BrokerId(1));
    assert_eq!(
        start.listeners.roles,
        Roles {
            broker: true,
            controller: true
        }
    );
    let everywhere = [listener(
        "PLAINTEXT",
        SecurityProtocol::Plaintext,
        None,
        9092,
    )];
    assert_eq!(start.listeners.bound, everywhere);
    assert_eq!(start.listeners.advertised, everywhere);
    assert_eq!(start.broker.offsets_topic_replication_factor, 1);
    assert_eq!(start.broker.node_id, Some(1));
    assert_eq!(
        start.fixed.get("process.roles").map(String::as_str),
        Some("broker,controller")
    );
    assert_eq!(start.ottla.flush_policy, FlushPolicy::Fsync);
    // What nobody gave is not worth a line of the log.
    assert_eq!(start.ignored_line(), None);
}

#[test]
fn later_sources_count_more() {
    let mut settings = StartSettings::single_node();
    settings
        .add_properties("num.partitions=2\nlog.dirs=/a\nfetch.max.bytes=2048")
        .unwrap();
    let env = [
        ("KAFKA_NUM_PARTITIONS", "3"),
        ("KAFKA_LOG_DIRS", "/b"),
        ("HOME", "/root"),
    ];
    settings
        .add_env(env.map(|(k, v)| (k.to_owned(), v.to_owned())))
        .unwrap();
    settings.add_assignment("num.partitions=4").unwrap();
    let broker = settings.finish().unwrap().broker;
    assert_eq!(broker.num_partitions, 4);
    assert_eq!(broker.log_dirs, Some(vec!["/b".to_owned()]));
    assert_eq!(broker.fetch_max_bytes, 2048);
}

#[test]
fn an_assignment_has_a_key() {
    let mut settings = StartSettings::new();
    assert!(settings.add_assignment("no equals sign").is_err());
    assert!(settings.add_assignment("=value").is_err());
    assert_eq!(settings.add_assignment("a=b=c"), Ok(()));
    assert_eq!(settings.add_assignment("a="), Ok(()));
}

#[test]
fn the_two_names_of_the_node_id_agree() {
    let node = |text: &str| start(text).map(|start| start.listeners.node);
    assert_eq!(node("node.id=7"), Ok(BrokerId(7)));
    assert_eq!(node("broker.id=7"), Ok(BrokerId(7)));
    assert_eq!(node("broker.id=7\nnode.id=7"), Ok(BrokerId(7)));
    assert!(node("broker.id=7\nnode.id=8").is_err());
    assert!(node("node.id=-1").is_err());
    assert_eq!(start("broker.id=7").unwrap().broker.node_id, Some(7));
}

#[test]
fn strangers_are_named_with_what_was_probably_meant() {
    let start =
        start("log.retenton.hours=1\nzookeeper.connect=x\njmx.port=1\nsuper.users=a").unwrap();
    let said: Vec<String> = start.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "unknown setting jmx.port is ignored",
            "unknown setting log.retenton.hours is ignored; did you mean log.retention.hours?",
            "unknown setting zookeeper.connect is ignored; Kafka 4 does not have it any more",
        ]
    );
}

#[test]
fn every_bad_value_is_refused_with_what_is_allowed() {
    assert_eq!(
        start("num.partitions=0\nlog.cleanup.policy=purge\nauto.create.topics.enable=yes")
            .unwrap_err(),
        "Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false\n\
         Invalid value purge for configuration log.cleanup.policy: String must be one of: compact, delete\n\
         Invalid value 0 for configuration num.partitions: Value must be at least 1"
    );
    assert_eq!(
        start("ottla.flush.policy=never").unwrap_err(),
        "Invalid value never for configuration ottla.flush.policy: String must be one of: fsync, page-cache"
    );
}

#[test]
fn values_of_every_kind_are_checked() {
    for bad in [
        "broker.id=one",
        "compression.gzip.level=0",
        "compression.lz4.level=18",
        "compression.zstd.level=23",
        "compression.type=brotli",
        "controller.quorum.voters=localhost:9093",
        "controller.quorum.voters=1@localhost",
        "controller.quorum.bootstrap.servers=localhost",
        "fetch.max.bytes=1023",
        "group.consumer.migration.policy=sideways",
        "group.coordinator.rebalance.protocols=classic,unheard",
        "group.coordinator.rebalance.protocols=consumer",
        "group.consumer.heartbeat.interval.ms=5000\ngroup.consumer.session.timeout.ms=5000\n\
         group.consumer.min.session.timeout.ms=5000",
        "group.share.max.size=1001",
        "listener.name.plaintext.ssl.client.auth=maybe",
        "listener.security.protocol.map=PLAINTEXT",
        "listener.security.protocol.map=PLAINTEXT:TLS",
        "log.cleaner.dedupe.buffer.size=1048576",
        "log.cleaner.min.cleanable.ratio=1.5",
        "log.dirs=",
        "log.dirs=/a,/a",
        "log.message.timestamp.type=createtime",
        "log.retention.ms=0",
        "log.roll.ms=0",
        "log.segment.bytes=1048575",
        "max.connections.per.ip.overrides=localhost",
        "max.connections.per.ip.overrides=localhost:many",
        "message.max.bytes=-1",
        "offsets.topic.replication.factor=0",
        "offsets.topic.replication.factor=32768",
        "process.roles=",
        "process.roles=broker,broker",
        "process.roles=zookeeper",
        "queued.max.request.bytes=1",
        "replica.fetch.wait.max.ms=40000",
        "socket.request.max.bytes=2147483648",
        "ssl.client.auth=sometimes",
    ] {
        let key = bad.split(['=', ':']).next().unwrap();
        let refusal = start(bad).expect_err(bad);
        assert!(refusal.contains(key), "{bad}: {refusal}");
    }
}

#[test]
fn odd_but_good_values_are_accepted() {
    for good in [
        "log.cleanup.policy=",
        "log.retention.ms=-5",
        "log.retention.hours=-1",
        "compression.gzip.level=-1",
        "controller.quorum.voters=1@[::1]:9093",
        "max.connections.per.ip.overrides=localhost:5, [::1]:6",
        "listeners=PLAINTEXT://:0",
        "connections.max.idle.ms=-1",
        "group.consumer.migration.policy=BIDIRECTIONAL",
        "config.providers=env\nssl.keystore.password=${env:PASSWORD}",
    ] {
        assert_eq!(start(good).map(|_| ()), Ok(()), "{good}");
    }
}

#[test]
fn a_secret_is_not_in_a_refusal_nor_in_a_debug_line() {
    let start = start("ssl.key.password=hush\nmy.plugin.token=hush\nlog.dirs=/d").unwrap();
    let debug = format!("{start:?}");
    assert!(!debug.contains("hush") && debug.contains("/d"), "{debug}");
}

#[test]
fn listeners_are_read_as_kafka_reads_them() {
    let bound = |text: &str| start(text).map(|start| start.listeners.bound);
    let plaintext = SecurityProtocol::Plaintext;
    assert_eq!(
        bound("listeners=plaintext://127.0.0.1:0"),
        Ok(vec![listener("PLAINTEXT", plaintext, Some("127.0.0.1"), 0)])
    );
    assert_eq!(
        bound("listeners=PLAINTEXT://[::1]:9092, SSL://my-host_1.example:9093"),
        Ok(vec![
            listener("PLAINTEXT", plaintext, Some("::1"), 9092),
            listener(
                "SSL",
                SecurityProtocol::Ssl,
                Some("my-host_1.example"),
                9093
            ),
        ])
    );
    assert_eq!(
        bound(
            "listeners=IN://:1,OUT://:2\nlistener.security.protocol.map=in:PLAINTEXT, OUT:sasl_ssl\ninter.broker.listener.name=in"
        ),
        Ok(vec![
            listener("IN", plaintext, None, 1),
            listener("OUT", SecurityProtocol::SaslSsl, None, 2),
        ])
    );
    // One port for IPv4 and IPv6, and any free port twice.
    for good in ["127.0.0.1:9092,SSL://[::1]:9092", ":0,SSL://:0"] {
        assert!(
            bound(&format!("listeners=PLAINTEXT://{good}")).is_ok(),
            "{good}"
        );
    }
}

#[test]
fn listeners_that_contradict_each_other_are_refused() {
    for (settings, key) in [
        ("listeners=", "listeners"),
        ("listeners=localhost:9092", "listeners"),
        ("listeners=PLAINTEXT://localhost", "listeners"),
        ("listeners=PLAINTEXT://localhost:65536", "listeners"),
        ("listeners=PLAINTEXT://local host:9092", "listeners"),
        ("listeners=://:9092", "listeners"),
        ("listeners=UNHEARD://:9092", "listeners"),
        ("listeners=PLAINTEXT://:1,plaintext://:2", "listeners"),
        ("listeners=PLAINTEXT://:1,SSL://:1", "listeners"),
        (
            "listeners=PLAINTEXT://127.0.0.1:1,SSL://127.0.0.2:1",
            "listeners",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners",
        ),
        ("listeners=PLAINTEXT://0.0.0.0:9092", "advertised.listeners"),
        (
            "advertised.listeners=PLAINTEXT://a:1,SSL://a:2",
            "advertised.listeners",
        ),
        ("listeners=SSL://:1", "inter.broker.listener.name"),
        (
            "inter.broker.listener.name=UNHEARD",
            "inter.broker.listener.name",
        ),
        (
            "inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
            "inter.broker.listener.name",
        ),
        (
            "controller.listener.names=PLAINTEXT",
            "advertised.listeners",
        ),
        (
            "controller.listener.names=CONTROLLER",
            "controller.listener.names",
        ),
        (
            "node.id=2\ncontroller.quorum.voters=1@a:1",
            "controller.quorum.voters",
        ),
        ("process.roles=broker", "controller.listener.names"),
        (
            "process.roles=broker\ncontroller.listener.names=C\nlisteners=PLAINTEXT://:1,C://:2",
            "controller.listener.names",
        ),
        (
            "process.roles=broker\ncontroller.listener.names=C\ncontroller.quorum.voters=1@a:1",
            "controller.quorum.voters",
        ),
        (
            "process.roles=controller\ncontroller.listener.names=C\nlisteners=PLAINTEXT://:1,C://:2",
            "listeners",
        ),
    ] {
        let refusal = start(settings).expect_err(settings);
        assert!(
            refusal.starts_with(&format!("{key}:"))
                || refusal.contains(&format!("configuration {key}:")),
            "{settings}: {refusal}"
        );
    }
}

#[test]
fn a_node_may_be_only_a_broker_or_only_a_controller() {
    let broker = start(
        "process.roles=broker\nnode.id=4\ncontroller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@c1:9093,2@c2:9093",
    )
    .unwrap();
    assert_eq!(
        broker.listeners.roles,
        Roles {
            broker: true,
            controller: false
        }
    );
    let voters: Vec<(i32, &str, u16)> = broker
        .listeners
        .voters
        .iter()
        .map(|voter| (voter.id.0, voter.host.as_str(), voter.port))
        .collect();
    assert_eq!(voters, [(1, "c1", 9093), (2, "c2", 9093)]);
    let controller = start(
        "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
         listeners=CONTROLLER://:9093\ncontroller.quorum.voters=1@c1:9093",
    )
    .unwrap();
    assert_eq!(
        controller.listeners.roles,
        Roles {
            broker: false,
            controller: true
        }
    );
    assert_eq!(controller.listeners.advertised, []);
}

#[test]
fn topics_without_settings_share_one_value() {
    let start = start("log.retention.minutes=1").unwrap();
    let defaults = Layers::at_start(&start.fixed).topic_defaults().unwrap();
    let nothing = Overrides::new();
    let (one, other) = (
        defaults.with(&nothing).unwrap(),
        defaults.with(&nothing).unwrap(),
    );
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(one.retention_ms, 60_000);
    let own = Overrides::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let own = defaults.with(&own).unwrap();
    assert!(own.cleanup_policy.compact && !own.cleanup_policy.delete);
    assert_eq!(own.retention_ms, 60_000);
}

#[test]
fn an_address_may_have_a_limit_of_its_own() {
    let start = start("max.connections.per.ip.overrides=host:5, [::1]:6").unwrap();
    assert_eq!(start.broker.connections_for("host"), Some(5));
    assert_eq!(start.broker.connections_for("::1"), Some(6));
    assert_eq!(start.broker.connections_for("other"), None);
}

#[test]
fn data_goes_to_log_dirs_or_else_to_log_dir() {
    let dirs = |text: &str| start(text).unwrap().broker.data_dirs().to_owned();
    assert_eq!(dirs("log.dir=/a"), ["/a"]);
    assert_eq!(dirs("log.dir=/a\nlog.dirs=/b,/c"), ["/b", "/c"]);
    assert_eq!(dirs(""), ["/tmp/kafka-logs"]);
}

#[test]
fn a_listeners_own_setting_is_nearest() {
    let start = start(
        "sasl.enabled.mechanisms=PLAIN\n\
         listener.name.plaintext.sasl.enabled.mechanisms=SCRAM-SHA-256\n\
         listener.name.plaintext.plain.sasl.jaas.config=a",
    )
    .unwrap();
    let layers = Layers::at_start(&start.fixed);
    let ask = |listener: &str, mechanism: Option<&str>, name: &str| {
        let key = ottla_base::config::broker_key(name).unwrap();
        let value = layers.on_listener(listener, mechanism, key).unwrap();
        value.map(|value| value.to_string())
    };
    let mechanisms = "sasl.enabled.mechanisms";
    assert_eq!(
        ask("PLAINTEXT", None, mechanisms).as_deref(),
        Some("SCRAM-SHA-256")
    );
    assert_eq!(ask("OTHER", None, mechanisms).as_deref(), Some("PLAIN"));
    assert_eq!(
        ask("PLAINTEXT", Some("PLAIN"), "sasl.jaas.config").as_deref(),
        Some("a")
    );
    assert_eq!(ask("PLAINTEXT", None, "sasl.jaas.config"), None);
    // A unit of another setting stands for its own number.
    assert_eq!(
        ask("PLAINTEXT", None, "log.retention.hours").as_deref(),
        Some("168")
    );
}
