//! Changing settings.

use std::collections::BTreeMap;

use ottla_base::config::ConfigError;
use ottla_base::{BrokerId, GroupId, TopicName};
use ottla_controller::{
    AlterConfigError, Alteration, CHANGES_PER_REQUEST_MAX, Change, ConfigChange, CreateTopicError,
    Edit, EditOp, Input, Mode, NewTopic, Reply, Resource, TopicRef,
};

use crate::support::{Cluster, create, topic};

fn alter(mode: Mode, alterations: Vec<Alteration>) -> impl FnOnce(ottla_base::ReplyToken) -> Input {
    move |token| Input::AlterConfigs {
        token,
        mode,
        alterations,
    }
}

fn replace(settings: &[(&str, &str)]) -> ConfigChange {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    ConfigChange::Replace(settings.iter().map(owned).collect())
}

fn edit(edits: Vec<(&str, EditOp)>) -> ConfigChange {
    let edit = |(name, op): (&str, EditOp)| Edit {
        name: name.to_owned(),
        op,
    };
    ConfigChange::Edit(edits.into_iter().map(edit).collect())
}

fn set(value: &str) -> EditOp {
    EditOp::Set(value.to_owned())
}

fn a() -> Resource {
    Resource::Topic(TopicName::from("a"))
}

/// What a resource has after one alteration of what it had; `None` if it is
/// refused. A trial must answer the same and change nothing.
#[track_caller]
fn check(
    resource: &Resource,
    before: &[(&str, &str)],
    change: ConfigChange,
    after: Option<&[(&str, &str)]>,
) {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let alteration = |change| {
        vec![Alteration {
            resource: resource.clone(),
            change,
        }]
    };
    let set_up = cluster.ask(alter(Mode::Apply, alteration(replace(before))));
    assert_eq!(set_up, Reply::AlterConfigs(vec![Ok(())]));
    let tried = cluster.ask(alter(Mode::ValidateOnly, alteration(change.clone())));
    assert_eq!(
        settings(&cluster, resource),
        of(before),
        "a trial changed something"
    );
    let reply = cluster.ask(alter(Mode::Apply, alteration(change)));
    assert_eq!(tried, reply);
    let Reply::AlterConfigs(results) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(results[0].is_ok(), after.is_some(), "{results:?}");
    assert_eq!(settings(&cluster, resource), of(after.unwrap_or(before)));
}

fn settings(cluster: &Cluster, resource: &Resource) -> BTreeMap<String, String> {
    let overrides = cluster.image().overrides(resource);
    overrides.map_or_else(BTreeMap::new, |overrides| BTreeMap::clone(overrides))
}

fn of(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    settings.iter().map(owned).collect()
}

#[test]
fn a_replacement_is_all_there_is_and_an_edit_is_not() {
    let before = &[("retention.ms", "1"), ("segment.ms", "2")];
    check(
        &a(),
        before,
        replace(&[("retention.ms", "5")]),
        Some(&[("retention.ms", "5")]),
    );
    check(&a(), before, replace(&[]), Some(&[]));
    let edited = &[("retention.ms", "5"), ("segment.ms", "2")];
    check(
        &a(),
        before,
        edit(vec![("retention.ms", set("5"))]),
        Some(edited),
    );
    check(
        &a(),
        before,
        edit(vec![("segment.ms", EditOp::Delete)]),
        Some(&[("retention.ms", "1")]),
    );
    // MirrorMaker deletes whatever is at its default in the source.
    check(
        &a(),
        before,
        edit(vec![("max.message.bytes", EditOp::Delete)]),
        Some(before),
    );
}

