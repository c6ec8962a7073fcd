//! What the log promises: it can be loaded after any history, also a compacted
//! one, and it says everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::scram::{alter, credential, delete, upsert};
use crate::support::{Cluster, broker, create, reread, topic};
use ottla_base::testing::Rng;
use ottla_base::{
    BrokerId, ClusterId, GroupId, LeaderEpoch, PartitionId, ProducerId, ReplyToken, TopicName,
};
use ottla_controller::{
    Alteration, BootstrapError, BrokerEpoch, Change, ConfigChange, Edit, EditOp, Image, Input,
    Mode, NewPartitions, NewTopic, Partition, ProducerIdBlock, Reassignment, Record, RecordError,
    Registration, ReplicationFactor, Reply, Resource, ScramAlteration, ScramChange, ScramMechanism,
    TopicRef,
};

/// The last record of every key, in order, without those that only delete.
fn compacted(log: &[Record]) -> Vec<Record> {
    let last: BTreeMap<_, _> = log
        .iter()
        .enumerate()
        .map(|(at, record)| (record.key(), at))
        .collect();
    log.iter()
        .enumerate()
        .filter(|(at, record)| last[&record.key()] == *at && record.value().is_some())
        .map(|(_, record)| record.clone())
        .collect()
}

fn replayed(log: &[Record]) -> Image {
    let mut image = Image::default();
    for record in log {
        image.apply(record);
    }
    image
}

#[test]
fn a_compacted_log_says_the_same() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut cluster = Cluster::of(&[1, 2, 3]);
        let mut counted: BTreeMap<TopicName, usize> = BTreeMap::new();
        for step in 0..60 {
            let input = random_input(&mut rng, step);
            let (_, changes) = cluster.ask_and_follow(input);
            changes
                .iter()
                .for_each(|change| count(&mut counted, change));
        }
        let compacted = compacted(cluster.log());
        assert!(
            compacted.len() < cluster.log().len(),
            "seed {seed} has nothing to compact"
        );
        assert_eq!(replayed(&compacted), *cluster.image(), "seed {seed}");
        let topics = cluster.image().topics();
        let truth: BTreeMap<_, _> = topics
            .map(|topic| (topic.name.clone(), topic.partitions.len()))
            .collect();
        assert_eq!(counted, truth, "seed {seed}: the changes do not add up");
    }
}

/// Follows the number of partitions by changes alone.
fn count(counted: &mut BTreeMap<TopicName, usize>, change: &Change) {
    match change {
        Change::TopicCreated(topic) => {
            assert_eq!(
                counted.insert(topic.name.clone(), topic.partitions.len()),
                None
            );
        }
        Change::TopicDeleted(topic) => {
            assert_eq!(counted.remove(&topic.name), Some(topic.partitions.len()));
        }
        Change::PartitionsAdded { topic, first } => {
            assert_eq!(
                counted.insert(topic.name.clone(), topic.partitions.len()),
                Some(*first)
            );
        }
        Change::Nothing
        | Change::Partition { .. }
        | Change::Config(_)
        | Change::Broker(_)
        | Change::BrokerGone(_)
        | Change::ProducerIds
        | Change::Feature
        | Change::Scram
        | Change::Cluster => {}
    }
}

type RandomInput = Box<dyn FnOnce(ReplyToken) -> Input>;

fn random_input(rng: &mut Rng, step: u8) -> RandomInput {
    let name = TopicName::from(["a", "b.c", "b_c", "d"][pick(rng, 4)]);
    let mode = if rng.chance(10) {
        Mode::ValidateOnly
    } else {
        Mode::Apply
    };
    match rng.below(7) {
        0 | 1 => random_topic(rng, step, name, mode),
        2 => {
            let topics = vec![TopicRef::Name(name)];
            Box::new(move |token| Input::DeleteTopics { token, topics })
        }
        3 => {
            let topics = vec![NewPartitions {
                topic: name,
                count: 1 + small(rng, 6),
                assignments: None,
            }];
            Box::new(move |token| Input::CreatePartitions {
                token,
                mode,
                topics,
            })
        }
        4 => random_alteration(rng, name, mode),
        5 => random_credential(rng, name.as_str()),
        _ if rng.chance(50) => {
            let broker = BrokerId(1);
            Box::new(move |token| Input::AllocateProducerIds { token, broker })
        }
        _ => {
            let broker = broker(1, step);
            Box::new(move |token| Input::RegisterBroker { token, broker })
        }
    }
}

