//! Members and tools that do what chance tells them, over a log in memory.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_base::testing::{MemoryLog, Rng, assert_replay_agrees};
use ottla_base::{
    Generation, GroupId, InstanceId, LeaderEpoch, MemberId, Millis, Offset, PartitionId,
    ReplyToken, Shard, TopicId, TopicName,
};
use ottla_coordinator::group::{
    Client, Delete, Describe, Heartbeat, Join, JoinError, Joined, Leave, Leaving, NewMember,
    Protocol, Record, RecordKey, ReturningLeader, Sync, Timeouts,
};
use ottla_coordinator::offsets::{
    Commit, CommitOffset, DeleteOffsets, DeletedTopic, FetchOffsets, NamedPartition, UnknownGroup,
    Wanted,
};
use ottla_coordinator::{GroupMachine, Input, Loader, Reply, Settings};

/// One client of a group, as it sees itself.
#[derive(Clone, Debug, Default)]
struct Consumer {
    member: Option<MemberId>,
    generation: i32,
    leads: bool,
    members: Vec<MemberId>,
}

/// Who waits for the answer to a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    consumer: usize,
}

/// Owned by one test.
#[derive(Debug)]
pub(crate) struct Story {
    rng: Rng,
    pub(crate) settings: Settings,
    pub(crate) shard: Shard<GroupMachine>,
    log: MemoryLog<Record>,
    pub(crate) now: Millis,
    tokens: u64,
    /// Tokens without an answer.
    pub(crate) open: BTreeMap<ReplyToken, Asked>,
    consumers: Vec<Consumer>,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            initial_rebalance_delay_ms: if rng.chance(50) { 0 } else { 3_000 },
            members_max: if rng.chance(30) { 3 } else { 100 },
            offsets_retention_ms: 50_000,
            offsets_retention_check_interval_ms: 10_000,
            ..Settings::default()
        };
        Self {
            rng,
            shard: load(&[], &settings, Millis(0)),
            settings,
            log: MemoryLog::default(),
            now: Millis(0),
            tokens: 0,
            open: BTreeMap::new(),
            consumers: vec![Consumer::default(); 8],
        }
    }

    pub(crate) fn step(&mut self) {
        match self.rng.below(20) {
            0 => self.pass_time(20_000),
            1..5 => self.pass_time(1_500),
            5 if self.rng.chance(10) => {
                self.shard = self.reloaded();
                self.open.clear();
            }
            6 if self.rng.chance(30) => self.handle(Input::TopicsDeleted(vec![DeletedTopic {
                name: "t0".into(),
                id: TopicId([1; 16]),
            }])),
            _ => self.ask(),
        }
        self.hear();
    }

    fn ask(&mut self) {
        let index = usize::try_from(self.rng.below(8)).unwrap();
        self.tokens += 1;
        let token = ReplyToken(self.tokens);
        let group = GroupId::from(if index < 6 { "g" } else { "h" });
        let input = match self.rng.below(20) {
            0..7 => Input::Join(self.join(index, token, group)),
            7..12 => Input::Sync(self.sync(index, token, group)),
            12..15 => Input::Heartbeat(Heartbeat {
                token,
                group,
                member: self.member(index),
                instance: None,
                generation: Generation(self.consumers[index].generation),
            }),
            15 => Input::Leave(Leave {
                token,
                group,
                members: vec![Leaving {
                    member: Some(self.member(index)),
                    instance: None,
                }],
            }),
            16..18 => Input::Commit(self.commit(index, token, group)),
            18 => Input::DeleteOffsets(DeleteOffsets {
                token,
                group,
                partitions: vec![NamedPartition {
                    topic: "t1".into(),
                    partition: PartitionId(0),
                }],
            }),
            _ if self.rng.chance(50) => Input::FetchOffsets(FetchOffsets {
                token,
                group,
                wanted: Wanted::All,
            }),
            _ => Input::Delete(Delete { token, group }),
        };
        self.open.insert(token, Asked { consumer: index });
        self.handle(input);
    }

    fn join(&mut self, index: usize, token: ReplyToken, group: GroupId) -> Join {
        let is_static = index.is_multiple_of(3);
        let forgot = self.rng.chance(15);
        let member = self.consumers[index].member.clone().filter(|_| !forgot);
        let names: &[&str] = match self.rng.below(4) {
            0 => &["range", "roundrobin"],
            1 => &["roundrobin", "range"],
            _ => &["range"],
        };
        Join {
            token,
            group,
            member,
            instance: is_static.then(|| InstanceId::from(&*format!("i{index}"))),
            client: Client {
                id: "c".into(),
                host: "/h".into(),
            },
            fresh_member_id: MemberId::from(&*format!("m{index}-{}", self.tokens)),
            timeouts: Timeouts {
                session_ms: 6_000 + 1_000 * i32::try_from(index).unwrap(),
                rebalance_ms: i32::try_from(self.rng.below(3) * 5_000).unwrap(),
            },
            protocol_type: "consumer".into(),
            protocols: names
                .iter()
                .map(|name| Protocol {
                    name: (*name).into(),
                    metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t0\xff\xff\xff\xff"),
                })
                .collect(),
            new_member: if self.rng.chance(50) {
                NewMember::JoinsAtOnce
            } else {
                NewMember::MustReturnWithId
            },
            returning_leader: if self.rng.chance(50) {
                ReturningLeader::ActsAsFollower
            } else {
                ReturningLeader::MaySkipAssignment
            },
        }
    }

    fn sync(&mut self, index: usize, token: ReplyToken, group: GroupId) -> Sync {
        let consumer = &self.consumers[index];
        let assignments = consumer.members.iter().filter(|_| consumer.leads);
        Sync {
            token,
            group,
            member: self.member(index),
            instance: None,
            generation: Generation(consumer.generation),
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .map(|member| (member.clone(), Bytes::from(member.to_string())))
                .collect(),
        }
    }

    fn commit(&mut self, index: usize, token: ReplyToken, group: GroupId) -> Commit {
        let managed = self.rng.chance(70);
        let offset = Offset(i64::try_from(self.rng.below(100)).unwrap());
        let topic = TopicName::from(&*format!("t{}", self.rng.below(2)));
        Commit {
            token,
            group,
            member: managed.then(|| self.member(index)),
            instance: None,
            generation: managed.then(|| Generation(self.consumers[index].generation)),
            unknown_group: UnknownGroup::IsNotFound,
            retention_ms: self.rng.chance(20).then_some(5_000),
            offsets: vec![CommitOffset {
                topic,
                topic_id: TopicId([u8::from(self.rng.chance(50)); 16]),
                partition: PartitionId(0),
                offset,
                leader_epoch: LeaderEpoch::NONE,
                metadata: "".into(),
            }],
        }
    }

    fn member(&self, index: usize) -> MemberId {
        let member = self.consumers[index].member.clone();
        member.unwrap_or_else(|| MemberId::from(""))
    }

    fn handle(&mut self, input: Input) {
        self.shard.handle(self.now, input, &mut self.log).unwrap();
    }

    pub(crate) fn pass_time(&mut self, ms: i64) {
        let until = self.now.plus_ms(ms);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= until) {
            self.now = due;
            self.shard.tick(self.now, &mut self.log).unwrap();
            assert!(self.shard.next_deadline() > Some(self.now));
            self.hear();
        }
        self.now = until;
    }

    fn hear(&mut self) {
        let end = Offset(self.log.records.len().try_into().unwrap());
        for (token, reply) in self.shard.on_committed(end) {
            let asked = self.open.remove(&token).expect("one answer per token");
            let consumer = &mut self.consumers[asked.consumer];
            if let Reply::Join(result) = reply {
                consumer.on_join(result);
            }
        }
    }

    pub(crate) fn check(&self) {
        let records = &self.log.records;
        let empty = || Loader::new().finish(self.settings.clone(), self.now);
        assert_replay_agrees(self.shard.machine(), empty(), records);
        assert_replay_agrees(self.shard.machine(), empty(), &compacted(records));
        self.check_generations();
    }

    /// The generation of a group only grows, until the group is deleted.
    fn check_generations(&self) {
        let mut last = BTreeMap::<GroupId, Generation>::new();
        for record in &self.log.records {
            if let Record::Group { group, value } = record {
                let before = last.remove(group);
                if let Some(value) = value {
                    assert!(before <= Some(value.generation), "a generation came back");
                    last.insert(group.clone(), value.generation);
                }
            }
        }
    }

    pub(crate) fn reloaded(&self) -> Shard<GroupMachine> {
        load(&self.log.records, &self.settings, self.now)
    }

    pub(crate) fn descriptions(&mut self) -> BTreeMap<GroupId, Reply> {
        let open = std::mem::take(&mut self.open);
        let known = descriptions(&mut self.shard, self.now);
        self.open = open;
        known
    }
}

