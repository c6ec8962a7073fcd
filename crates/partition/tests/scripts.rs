//! Runs the scripts in `tests/data` against a partition, and after every command
//! recovers it from what it wrote: both must be in the same state.

#![cfg(test)]

use bytes::Bytes;
use ottla_base::testing::{Command, Script, run_scripts};
use ottla_base::{
    BrokerId, ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, ReplyToken,
    Sequence,
};
use ottla_partition::{
    Acks, Append, Appended, Effect, Input, Lead, Partition, Place, Recovery, Reply, Settings, View,
};
use ottla_protocol::records::{Attributes, BatchHeader, RecordBatch, TimestampType};

#[test]
fn scripts() {
    run_scripts(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"),
        World::new,
    );
}

const THIS: BrokerId = BrokerId(1);

struct World {
    now: Millis,
    settings: Settings,
    partition: Partition,
    /// Of the last `lead`; the next one is higher unless it says otherwise.
    partition_epoch: i32,
    /// What reached the store, in order.
    stored: Vec<Stored>,
}

#[derive(Clone)]
enum Stored {
    Batch(BatchHeader),
    Start(Offset),
    Truncate(Offset),
    Checkpoint(Bytes),
}

impl World {
    fn new() -> Self {
        let settings = Settings::default();
        let partition = recover(&[], Millis(0), settings);
        Self {
            now: Millis(0),
            settings,
            partition,
            partition_epoch: 0,
            stored: Vec::new(),
        }
    }

    fn step(&mut self, input: Input, trace: &mut Vec<String>) {
        let mut out = Vec::new();
        self.partition.step(self.now, input, &mut out);
        self.carry_out(out, trace);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, trace: &mut Vec<String>) {
        for effect in effects {
            trace.push(describe(&effect));
            match effect {
                Effect::Write { batch } => self.stored.push(Stored::Batch(*batch.header())),
                Effect::StartOffset { to } => self.stored.push(Stored::Start(to)),
                Effect::Truncate { to } => self.stored.push(Stored::Truncate(to)),
                Effect::Checkpoint { bytes } => self.stored.push(Stored::Checkpoint(bytes)),
                Effect::CommittedLost { .. }
                | Effect::Refollow
                | Effect::Acknowledge { .. }
                | Effect::ProposeIsr { .. }
                | Effect::Committed { .. }
                | Effect::Publish(_)
                | Effect::Reply { .. } => (),
            }
        }
    }

    /// The leader epoch that a message carries: the one that is, unless it says.
    fn epoch(&self, command: &Command<'_>) -> LeaderEpoch {
        let known = self.partition.view().leader_epoch;
        command.parsed("in").map_or(known, LeaderEpoch)
    }

    fn append(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let timeout: i64 = command.or("timeout", 30_000);
        let append = Append {
            token: token(command),
            batch: batch(command, self.now),
            acks: match command.get("acks") {
                Some("0") => Acks::None,
                Some("1") => Acks::Leader,
                Some("all") | None => Acks::All,
                Some(_) => command.unknown(),
            },
            deadline: self.now.plus_ms(timeout),
        };
        self.step(Input::Append(append), trace);
    }

    fn append_hosted(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let mut out = Vec::new();
        let batch = batch(command, self.now);
        let result = self.partition.append_hosted(self.now, batch, &mut out);
        self.carry_out(out, trace);
        trace.push(match result {
            Ok(end) => format!("hosted until {end}"),
            Err(error) => format!("hosted error: {error}"),
        });
    }

    fn change_settings(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let old = self.settings;
        self.settings = Settings {
            min_insync_replicas: command.or("min-isr", old.min_insync_replicas),
            replica_lag_time_max_ms: command.or("lag", old.replica_lag_time_max_ms),
            records_deletable: command.or("deletable", old.records_deletable),
            producer_expiration_ms: command.or("expiration", old.producer_expiration_ms),
            producer_expiration_check_ms: old.producer_expiration_check_ms,
            checkpoint_batches: command.or("checkpoint-batches", old.checkpoint_batches),
        };
        self.step(Input::Settings(self.settings), trace);
    }

