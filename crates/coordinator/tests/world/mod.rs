//! A shard of groups over a log in memory, driven by script commands.
//!
//! `join`, `sync`, `heartbeat`, `leave`, `commit`, `fetch`, `delete-offsets`,
//! `describe`, `list` and `delete-group` are requests; their first word names who
//! asks. Other commands: `settings` (reloads), `at` (lets time pass), `reload`,
//! `hold` and `release` (the high watermark stands still, and catches up),
//! `topics-deleted`, `deadline`.

mod print;

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_base::testing::{Command, MemoryLog, Script, assert_replay_agrees};
use ottla_base::{
    Generation, GroupId, InstanceId, LeaderEpoch, MemberId, Millis, Offset, PartitionId,
    ReplyToken, Shard, TopicId, TopicName,
};
use ottla_coordinator::group::{
    Client, Delete, Describe, Filter, GroupKind, GroupState, Heartbeat, Join, Leave, Leaving, List,
    NewMember, Protocol, Record, RecordKey, ReturningLeader, Sync, Timeouts,
};
use ottla_coordinator::offsets::{
    Commit, CommitOffset, DeleteOffsets, DeletedTopic, FetchOffsets, NamedPartition, UnknownGroup,
    Wanted, WantedOffset,
};
use ottla_coordinator::{GroupMachine, Input, Loader, Settings};
use ottla_protocol::internal::Subscription;

/// Owned by one script.
#[derive(Debug)]
pub(crate) struct World {
    settings: Settings,
    shard: Shard<GroupMachine>,
    log: MemoryLog<Record>,
    now: Millis,
    /// Who waits for an answer.
    asking: BTreeMap<ReplyToken, String>,
    tokens: u64,
    ids: u64,
    /// The high watermark does not move.
    holding: bool,
    printed: usize,
}

impl Default for World {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            shard: shard(&[], &settings, Millis(0)),
            settings,
            log: MemoryLog::default(),
            now: Millis(0),
            asking: BTreeMap::new(),
            tokens: 0,
            ids: 0,
            holding: false,
            printed: 0,
        }
    }
}

impl Script for World {
    fn run(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        match command.verb() {
            "settings" => self.configure(command),
            "at" => self.pass_time(command, trace),
            "reload" => self.reload(),
            "hold" => self.holding = true,
            "release" => self.holding = false,
            "deadline" => trace.push(format!("{:?}", self.shard.next_deadline())),
            "topics-deleted" => {
                let topics = command.list("topics").into_iter().map(deleted_topic);
                self.step(Input::TopicsDeleted(topics.collect()));
            }
            _ => self.request(command, trace),
        }
        self.report(trace);
        self.check_replay();
    }
}

impl World {
    fn configure(&mut self, command: &Command<'_>) {
        let settings = &mut self.settings;
        settings.initial_rebalance_delay_ms =
            command.or("delay", settings.initial_rebalance_delay_ms);
        settings.members_max = command.or("members", settings.members_max);
        settings.offset_metadata_length_max =
            command.or("metadata", settings.offset_metadata_length_max);
        settings.record_bytes_max = command.or("record", settings.record_bytes_max);
        settings.offsets_retention_ms = command.or("retention", settings.offsets_retention_ms);
        settings.offsets_retention_check_interval_ms =
            command.or("sweep", settings.offsets_retention_check_interval_ms);
        self.reload();
    }

    /// The shard is dropped and made again from the bytes in the log.
    fn reload(&mut self) {
        self.asking.clear();
        self.shard = shard(&self.log.records, &self.settings, self.now);
    }