fn random_topic(rng: &mut Rng, step: u8, name: TopicName, mode: Mode) -> RandomInput {
    let mut id = topic(name.as_str()).id;
    id.0[15] = step;
    let topics = vec![NewTopic {
        id,
        partitions: Some(1 + small(rng, 3)),
        configs: BTreeMap::from([("retention.ms".to_owned(), Some(step.to_string()))]),
        ..topic(name.as_str())
    }];
    Box::new(move |token| Input::CreateTopics {
        token,
        mode,
        topics,
    })
}

fn random_alteration(rng: &mut Rng, name: TopicName, mode: Mode) -> RandomInput {
    let (resource, settings) = [
        (Resource::Topic(name), ["retention.ms", "segment.ms"]),
        (
            Resource::Broker(BrokerId(1)),
            ["log.retention.ms", "log.roll.ms"],
        ),
        (Resource::Brokers, ["log.retention.ms", "log.roll.ms"]),
        (
            Resource::Group(GroupId::from("g")),
            [
                "share.heartbeat.interval.ms",
                "consumer.heartbeat.interval.ms",
            ],
        ),
        (Resource::ClientMetrics("m".to_owned()), ["interval.ms"; 2]),
    ][pick(rng, 5)]
    .clone();
    let setting = settings[pick(rng, 2)].to_owned();
    let value = (5_000 + small(rng, 3) * 1_000).to_string();
    let edit = |op| {
        ConfigChange::Edit(vec![Edit {
            name: setting.clone(),
            op,
        }])
    };
    let change = match rng.below(3) {
        0 => ConfigChange::Replace(vec![(setting, value)]),
        1 => edit(EditOp::Set(value)),
        _ => edit(EditOp::Delete),
    };
    let alterations = vec![Alteration { resource, change }];
    Box::new(move |token| Input::AlterConfigs {
        token,
        mode,
        alterations,
    })
}

fn random_credential(rng: &mut Rng, user: &str) -> RandomInput {
    let mechanism = ScramMechanism::ALL[pick(rng, 2)];
    let change = if rng.chance(60) {
        let (_, credential) = credential(user, mechanism, 4096 + small(rng, 9));
        ScramChange::Upsert(mechanism, credential)
    } else {
        ScramChange::Delete(mechanism)
    };
    let user = user.to_owned();
    let alterations = vec![ScramAlteration { user, change }];
    Box::new(move |token| Input::AlterScram { token, alterations })
}

fn small(rng: &mut Rng, n: u64) -> i32 {
    i32::try_from(rng.below(n)).unwrap()
}

fn pick(rng: &mut Rng, n: u64) -> usize {
    usize::try_from(rng.below(n)).unwrap()
}

#[test]
fn producer_ids_are_never_given_out_twice() {
    let mut cluster = Cluster::of(&[1]);
    let allocate = |cluster: &mut Cluster| {
        cluster.ask(|token| Input::AllocateProducerIds {
            token,
            broker: BrokerId(1),
        })
    };
    let block = |first| {
        Reply::AllocateProducerIds(Ok(ProducerIdBlock {
            first: ProducerId(first),
            len: 1000,
        }))
    };
    assert_eq!(allocate(&mut cluster), block(0));
    assert_eq!(allocate(&mut cluster), block(1000));
    cluster.restart();
    assert_eq!(allocate(&mut cluster), block(2000));
}