    /// A crash that loses the last `lose` operations of the store.
    fn restart(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        let kept = self.stored.len() - command.or("lose", 0);
        self.stored.truncate(kept);
        self.partition = recover(&self.stored, self.now, self.settings);
        trace.push(describe_view(&self.partition.view()));
    }

    /// The machine is recovered after its log was cut, by the same process.
    fn recover_after_cut(&mut self, trace: &mut Vec<String>) {
        let next = recover(&self.stored, self.now, self.settings);
        let mut before = std::mem::replace(&mut self.partition, next);
        let mut out = Vec::new();
        self.partition.succeed(&mut before, &mut out);
        self.carry_out(out, trace);
        trace.push(describe_view(&self.partition.view()));
    }

    fn assert_recovery_agrees(&self) {
        if self
            .stored
            .iter()
            .any(|op| matches!(op, Stored::Truncate(_)))
        {
            return; // The machine waits for its recovery.
        }
        // Silent producers are forgotten now and then: not a moment later.
        let patient = Settings {
            producer_expiration_ms: i64::MAX,
            ..self.settings
        };
        let recovered = recover(&self.stored, self.now, patient);
        let forgetful = recover(&self.stored, self.now, self.settings);
        if self.partition.hard() != forgetful.hard() {
            assert_eq!(
                self.partition.hard(),
                recovered.hard(),
                "a recovery differs from the live state"
            );
        }
    }
}

impl Script for World {
    fn run(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        self.now = command.parsed("at").map_or(self.now, Millis);
        match command.verb() {
            "lead" => {
                self.partition_epoch = command.or("partition-epoch", self.partition_epoch + 1);
                let lead = lead(command, self.partition_epoch);
                self.step(Input::Lead(lead), trace);
            }
            "follow" => {
                let epoch = LeaderEpoch(command.or("epoch", 1));
                let leader = command.parsed("leader").map(BrokerId);
                let in_sync = command.or("in-sync", true);
                let follow = Input::Follow {
                    epoch,
                    leader,
                    in_sync,
                };
                self.step(follow, trace);
            }
            "append" => self.append(command, trace),
            "hosted" => self.append_hosted(command, trace),
            "flushed" => {
                let end = offset(command.word());
                self.step(Input::Flushed { end }, trace);
            }
            "start-moved" => {
                let to = offset(command.word());
                self.stored.push(Stored::Start(to));
                self.step(Input::StartMoved { to }, trace);
            }
            _ => self.run_between_replicas(command, trace),
        }
        self.assert_recovery_agrees();
    }
}

impl World {
    /// What replicas say to each other, and what the controller says to them.
    fn run_between_replicas(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        match command.verb() {
            "replicated" => {
                let input = Input::Replicated {
                    by: BrokerId(command.need("by").parse().unwrap()),
                    epoch: self.epoch(command),
                    end: offset(command.need("end")),
                    log_start: command.get("start").map_or(Offset::ZERO, offset),
                };
                self.step(input, trace);
            }
            "refused" => {
                let partition_epoch = command.or("partition-epoch", self.partition_epoch);
                self.step(Input::IsrRefused { partition_epoch }, trace);
            }
            "from" => {
                let base = offset(command.word());
                let epoch = self.epoch(command);
                let of = command.parsed("of").map_or(epoch, LeaderEpoch);
                let input = Input::AppendFrom {
                    epoch,
                    after: command.get("after").map_or(base, offset),
                    batch: batch(command, self.now).at(base, of),
                    high_watermark: command.get("hw").map_or(Offset::ZERO, offset),
                };
                self.step(input, trace);
            }
            "position" => {
                let input = Input::Position {
                    epoch: self.epoch(command),
                    high_watermark: command.get("hw").map_or(Offset::ZERO, offset),
                    log_start: command.get("start").map_or(Offset::ZERO, offset),
                };
                self.step(input, trace);
            }
            "diverged" => {
                let input = Input::Diverged {
                    leader_epoch: command
                        .parsed("leader-epoch")
                        .map_or_else(|| self.partition.view().leader_epoch, LeaderEpoch),
                    epoch: LeaderEpoch(command.need("epoch").parse().unwrap()),
                    end: offset(command.need("end")),
                };
                self.step(input, trace);
            }
            "follow-position" => trace.push(match self.partition.follow_position() {
                Some(at) => format!(
                    "ask {} in epoch {} for {}, after epoch {}, from {}",
                    at.leader, at.epoch, at.end, at.last_epoch, at.log_start
                ),
                None => "nothing to ask".to_owned(),
            }),
            "place" => {
                let end = offset(command.word());
                let epoch = self.epoch(command);
                let last_epoch = LeaderEpoch(command.or("last", -1));
                let by = BrokerId(command.or("by", 2));
                let place = self.partition.place(by, epoch, end, last_epoch);
                let base = command.get("base").map(offset);
                let place = base.map_or(place, |base| place.at_base(end, last_epoch, |_| base));
                trace.push(match place {
                    Place::From(end) => format!("from {end}"),
                    Place::Diverged { epoch, end } => format!("diverged: {epoch} ends at {end}"),
                    Place::BehindStart(start) => format!("behind the start {start}"),
                    Place::NotLeader { epoch } => format!("not the leader of epoch {epoch}"),
                });
            }
            _ => self.run_administration(command, trace),
        }
    }

