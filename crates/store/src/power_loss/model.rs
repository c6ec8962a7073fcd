//! What a store must hold, as plain maps.
//!
//! Must not know how a store works.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use ottla_base::{Offset, TopicId, TopicPartition};
use ottla_protocol::records::{Record, RecordBatch};

use crate::queue::Command;
use crate::{LogId, Op};

/// All logs.
pub(super) type Logs = BTreeMap<LogId, Log>;

/// One log with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) tp: TopicPartition,
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// By base offset.
    pub(super) batches: BTreeMap<Offset, RecordBatch>,
    pub(super) state: BTreeMap<Bytes, Bytes>,
}

impl Log {
    pub(super) const fn new(tp: TopicPartition) -> Self {
        Self {
            tp,
            start: Offset::ZERO,
            end: Offset::ZERO,
            batches: BTreeMap::new(),
            state: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { batch, .. } => {
                let header = batch.header();
                assert_eq!(header.base_offset, self.end, "the story leaves no gap");
                self.end = header.next_offset();
                self.batches.insert(header.base_offset, batch.clone());
            }
            Op::Truncate { to, .. } if *to < self.end => {
                self.batches
                    .retain(|_, batch| batch.header().last_offset() < *to);
                self.end = *to;
                self.start = self.start.min(*to);
            }
            Op::StartOffset { to, .. } if *to > self.start => {
                self.batches
                    .retain(|_, batch| batch.header().last_offset() >= *to);
                self.start = *to;
                self.end = self.end.max(*to);
            }
            Op::State { key, value, .. } if value.is_empty() => {
                self.state.remove(key);
            }
            Op::State { key, value, .. } => {
                self.state.insert(key.clone(), value.clone());
            }
            Op::Truncate { .. } | Op::StartOffset { .. } | Op::Drop { .. } | Op::Flush { .. } => {}
        }
    }

    /// Whether this is what `found` was, before some of it was compacted.
    pub(super) fn explains(&self, found: &Self) -> bool {
        if self == found {
            return true;
        }
        let bare = |log: &Self| Self {
            batches: BTreeMap::new(),
            ..log.clone()
        };
        is_keyed(self.tp) && bare(self) == bare(found) && self.is_compacted_to(found)
    }

    /// Offsets stay, the last word on each key does, and so does that of each producer.
    fn is_compacted_to(&self, found: &Self) -> bool {
        let (all, left) = (self.records(), found.records());
        let is_there = |(offset, record): (&i64, &Record)| all.get(offset) == Some(record);
        left.iter().all(is_there)
            && last_words(&all) == last_words(&left)
            && self.producers() == found.producers()
    }

    /// By offset, within the bounds.
    fn records(&self) -> BTreeMap<i64, Record> {
        let batches = self.batches.values();
        let records = batches.flat_map(|batch| {
            let records = batch.records().expect("a batch of the story");
            records.map(|record| record.expect("a record of the story"))
        });
        let records = records.map(|record| (record.offset.0, record));
        records
            .filter(|(offset, _)| *offset >= self.start.0)
            .collect()
    }

    /// The epoch, the sequence and the offset that each producer came to.
    fn producers(&self) -> BTreeMap<i64, (i16, i32, Offset)> {
        let batches = self.batches.values().map(RecordBatch::header);
        let last = batches.map(|header| {
            let sequence = header.base_sequence.0 + header.last_offset_delta;
            let word = (header.producer_epoch.0, sequence, header.last_offset());
            (header.producer_id.0, word)
        });
        last.filter(|(id, _)| *id >= 0).collect()
    }

    fn summary(&self) -> String {
        let state: Vec<_> = self
            .state
            .iter()
            .map(|(key, value)| {
                let value: Vec<u8> = value.iter().take(4).copied().collect();
                format!("{}={value:?}", key.escape_ascii())
            })
            .collect();
        format!(
            "{}..{} in {} batches {state:?}",
            self.start,
            self.end,
            self.batches.len()
        )
    }
}

/// Logs of this topic hold real records, each with a key.
pub(super) const KEYED: TopicId = TopicId([8; 16]);

pub(super) fn is_keyed(tp: TopicPartition) -> bool {
    tp.topic == KEYED
}

/// What a reader knows of each key in the end.
fn last_words(records: &BTreeMap<i64, Record>) -> BTreeMap<&Bytes, &Bytes> {
    let mut words = BTreeMap::new();
    for record in records.values() {
        let key = record.key.as_ref().expect("a key");
        match &record.value {
            Some(value) => words.insert(key, value),
            None => words.remove(key),
        };
    }
    words
}

/// Whether these are the same logs, but for what compaction left out of `found`.
pub(super) fn explain(expected: &Logs, found: &Logs) -> bool {
    let is_met = |(id, found): (&LogId, &Log)| {
        let expected = expected.get(id);
        expected.is_some_and(|expected| expected.explains(found))
    };
    expected.len() == found.len() && found.iter().all(is_met)
}

/// Carries out a command.
pub(super) fn apply(logs: &mut Logs, command: &Command) {
    match command {
        Command::Create { log, tp } => {
            logs.insert(*log, Log::new(*tp));
        }
        Command::Op(Op::Drop { log }) => {
            logs.remove(log);
        }
        Command::Op(op) => {
            if let Some(log) = logs.get_mut(&op.log()) {
                log.apply(op);
            }
        }
        Command::Job(_) | Command::SetApart(_) => {}
    }
}

