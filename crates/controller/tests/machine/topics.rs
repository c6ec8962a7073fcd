//! Creating and deleting topics, and giving them more partitions.

use std::collections::BTreeSet;

use crate::support::{Cluster, Wants, broker, create, topic};
use ottla_base::{BrokerId, PartitionId, TopicId, TopicName};
use ottla_controller::{
    AssignmentError, Change, CreatePartitionsError, CreateTopicError, DeleteTopicError, Input,
    Mode, NewPartitions, NewTopic, PlacementError, Registration, Reply, TopicRef,
};

/// What creating `asked` answers in a cluster of brokers 1 and 2 that has the
/// topics "old" and "with.dot".
fn check(asked: NewTopic, expected: Result<(usize, usize), CreateTopicError>) {
    for mode in [Mode::ValidateOnly, Mode::Apply] {
        let mut cluster = Cluster::of(&[1, 2]);
        cluster.ask(create(vec![topic("old"), topic("with.dot")]));
        let before = cluster.image().clone();
        let topics = vec![asked.clone()];
        let reply = cluster.ask(|token| Input::CreateTopics {
            token,
            mode,
            topics,
        });
        let Reply::CreateTopics(results) = reply else {
            panic!("{reply:?}");
        };
        let shape =
            |topic: &ottla_controller::Topic| (topic.partitions.len(), topic.replication_factor());
        let results: Vec<_> = results
            .into_iter()
            .map(|result| result.map(|topic| shape(&topic)))
            .collect();
        assert_eq!(results, vec![expected.clone()], "{asked:?}");
        let written = *cluster.image() != before;
        assert_eq!(
            written,
            mode == Mode::Apply && expected.is_ok(),
            "{asked:?}"
        );
    }
}

#[test]
fn counts_come_from_the_request_or_the_settings() {
    check(topic("a"), Ok((3, 1)));
    check(
        NewTopic {
            partitions: Some(7),
            ..topic("a")
        },
        Ok((7, 1)),
    );
    check(
        NewTopic {
            replication_factor: Some(2),
            ..topic("a")
        },
        Ok((3, 2)),
    );
    for count in [0, -2, i32::MIN] {
        let expected = Err(CreateTopicError::Partitions { count });
        check(
            NewTopic {
                partitions: Some(count),
                ..topic("a")
            },
            expected,
        );
    }
    for factor in [0, -2] {
        let expected = Err(CreateTopicError::ReplicationFactor { factor });
        check(
            NewTopic {
                replication_factor: Some(factor),
                ..topic("a")
            },
            expected,
        );
    }
    let too_few = PlacementError::TooFewBrokers {
        factor: 3,
        brokers: 2,
    };
    check(
        NewTopic {
            replication_factor: Some(3),
            ..topic("a")
        },
        Err(too_few.into()),
    );
}

#[test]
fn names_are_legal_new_and_not_confusable() {
    let illegal = |name: &str| {
        Err(CreateTopicError::IllegalName {
            name: TopicName::from(name),
        })
    };
    for name in ["", ".", "..", "a/b", &"x".repeat(250)] {
        check(topic(name), illegal(name));
    }
    check(
        topic("old"),
        Err(CreateTopicError::Exists {
            name: TopicName::from("old"),
        }),
    );
    // A topic that is there exists; it does not collide with itself.
    check(
        topic("with.dot"),
        Err(CreateTopicError::Exists {
            name: TopicName::from("with.dot"),
        }),
    );
    let collides = CreateTopicError::Collides {
        name: TopicName::from("with_dot"),
        other: TopicName::from("with.dot"),
    };
    check(topic("with_dot"), Err(collides));
    check(topic("with-dot"), Ok((3, 1)));
    check(topic("with.dot.more"), Ok((3, 1)));
    check(topic("__cluster_metadata"), Err(CreateTopicError::Reserved));
    check(topic("__consumer_offsets"), Ok((3, 1)));
}

