//! The controllers: one is active and decides, and what it decides counts once it is
//! in a log that never fails. A controller that fails over takes with it what had not
//! got there.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use ottla_base::config::Overrides;
use ottla_base::testing::Rng;
use ottla_base::{BrokerId, Millis, Offset, PartitionId, ReplyToken, Shard, ShardLog, TopicName};
use ottla_controller::{
    BrokerEpoch, ControllerMachine, Election, Heartbeat, Image, Input, IsrChange, NewTopic,
    Reassignment, Record, Registration, ReplicationFactor, Reply, Settings,
};

/// Owned by the world.
#[derive(Debug)]
pub(crate) struct Quorum {
    settings: Settings,
    /// The active controller, if there is one.
    active: Option<Shard<ControllerMachine>>,
    pub(crate) term: u32,
    /// What was decided, in batches; offsets count these.
    pub(crate) committed: Vec<Vec<Record>>,
    pub(crate) image: Image,
    pending: VecDeque<Vec<Record>>,
    asked: BTreeMap<ReplyToken, Asker>,
    next_token: u64,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) broker: BrokerId,
    pub(crate) life: u32,
    pub(crate) about: About,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Registration,
    Heartbeat,
    /// A broker that is about to stop asks whether it may.
    HandOver {
        attempt: u32,
    },
    InSync {
        partition: PartitionId,
        partition_epoch: i32,
        attempt: u32,
    },
    Nothing,
}

/// What a broker asks a controller.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Register(Registration),
    Heartbeat(Heartbeat),
    Lost(BrokerId, BrokerEpoch),
    Alter {
        epoch: BrokerEpoch,
        change: IsrChange,
    },
    Create(NewTopic),
    Reassign(Reassignment),
    /// The preferred leaders of these partitions, or of all.
    Elect(Option<Vec<(TopicName, PartitionId)>>),
}

impl Quorum {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            settings: Settings {
                partitions_default: 1,
                replication_factor_default: 1,
                fixed: Arc::new(Overrides::new()),
                session_timeout_ms: 2_000,
                elr_enabled: rng.chance(50),
                leader_imbalance_check_ms: rng.chance(50).then_some(3_000),
            },
            active: None,
            term: 0,
            committed: Vec::new(),
            image: Image::default(),
            pending: VecDeque::new(),
            asked: BTreeMap::new(),
            next_token: 0,
        }
    }

    /// Whether leadership goes back to the preferred leaders by itself.
    pub(crate) fn rebalances(&self) -> bool {
        self.settings.leader_imbalance_check_ms.is_some()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// A controller takes over, with what is committed.
    pub(crate) fn start(&mut self, seed: u64) {
        let machine = ControllerMachine::from_image(self.settings.clone(), self.image.clone());
        let end = offset(self.committed.len());
        self.active = Some(Shard::loaded(machine, end, end, seed));
    }

    /// The active controller is gone. The first `lucky` of its decisions have reached
    /// the log all the same.
    pub(crate) fn fail(&mut self, lucky: usize) {
        self.active = None;
        self.term += 1;
        self.asked.clear();
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_iter()
            .take(lucky)
            .for_each(|records| self.keep(records));
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Hands a question to the active controller. Says whether there was one.
    pub(crate) fn ask(&mut self, now: Millis, asker: Asker, ask: Ask) -> Vec<(Asker, Reply)> {
        self.next_token += 1;
        let token = ReplyToken(self.next_token);
        let input = match ask {
            Ask::Register(broker) => Input::RegisterBroker { token, broker },
            Ask::Heartbeat(heartbeat) => Input::Heartbeat { token, heartbeat },
            Ask::Lost(broker, epoch) => Input::BrokerLost { broker, epoch },
            Ask::Alter { epoch, change } => Input::AlterPartitions {
                token,
                broker: asker.broker,
                epoch,
                changes: vec![change],
            },
            Ask::Create(topic) => Input::CreateTopics {
                token,
                mode: ottla_controller::Mode::Apply,
                topics: vec![topic],
            },
            Ask::Reassign(item) => Input::Reassign {
                token,
                factor: ReplicationFactor::Free,
                items: vec![item],
            },
            Ask::Elect(partitions) => Input::ElectLeaders {
                token,
                kind: Election::Preferred,
                partitions,
            },
        };
        let Some(shard) = &mut self.active else {
            return Vec::new();
        };
        self.asked.insert(token, asker);
        let mut log = Log {
            pending: &mut self.pending,
            committed: self.committed.len(),
        };
        let Ok(()) = shard.handle(now, input, &mut log);
        let released = shard.released();
        self.route(released)
    }

    /// Runs what is due.
    pub(crate) fn tick(&mut self, now: Millis) -> Vec<(Asker, Reply)> {
        let Some(shard) = &mut self.active else {
            return Vec::new();
        };
        let mut log = Log {
            pending: &mut self.pending,
            committed: self.committed.len(),
        };
        let Ok(()) = shard.tick(now, &mut log);
        let released = shard.released();
        self.route(released)
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.active.as_ref().and_then(Shard::next_deadline)
    }

    /// Everything that is decided by now reaches the log.
    pub(crate) fn commit(&mut self, count: usize) -> Vec<(Asker, Reply)> {
        for _ in 0..count {
            if let Some(records) = self.pending.pop_front() {
                self.keep(records);
            }
        }
        let end = offset(self.committed.len());
        let Some(shard) = &mut self.active else {
            return Vec::new();
        };
        let released = shard.on_committed(end);
        self.route(released)
    }

    /// What the active controller thinks.
    pub(crate) fn thought(&self) -> Option<&Image> {
        self.active.as_ref().map(|shard| shard.machine().image())
    }

    fn keep(&mut self, records: Vec<Record>) {
        for record in &records {
            self.image.apply(record);
        }
        self.committed.push(records);
    }

    fn route(&mut self, replies: Vec<(ReplyToken, Reply)>) -> Vec<(Asker, Reply)> {
        let replies = replies.into_iter();
        let routed = replies.filter_map(|(token, reply)| Some((self.asked.remove(&token)?, reply)));
        routed.collect()
    }
}

struct Log<'a> {
    pending: &'a mut VecDeque<Vec<Record>>,
    committed: usize,
}

impl ShardLog<Record> for Log<'_> {
    type Error = Infallible;

    fn append(&mut self, records: &[Record]) -> Result<Offset, Infallible> {
        self.pending.push_back(records.to_vec());
        Ok(offset(self.committed + self.pending.len()))
    }
}

fn offset(count: usize) -> Offset {
    Offset(i64::try_from(count).expect("a story has few decisions"))
}
