//! Brokers that come and go, and what becomes of their partitions: the files of
//! `scripts/`, one story each.
//!
//! | Command | Does |
//! |---|---|
//! | `start 1 [rack=a] [incarnation=2] [directory=a]` | registers a broker, which then says that it is there |
//! | `register 1 …` | only registers it |
//! | `beat 1 [behind] [fence] [stop] [epoch=9]` | a heartbeat |
//! | `lost 1 [epoch=9]` | its process is gone for sure |
//! | `forget 1` | unregisters it |
//! | `topic t at=[1,2 2,1] …` | creates a topic there |
//! | `topic t count=3 factor=2 [min_isr=2] [unclean]` | creates one where the controller wants |
//! | `grow t count=4 [at=[1,2]]`, `delete t` | more partitions, or none |
//! | `isr t-0 by=1 to=1,2@5 [leader_epoch=0] [partition_epoch=0] [recovering]` | a leader says who is in sync |
//! | `elect preferred [t-0]`, `elect unclean [t-0]` | elections, of all partitions if none is named |
//! | `move t-0 to=3,4 [free]`, `move t-0 back` | reassignments |
//! | `set t name=value`, `set all name=value` | settings of a topic or of all brokers; no value removes one |
//! | `wait 2000` | time passes, with every deadline in it |
//! | `sleep 2000` | time passes without the controller seeing it |
//! | `fail-over [doubts=1]` | another controller goes on, and perhaps doubts that a broker lives |
//!
//! What was answered comes first, then what brokers see change.

use ottla_base::testing::{Command, Script, run_scripts};
use ottla_base::{BrokerId, ClusterId, LeaderEpoch, PartitionId, TopicName, TopicPartition};
use ottla_controller::{
    Alteration, BrokerEpoch, Change, ConfigChange, Edit, EditOp, Elected, Election, Heartbeat,
    Input, IsrChange, Member, Mode, NewPartitions, NewTopic, Partition, Reassignment, Registration,
    ReplicationFactor, Reply, Resource, Settings,
};

use crate::support::{Cluster, broker, create, settings, topic};

#[test]
fn scripts_with_eligible_replicas() {
    run_scripts(dir("elr"), || Story::with(settings()));
}

#[test]
fn scripts_without_eligible_replicas() {
    run_scripts(dir("plain"), || {
        Story::with(Settings {
            elr_enabled: false,
            ..settings()
        })
    });
}

#[test]
fn scripts_with_a_balance_of_leaders() {
    run_scripts(dir("balance"), || {
        Story::with(Settings {
            leader_imbalance_check_ms: Some(1_000),
            ..settings()
        })
    });
}