#[test]
fn assignments_name_every_partition_and_live_brokers() {
    let assigned = |assignments: &[(i32, &[i32])]| NewTopic {
        assignments: assignments
            .iter()
            .map(|(id, replicas)| {
                (
                    PartitionId(*id),
                    replicas.iter().copied().map(BrokerId).collect(),
                )
            })
            .collect(),
        ..topic("a")
    };
    let refused = |error: AssignmentError| Err(CreateTopicError::Assignment(error));
    check(assigned(&[(1, &[1]), (0, &[2])]), Ok((2, 1)));
    check(assigned(&[(0, &[2, 1])]), Ok((1, 2)));
    let both = NewTopic {
        partitions: Some(1),
        ..assigned(&[(0, &[1])])
    };
    check(both, Err(CreateTopicError::CountsBesideAssignment));
    let partition = PartitionId(0);
    check(
        assigned(&[(0, &[])]),
        refused(AssignmentError::Empty { partition }),
    );
    check(
        assigned(&[(0, &[1]), (0, &[1])]),
        refused(AssignmentError::Repeated { partition }),
    );
    check(
        assigned(&[(0, &[1]), (2, &[1])]),
        refused(AssignmentError::NotConsecutive),
    );
    check(
        assigned(&[(-1, &[1]), (0, &[1])]),
        refused(AssignmentError::NotConsecutive),
    );
    let unknown = AssignmentError::UnknownBroker {
        partition,
        broker: BrokerId(3),
    };
    check(assigned(&[(0, &[1, 3])]), refused(unknown));
    let repeated = AssignmentError::RepeatedBroker {
        partition,
        broker: BrokerId(1),
    };
    check(assigned(&[(0, &[1, 1])]), refused(repeated));
    let unequal = AssignmentError::UnequalReplicas {
        partition: PartitionId(1),
        have: 2,
        need: 1,
    };
    check(assigned(&[(0, &[1]), (1, &[1, 2])]), refused(unequal));
}

#[test]
fn a_name_given_twice_is_refused_both_times() {
    let mut cluster = Cluster::of(&[1]);
    let reply = cluster.ask(create(vec![topic("a"), topic("b"), topic("a")]));
    let Reply::CreateTopics(results) = reply else {
        panic!("{reply:?}");
    };
    let repeated = Err(CreateTopicError::Repeated {
        name: TopicName::from("a"),
    });
    assert_eq!((&results[0], &results[2]), (&repeated, &repeated));
    assert!(results[1].is_ok(), "{results:?}");
}

#[test]
fn a_request_adds_ten_thousand_partitions_at_most() {
    let mut cluster = Cluster::of(&[1]);
    let of = |name: &str, count| NewTopic {
        partitions: Some(count),
        ..topic(name)
    };
    let too_many = Reply::CreateTopics(vec![Err(CreateTopicError::TooManyPartitions); 2]);
    assert_eq!(
        cluster.ask(create(vec![of("a", 9_999), of("b", 2)])),
        too_many
    );
    assert_eq!(
        cluster.ask(create(vec![of("a", i32::MAX), of("b", i32::MAX)])),
        too_many
    );
    cluster.ask(create(vec![of("a", 9_999), of("b", 1)]));
    assert_eq!(cluster.image().topic_count(), 2);
    let more = cluster.ask(grow("b", 10_002, None));
    assert_eq!(
        more,
        Reply::CreatePartitions(vec![Err(CreatePartitionsError::TooMany)])
    );
}

#[test]
fn a_follower_hears_of_a_topic_and_leads_it() {
    let mut cluster = Cluster::of(&[1]);
    let (reply, changes) = cluster.ask_and_follow(create(vec![topic("a")]));
    let Reply::CreateTopics(results) = reply else {
        panic!("{reply:?}");
    };
    let created = results[0].clone().unwrap();
    assert_eq!(changes, vec![Change::TopicCreated(created.clone())]);
    assert!(created.partitions.iter().all(|partition| {
        partition.leader == Some(BrokerId(1)) && partition.isr == [BrokerId(1)]
    }));
    assert_eq!(cluster.image().topic(&created.name), Some(&created));
    assert_eq!(cluster.image().topic_by_id(created.id), Some(&created));
}