    /// Runs everything that is due up to the given time, when it is due.
    fn pass_time(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let until = Millis(command.word().parse().expect("a time"));
        assert!(self.now <= until, "time goes on");
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.shard.tick(self.now, &mut self.log).unwrap();
            let before = trace.len();
            self.report(trace);
            if trace.len() > before {
                trace.insert(before, format!("at {}", self.now));
            }
            self.check_replay();
        }
        self.now = until;
    }

    fn request(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let name = command.word().to_owned();
        self.tokens += 1;
        let token = ReplyToken(self.tokens);
        let group = match command.get("group") {
            // An empty value has no place in a script.
            Some("nameless") => GroupId::from(""),
            group => GroupId::from(group.unwrap_or("g")),
        };
        let input = match command.verb() {
            "join" => Input::Join(self.join(command, &name, token, group)),
            "sync" => Input::Sync(sync(command, token, group)),
            "heartbeat" => Input::Heartbeat(heartbeat(command, token, group)),
            "leave" => Input::Leave(Leave {
                token,
                group,
                members: command.list("members").into_iter().map(leaving).collect(),
            }),
            "commit" => Input::Commit(commit(command, token, group)),
            "fetch" => Input::FetchOffsets(FetchOffsets {
                token,
                group,
                wanted: wanted(command),
            }),
            "delete-offsets" => Input::DeleteOffsets(DeleteOffsets {
                token,
                group,
                partitions: command.list("offsets").into_iter().map(named).collect(),
            }),
            "describe" => Input::Describe(Describe { token, group }),
            "list" => Input::List(list(command, token)),
            "delete-group" => Input::Delete(Delete { token, group }),
            _ => command.unknown(),
        };
        self.asking.insert(token, name.clone());
        self.step(input);
        self.report(trace);
        if self.asking.contains_key(&token) {
            trace.push(format!("{name} waits"));
        }
    }

    fn join(
        &mut self,
        command: &Command<'_>,
        name: &str,
        token: ReplyToken,
        group: GroupId,
    ) -> Join {
        let instance = command.get("instance").map(InstanceId::from);
        let member = command.get("member").map(MemberId::from);
        self.ids += u64::from(member.is_none());
        let owner = instance.as_ref().map_or(name, InstanceId::as_str);
        let protocols = match command.list("protocols") {
            none if none.is_empty() && !command.has("nothing") => vec!["range:t"],
            some => some,
        };
        Join {
            token,
            group,
            member,
            fresh_member_id: MemberId::from(&*format!("{owner}-{}", self.ids)),
            instance,
            client: Client {
                id: name.into(),
                host: "/127.0.0.1".into(),
            },
            timeouts: Timeouts {
                session_ms: command.or("session", 10_000),
                rebalance_ms: command.or("rebalance", 60_000),
            },
            protocol_type: command.get("type").unwrap_or("consumer").into(),
            protocols: protocols.into_iter().map(protocol).collect(),
            new_member: if command.has("at-once") {
                NewMember::JoinsAtOnce
            } else {
                NewMember::MustReturnWithId
            },
            returning_leader: if command.has("may-skip") {
                ReturningLeader::MaySkipAssignment
            } else {
                ReturningLeader::ActsAsFollower
            },
        }
    }

    fn step(&mut self, input: Input) {
        self.shard.handle(self.now, input, &mut self.log).unwrap();
    }

    /// New records, then the answers that they let go.
    fn report(&mut self, trace: &mut Vec<String>) {
        for record in &self.log.records[self.printed..] {
            trace.push(print::record(record));
        }
        self.printed = self.log.records.len();
        let replies = if self.holding {
            self.shard.released()
        } else {
            self.shard.on_committed(end(&self.log.records))
        };
        for (token, reply) in replies {
            let name = self.asking.remove(&token);
            let name = name.expect("every token is answered once");
            trace.push(format!("{name} <- {}", print::reply(&reply)));
        }
    }

    fn check_replay(&self) {
        let records = &self.log.records;
        let fresh = || Loader::new().finish(self.settings.clone(), self.now);
        assert_replay_agrees(self.shard.machine(), fresh(), records);
        assert_replay_agrees(self.shard.machine(), fresh(), &compacted(records));
    }
}

/// The last record of each key, in the order of the log.
pub(crate) fn compacted(records: &[Record]) -> Vec<Record> {
    let mut last = BTreeMap::<RecordKey, usize>::new();
    for (index, record) in records.iter().enumerate() {
        last.insert(record.key(), index);
    }
    let mut kept = last.into_values().collect::<Vec<_>>();
    kept.sort_unstable();
    kept.into_iter()
        .map(|index| records[index].clone())
        .collect()
}

/// A shard as it comes up from the stored bytes of `records`.
fn shard(records: &[Record], settings: &Settings, now: Millis) -> Shard<GroupMachine> {
    let mut loader = Loader::new();
    for record in records {
        let stored = record.encode().unwrap();
        loader
            .read(Some(&stored.key), stored.value.as_deref())
            .unwrap();
    }
    assert_eq!(loader.passed_over(), 0);
    let end = end(records);
    Shard::loaded(loader.finish(settings.clone(), now), end, end, 7)
}

fn end(records: &[Record]) -> Offset {
    Offset(records.len().try_into().unwrap())
}