#[test]
fn lists_grow_and_shrink_from_what_was_set_or_the_default() {
    let policy = "cleanup.policy";
    let append = |items: &str| edit(vec![(policy, EditOp::Append(items.to_owned()))]);
    let subtract = |items: &str| edit(vec![(policy, EditOp::Subtract(items.to_owned()))]);
    check(
        &a(),
        &[],
        append("compact"),
        Some(&[(policy, "delete,compact")]),
    );
    check(
        &a(),
        &[(policy, "compact")],
        append("delete"),
        Some(&[(policy, "compact,delete")]),
    );
    check(
        &a(),
        &[(policy, "compact")],
        append("compact"),
        Some(&[(policy, "compact")]),
    );
    check(
        &a(),
        &[(policy, "compact,delete")],
        subtract("delete"),
        Some(&[(policy, "compact")]),
    );
    check(
        &a(),
        &[(policy, "compact")],
        subtract("delete"),
        Some(&[(policy, "compact")]),
    );
    check(&a(), &[], append("nonsense"), None);
    check(
        &a(),
        &[],
        edit(vec![("retention.ms", EditOp::Append("1".to_owned()))]),
        None,
    );
    check(
        &a(),
        &[],
        edit(vec![("no.such.key", EditOp::Subtract("1".to_owned()))]),
        None,
    );
}

#[test]
fn values_and_names_are_checked() {
    for change in [
        edit(vec![("retention.ms", set("soon"))]),
        edit(vec![("retention.ms", set("-2"))]),
        edit(vec![("no.such.key", set("1"))]),
        edit(vec![("retention.ms", set("5")), ("no.such.key", set("1"))]),
        edit(vec![("retention.ms", set("5")), ("retention.ms", set("6"))]),
        edit(vec![(
            "follower.replication.throttled.replicas",
            set(&"1:1,".repeat(9_000)),
        )]),
        edit(vec![("remote.storage.enable", set("true"))]),
        replace(&[("min.insync.replicas", "0")]),
    ] {
        check(&a(), &[("segment.ms", "2")], change, None);
    }
}

#[test]
fn every_kind_of_resource_has_its_own_names() {
    let broker = Resource::Broker(BrokerId(1));
    let group = Resource::Group(GroupId::from("not there yet"));
    let metrics = Resource::ClientMetrics("m".to_owned());
    let retention = &[("log.retention.ms", "5")];
    check(&broker, &[], replace(retention), Some(retention));
    check(&Resource::Brokers, &[], replace(retention), Some(retention));
    check(
        &broker,
        &[],
        replace(&[("retention.ms", "5")]),
        Some(&[("retention.ms", "5")]),
    );
    check(&broker, &[], replace(&[("num.partitions", "5")]), None);
    check(&Resource::Brokers, &[], replace(&[("node.id", "5")]), None);
    check(&broker, &[], replace(&[("log.retention.ms", "x")]), None);
    let session = &[("consumer.session.timeout.ms", "50000")];
    check(&group, &[], replace(session), Some(session));
    check(&group, &[], replace(retention), None);
    check(
        &metrics,
        &[],
        replace(&[("interval.ms", "1000")]),
        Some(&[("interval.ms", "1000")]),
    );
    check(&metrics, &[], replace(&[("interval.ms", "1")]), None);
}

#[test]
fn resources_must_be_there_and_be_named_once() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let resources = [
        Resource::Topic(TopicName::from("x")),
        Resource::Topic(TopicName::from("x/y")),
        Resource::Broker(BrokerId(2)),
        Resource::Group(GroupId::from("")),
        a(),
        a(),
    ];
    let alterations = resources.map(|resource| Alteration {
        resource,
        change: edit(vec![]),
    });
    let expected = vec![
        Err(AlterConfigError::UnknownTopic {
            name: TopicName::from("x"),
        }),
        Err(AlterConfigError::IllegalTopic {
            name: TopicName::from("x/y"),
        }),
        Err(AlterConfigError::UnknownBroker { id: BrokerId(2) }),
        Err(AlterConfigError::Unnamed),
        Err(AlterConfigError::RepeatedResource),
        Err(AlterConfigError::RepeatedResource),
    ];
    let reply = cluster.ask(alter(Mode::Apply, alterations.into()));
    assert_eq!(reply, Reply::AlterConfigs(expected));
}