    /// What clients, settings, time and whoever looks on ask for.
    fn run_administration(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
        match command.verb() {
            "delete" => {
                let input = Input::DeleteRecords {
                    token: token(command),
                    before: command.get("before").map(offset),
                    deadline: self.now.plus_ms(command.or("timeout", 30_000)),
                };
                self.step(input, trace);
            }
            "retain" => {
                let to = offset(command.need("from"));
                self.step(Input::AdvanceStart { to }, trace);
            }
            "settings" => self.change_settings(command, trace),
            "checkpoint" => self.step(Input::Checkpoint, trace),
            "unheard" => self.step(Input::Unheard, trace),
            "storage-failed" => self.step(Input::StorageFailed, trace),
            "tick" => self.step(Input::Tick, trace),
            "restart" => self.restart(command, trace),
            "recovered" => self.recover_after_cut(trace),
            "next-deadline" => trace.push(describe_deadline(self.partition.next_deadline())),
            "end-of-epoch" => {
                let epoch = LeaderEpoch(command.word().parse().unwrap());
                trace.push(match self.partition.end_offset_for(epoch) {
                    Some(found) => format!("epoch {} ends at {}", found.epoch, found.end),
                    None => "unknown".to_owned(),
                });
            }
            "producers" => trace.extend(self.partition.describe_producers().map(|producer| {
                format!(
                    "producer {} epoch={} sequence={} timestamp={}",
                    producer.id, producer.epoch, producer.last_sequence, producer.last_timestamp
                )
            })),
            _ => command.unknown(),
        }
    }
}

/// The machine that a store with these operations gives back.
fn recover(stored: &[Stored], now: Millis, settings: Settings) -> Partition {
    let mut headers: Vec<BatchHeader> = Vec::new();
    let (mut start, mut checkpoint) = (Offset::ZERO, None);
    for op in stored {
        match op {
            Stored::Batch(header) => headers.push(*header),
            Stored::Start(to) => start = start.max(*to),
            Stored::Truncate(to) => headers.retain(|header| header.next_offset() <= *to),
            Stored::Checkpoint(bytes) => checkpoint = Some(bytes),
        }
    }
    let end = headers.last().map(BatchHeader::next_offset);
    let end = end.map_or(start, |end| end.max(start));
    let mut recovery = match checkpoint {
        Some(bytes) if !bytes.is_empty() => Recovery::from_checkpoint(bytes, start, end).unwrap(),
        Some(_) | None => Recovery::from_start(start),
    };
    headers.retain(|header| header.next_offset() > recovery.next());
    for header in &headers {
        recovery.feed(header);
    }
    recovery.finish(now, THIS, settings)
}

