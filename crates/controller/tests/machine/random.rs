//! Random lives of clusters: whatever happens, no leader lacks what was acknowledged.
//!
//! `SEED=7 cargo test -p ottla-controller --test machine random` replays one.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::testing::Rng;
use ottla_base::{BrokerId, ClusterId, LeaderEpoch, PartitionId, TopicName, TopicPartition};
use ottla_controller::{
    AlterPartitionError, Alteration, ConfigChange, Edit, EditOp, Election, Heartbeat, Image, Input,
    IsrChange, Mode, NewPartitions, NewTopic, Partition, Reassignment, ReplicationFactor, Reply,
    Resource, Settings, TopicRef,
};

use crate::support::{Cluster, Wants, broker, create, settings, topic};

const SEEDS: u64 = 90;
const STEPS: usize = 120;
const BROKERS: i32 = 5;
const TOPICS: [&str; 3] = ["a", "b", "c"];

#[test]
fn a_clean_leader_has_all_that_was_acknowledged() {
    let seed = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = seed.map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut totals = Totals::default();
    for seed in seeds {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            life.step();
            life.check();
        }
        totals.add(&life.totals);
    }
    if seed.is_none() {
        totals.assert_that_much_happened();
    }
}

/// How often what happened, so that a test that tests nothing is seen to.
#[derive(Default)]
struct Totals {
    acknowledged: u64,
    leaders: u64,
    from_elr: u64,
    unclean: u64,
    moved: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.leaders += other.leaders;
        self.from_elr += other.from_elr;
        self.unclean += other.unclean;
        self.moved += other.moved;
    }

    fn assert_that_much_happened(&self) {
        let Self {
            acknowledged,
            leaders,
            from_elr,
            unclean,
            moved,
        } = self;
        for (what, count) in [
            ("acknowledgements", acknowledged),
            ("leaders", leaders),
            ("leaders from the ELR", from_elr),
            ("unclean leaders", unclean),
            ("completed reassignments", moved),
        ] {
            assert!(*count > 20, "only {count} {what}");
        }
    }
}

/// A cluster and what its brokers would have on their disks.
struct Life {
    seed: u64,
    rng: Rng,
    cluster: Cluster,
    elr_enabled: bool,
    incarnation: u8,
    before: Image,
    logs: BTreeMap<TopicPartition, Logs>,
    totals: Totals,
}

