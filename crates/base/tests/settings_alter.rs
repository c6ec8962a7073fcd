//! Changes: what each operation makes of a value, and which outcomes are refused.

use ottla_base::config::{
    BrokerTarget, ConfigChange, ConfigError, Layers, Overrides, Scope, VALUE_LENGTH_MAX,
    check_broker_overrides, check_client_metrics_overrides, check_group_overrides, check_topic,
    check_topic_overrides,
};

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

fn text<T>(result: Result<T, ConfigError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

#[test]
fn lists_grow_and_shrink() {
    let apply = |change: ConfigChange<'_>, current: Option<&str>| {
        change
            .apply(Scope::Topic, "cleanup.policy", current)
            .unwrap()
    };
    let check = |change, current, after: Option<&str>| {
        assert_eq!(
            apply(change, current).as_deref(),
            after,
            "{change:?} on {current:?}"
        );
    };
    check(
        ConfigChange::Set("compact"),
        Some("delete"),
        Some("compact"),
    );
    check(ConfigChange::Delete, Some("delete"), None);
    check(ConfigChange::Delete, None, None);
    // What is not set is the default.
    check(
        ConfigChange::Append("compact"),
        None,
        Some("delete,compact"),
    );
    check(ConfigChange::Append("delete"), None, Some("delete"));
    check(
        ConfigChange::Append("compact,delete"),
        Some(""),
        Some("compact,delete"),
    );
    check(ConfigChange::Subtract("delete"), None, Some(""));
    check(
        ConfigChange::Subtract("compact"),
        Some("delete,compact"),
        Some("delete"),
    );
    check(
        ConfigChange::Subtract("compact"),
        Some("delete"),
        Some("delete"),
    );
}

#[test]
fn only_lists_grow_and_shrink() {
    let append = ConfigChange::Append("1").apply(Scope::Topic, "retention.ms", None);
    assert_eq!(
        text(append),
        Err("Can't APPEND to key retention.ms because its type is not LIST.".to_owned())
    );
    let subtract = ConfigChange::Subtract("1").apply(Scope::Broker, "unheard.of", None);
    assert!(subtract.is_err());
}

#[test]
fn a_value_has_a_longest_length() {
    let fits = "x".repeat(VALUE_LENGTH_MAX);
    let set = |value: &str| ConfigChange::Set(value).apply(Scope::Topic, "compression.type", None);
    assert!(set(&fits).is_ok());
    assert!(set(&format!("{fits}x")).is_err());
}

#[test]
fn bad_topic_values_are_refused() {
    for (name, value) in [
        ("cleanup.policy", "compact,compact"),
        ("cleanup.policy", "Compact"),
        ("cleanup.policy", "delete,"),
        ("compression.gzip.level", "10"),
        ("compression.type", "none"),
        ("delete.retention.ms", "-1"),
        ("flush.messages", "0"),
        ("follower.replication.throttled.replicas", "1-2"),
        ("leader.replication.throttled.replicas", "*,1:2"),
        ("local.retention.ms", "-3"),
        ("max.compaction.lag.ms", "0"),
        ("max.message.bytes", "1e6"),
        ("message.timestamp.type", "LogCreateTime"),
        ("min.cleanable.dirty.ratio", "1.01"),
        ("min.insync.replicas", "0"),
        ("preallocate", "1"),
        ("retention.ms", "-2"),
        ("retention.ms", "7 days"),
        ("segment.bytes", "1000"),
        ("segment.ms", "0"),
        ("unclean.leader.election.enable", ""),
    ] {
        let refusal = text(check_topic(name, value)).expect_err(name);
        let start = format!("Invalid value {value} for configuration {name}: ");
        assert!(refusal.starts_with(&start), "{refusal}");
    }
}