impl Consumer {
    fn on_join(&mut self, result: Result<Joined, JoinError>) {
        match result {
            Ok(joined) => self.on_joined(joined),
            Err(JoinError::MemberIdRequired { member }) => self.member = Some(member),
            Err(error) => {
                let is_out = matches!(
                    error,
                    JoinError::UnknownMember
                        | JoinError::Fenced
                        | JoinError::Removed
                        | JoinError::Replaced { .. }
                );
                if is_out {
                    self.member = None;
                }
            }
        }
    }

    fn on_joined(&mut self, joined: Joined) {
        self.generation = joined.generation.0;
        self.leads = joined.leader.as_ref() == Some(&joined.member);
        self.members = joined.members.into_iter().map(|member| member.id).collect();
        let distinct = self.members.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(distinct, self.members.len(), "a member twice");
        self.member = Some(joined.member);
    }
}

pub(crate) fn descriptions(
    shard: &mut Shard<GroupMachine>,
    now: Millis,
) -> BTreeMap<GroupId, Reply> {
    let mut log = MemoryLog::default();
    let mut known = BTreeMap::new();
    for name in ["g", "h"] {
        let group = GroupId::from(name);
        let describe = Describe {
            token: ReplyToken(0),
            group: group.clone(),
        };
        shard
            .handle(now, Input::Describe(describe), &mut log)
            .unwrap();
        let (_, reply) = shard.released().pop().expect("nothing is held back");
        known.insert(group, reply);
    }
    known
}

fn compacted(records: &[Record]) -> Vec<Record> {
    let mut last = BTreeMap::<RecordKey, &Record>::new();
    for record in records {
        last.insert(record.key(), record);
    }
    last.into_values().cloned().collect()
}

/// Through the bytes, as the broker does.
fn load(records: &[Record], settings: &Settings, now: Millis) -> Shard<GroupMachine> {
    let mut loader = Loader::new();
    for record in records {
        let stored = record.encode().unwrap();
        loader
            .read(Some(&stored.key), stored.value.as_deref())
            .unwrap();
    }
    let end = Offset(records.len().try_into().unwrap());
    Shard::loaded(loader.finish(settings.clone(), now), end, end, 7)
}