#[test]
fn a_broker_gets_a_higher_epoch_with_every_start() {
    let mut cluster = Cluster::of(&[]);
    let register = |cluster: &mut Cluster, incarnation| {
        cluster.ask(|token| Input::RegisterBroker {
            token,
            broker: broker(1, incarnation),
        })
    };
    assert_eq!(
        register(&mut cluster, 1),
        Reply::RegisterBroker(Ok(BrokerEpoch(1)))
    );
    assert_eq!(
        register(&mut cluster, 1),
        Reply::RegisterBroker(Ok(BrokerEpoch(1))),
        "sent again"
    );
    cluster.restart();
    assert_eq!(
        register(&mut cluster, 2),
        Reply::RegisterBroker(Ok(BrokerEpoch(2)))
    );
    let endpoint = cluster
        .image()
        .broker(BrokerId(1))
        .unwrap()
        .endpoint("PLAINTEXT")
        .cloned();
    assert_eq!(endpoint, Some(broker(1, 2).listeners[0].clone()));
}

#[test]
fn a_log_of_another_cluster_is_refused() {
    let mut cluster = Cluster::of(&[1]);
    let bootstrap = |cluster: &mut Cluster, id: &str| {
        let id = ClusterId::from(id);
        cluster.ask(|token| Input::Bootstrap {
            token,
            cluster: id,
            credentials: vec![credential("late", ScramMechanism::Sha256, 4096)],
        })
    };
    cluster.restart();
    let records = cluster.log().len();
    assert_eq!(bootstrap(&mut cluster, "c"), Reply::Bootstrap(Ok(())));
    let other = BootstrapError::OtherCluster {
        found: ClusterId::from("c"),
        expected: ClusterId::from("d"),
    };
    assert_eq!(bootstrap(&mut cluster, "d"), Reply::Bootstrap(Err(other)));
    assert_eq!(cluster.log().len(), records, "a later start writes nothing");
    assert_eq!(cluster.image().feature("metadata.version"), 30);
    assert_eq!(cluster.image().feature("transaction.version"), 0);
}

/// These bytes are on disks: a change here needs a new version of the value.
#[test]
fn the_layout_of_records_stays() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![NewTopic {
        partitions: Some(1),
        ..topic("a")
    }]));
    cluster.ask(|token| Input::AllocateProducerIds {
        token,
        broker: BrokerId(1),
    });
    let alterations = [
        (
            Resource::Topic(TopicName::from("a")),
            "retention.ms",
            "60000",
        ),
        (Resource::Broker(BrokerId(1)), "log.retention.ms", "60000"),
        (Resource::Brokers, "log.retention.ms", "60000"),
        (
            Resource::Group(GroupId::from("g")),
            "consumer.session.timeout.ms",
            "50000",
        ),
        (
            Resource::ClientMetrics("m".to_owned()),
            "interval.ms",
            "60000",
        ),
    ]
    .map(|(resource, name, value)| Alteration {
        resource,
        change: ConfigChange::Replace(vec![(name.to_owned(), value.to_owned())]),
    });
    cluster.ask(|token| Input::AlterConfigs {
        token,
        mode: Mode::Apply,
        alterations: alterations.into(),
    });
    cluster.start(2, 2);
    cluster.ask(|token| Input::Reassign {
        token,
        factor: ReplicationFactor::Kept,
        items: vec![Reassignment {
            topic: TopicName::from("a"),
            partition: PartitionId(0),
            replicas: Some(vec![BrokerId(2)]),
        }],
    });
    cluster.ask(|token| Input::UnregisterBroker {
        token,
        broker: BrokerId(1),
    });
    cluster.ask(|token| Input::DeleteTopics {
        token,
        topics: vec![TopicRef::Id(topic("a").id)],
    });
    let (of, credential) = credential("u", ScramMechanism::Sha512, 4096);
    cluster.ask(alter(vec![upsert(&of, credential)]));
    cluster.ask(alter(vec![delete(&of)]));
    let broker = BrokerId(2);
    let epoch = cluster.image().broker(broker).unwrap().epoch;
    cluster.tell(Input::BrokerLost { broker, epoch });
    let lines: Vec<_> = cluster.log().iter().map(line).collect();
    let expected = include_str!("data/records.hex");
    assert_eq!(lines.join("\n"), expected.trim_end());
}