/// What was submitted in a life, and how much of it surely survives.
#[derive(Debug, Default)]
pub(super) struct Submitted {
    /// What the life began with.
    before: Logs,
    commands: Vec<Command>,
    /// So many of them are durable.
    durable: usize,
    /// What all of them lead to.
    pub(super) now: Logs,
}

impl Submitted {
    pub(super) fn after(before: Logs) -> Self {
        Self {
            now: before.clone(),
            before,
            commands: Vec::new(),
            durable: 0,
        }
    }

    /// Returns the command's number.
    pub(super) fn push(&mut self, command: Command) -> usize {
        apply(&mut self.now, &command);
        self.commands.push(command);
        self.commands.len() - 1
    }

    pub(super) fn get(&self, number: usize) -> &Command {
        &self.commands[number]
    }

    /// Everything up to and with this one is durable.
    pub(super) fn mark_durable(&mut self, number: usize) {
        self.durable = self.durable.max(number + 1);
    }

    /// The first command that moved the start there is durable.
    pub(super) fn mark_start_durable(&mut self, id: LogId, start: Offset) {
        let moves = |command: &Command| matches!(command, Command::Op(Op::StartOffset { log, to }) if *log == id && *to == start);
        if let Some(number) = self.commands.iter().position(moves) {
            self.mark_durable(number);
        }
    }

    pub(super) fn mark_all_durable(&mut self) {
        self.durable = self.commands.len();
    }

    /// These were refused, and it is as if they had never been submitted.
    pub(super) fn forget(&mut self, refused: &[usize]) {
        for number in refused {
            // A state of no log: the numbers of the others stay as they are.
            self.commands[*number] = Command::Op(Op::State {
                log: LogId(0),
                key: Bytes::new(),
                value: Bytes::new(),
            });
        }
        self.now = self.before.clone();
        for command in &self.commands {
            apply(&mut self.now, command);
        }
    }

    /// How many commands lead to `found`, if that is all that should have survived.
    pub(super) fn prefix(&self, found: &Logs, leeway: Leeway) -> Result<usize, String> {
        let mut logs = self.before.clone();
        let mut least = None;
        for number in 0..=self.commands.len() {
            if number >= self.durable {
                if self.is_met(&logs, number, found, leeway) {
                    return Ok(number);
                }
                least.get_or_insert_with(|| logs.clone());
            }
            if let Some(command) = self.commands.get(number) {
                apply(&mut logs, command);
            }
        }
        let (durable, submitted) = (self.durable, self.commands.len());
        let mut text = format!(
            "what survived is no prefix of {submitted} commands with at least {durable} of them\n"
        );
        describe("durable", &least.unwrap_or_default(), found, &mut text);
        describe("submitted", &self.now, found, &mut text);
        Err(text)
    }

    /// Whether the first `number` commands, which lead to `logs`, explain what was found.
    fn is_met(&self, logs: &Logs, number: usize, found: &Logs, leeway: Leeway) -> bool {
        if explain(logs, found) {
            return true;
        }
        let later = &self.commands[number..];
        let is_created_later = |id: &LogId, log: &Log| {
            let is_empty = log.batches.is_empty() && log.state.is_empty();
            let is_it =
                |command: &Command| matches!(command, Command::Create { log, .. } if log == id);
            leeway.start_may_be_ahead && is_empty && later.iter().any(is_it)
        };
        let missing = logs.keys().any(|id| !found.contains_key(id));
        !missing
            && found.iter().all(|(id, found)| match logs.get(id) {
                None => is_created_later(id, found),
                Some(log) => {
                    let mut log = log.clone();
                    if leeway.start_may_be_ahead {
                        log.start_as_in(*id, found, later);
                    }
                    if leeway.state_may_differ {
                        log.state.clone_from(&found.state);
                    }
                    log.explains(found)
                }
            })
    }
}

/// What may differ from what a prefix leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leeway {
    /// Power was lost where nobody waited for the disk: the index may have saved a later
    /// start, or the name of a later log.
    pub(super) start_may_be_ahead: bool,
    /// The commit log had no room for state, and the index had not saved it.
    pub(super) state_may_differ: bool,
}

impl Leeway {
    pub(super) const NONE: Self = Self {
        start_may_be_ahead: false,
        state_may_differ: false,
    };
}

impl Log {
    /// Takes over a start that a later command asked for.
    fn start_as_in(&mut self, id: LogId, found: &Self, later: &[Command]) {
        let furthest = later.iter().filter_map(|command| match command {
            Command::Op(Op::StartOffset { log, to }) if *log == id => Some(*to),
            Command::Op(_) | Command::Create { .. } | Command::Job(_) | Command::SetApart(_) => {
                None
            }
        });
        if found.start > self.start && Some(found.start) <= furthest.max() {
            let to = found.start;
            self.apply(&Op::StartOffset { log: id, to });
        }
    }
}

/// Where two states differ.
pub(super) fn describe(name: &str, expected: &Logs, found: &Logs, text: &mut String) {
    let ids = expected.keys().chain(found.keys());
    let ids: std::collections::BTreeSet<_> = ids.collect();
    for id in ids {
        let (expected, found) = (expected.get(id), found.get(id));
        if !expected
            .zip(found)
            .is_some_and(|(expected, found)| expected.explains(found))
        {
            let of = |log: Option<&Log>| log.map_or_else(|| "nothing".into(), Log::summary);
            let (expected, found) = (of(expected), of(found));
            let _ = writeln!(text, "  {id}: {name} {expected}, found {found}");
        }
    }
}