/// `name:topics`, the topics with commas between them, and `!` for metadata that
/// is no subscription.
fn protocol(text: &str) -> Protocol {
    let (name, topics) = text.split_once(':').unwrap_or((text, ""));
    let metadata = match topics {
        "!" => Bytes::from_static(b"?"),
        topics => {
            let topics = topics.split(',').filter(|topic| !topic.is_empty());
            let subscription = Subscription {
                topics: topics.map(TopicName::from).collect(),
                ..Subscription::default()
            };
            subscription.encode().unwrap()
        }
    };
    Protocol {
        name: name.into(),
        metadata,
    }
}

fn member(command: &Command<'_>) -> MemberId {
    MemberId::from(command.get("member").unwrap_or_default())
}

fn generation(command: &Command<'_>) -> Generation {
    Generation(command.or("generation", 1))
}

fn sync(command: &Command<'_>, token: ReplyToken, group: GroupId) -> Sync {
    let assignments = command.list("assign").into_iter().map(|pair| {
        let (member, work) = pair.split_once(':').expect("member:work");
        (
            MemberId::from(member),
            Bytes::copy_from_slice(work.as_bytes()),
        )
    });
    Sync {
        token,
        group,
        member: member(command),
        instance: command.get("instance").map(InstanceId::from),
        generation: generation(command),
        protocol_type: command.get("type").map(Into::into),
        protocol: command.get("protocol").map(Into::into),
        assignments: assignments.collect(),
    }
}

fn heartbeat(command: &Command<'_>, token: ReplyToken, group: GroupId) -> Heartbeat {
    Heartbeat {
        token,
        group,
        member: member(command),
        instance: command.get("instance").map(InstanceId::from),
        generation: generation(command),
    }
}

/// `member`, `/instance` or `member/instance`.
fn leaving(text: &str) -> Leaving {
    let (member, instance) = text.split_once('/').unwrap_or((text, ""));
    Leaving {
        member: Some(member).filter(|id| !id.is_empty()).map(MemberId::from),
        instance: Some(instance)
            .filter(|id| !id.is_empty())
            .map(InstanceId::from),
    }
}

fn commit(command: &Command<'_>, token: ReplyToken, group: GroupId) -> Commit {
    let offsets = command.list("offsets").into_iter().map(|pair| {
        let (partition, offset) = pair.split_once('=').expect("topic-partition=offset");
        let named = named(partition);
        CommitOffset {
            topic: named.topic,
            topic_id: TopicId([command.or("topic-id", 0); 16]),
            partition: named.partition,
            offset: Offset(offset.parse().expect("an offset")),
            leader_epoch: LeaderEpoch(command.or("epoch", -1)),
            metadata: command.get("metadata").unwrap_or_default().into(),
        }
    });
    Commit {
        token,
        group,
        member: command.get("member").map(MemberId::from),
        instance: command.get("instance").map(InstanceId::from),
        generation: command.parsed("generation").map(Generation),
        unknown_group: if command.has("old") {
            UnknownGroup::IsIllegalGeneration
        } else {
            UnknownGroup::IsNotFound
        },
        retention_ms: command.parsed("retention"),
        offsets: offsets.collect(),
    }
}

fn wanted(command: &Command<'_>) -> Wanted {
    if command.has("all") {
        return Wanted::All;
    }
    let offsets = command.list("offsets").into_iter().map(|text| {
        let named = named(text);
        WantedOffset {
            topic: named.topic,
            topic_id: TopicId([command.or("topic-id", 0); 16]),
            partition: named.partition,
        }
    });
    Wanted::These(offsets.collect())
}

/// `topic-partition`.
fn named(text: &str) -> NamedPartition {
    let (topic, partition) = text.rsplit_once('-').expect("topic-partition");
    NamedPartition {
        topic: topic.into(),
        partition: PartitionId(partition.parse().expect("a partition")),
    }
}

/// `topic` or `topic:id`.
fn deleted_topic(text: &str) -> DeletedTopic {
    let (name, id) = text.split_once(':').unwrap_or((text, "9"));
    DeletedTopic {
        name: name.into(),
        id: TopicId([id.parse().expect("a number"); 16]),
    }
}

fn list(command: &Command<'_>, token: ReplyToken) -> List {
    let only = |key: &str| command.get(key).map(|_| command.list(key));
    List {
        token,
        states: only("states").map_or(Filter::Any, |names| {
            Filter::Only(
                names
                    .into_iter()
                    .filter_map(GroupState::from_name)
                    .collect(),
            )
        }),
        kinds: only("kinds").map_or(Filter::Any, |names| {
            Filter::Only(names.into_iter().filter_map(GroupKind::from_name).collect())
        }),
    }
}