#[test]
fn one_refused_resource_does_not_hold_up_another() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a"), topic("b")]));
    let b = Resource::Topic(TopicName::from("b"));
    let alterations = vec![
        Alteration {
            resource: a(),
            change: replace(&[("retention.ms", "x"), ("segment.ms", "5")]),
        },
        Alteration {
            resource: b.clone(),
            change: replace(&[("retention.ms", "5")]),
        },
    ];
    let (_, changes) = cluster.ask_and_follow(alter(Mode::Apply, alterations));
    assert_eq!(changes, [Change::Config(b)]);
}

#[test]
fn a_request_changes_ten_thousand_settings_at_most() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let delete = Edit {
        name: "retention.ms".to_owned(),
        op: EditOp::Delete,
    };
    let edits = ConfigChange::Edit(vec![delete; CHANGES_PER_REQUEST_MAX + 1]);
    let reply = cluster.ask(alter(
        Mode::Apply,
        vec![Alteration {
            resource: a(),
            change: edits,
        }],
    ));
    assert_eq!(
        reply,
        Reply::AlterConfigs(vec![Err(AlterConfigError::TooMany)])
    );
}

/// KAFKA-14136: certificates are reloaded by setting their path again.
#[test]
fn a_broker_hears_of_a_value_that_stays_the_same() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let broker = Resource::Broker(BrokerId(1));
    let again = |cluster: &mut Cluster, resource: &Resource, setting| {
        let alteration = Alteration {
            resource: resource.clone(),
            change: edit(vec![(setting, set("7"))]),
        };
        cluster
            .ask_and_follow(alter(Mode::Apply, vec![alteration]))
            .1
    };
    for _ in 0..2 {
        let changes = again(&mut cluster, &broker, "log.retention.ms");
        assert_eq!(changes, [Change::Config(broker.clone())]);
    }
    assert_eq!(
        again(&mut cluster, &a(), "retention.ms"),
        [Change::Config(a())]
    );
    assert_eq!(again(&mut cluster, &a(), "retention.ms"), []);
}

fn with_configs(configs: &[(&str, Option<&str>)]) -> NewTopic {
    let owned =
        |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
    NewTopic {
        configs: configs.iter().map(owned).collect(),
        ..topic("a")
    }
}

#[test]
fn a_topic_is_created_with_its_settings_and_takes_them_along() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![with_configs(&[
        ("retention.ms", Some("5")),
        ("segment.ms", Some("6")),
    ])]));
    assert_eq!(
        settings(&cluster, &a()),
        of(&[("retention.ms", "5"), ("segment.ms", "6")])
    );
    let topics = vec![TopicRef::Name(TopicName::from("a"))];
    cluster.ask(|token| Input::DeleteTopics { token, topics });
    cluster.ask(create(vec![NewTopic {
        id: topic("other").id,
        ..topic("a")
    }]));
    assert_eq!(settings(&cluster, &a()), of(&[]));
}

#[test]
fn a_topic_with_bad_settings_is_not_created() {
    let mut cluster = Cluster::of(&[1]);
    let mut create_with = |configs| {
        let reply = cluster.ask(create(vec![with_configs(configs)]));
        let Reply::CreateTopics(results) = reply else {
            panic!("{reply:?}");
        };
        results[0].clone().unwrap_err()
    };
    let without_value = CreateTopicError::ConfigWithoutValue {
        names: vec!["retention.ms".to_owned()],
    };
    assert_eq!(create_with(&[("retention.ms", None)]), without_value);
    let unknown = ConfigError::UnknownKey {
        scope: "topic",
        key: "no.such.key".to_owned(),
    };
    assert_eq!(create_with(&[("no.such.key", Some("1"))]), unknown.into());
    let wrong = create_with(&[("retention.ms", Some("x"))]);
    assert!(
        matches!(wrong, CreateTopicError::Config(ConfigError::Value { .. })),
        "{wrong:?}"
    );
}
