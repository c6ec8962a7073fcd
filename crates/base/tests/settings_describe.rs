//! DescribeConfigs: values, sources, chains, flags.

use ottla_base::config::{
    ConfigEntry, ConfigSource, Kind, Layers, Overrides, describe_broker, describe_client_metrics,
    describe_cluster, describe_group, describe_topic,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn overrides(pairs: Pairs<'_>) -> Overrides {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

/// What one broker was told, by layer.
#[derive(Default)]
struct Set<'a> {
    broker: Pairs<'a>,
    cluster: Pairs<'a>,
    fixed: Pairs<'a>,
}

impl Set<'_> {
    fn with<T>(&self, ask: impl FnOnce(&Layers<'_>) -> T) -> T {
        let (broker, cluster, fixed) = (
            overrides(self.broker),
            overrides(self.cluster),
            overrides(self.fixed),
        );
        ask(&Layers {
            broker: &broker,
            cluster: &cluster,
            fixed: &fixed,
        })
    }

    fn topic(&self, own: Pairs<'_>, name: &str) -> String {
        self.with(|layers| {
            let rows = describe_topic(layers, &overrides(own), |wanted| wanted == name)
                .expect("every value is good");
            shown(&rows)
        })
    }

    fn broker(&self, name: &str) -> String {
        self.with(|layers| {
            shown(&describe_broker(layers, |wanted| wanted == name).expect("every value is good"))
        })
    }

    fn cluster(&self) -> String {
        self.with(|layers| shown(&describe_cluster(layers, |_| true)))
    }

    fn group(&self, own: Pairs<'_>, name: &str) -> String {
        self.with(|layers| {
            let rows = describe_group(layers, &overrides(own), |wanted| wanted == name)
                .expect("every value is good");
            shown(&rows)
        })
    }
}

/// `name=value source [flags] <- synonym=value source, …`
fn shown(rows: &[ConfigEntry]) -> String {
    let rows: Vec<String> = rows.iter().map(row).collect();
    rows.join("\n")
}

fn row(entry: &ConfigEntry) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let mut row = format!("{}={} {:?}", entry.name, value(&entry.value), entry.source);
    if entry.is_sensitive {
        row.push_str(" sensitive");
    }
    if entry.is_read_only {
        row.push_str(" read-only");
    }
    if entry.kind.is_none() {
        row.push_str(" unknown");
    }
    for synonym in &entry.synonyms {
        let value = value(&synonym.value);
        row.push_str(&format!(
            " <- {}={value} {:?}",
            synonym.name, synonym.source
        ));
    }
    row
}

#[test]
fn a_topic_falls_back_layer_by_layer() {
    let set = Set {
        broker: &[("log.retention.ms", "3")],
        cluster: &[("log.retention.ms", "4")],
        fixed: &[("log.retention.ms", "5")],
    };
    let chain = "<- log.retention.ms=3 DynamicBroker <- log.retention.ms=4 DynamicDefaultBroker \
                 <- log.retention.ms=5 StaticBroker <- log.retention.hours=168 Default";
    assert_eq!(
        set.topic(&[], "retention.ms"),
        format!("retention.ms=3 DynamicBroker {chain}")
    );
    assert_eq!(
        set.topic(&[("retention.ms", " 02 ")], "retention.ms"),
        format!("retention.ms=2 Topic <- retention.ms=2 Topic {chain}")
    );
}

#[test]
fn a_default_shows_the_brokers_name() {
    let nothing = Set::default();
    assert_eq!(
        nothing.topic(&[], "max.message.bytes"),
        "max.message.bytes=1048588 Default <- message.max.bytes=1048588 Default"
    );
    assert_eq!(
        nothing.topic(&[], "min.insync.replicas"),
        "min.insync.replicas=1 Default <- min.insync.replicas=1 Default"
    );
    // Only log.retention.hours has a default, and Kafka drops what precedes the name.
    assert_eq!(
        nothing.topic(&[], "retention.ms"),
        "retention.ms=604800000 Default"
    );
    assert_eq!(
        nothing.topic(&[], "segment.ms"),
        "segment.ms=604800000 Default"
    );
    assert_eq!(
        nothing.topic(&[], "flush.ms"),
        "flush.ms=9223372036854775807 Default"
    );
    assert_eq!(
        nothing.topic(&[], "leader.replication.throttled.replicas"),
        "leader.replication.throttled.replicas= Default"
    );
}