#[test]
fn good_topic_values_are_accepted() {
    for (name, value) in [
        ("cleanup.policy", ""),
        ("cleanup.policy", "compact, delete"),
        ("compression.gzip.level", "-1"),
        ("compression.zstd.level", "-131072"),
        ("follower.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "0:1,1:2"),
        ("leader.replication.throttled.replicas", ""),
        ("min.cleanable.dirty.ratio", "1"),
        ("retention.bytes", "-100"),
        ("retention.ms", "-1"),
        ("unclean.leader.election.enable", "True"),
    ] {
        assert_eq!(check_topic(name, value), Ok(()), "{name}={value}");
    }
}

#[test]
fn a_topic_setting_that_kafka_dropped_is_refused() {
    assert_eq!(
        text(check_topic("message.format.version", "2.8")),
        Err("Unknown topic config name: message.format.version".to_owned())
    );
    assert!(check_topic("ottla.flush.policy", "fsync").is_err());
}

#[test]
fn topic_settings_fit_together() {
    let check = |fixed: &[(&str, &str)], before: &[(&str, &str)], after: &[(&str, &str)]| {
        let fixed = overrides(fixed);
        let layers = Layers::at_start(&fixed);
        let defaults = layers.topic_defaults().unwrap();
        let outcome =
            check_topic_overrides(&layers, &defaults, &overrides(before), &overrides(after));
        outcome.is_ok()
    };
    let tiered = [("remote.log.storage.system.enable", "true")];
    assert!(check(&[], &[], &[]));
    assert!(check(
        &[],
        &[],
        &[
            ("min.compaction.lag.ms", "5"),
            ("max.compaction.lag.ms", "5")
        ]
    ));
    assert!(!check(
        &[],
        &[],
        &[
            ("min.compaction.lag.ms", "6"),
            ("max.compaction.lag.ms", "5")
        ]
    ));
    assert!(!check(
        &[("log.cleaner.max.compaction.lag.ms", "5")],
        &[],
        &[("min.compaction.lag.ms", "6")]
    ));
    assert!(!check(&[], &[], &[("remote.storage.enable", "true")]));
    let on = ("remote.storage.enable", "true");
    assert!(check(&tiered, &[], &[on]));
    assert!(!check(&tiered, &[], &[on, ("cleanup.policy", "compact")]));
    assert!(!check(
        &tiered,
        &[],
        &[on, ("retention.ms", "5"), ("local.retention.ms", "6")]
    ));
    assert!(!check(
        &tiered,
        &[],
        &[on, ("retention.ms", "5"), ("local.retention.ms", "-1")]
    ));
    assert!(check(
        &tiered,
        &[],
        &[on, ("retention.ms", "5"), ("local.retention.ms", "5")]
    ));
    assert!(!check(&tiered, &[on], &[]));
    assert!(check(
        &tiered,
        &[on],
        &[("remote.log.delete.on.disable", "true")]
    ));
}

#[test]
fn brokers_change_only_what_may_change() {
    let check = |target, after: &[(&str, &str)]| {
        let (after, nothing) = (overrides(after), Overrides::new());
        let layers = match target {
            BrokerTarget::One => Layers {
                broker: &after,
                cluster: &nothing,
                fixed: &nothing,
            },
            BrokerTarget::All => Layers {
                broker: &nothing,
                cluster: &after,
                fixed: &nothing,
            },
        };
        text(check_broker_overrides(target, &layers))
    };
    for target in [BrokerTarget::One, BrokerTarget::All] {
        assert_eq!(
            check(target, &[("log.retention.ms", "5"), ("my.plugin", "x")]),
            Ok(())
        );
        assert_eq!(
            check(target, &[("log.retention.hours", "5"), ("node.id", "1")]),
            Err(
                "Cannot update these configs dynamically: [log.retention.hours, node.id]"
                    .to_owned()
            )
        );
        assert!(check(target, &[("ssl.keystore.location", "/k")]).is_err());
        assert!(check(target, &[("log.retention.ms", "soon")]).is_err());
        assert!(check(target, &[("log.retention.ms", "0")]).is_err());
        assert!(check(target, &[("ottla.flush.policy", "page-cache")]).is_err());
    }
    let single = [
        ("listener.name.out.ssl.keystore.location", "/k"),
        ("ssl.client.auth", "none"),
    ];
    assert_eq!(check(BrokerTarget::One, &single), Ok(()));
    assert_eq!(
        check(BrokerTarget::All, &single),
        Err(
            "Cannot update these configs at default cluster level, broker id must be specified: \
             [listener.name.out.ssl.keystore.location, ssl.client.auth]"
                .to_owned()
        )
    );
    assert_eq!(
        check(
            BrokerTarget::All,
            &[("listener.name.out.max.connections", "5")]
        ),
        Ok(())
    );
    assert!(
        check(
            BrokerTarget::One,
            &[("listener.name.out.max.connections", "-5")]
        )
        .is_err()
    );
    assert!(
        check(
            BrokerTarget::One,
            &[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")]
        )
        .is_err()
    );
}

#[test]
fn groups_stay_within_the_brokers_bounds() {
    let fixed = overrides(&[("group.consumer.max.session.timeout.ms", "50000")]);
    let layers = Layers::at_start(&fixed);
    let check = |after: &[(&str, &str)]| text(check_group_overrides(&layers, &overrides(after)));
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[("consumer.session.timeout.ms", "50000")]), Ok(()));
    assert_eq!(
        check(&[("consumer.session.timeout.ms", "50001")]),
        Err("consumer.session.timeout.ms must be less than or equal to \
             group.consumer.max.session.timeout.ms"
            .to_owned())
    );
    for bad in [
        ("consumer.heartbeat.interval.ms", "4999"),
        ("consumer.heartbeat.interval.ms", "15001"),
        ("share.delivery.count.limit", "11"),
        ("share.record.lock.duration.ms", "1000"),
        ("share.isolation.level", "READ_COMMITTED"),
        ("share.auto.offset.reset", "none"),
        ("share.auto.offset.reset", "by_duration:-PT1H"),
        ("share.auto.offset.reset", "by_duration:P"),
        ("share.auto.offset.reset", "by_duration:PT"),
        ("streams.num.standby.replicas", "3"),
        ("session.timeout.ms", "1"),
    ] {
        assert!(check(&[bad]).is_err(), "{bad:?}");
    }
    for good in [
        "earliest",
        "LATEST",
        "by_duration:P7DT1H2M3.5S",
        "by_duration:PT30M",
        "by_duration:P1D",
    ] {
        assert_eq!(
            check(&[("share.auto.offset.reset", good)]),
            Ok(()),
            "{good}"
        );
    }
}

#[test]
fn metrics_subscriptions_are_checked() {
    let check = |name, value| check_client_metrics_overrides(&overrides(&[(name, value)]));
    assert_eq!(check("metrics", "*"), Ok(()));
    assert_eq!(check("metrics", ""), Ok(()));
    assert_eq!(check("interval.ms", "100"), Ok(()));
    assert_eq!(
        check("match", "client_id=app-.*,client_software_name=x"),
        Ok(())
    );
    for (name, value) in [
        ("interval.ms", "99"),
        ("interval.ms", "3600001"),
        ("match", "client_id"),
        ("match", "host=x"),
        ("match", "client_id=a=b"),
        ("metrics", "a,a"),
        ("retention.ms", "1"),
    ] {
        assert!(check(name, value).is_err(), "{name}={value}");
    }
}