fn dir(name: &str) -> String {
    format!(
        "{}/tests/machine/scripts/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

struct Story(Cluster);

impl Story {
    fn with(settings: Settings) -> Self {
        let mut cluster = Cluster::with(settings);
        cluster.ask(|token| Input::Bootstrap {
            token,
            cluster: ClusterId::from("c"),
            credentials: Vec::new(),
        });
        Self(cluster)
    }

    /// Says nothing of what every start says.
    fn start(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let mut said = Vec::new();
        let id = self.register(command, &mut said);
        let epoch = self.0.image().broker(id).unwrap().epoch;
        self.beat(heartbeat(id, epoch), &mut said);
        let expected = [
            format!("{id} has epoch {epoch}"),
            format!("broker {id} is fenced"),
            "unfenced".to_owned(),
            format!("broker {id} is unfenced"),
        ];
        let is_news = |line: &String| !expected.contains(line);
        trace.extend(said.into_iter().filter(is_news));
    }

    fn register(&mut self, command: &Command<'_>, trace: &mut Vec<String>) -> BrokerId {
        let id: i32 = command.word().parse().unwrap();
        let broker = Registration {
            directory: command.get("directory").map(str::to_owned),
            rack: command.get("rack").map(str::to_owned),
            ..broker(id, command.or("incarnation", 1))
        };
        let (reply, changes) = self
            .0
            .ask_and_follow(|token| Input::RegisterBroker { token, broker });
        let Reply::RegisterBroker(result) = reply else {
            panic!("{reply:?}");
        };
        trace.push(match result {
            Ok(epoch) => format!("{id} has epoch {epoch}"),
            Err(error) => format!("{error}"),
        });
        self.show(&changes, trace);
        BrokerId(id)
    }

    fn beat(&mut self, heartbeat: Heartbeat, trace: &mut Vec<String>) {
        let (reply, changes) = self
            .0
            .ask_and_follow(|token| Input::Heartbeat { token, heartbeat });
        let Reply::Heartbeat(result) = reply else {
            panic!("{reply:?}");
        };
        trace.push(match result {
            Ok(answer) => {
                let fenced = if answer.fenced { "fenced" } else { "unfenced" };
                let stop = if answer.may_shut_down {
                    ", may stop"
                } else {
                    ""
                };
                format!("{fenced}{stop}")
            }
            Err(error) => format!("{error}"),
        });
        self.show(&changes, trace);
    }

    fn heartbeat(&self, command: &Command<'_>) -> Heartbeat {
        let id = BrokerId(command.word().parse().unwrap());
        Heartbeat {
            caught_up: !command.has("behind"),
            wants_fence: command.has("fence"),
            wants_shutdown: command.has("stop"),
            ..heartbeat(id, self.epoch(command, id))
        }
    }

    fn epoch(&self, command: &Command<'_>, id: BrokerId) -> BrokerEpoch {
        let known = self.0.image().broker(id).map_or(0, |broker| broker.epoch.0);
        BrokerEpoch(command.or("epoch", known))
    }

    fn lose(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let broker = BrokerId(command.word().parse().unwrap());
        let epoch = self.epoch(command, broker);
        let changes = self.0.tell(Input::BrokerLost { broker, epoch });
        self.show(&changes, trace);
    }

    fn create(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let at = command.list("at").into_iter().map(ids);
        let mut configs: Vec<(&str, String)> = Vec::new();
        if let Some(min) = command.get("min_isr") {
            configs.push(("min.insync.replicas", min.to_owned()));
        }
        if command.has("unclean") {
            configs.push(("unclean.leader.election.enable", "true".to_owned()));
        }
        let own = |(name, value): (&str, String)| (name.to_owned(), Some(value));
        let new = NewTopic {
            assignments: (0..).map(PartitionId).zip(at).collect(),
            partitions: command.parsed("count"),
            replication_factor: command.parsed("factor"),
            configs: configs.into_iter().map(own).collect(),
            ..topic(command.word())
        };
        let (reply, changes) = self.0.ask_and_follow(create(vec![new]));
        let Reply::CreateTopics(results) = reply else {
            panic!("{reply:?}");
        };
        trace.extend(
            results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .map(ToString::to_string),
        );
        self.show(&changes, trace);
    }

    fn grow(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let at = command.get("at").map(|_| command.list("at"));
        let topics = vec![NewPartitions {
            topic: TopicName::from(command.word()),
            count: command.or("count", 0),
            assignments: at.map(|lists| lists.into_iter().map(ids).collect()),
        }];
        let (reply, changes) = self.0.ask_and_follow(|token| Input::CreatePartitions {
            token,
            mode: Mode::Apply,
            topics,
        });
        let Reply::CreatePartitions(results) = reply else {
            panic!("{reply:?}");
        };
        trace.extend(errors(&results));
        self.show(&changes, trace);
    }

    fn alter_isr(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let (name, partition) = partition(command.word());
        let found = self.0.image().topic(&name);
        let id = found.map_or_else(|| topic("none").id, |found| found.id);
        let current = found.and_then(|found| found.partition(partition));
        let current = current.map_or((0, 0), |now| (now.leader_epoch.0, now.partition_epoch));
        let by = BrokerId(command.need("by").parse().unwrap());
        let epoch = self.epoch(command, by);
        let changes = vec![IsrChange {
            topic: id,
            partition,
            leader_epoch: LeaderEpoch(command.or("leader_epoch", current.0)),
            partition_epoch: command.or("partition_epoch", current.1),
            isr: members(command.need("to")),
            recovered: !command.has("recovering"),
        }];
        let (reply, seen) = self.0.ask_and_follow(|token| Input::AlterPartitions {
            token,
            broker: by,
            epoch,
            changes,
        });
        let Reply::AlterPartitions(result) = reply else {
            panic!("{reply:?}");
        };
        match result {
            Ok(results) => trace.extend(errors(&results)),
            Err(error) => trace.push(error.to_string()),
        }
        self.show(&seen, trace);
    }

    fn elect(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let kind = match command.word() {
            "preferred" => Election::Preferred,
            "unclean" => Election::Unclean,
            _ => command.unknown(),
        };
        let named = command.get("of").map(|_| command.list("of"));
        let partitions = named.map(|named| named.into_iter().map(partition).collect());
        let (reply, changes) = self.0.ask_and_follow(|token| Input::ElectLeaders {
            token,
            kind,
            partitions,
        });
        let Reply::ElectLeaders(elected) = reply else {
            panic!("{reply:?}");
        };
        let line = |elected: &Elected| {
            let Elected {
                topic,
                partition,
                result,
            } = elected;
            let result = result.as_ref().err();
            let result = result.map_or_else(|| "elected".to_owned(), ToString::to_string);
            format!("{topic}-{partition}: {result}")
        };
        trace.extend(elected.iter().map(line));
        self.show(&changes, trace);
    }

    fn reassign(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let (topic, partition) = partition(command.word());
        let back = command.has("back");
        let items = vec![Reassignment {
            topic,
            partition,
            replicas: (!back).then(|| ids(command.need("to"))),
        }];
        let factor = if command.has("free") {
            ReplicationFactor::Free
        } else {
            ReplicationFactor::Kept
        };
        let (reply, changes) = self.0.ask_and_follow(|token| Input::Reassign {
            token,
            factor,
            items,
        });
        let Reply::Reassign(results) = reply else {
            panic!("{reply:?}");
        };
        trace.extend(errors(&results));
        self.show(&changes, trace);
    }

    fn set(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let resource = match command.word() {
            "all" => Resource::Brokers,
            id if id.parse::<i32>().is_ok() => Resource::Broker(BrokerId(id.parse().unwrap())),
            name => Resource::Topic(TopicName::from(name)),
        };
        let name = command.need("name").to_owned();
        let op = command
            .get("value")
            .map(|value| EditOp::Set(value.to_owned()));
        let op = op.unwrap_or(EditOp::Delete);
        let alterations = vec![Alteration {
            resource,
            change: ConfigChange::Edit(vec![Edit { name, op }]),
        }];
        let (reply, changes) = self.0.ask_and_follow(|token| Input::AlterConfigs {
            token,
            mode: Mode::Apply,
            alterations,
        });
        let Reply::AlterConfigs(results) = reply else {
            panic!("{reply:?}");
        };
        trace.extend(errors(&results));
        self.show(&changes, trace);
    }

    fn show(&self, changes: &[Change], trace: &mut Vec<String>) {
        trace.extend(changes.iter().flat_map(|change| self.lines(change)));
    }

    fn lines(&self, change: &Change) -> Vec<String> {
        match change {
            Change::TopicCreated(topic) => {
                let line = |(id, state)| format!("{}-{id} {}", topic.name, describe(state));
                topic.partitions().map(line).collect()
            }
            Change::PartitionsAdded { topic, first } => {
                let line = |(id, state)| format!("{}-{id} {}", topic.name, describe(state));
                topic.partitions().skip(*first).map(line).collect()
            }
            Change::Partition { topic, partition } => {
                let tp = TopicPartition {
                    topic: topic.id,
                    partition: *partition,
                };
                assert!(
                    self.0.image().partition(tp).is_some(),
                    "a partition of nothing"
                );
                let state = topic.partition(*partition).unwrap();
                vec![format!("{}-{partition} {}", topic.name, describe(state))]
            }
            Change::TopicDeleted(topic) => vec![format!("{} is deleted", topic.name)],
            Change::Broker(broker) => {
                let fenced = if broker.fenced { "fenced" } else { "unfenced" };
                let stops = if broker.in_controlled_shutdown {
                    ", stops"
                } else {
                    ""
                };
                vec![format!("broker {} is {fenced}{stops}", broker.id)]
            }
            Change::BrokerGone(id) => vec![format!("broker {id} is gone")],
            Change::Nothing
            | Change::Config(_)
            | Change::ProducerIds
            | Change::Feature
            | Change::Scram
            | Change::Cluster => Vec::new(),
        }
    }
}

impl Script for Story {
    fn run(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        match command.verb() {
            "start" => self.start(command, trace),
            "register" => {
                self.register(command, trace);
            }
            "beat" => self.beat(self.heartbeat(command), trace),
            "lost" => self.lose(command, trace),
            "forget" => {
                let broker = BrokerId(command.word().parse().unwrap());
                let (reply, changes) = self
                    .0
                    .ask_and_follow(|token| Input::UnregisterBroker { token, broker });
                let Reply::UnregisterBroker(result) = reply else {
                    panic!("{reply:?}");
                };
                trace.extend(errors(&[result]));
                self.show(&changes, trace);
            }
            "topic" => self.create(command, trace),
            "grow" => self.grow(command, trace),
            "delete" => {
                let name = TopicName::from(command.word());
                let topics = vec![ottla_controller::TopicRef::Name(name)];
                let (_, changes) = self
                    .0
                    .ask_and_follow(|token| Input::DeleteTopics { token, topics });
                self.show(&changes, trace);
            }
            "isr" => self.alter_isr(command, trace),
            "elect" => self.elect(command, trace),
            "move" => self.reassign(command, trace),
            "set" => self.set(command, trace),
            "wait" => {
                let changes = self.0.wait(command.word().parse().unwrap());
                self.show(&changes, trace);
            }
            "sleep" => {
                self.0.now = self.0.now.plus_ms(command.word().parse().unwrap());
                let changes = self.0.wake();
                self.show(&changes, trace);
            }
            "fail-over" => {
                self.0.fail_over();
                if let Some(broker) = command.get("doubts") {
                    let broker = BrokerId(broker.parse().unwrap());
                    let changes = self.0.tell(Input::BrokerDoubted { broker });
                    self.show(&changes, trace);
                }
            }
            _ => command.unknown(),
        }
    }
}

fn heartbeat(broker: BrokerId, epoch: BrokerEpoch) -> Heartbeat {
    Heartbeat {
        broker,
        epoch,
        caught_up: true,
        wants_fence: false,
        wants_shutdown: false,
    }
}

fn errors<T, E: ToString>(results: &[Result<T, E>]) -> Vec<String> {
    let errors = results.iter().filter_map(|result| result.as_ref().err());
    errors.map(ToString::to_string).collect()
}

/// `t-0`.
fn partition(text: &str) -> (TopicName, PartitionId) {
    let (topic, index) = text.rsplit_once('-').unwrap();
    (TopicName::from(topic), PartitionId(index.parse().unwrap()))
}

/// As `2`, or as `2@5` in the epoch 5 of that broker.
fn members(text: &str) -> Vec<Member> {
    let members = text.split(',').map(|member| {
        let (id, epoch) = member.split_once('@').unzip();
        Member {
            id: BrokerId(id.unwrap_or(member).parse().unwrap()),
            epoch: epoch.map(|epoch| BrokerEpoch(epoch.parse().unwrap())),
        }
    });
    members.collect()
}

fn ids(text: &str) -> Vec<BrokerId> {
    let ids = text.split(',');
    ids.map(|id| BrokerId(id.parse().unwrap())).collect()
}

/// Leader and its epoch first, then who is where; what is empty is left out.
fn describe(partition: &Partition) -> String {
    let leader = partition
        .leader
        .map_or_else(|| "-".to_owned(), |id| id.to_string());
    let mut text = format!(
        "leader={leader} epoch={} change={} replicas={} isr={}",
        partition.leader_epoch,
        partition.partition_epoch,
        list(&partition.replicas),
        list(&partition.isr),
    );
    for (name, ids) in [
        ("elr", &partition.elr),
        ("last", &partition.last_known_elr),
        ("adding", &partition.adding),
        ("removing", &partition.removing),
    ] {
        if !ids.is_empty() {
            text += &format!(" {name}={}", list(ids));
        }
    }
    if partition.recovering {
        text += " recovering";
    }
    text
}

fn list(ids: &[BrokerId]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}