#[test]
fn hours_and_minutes_become_milliseconds() {
    let check = |fixed: Pairs<'_>, name: &str, value: &str| {
        let set = Set {
            fixed,
            ..Set::default()
        };
        // The chain starts at log.retention.ms, which is not set: Kafka shows none.
        assert_eq!(set.topic(&[], name), format!("{name}={value} Default"));
    };
    check(&[("log.retention.hours", "1")], "retention.ms", "3600000");
    check(&[("log.retention.minutes", "1")], "retention.ms", "60000");
    check(
        &[("log.retention.minutes", "1"), ("log.retention.hours", "1")],
        "retention.ms",
        "60000",
    );
    check(&[("log.retention.hours", "-1")], "retention.ms", "-1");
    check(&[("log.roll.hours", "2")], "segment.ms", "7200000");
    check(
        &[("log.roll.jitter.hours", "2")],
        "segment.jitter.ms",
        "7200000",
    );
    check(&[("log.flush.scheduler.interval.ms", "9")], "flush.ms", "9");
    let set = Set {
        cluster: &[("log.retention.ms", "7")],
        fixed: &[("log.retention.minutes", "1")],
        ..Set::default()
    };
    assert_eq!(
        set.topic(&[], "retention.ms"),
        "retention.ms=7 DynamicDefaultBroker <- log.retention.ms=7 DynamicDefaultBroker \
         <- log.retention.minutes=1 StaticBroker <- log.retention.hours=168 Default"
    );
}

#[test]
fn lists_and_words_are_shown_as_kafka_writes_them() {
    let nothing = Set::default();
    assert_eq!(
        nothing.topic(&[("cleanup.policy", "compact , delete")], "cleanup.policy"),
        "cleanup.policy=compact,delete Topic <- cleanup.policy=compact,delete Topic \
         <- log.cleanup.policy=delete Default"
    );
    assert_eq!(
        nothing.topic(&[("preallocate", "TRUE")], "preallocate"),
        "preallocate=true Topic <- preallocate=true Topic <- log.preallocate=false Default"
    );
    assert_eq!(
        nothing.broker("log.cleaner.io.max.bytes.per.second"),
        "log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 Default \
         <- log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 Default"
    );
}

#[test]
fn internal_settings_are_listed_only_when_set() {
    let nothing = Set::default();
    assert_eq!(nothing.topic(&[], "internal.segment.bytes"), "");
    assert_eq!(
        nothing.topic(&[("internal.segment.bytes", "9")], "internal.segment.bytes"),
        "internal.segment.bytes=9 Topic <- internal.segment.bytes=9 Topic"
    );
    assert_eq!(nothing.broker("unstable.api.versions.enable"), "");
    assert_eq!(nothing.broker("leader.replication.throttled.rate"), "");
    let throttled = Set {
        broker: &[("leader.replication.throttled.rate", "1000")],
        ..Set::default()
    };
    assert_eq!(
        throttled.broker("leader.replication.throttled.rate"),
        "leader.replication.throttled.rate=1000 DynamicBroker <- \
         leader.replication.throttled.rate=1000 DynamicBroker"
    );
}

#[test]
fn broker_settings_tell_whether_they_may_change() {
    let set = Set {
        fixed: &[("node.id", "1"), ("num.io.threads", "4")],
        ..Set::default()
    };
    assert_eq!(
        set.broker("node.id"),
        "node.id=1 StaticBroker read-only <- node.id=1 StaticBroker"
    );
    assert_eq!(
        set.broker("num.io.threads"),
        "num.io.threads=4 StaticBroker <- num.io.threads=4 StaticBroker <- num.io.threads=8 Default"
    );
    assert_eq!(
        set.broker("listeners"),
        "listeners=PLAINTEXT://:9092 Default <- listeners=PLAINTEXT://:9092 Default"
    );
    assert_eq!(
        set.broker("advertised.listeners"),
        "advertised.listeners=null Default read-only"
    );
    assert_eq!(
        set.broker("ottla.flush.policy"),
        "ottla.flush.policy=fsync Default read-only <- ottla.flush.policy=fsync Default"
    );
}