fn delete(topics: Vec<TopicRef>) -> impl FnOnce(ottla_base::ReplyToken) -> Input {
    move |token| Input::DeleteTopics { token, topics }
}

fn by_name(name: &str) -> TopicRef {
    TopicRef::Name(TopicName::from(name))
}

#[test]
fn topics_are_deleted_by_name_or_by_id() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a"), topic("b.b"), topic("c")]));
    let (a, b) = (topic("a").id, topic("b.b").id);
    let before = cluster.image().clone();
    let asked = vec![
        by_name("b.b"),
        TopicRef::Id(a),
        by_name("x"),
        TopicRef::Id(TopicId([9; 16])),
    ];
    let (reply, changes) = cluster.ask_and_follow(delete(asked));
    let found = |id| before.topic_by_id(id).unwrap().clone();
    let expected = Reply::DeleteTopics(vec![
        Ok(found(b)),
        Ok(found(a)),
        Err(DeleteTopicError::UnknownName {
            name: TopicName::from("x"),
        }),
        Err(DeleteTopicError::UnknownId {
            id: TopicId([9; 16]),
        }),
    ]);
    assert_eq!(reply, expected);
    assert_eq!(
        changes,
        vec![
            Change::TopicDeleted(found(b)),
            Change::TopicDeleted(found(a))
        ]
    );
    let left: Vec<_> = cluster
        .image()
        .topics()
        .map(|topic| topic.name.clone())
        .collect();
    assert_eq!(left, [TopicName::from("c")]);
    assert_eq!(cluster.image().colliding(&TopicName::from("b_b")), None);
}

#[test]
fn a_topic_that_is_named_twice_is_not_deleted() {
    for twice in [
        vec![by_name("a"), by_name("a")],
        vec![TopicRef::Id(topic("a").id), TopicRef::Id(topic("a").id)],
        vec![by_name("a"), TopicRef::Id(topic("a").id)],
    ] {
        let mut cluster = Cluster::of(&[1]);
        cluster.ask(create(vec![topic("a")]));
        let reply = cluster.ask(delete(twice));
        assert_eq!(
            reply,
            Reply::DeleteTopics(vec![Err(DeleteTopicError::Repeated); 2])
        );
        assert_eq!(cluster.image().topic_count(), 1);
    }
}

fn grow(
    name: &str,
    count: i32,
    assignments: Option<&[&[i32]]>,
) -> impl FnOnce(ottla_base::ReplyToken) -> Input {
    let assignments = assignments.map(|lists| {
        lists
            .iter()
            .map(|list| list.iter().copied().map(BrokerId).collect())
            .collect()
    });
    let topics = vec![NewPartitions {
        topic: TopicName::from(name),
        count,
        assignments,
    }];
    move |token| Input::CreatePartitions {
        token,
        mode: Mode::Apply,
        topics,
    }
}

#[test]
fn topics_only_grow() {
    let not_more = |asked| CreatePartitionsError::NotMore {
        name: TopicName::from("a"),
        have: 3,
        asked,
    };
    let refused = |error: AssignmentError| Err(CreatePartitionsError::Assignment(error));
    let cases: &[(i32, Option<&[&[i32]]>, _)] = &[
        (4, None, Ok(())),
        (5, Some(&[&[1], &[2]]), Ok(())),
        (3, None, Err(not_more(3))),
        (2, None, Err(not_more(2))),
        (-1, None, Err(not_more(-1))),
        (
            5,
            Some(&[&[1]]),
            refused(AssignmentError::Count { have: 1, need: 2 }),
        ),
        (
            4,
            Some(&[&[1, 2]]),
            refused(AssignmentError::UnequalReplicas {
                partition: PartitionId(3),
                have: 2,
                need: 1,
            }),
        ),
        (
            4,
            Some(&[&[9]]),
            refused(AssignmentError::UnknownBroker {
                partition: PartitionId(3),
                broker: BrokerId(9),
            }),
        ),
    ];
    for (count, assignments, expected) in cases {
        let mut cluster = Cluster::of(&[1, 2]);
        cluster.ask(create(vec![topic("a")]));
        let (reply, changes) = cluster.ask_and_follow(grow("a", *count, *assignments));
        assert_eq!(
            reply,
            Reply::CreatePartitions(vec![expected.clone()]),
            "{count} {assignments:?}"
        );
        let grown = cluster
            .image()
            .topic(&TopicName::from("a"))
            .unwrap()
            .clone();
        let added = Change::PartitionsAdded {
            topic: grown,
            first: 3,
        };
        assert_eq!(
            changes,
            if expected.is_ok() {
                vec![added]
            } else {
                vec![]
            }
        );
    }
    let unknown = CreatePartitionsError::UnknownTopic {
        name: TopicName::from("x"),
    };
    let reply = Cluster::of(&[1]).ask(grow("x", 9, None));
    assert_eq!(reply, Reply::CreatePartitions(vec![Err(unknown)]));
}

