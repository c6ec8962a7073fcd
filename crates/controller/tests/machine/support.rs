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
    BrokerEpoch, Change, ControllerMachine, Endpoint, Heartbeat, HeartbeatAnswer, Image, Input,
    Mode, NewTopic, Record, Registration, Reply, Settings,
};

/// What a broker says of itself in a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Work,
    Fence,
    Shutdown,
}

pub(crate) struct Cluster {
    shard: Shard<ControllerMachine>,
    log: MemoryLog<Record>,
    settings: Settings,
    pub(crate) now: Millis,
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
            cluster.start(*id, 1);
        }
        cluster
    }

    /// Registers a broker that then says that it is there.
    pub(crate) fn start(&mut self, id: i32, incarnation: u8) {
        let registered = self.ask(|token| Input::RegisterBroker {
            token,
            broker: broker(id, incarnation),
        });
        let Reply::RegisterBroker(Ok(_)) = registered else {
            panic!("{registered:?}");
        };
        self.beat(id, Wants::Work);
    }

    /// A heartbeat of the registered broker.
    pub(crate) fn beat(&mut self, id: i32, wants: Wants) -> HeartbeatAnswer {
        let broker = BrokerId(id);
        let heartbeat = Heartbeat {
            broker,
            epoch: self.image().broker(broker).unwrap().epoch,
            caught_up: true,
            wants_fence: wants == Wants::Fence,
            wants_shutdown: wants == Wants::Shutdown,
        };
        let reply = self.ask(|token| Input::Heartbeat { token, heartbeat });
        let Reply::Heartbeat(Ok(answer)) = reply else {
            panic!("{reply:?}");
        };
        answer
    }

    /// One that has never started.
    pub(crate) fn empty() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let machine = ControllerMachine::new(settings.clone());
        Self {
            shard: Shard::loaded(machine, Offset(0), Offset(0), 7),
            log: MemoryLog::default(),
            settings,
            now: Millis(0),
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
        let changes = self.step(input(ReplyToken(1)));
        let replies = self.shard.on_committed(self.shard.written());
        let [(ReplyToken(1), reply)] = <[_; 1]>::try_from(replies).unwrap() else {
            panic!("not answered exactly once");
        };
        (reply, changes)
    }

    /// Something that nobody waits for an answer to.
    pub(crate) fn tell(&mut self, input: Input) -> Vec<Change> {
        let changes = self.step(input);
        let replies = self.shard.on_committed(self.shard.written());
        assert_eq!(replies, vec![], "nobody has asked");
        changes
    }

    /// Lets time pass, and every deadline in it at the moment that it comes.
    pub(crate) fn wait(&mut self, ms: i64) -> Vec<Change> {
        let end = self.now.plus_ms(ms);
        let mut changes = Vec::new();
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            changes.extend(self.wake());
        }
        self.now = end;
        changes
    }

    /// Runs what is due by now.
    pub(crate) fn wake(&mut self) -> Vec<Change> {
        let before = self.log.records.len();
        self.shard.tick(self.now, &mut self.log).unwrap();
        self.follow(before)
    }

    fn step(&mut self, input: Input) -> Vec<Change> {
        let before = self.log.records.len();
        self.shard.handle(self.now, input, &mut self.log).unwrap();
        self.follow(before)
    }

    /// What the records from `first` on change for a broker.
    fn follow(&mut self, first: usize) -> Vec<Change> {
        let fresh = ControllerMachine::new(self.settings.clone());
        assert_replay_agrees(self.shard.machine(), fresh, &self.log.records);
        let changes = self.log.records[first..]
            .iter()
            .map(|record| self.followed.apply(&reread(record)))
            .collect();
        assert_eq!(
            &self.followed,
            self.image(),
            "a follower sees something else"
        );
        changes
    }

    /// Drops the machine and loads another from the log.
    pub(crate) fn restart(&mut self) {
        let mut loaded = ControllerMachine::new(self.settings.clone());
        for record in &self.log.records {
            loaded.apply(&reread(record));
        }
        self.replace(loaded);
    }

    /// Another controller goes on from what brokers see.
    pub(crate) fn fail_over(&mut self) {
        let image = self.followed.clone();
        self.replace(ControllerMachine::from_image(self.settings.clone(), image));
    }

    fn replace(&mut self, machine: ControllerMachine) {
        let end = self.shard.written();
        self.shard = Shard::loaded(machine, end, end, 8);
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        partitions_default: 3,
        replication_factor_default: 1,
        fixed: Arc::default(),
        session_timeout_ms: 2_000,
        elr_enabled: true,
        leader_imbalance_check_ms: None,
    }
}

pub(crate) fn broker(id: i32, incarnation: u8) -> Registration {
    Registration {
        id: BrokerId(id),
        epoch: BrokerEpoch(0),
        incarnation: [incarnation; 16],
        directory: None,
        rack: None,
        listeners: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
        }],
        fenced: false,
        in_controlled_shutdown: false,
        last_away: None,
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