/// The replicas of one partition.
#[derive(Default)]
struct Logs {
    ends: BTreeMap<BrokerId, u64>,
    /// Everything below was acknowledged.
    acknowledged: u64,
    leaders: BTreeMap<LeaderEpoch, BrokerId>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let elr_enabled = !seed.is_multiple_of(3);
        let mut cluster = Cluster::with(Settings {
            elr_enabled,
            leader_imbalance_check_ms: Some(5_000),
            ..settings()
        });
        cluster.ask(|token| Input::Bootstrap {
            token,
            cluster: ClusterId::from("c"),
            credentials: Vec::new(),
        });
        for id in 1..=BROKERS {
            cluster.start(id, 0);
        }
        Self {
            seed,
            rng: Rng::new(seed),
            before: cluster.image().clone(),
            cluster,
            elr_enabled,
            incarnation: 0,
            logs: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    fn step(&mut self) {
        self.before = self.cluster.image().clone();
        match self.rng.below(100) {
            0..15 => self.start_or_beat(),
            15..25 => self.lose(),
            25..29 => self.stop(),
            29..31 => self.forget(),
            31..66 => self.alter_isr(),
            66..72 => self.create_or_grow(),
            72..74 => self.delete(),
            74..80 => self.reassign(),
            80..85 => self.set(),
            85..91 => self.elect(),
            91..98 => {
                for id in self.unfenced() {
                    if self.rng.chance(80) {
                        self.cluster.beat(id.0, Wants::Work);
                    }
                }
                let ms = self.rng.below(1_500);
                self.cluster.wait(i64::try_from(ms).unwrap());
            }
            _ => self.cluster.fail_over(),
        }
    }

    fn unfenced(&self) -> Vec<BrokerId> {
        let brokers = self.cluster.image().brokers();
        let unfenced = brokers.filter(|broker| !broker.fenced && !broker.in_controlled_shutdown);
        unfenced.map(|broker| broker.id).collect()
    }

    fn any_broker(&mut self) -> BrokerId {
        BrokerId(1 + self.below(BROKERS))
    }

    fn below(&mut self, n: i32) -> i32 {
        i32::try_from(self.rng.below(u64::try_from(n).unwrap())).unwrap()
    }

    fn any_brokers(&mut self) -> Vec<BrokerId> {
        let mut brokers = BTreeSet::new();
        for _ in 0..1 + self.below(4) {
            brokers.insert(self.any_broker());
        }
        let mut brokers: Vec<_> = brokers.into_iter().collect();
        let turn = self.rng.below(5);
        let len = u64::try_from(brokers.len()).unwrap();
        brokers.rotate_left(usize::try_from(turn % len).unwrap());
        brokers
    }

    fn any_partition(&mut self) -> Option<(TopicName, TopicPartition, Partition)> {
        let name = TopicName::from(TOPICS[usize::try_from(self.below(3)).unwrap()]);
        let turn = self.rng.below(1_000);
        let topic = self.cluster.image().topic(&name)?;
        let len = u64::try_from(topic.partitions.len()).unwrap();
        let at = usize::try_from(turn % len).unwrap();
        let partition = PartitionId(i32::try_from(at).unwrap());
        let tp = TopicPartition {
            topic: topic.id,
            partition,
        };
        Some((name, tp, topic.partition(partition).unwrap().clone()))
    }

    fn start_or_beat(&mut self) {
        let id = self.any_broker();
        let known = self.cluster.image().broker(id).cloned();
        if known.is_none() || self.rng.chance(40) {
            self.incarnation = self.incarnation.wrapping_add(1);
            let broker = broker(id.0, self.incarnation);
            self.cluster
                .ask(|token| Input::RegisterBroker { token, broker });
        }
        if self.cluster.image().broker(id).is_some() {
            self.cluster.beat(id.0, Wants::Work);
        }
    }

    fn lose(&mut self) {
        let id = self.any_broker();
        if let Some(known) = self.cluster.image().broker(id).cloned() {
            self.cluster.tell(Input::BrokerLost {
                broker: id,
                epoch: known.epoch,
            });
        }
    }

    fn stop(&mut self) {
        let broker = self.any_broker();
        let Some(known) = self.cluster.image().broker(broker).cloned() else {
            return;
        };
        let heartbeat = Heartbeat {
            broker,
            epoch: known.epoch,
            caught_up: true,
            wants_fence: self.rng.chance(20),
            wants_shutdown: self.rng.chance(80),
        };
        self.cluster
            .ask(|token| Input::Heartbeat { token, heartbeat });
    }

    fn forget(&mut self) {
        let broker = self.any_broker();
        self.cluster
            .ask(|token| Input::UnregisterBroker { token, broker });
    }

    /// Leaders mostly say what may be.
    fn alter_isr(&mut self) {
        let Some((_, tp, partition)) = self.any_partition() else {
            return;
        };
        let Some(leader) = partition.leader else {
            return;
        };
        let mut isr = vec![leader];
        for replica in &partition.replicas {
            if *replica != leader && self.rng.chance(60) {
                isr.push(*replica);
            }
        }
        let by = if self.rng.chance(5) {
            self.any_broker()
        } else {
            leader
        };
        let known = self.cluster.image().broker(by).cloned();
        let Some(known) = known else { return };
        let late = i32::from(self.rng.chance(5));
        let changes = vec![IsrChange {
            topic: tp.topic,
            partition: tp.partition,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch - late,
            isr: isr.iter().copied().map(Into::into).collect(),
            recovered: self.rng.chance(90),
        }];
        let reply = self.cluster.ask(|token| Input::AlterPartitions {
            token,
            broker: by,
            epoch: known.epoch,
            changes,
        });
        let Reply::AlterPartitions(Ok(results)) = reply else {
            panic!("{reply:?}");
        };
        // The leader says so because they have what it has. With that a reassignment
        // may be complete, and one of them may lead in its place.
        if matches!(
            results[0],
            Ok(_) | Err(AlterPartitionError::NewLeaderElected)
        ) {
            let logs = self.logs.entry(tp).or_default();
            let end = logs.ends.get(&leader).copied().unwrap_or(0);
            logs.ends
                .extend(isr.into_iter().map(|member| (member, end)));
        }
    }

    fn create_or_grow(&mut self) {
        let name = TOPICS[usize::try_from(self.below(3)).unwrap()];
        let known = self.cluster.image().topic(&TopicName::from(name));
        let count = known.map(|known| i32::try_from(known.partitions.len()).unwrap());
        if let Some(count) = count {
            let topics = vec![NewPartitions {
                topic: TopicName::from(name),
                count: count + 1,
                assignments: None,
            }];
            self.cluster.ask(|token| Input::CreatePartitions {
                token,
                mode: Mode::Apply,
                topics,
            });
            return;
        }
        self.incarnation = self.incarnation.wrapping_add(1);
        let mut new = NewTopic {
            partitions: Some(1 + self.below(3)),
            replication_factor: Some(1 + i16::try_from(self.below(4)).unwrap()),
            ..topic(name)
        };
        new.id.0[15] = self.incarnation;
        self.cluster.ask(create(vec![new]));
    }

    fn delete(&mut self) {
        let name = TOPICS[usize::try_from(self.below(3)).unwrap()];
        let topics = vec![TopicRef::Name(TopicName::from(name))];
        self.cluster
            .ask(|token| Input::DeleteTopics { token, topics });
    }

    fn reassign(&mut self) {
        let Some((topic, tp, _)) = self.any_partition() else {
            return;
        };
        let replicas = self.rng.chance(75).then(|| self.any_brokers());
        let items = vec![Reassignment {
            topic,
            partition: tp.partition,
            replicas,
        }];
        self.cluster.ask(|token| Input::Reassign {
            token,
            factor: ReplicationFactor::Free,
            items,
        });
    }

    fn set(&mut self) {
        let resource = match self.below(4) {
            3 => Resource::Brokers,
            at => Resource::Topic(TopicName::from(TOPICS[usize::try_from(at).unwrap()])),
        };
        let unclean = self.rng.chance(30);
        let (name, value) = if unclean {
            let allowed = self.rng.chance(40);
            ("unclean.leader.election.enable", allowed.to_string())
        } else {
            ("min.insync.replicas", (1 + self.below(3)).to_string())
        };
        let edit = Edit {
            name: name.to_owned(),
            op: EditOp::Set(value),
        };
        let alterations = vec![Alteration {
            resource,
            change: ConfigChange::Edit(vec![edit]),
        }];
        self.cluster.ask(|token| Input::AlterConfigs {
            token,
            mode: Mode::Apply,
            alterations,
        });
    }

    fn elect(&mut self) {
        let kind = if self.rng.chance(10) {
            Election::Unclean
        } else {
            Election::Preferred
        };
        let reply = self.cluster.ask(|token| Input::ElectLeaders {
            token,
            kind,
            partitions: None,
        });
        assert!(matches!(reply, Reply::ElectLeaders(_)), "{reply:?}");
    }

    fn check(&mut self) {
        let (image, before) = (self.cluster.image().clone(), self.before.clone());
        let mut copy = Image::default();
        for record in image.records() {
            copy.apply(&record);
        }
        assert_eq!(
            copy, image,
            "seed {}: a snapshot says something else",
            self.seed
        );
        for topic in image.topics() {
            let isr_min = isr_min(&image, &topic.name);
            for (id, partition) in topic.partitions() {
                let tp = TopicPartition {
                    topic: topic.id,
                    partition: id,
                };
                let before = before.partition(tp);
                let what = format!("seed {}: {before:?} became {partition:?}", self.seed);
                check_sets(partition, &what);
                check_brokers(&image, partition, &what);
                check_epochs(before, partition, &what);
                let isr_min = isr_min.min(partition.replicas.len());
                let enough = partition.isr.len() >= isr_min;
                assert!(
                    !enough || partition.elr.is_empty(),
                    "eligible for nothing: {what}"
                );
                if !self.elr_enabled {
                    assert!(!partition.isr.is_empty(), "nobody is left: {what}");
                }
                self.follow(tp, before, partition, enough, &what);
            }
        }
        self.logs.retain(|tp, _| image.partition(*tp).is_some());
    }

    /// Lets the replicas do what the partition's state lets them do.
    fn follow(
        &mut self,
        tp: TopicPartition,
        before: Option<&Partition>,
        partition: &Partition,
        enough: bool,
        what: &str,
    ) {
        let logs = self.logs.entry(tp).or_default();
        let moved = before.is_some_and(Partition::is_reassigning) && !partition.is_reassigning();
        self.totals.moved += u64::from(moved);
        let Some(leader) = partition.leader else {
            return;
        };
        let epoch = partition.leader_epoch;
        let first = *logs.leaders.entry(epoch).or_insert(leader);
        assert_eq!(first, leader, "two leaders of one epoch: {what}");
        let end = logs.ends.get(&leader).copied().unwrap_or(0);
        if before.and_then(|before| before.leader) != Some(leader) {
            self.totals.leaders += 1;
            let eligible = before.is_some_and(|before| before.elr.contains(&leader));
            self.totals.from_elr += u64::from(eligible);
        }
        if end < logs.acknowledged {
            assert!(
                partition.recovering && partition.isr == [leader],
                "a leader without what was acknowledged: {what}"
            );
            self.totals.unclean += 1;
            logs.acknowledged = end;
            logs.ends
                .values_mut()
                .for_each(|other| *other = (*other).min(end));
        }
        if enough && self.rng.chance(50) {
            logs.acknowledged = end + 1;
            self.totals.acknowledged += 1;
            for member in &partition.isr {
                logs.ends.insert(*member, end + 1);
            }
        }
    }
}

fn isr_min(image: &Image, name: &TopicName) -> usize {
    let own = image.overrides(&Resource::Topic(name.clone()));
    let all = image.overrides(&Resource::Brokers);
    let mut set = own.into_iter().chain(all);
    let value = set.find_map(|overrides| overrides.get("min.insync.replicas"));
    value.map_or(1, |value| value.parse().unwrap())
}

fn check_sets(partition: &Partition, what: &str) {
    let Partition {
        replicas,
        isr,
        leader,
        elr,
        adding,
        removing,
        ..
    } = partition;
    for ids in [replicas, isr, elr, adding, removing] {
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "somebody is there twice: {what}");
        let known = ids.iter().all(|id| replicas.contains(id));
        assert!(known, "somebody is no replica: {what}");
    }
    assert!(
        leader.is_none_or(|id| isr.contains(&id)),
        "a leader out of sync: {what}"
    );
    assert!(
        !isr.iter().any(|id| elr.contains(id)),
        "eligible and in sync: {what}"
    );
    assert!(
        !adding.iter().any(|id| removing.contains(id)),
        "coming and going: {what}"
    );
    assert!(replicas.len() > removing.len(), "all are going: {what}");
}