/// Brokers in these racks, by rising id; `-` is one of which no rack is known.
fn in_racks(racks: &str) -> Cluster {
    let mut cluster = Cluster::empty();
    for (id, rack) in (1..).zip(racks.chars()) {
        let registration = Registration {
            rack: (rack != '-').then(|| rack.to_string()),
            ..broker(id, 1)
        };
        cluster.ask(|token| Input::RegisterBroker {
            token,
            broker: registration,
        });
        cluster.beat(id, Wants::Work);
    }
    cluster
}

/// The least and the most of what each broker has got.
fn spread(count: impl Fn(BrokerId) -> usize, brokers: usize) -> (usize, usize) {
    let ids = (1..).map(BrokerId).take(brokers);
    let counts: Vec<_> = ids.map(count).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    (*least.unwrap(), *most.unwrap())
}

/// What Kafka's `StripedReplicaPlacer` promises: every partition is in as many racks as
/// can be, on as many brokers as it has replicas, and all brokers lead as much; where
/// racks are equally large they keep as much, too, give or take one.
#[test]
fn replicas_are_spread_over_racks_and_brokers() {
    for (racks, factor) in [
        ("aabbcc", 3),
        ("aabbcc", 2),
        ("abcabc", 3),
        ("aabbcc", 4),
        ("ab", 2),
        ("aaabbb", 3),
        ("aaaabc", 3),
        ("------", 3),
        ("aab--", 3),
    ] {
        let n = racks.len();
        let all: BTreeSet<_> = racks.chars().collect();
        let rack = |id: &BrokerId| racks.as_bytes()[usize::try_from(id.0 - 1).unwrap()];
        let partitions = 12 * n;
        let mut cluster = in_racks(racks);
        cluster.ask(create(vec![NewTopic {
            partitions: Some(i32::try_from(partitions).unwrap()),
            replication_factor: Some(i16::try_from(factor).unwrap()),
            ..topic("a")
        }]));
        let placed = cluster
            .image()
            .topic(&TopicName::from("a"))
            .unwrap()
            .clone();
        for (id, partition) in placed.partitions() {
            let what = format!("{racks} x {factor}: {id} is on {:?}", partition.replicas);
            let brokers: BTreeSet<_> = partition.replicas.iter().collect();
            let used: BTreeSet<_> = partition.replicas.iter().map(rack).collect();
            assert_eq!(brokers.len(), factor, "{what}");
            assert_eq!(used.len(), factor.min(all.len()), "{what}");
        }
        let each = || placed.partitions.iter();
        let led = |id| {
            each()
                .filter(|partition| partition.leader == Some(id))
                .count()
        };
        assert_eq!(spread(led, n), (12, 12), "{racks} x {factor} leaders");
        let sizes: BTreeSet<_> = all
            .iter()
            .map(|rack| racks.chars().filter(|other| other == rack).count())
            .collect();
        if sizes.len() == 1 {
            let kept = |id| {
                each()
                    .filter(|partition| partition.replicas.contains(&id))
                    .count()
            };
            let (least, most) = spread(kept, n);
            assert!(
                12 * factor - 1 <= least && most <= 12 * factor + 1,
                "{racks} x {factor}: {least} to {most} replicas"
            );
        }
    }
}