#[test]
fn units_of_one_setting_share_a_chain() {
    let set = Set {
        cluster: &[("log.retention.ms", "7")],
        fixed: &[("log.retention.hours", "1")],
        ..Set::default()
    };
    // What is set while running hides the other unit.
    assert_eq!(
        set.broker("log.retention.hours"),
        "log.retention.hours=168 StaticBroker read-only <- log.retention.hours=1 StaticBroker \
         <- log.retention.hours=168 Default"
    );
    assert_eq!(
        set.broker("log.retention.ms"),
        "log.retention.ms=7 DynamicDefaultBroker <- log.retention.ms=7 DynamicDefaultBroker \
         <- log.retention.hours=1 StaticBroker <- log.retention.hours=168 Default"
    );
}

#[test]
fn secrets_and_strangers_are_not_shown() {
    let set = Set {
        broker: &[("listener.name.out.ssl.keystore.password", "secret")],
        cluster: &[("my.plugin.setting", "secret")],
        fixed: &[
            ("ssl.keystore.password", "secret"),
            ("listener.name.out.ssl.keystore.type", "PEM"),
        ],
    };
    assert_eq!(
        set.broker("ssl.keystore.password"),
        "ssl.keystore.password=null StaticBroker sensitive <- ssl.keystore.password=null StaticBroker"
    );
    assert_eq!(
        set.broker("listener.name.out.ssl.keystore.password"),
        "listener.name.out.ssl.keystore.password=null DynamicBroker sensitive read-only \
         <- listener.name.out.ssl.keystore.password=null DynamicBroker \
         <- ssl.keystore.password=null StaticBroker"
    );
    assert_eq!(
        set.broker("listener.name.out.ssl.keystore.type"),
        "listener.name.out.ssl.keystore.type=PEM StaticBroker read-only \
         <- listener.name.out.ssl.keystore.type=PEM StaticBroker <- ssl.keystore.type=JKS Default"
    );
    assert_eq!(
        set.cluster(),
        "my.plugin.setting=null DynamicDefaultBroker sensitive read-only unknown \
         <- my.plugin.setting=null DynamicDefaultBroker"
    );
    set.with(|layers| assert!(!format!("{layers:?}").contains("secret")));
}

#[test]
fn the_cluster_default_lists_only_what_was_set_for_all() {
    let set = Set {
        broker: &[("message.max.bytes", "1")],
        cluster: &[("message.max.bytes", "2"), ("num.io.threads", "9")],
        fixed: &[("message.max.bytes", "3"), ("num.partitions", "4")],
    };
    assert_eq!(
        set.cluster(),
        "message.max.bytes=2 DynamicDefaultBroker <- message.max.bytes=2 DynamicDefaultBroker\n\
         num.io.threads=9 DynamicDefaultBroker <- num.io.threads=9 DynamicDefaultBroker"
    );
    assert_eq!(Set::default().cluster(), "");
}

#[test]
fn a_group_falls_back_to_the_broker() {
    let set = Set {
        fixed: &[("group.consumer.session.timeout.ms", "50000")],
        ..Set::default()
    };
    assert_eq!(
        set.group(
            &[("consumer.session.timeout.ms", "46000")],
            "consumer.session.timeout.ms"
        ),
        "consumer.session.timeout.ms=46000 Group <- consumer.session.timeout.ms=46000 Group \
         <- group.consumer.session.timeout.ms=50000 StaticBroker \
         <- group.consumer.session.timeout.ms=45000 Default"
    );
    assert_eq!(
        set.group(&[], "share.auto.offset.reset"),
        "share.auto.offset.reset=latest Default <- share.auto.offset.reset=latest Default"
    );
}

#[test]
fn a_metrics_subscription_shows_its_own_settings() {
    let rows = describe_client_metrics(&overrides(&[("interval.ms", "1000")]), |_| true).unwrap();
    assert_eq!(
        shown(&rows),
        "interval.ms=1000 ClientMetrics <- interval.ms=1000 ClientMetrics\n\
         match= Default\nmetrics= Default"
    );
}

#[test]
fn every_topic_setting_is_listed_once() {
    let rows = Set::default()
        .with(|layers| describe_topic(layers, &Overrides::new(), |_| true))
        .unwrap();
    assert_eq!(rows.len(), 33);
    assert!(
        rows.iter()
            .all(|row| row.is_default() && row.source == ConfigSource::Default)
    );
    assert!(
        rows.iter()
            .all(|row| row.kind.map(Kind::code) == Some(row.kind_code()))
    );
}