/// A partition with one replica waits for it; everywhere else nobody leads or is in
/// sync who is away, but the last where nobody is eligible beside the ISR.
fn check_brokers(image: &Image, partition: &Partition, what: &str) {
    let alive = |id: &BrokerId| image.active_broker(*id).is_some();
    if partition.replicas.len() == 1 {
        return;
    }
    let Some(leader) = partition.leader else {
        let any = partition.isr.iter().any(alive);
        assert!(!any, "somebody could lead: {what}");
        let any = partition.isr.is_empty() && partition.elr.iter().any(alive);
        assert!(!any, "somebody eligible could lead: {what}");
        return;
    };
    assert!(alive(&leader), "a leader that is away: {what}");
    let away = partition.isr.iter().find(|id| !alive(id));
    assert_eq!(away, None, "away and in sync: {what}");
}

fn check_epochs(before: Option<&Partition>, partition: &Partition, what: &str) {
    let Some(before) = before else { return };
    if before == partition {
        return;
    }
    assert!(
        partition.partition_epoch > before.partition_epoch,
        "another state with the same epoch: {what}"
    );
    assert!(
        partition.leader_epoch >= before.leader_epoch,
        "an epoch went back: {what}"
    );
    if before.leader != partition.leader {
        assert!(
            partition.leader_epoch > before.leader_epoch,
            "another leader with the same epoch: {what}"
        );
    }
}
