//! A controller over a log in memory, which checks after every step that what
//! was written says the same as what is live.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::config::SecurityProtocol;
use ottla_base::testing::{MemoryLog, assert_replay_agrees};
use ottla_base::{
    BrokerId, ClusterId, Machine, Millis, Offset, ReplyToken, Shard, TopicId, TopicName,
};
use ottla_controller::{
    BrokerEpoch, Change, ControllerMachine, Endpoint, Image, Input, Mode, NewTopic, Record,
    Registration, Reply, Settings,
};

pub(crate) struct Cluster {
    shard: Shard<ControllerMachine>,
    log: MemoryLog<Record>,
    /// As a broker follows the log.
    pub(crate) followed: Image,
}

impl Cluster {
    /// A cluster that has started for the first time, with these brokers.
    pub(crate) fn of(brokers: &[i32]) -> Self {
        let mut cluster = Self::empty();
        cluster.ask(|token| Input::Bootstrap {
            token,
            cluster: ClusterId::from("c"),
            credentials: Vec::new(),
        });
        for id in brokers {
            cluster.ask(|token| Input::RegisterBroker {
                token,
                broker: broker(*id, 1),
            });
        }
        cluster
    }

    /// One that has never started.
    pub(crate) fn empty() -> Self {
        Self {
            shard: Shard::loaded(machine(), Offset(0), Offset(0), 7),
            log: MemoryLog::default(),
            followed: Image::default(),
        }
    }

    pub(crate) fn image(&self) -> &Image {
        self.shard.machine().image()
    }

    pub(crate) fn log(&self) -> &[Record] {
        &self.log.records
    }

    pub(crate) fn ask(&mut self, input: impl FnOnce(ReplyToken) -> Input) -> Reply {
        self.ask_and_follow(input).0
    }

    /// The reply, and what a broker saw change.
    pub(crate) fn ask_and_follow(
        &mut self,
        input: impl FnOnce(ReplyToken) -> Input,
    ) -> (Reply, Vec<Change>) {
        let before = self.log.records.len();
        self.shard
            .handle(Millis(0), input(ReplyToken(1)), &mut self.log)
            .unwrap();
        assert_replay_agrees(self.shard.machine(), machine(), &self.log.records);
        let changes = self.log.records[before..]
            .iter()
            .map(|record| self.followed.apply(&reread(record)))
            .collect();
        assert_eq!(
            &self.followed,
            self.image(),
            "a follower sees something else"
        );
        let replies = self.shard.on_committed(self.shard.written());
        let [(ReplyToken(1), reply)] = <[_; 1]>::try_from(replies).unwrap() else {
            panic!("not answered exactly once");
        };
        (reply, changes)
    }

    /// Drops the machine and loads another from the log.
    pub(crate) fn restart(&mut self) {
        let mut loaded = machine();
        for record in &self.log.records {
            loaded.apply(&reread(record));
        }
        let end = self.shard.written();
        self.shard = Shard::loaded(loaded, end, end, 8);
    }
}

pub(crate) fn machine() -> ControllerMachine {
    ControllerMachine::new(Settings {
        partitions_default: 3,
        replication_factor_default: 1,
        fixed: Arc::default(),
        session_timeout_ms: 2_000,
        elr_enabled: true,
        leader_imbalance_check_ms: None,
    })
}

pub(crate) fn broker(id: i32, incarnation: u8) -> Registration {
    Registration {
        id: BrokerId(id),
        epoch: BrokerEpoch(0),
        incarnation: [incarnation; 16],
        rack: None,
        listeners: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
        }],
        fenced: false,
        in_controlled_shutdown: false,
    }
}

/// A topic with the defaults in everything; its id is made from its name.
pub(crate) fn topic(name: &str) -> NewTopic {
    let mut id = [0; 16];
    for (at, byte) in name.bytes().enumerate() {
        id[at % 16] ^= byte;
    }
    NewTopic {
        name: TopicName::from(name),
        id: TopicId(id),
        partitions: None,
        replication_factor: None,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
    }
}

pub(crate) fn create(topics: Vec<NewTopic>) -> impl FnOnce(ReplyToken) -> Input {
    move |token| Input::CreateTopics {
        token,
        mode: Mode::Apply,
        topics,
    }
}

/// The record as it comes back from storage.
pub(crate) fn reread(record: &Record) -> Record {
    let (key, value) = (record.key(), record.value());
    let read = Record::decode(&key, value.as_deref()).unwrap();
    assert_eq!(read, *record);
    read
}