fn lead(command: &Command<'_>, partition_epoch: i32) -> Lead {
    let brokers = |key| {
        let ids = command.list(key).into_iter();
        ids.map(|id| BrokerId(id.parse().unwrap())).collect()
    };
    let mut lead = Lead {
        epoch: LeaderEpoch(command.or("epoch", 1)),
        partition_epoch,
        replicas: brokers("replicas"),
        isr: brokers("isr"),
    };
    if lead.replicas.is_empty() {
        lead.replicas = vec![THIS];
        lead.isr = vec![THIS];
    }
    lead
}

/// A batch without the bytes of its records, which no partition looks at.
fn batch(command: &Command<'_>, now: Millis) -> RecordBatch {
    let records: i32 = command.or("records", 1);
    let mut attributes = Attributes::default();
    if command.has("transactional") {
        attributes = attributes.transactional();
    }
    if command.has("control") {
        attributes = attributes.control();
    }
    if command.has("log-append-time") {
        attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
    }
    let producer = command
        .parsed("producer")
        .map_or(ProducerId::NONE, ProducerId);
    let sequence = command.parsed("seq").map_or(Sequence::NONE, Sequence);
    let header = BatchHeader {
        base_offset: Offset::ZERO,
        size: ByteSize(61),
        leader_epoch: LeaderEpoch::NONE,
        crc: 0,
        attributes,
        last_offset_delta: records - 1,
        base_timestamp: now.0,
        max_timestamp: now.0,
        producer_id: producer,
        producer_epoch: ProducerEpoch(command.or("epoch", 0)),
        base_sequence: sequence,
        record_count: records,
    };
    RecordBatch::from_bytes(Bytes::copy_from_slice(&header.write())).unwrap()
}

fn token(command: &Command<'_>) -> ReplyToken {
    ReplyToken(command.word().parse().unwrap())
}

fn offset(text: &str) -> Offset {
    Offset(text.parse().unwrap())
}

fn describe_deadline(deadline: Option<Millis>) -> String {
    deadline.map_or_else(|| "none".to_owned(), |at| at.to_string())
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Write { batch } => {
            let header = batch.header();
            let (base, last) = (header.base_offset, header.last_offset());
            format!("write {base}..={last} epoch={}", header.leader_epoch)
        }
        Effect::StartOffset { to } => format!("start {to}"),
        Effect::Truncate { to } => format!("truncate {to}"),
        Effect::CommittedLost { from, to } => format!("lost {from} to {to}"),
        Effect::Refollow => "follow".to_owned(),
        Effect::Acknowledge {
            epoch,
            end,
            log_start,
        } => format!("acknowledge {end} in epoch {epoch}, starts at {log_start}"),
        Effect::ProposeIsr {
            epoch,
            partition_epoch,
            isr,
        } => {
            let isr: Vec<_> = isr.iter().map(|replica| replica.0).collect();
            format!("propose {isr:?} in epoch {epoch}.{partition_epoch}")
        }
        Effect::Checkpoint { .. } => "checkpoint".to_owned(),
        Effect::Committed { end } => format!("committed {end}"),
        Effect::Publish(view) => describe_view(view),
        Effect::Reply { to, reply } => format!("{} <- {}", to.0, describe_reply(reply)),
    }
}

fn describe_view(view: &View) -> String {
    format!(
        "view {}..{} of {} epoch={} from={} {:?}{}",
        view.log_start,
        view.high_watermark,
        view.end,
        view.leader_epoch,
        view.epoch_start,
        view.role,
        if view.is_doubtful { ", doubtful" } else { "" }
    )
}

fn describe_reply(reply: &Reply) -> String {
    match reply {
        Reply::Appended(Ok(Appended {
            base,
            log_append_time: None,
            ..
        })) => format!("appended at {base}"),
        Reply::Appended(Ok(Appended {
            base,
            log_append_time: Some(time),
            ..
        })) => format!("appended at {base} stamped {time}"),
        Reply::Appended(Err(error)) => format!("error: {error}"),
        Reply::Deleted(Ok(start)) => format!("deleted, starts at {start}"),
        Reply::Deleted(Err(error)) => format!("error: {error}"),
    }
}