/// What earlier versions of topics and brokers left on disks. In the first one a broker
/// that is known takes part, and a partition has nothing but a leader and its replicas.
#[test]
fn earlier_versions_are_still_read() {
    let read = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        Record::decode(&bytes(key), Some(&bytes(value))).unwrap()
    };
    let topic = read("0261000000000000000000000000000000 0001610101020102020000");
    let Record::Topic(topic) = topic else {
        panic!("{topic:?}");
    };
    let alone = vec![BrokerId(1)];
    assert_eq!(
        topic.partition(PartitionId(0)),
        Some(&Partition::new(alone.clone(), alone))
    );
    let id = "01".repeat(16);
    let known = read(&format!(
        "0402 0002{id}000109504c41494e54455854096c6f63616c686f7374888e0100"
    ));
    let epoch = BrokerEpoch(1);
    let expected = Registration {
        epoch,
        ..broker(1, 1)
    };
    assert_eq!(known, Record::Broker(Arc::new(expected.clone())));
    let fenced = read(&format!(
        "0402 0102{id}000109504c41494e54455854096c6f63616c686f7374888e01000100"
    ));
    let expected = Registration {
        fenced: true,
        ..expected
    };
    assert_eq!(fenced, Record::Broker(Arc::new(expected)));
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn line(record: &Record) -> String {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let value = record
        .value()
        .map_or_else(|| "-".to_owned(), |value| hex(&value));
    format!("{} {value}", hex(&record.key()))
}

#[test]
fn damaged_records_are_refused_and_never_panic() {
    let mut rng = Rng::new(1);
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let (of, credential) = credential("u", ScramMechanism::Sha256, 4096);
    cluster.ask(alter(vec![upsert(&of, credential)]));
    for record in cluster.log() {
        let (key, value) = (record.key(), record.value().unwrap());
        for end in 0..value.len() {
            assert!(
                Record::decode(&key, Some(&value[..end])).is_err(),
                "{record:?} cut at {end}"
            );
        }
        let longer = [&value[..], &[0]].concat();
        assert_eq!(
            Record::decode(&key, Some(&longer)),
            Err(RecordError::Trailing { extra: 1 })
        );
        for _ in 0..1000 {
            let (mut key, mut value) = (key.to_vec(), value.to_vec());
            flip(&mut rng, &mut key);
            flip(&mut rng, &mut value);
            // Whatever still decodes is a record like any other.
            if let Ok(record) = Record::decode(&key, Some(&value)) {
                reread(&record);
            }
        }
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    let at = pick(rng, u64::try_from(bytes.len()).unwrap());
    bytes[at] ^= 1 << rng.below(8);
}

#[test]
fn records_of_a_newer_program_are_refused_with_a_reason() {
    let record = Record::ProducerIds {
        next: ProducerId(1),
    };
    let mut value = record.value().unwrap().to_vec();
    value[0] = 1;
    let newer = Record::decode(&record.key(), Some(&value));
    assert_eq!(
        newer,
        Err(RecordError::UnknownVersion {
            kind: 5,
            version: 1,
            known: 0
        })
    );
    let unknown = Record::decode(&[200], Some(&[0]));
    assert_eq!(unknown, Err(RecordError::UnknownKind { kind: 200 }));
    let deleted = Record::decode(&record.key(), None);
    assert_eq!(deleted, Err(RecordError::NotDeletable { kind: 5 }));
}

#[test]
fn a_partition_is_found_by_topic_and_index() {
    let mut cluster = Cluster::of(&[1]);
    cluster.ask(create(vec![topic("a")]));
    let partition = |index| {
        let tp = ottla_base::TopicPartition {
            topic: topic("a").id,
            partition: PartitionId(index),
        };
        cluster
            .image()
            .partition(tp)
            .map(|partition| partition.leader_epoch)
    };
    assert_eq!(partition(2), Some(LeaderEpoch(0)));
    assert_eq!((partition(3), partition(-1)), (None, None));
}
