//! What a history says, by record and by log.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, Log, Offset, Offsets, Polled, Process, Producer, Value, What};

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sent: BTreeMap<Value, Sent>,
    /// Each producer's sends to each log, in their order.
    pub(super) sends: BTreeMap<(Process, Log), Vec<Value>>,
    pub(super) producers: BTreeMap<Process, Producer>,
    /// Which values acknowledgements and polls place at each offset.
    pub(super) order: BTreeMap<Log, BTreeMap<Offset, BTreeSet<Value>>>,
    pub(super) polled: BTreeSet<Value>,
    /// The logs as they were at the end.
    pub(super) finals: BTreeMap<Log, Final>,
    pub(super) has_sparse_offsets: bool,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) log: Log,
    pub(super) process: Process,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acked(Option<Offset>),
    Failed,
    Aborted,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Final {
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) offsets: BTreeSet<Offset>,
    pub(super) values: BTreeSet<Value>,
}

impl Facts {
    pub(super) fn of(history: &[Event]) -> Self {
        let mut facts = Self::default();
        for event in history {
            facts.note(event);
        }
        facts.note_finals(history);
        facts
    }

    /// The outcome of a record, if anybody sent it to this log.
    pub(super) fn outcome(&self, log: Log, value: Value) -> Option<Outcome> {
        let sent = self.sent.get(&value).filter(|sent| sent.log == log);
        sent.map(|sent| sent.outcome)
    }

    pub(super) fn is_from_idempotent(&self, value: Value) -> bool {
        let process = self.sent.get(&value).map(|sent| sent.process);
        process.is_some_and(|process| self.is_idempotent(process))
    }

    pub(super) fn is_idempotent(&self, process: Process) -> bool {
        self.producers.get(&process) == Some(&Producer::Idempotent)
    }

    /// Whether the log has a record at one of these offsets.
    pub(super) fn has_record_within(&self, log: Log, from: Offset, to: Offset) -> bool {
        from < to
            && self
                .order
                .get(&log)
                .is_some_and(|order| order.range(from..to).next().is_some())
    }

    fn note(&mut self, event: &Event) {
        match &event.what {
            What::Run { offsets, .. } => self.has_sparse_offsets = *offsets == Offsets::Sparse,
            What::Producer(producer) => {
                self.producers.insert(event.process, *producer);
            }
            What::Send { log, value } => {
                let sent = Sent {
                    log: *log,
                    process: event.process,
                    outcome: Outcome::Unknown,
                };
                self.sent.insert(*value, sent);
                let sends = self.sends.entry((event.process, *log)).or_default();
                sends.push(*value);
            }
            What::Acked { log, offset, value } => {
                self.resolve(*value, Outcome::Acked(*offset));
                if let Some(offset) = offset {
                    self.place(*log, *offset, *value);
                }
            }
            What::Failed { value } => self.resolve(*value, Outcome::Failed),
            What::Aborted { value } => self.resolve(*value, Outcome::Aborted),
            What::Unknown { value } => self.resolve(*value, Outcome::Unknown),
            What::Poll(records) => {
                for record in records {
                    if let Some(value) = record.value {
                        self.polled.insert(value);
                        self.place(record.log, record.offset, value);
                    }
                }
            }
            What::Note(_)
            | What::Member(_)
            | What::Assign(_)
            | What::Revoke(_)
            | What::Commit(_)
            | What::Committed
            | What::Uncommitted
            | What::Ask(_)
            | What::Answer(_)
            | What::Final { .. } => {}
        }
    }

    fn resolve(&mut self, value: Value, outcome: Outcome) {
        if let Some(sent) = self.sent.get_mut(&value) {
            sent.outcome = outcome;
        }
    }

    fn place(&mut self, log: Log, offset: Offset, value: Value) {
        let order = self.order.entry(log).or_default();
        order.entry(offset).or_default().insert(value);
    }

    fn note_finals(&mut self, history: &[Event]) {
        for event in history {
            if let What::Final { log, start, end } = event.what {
                let read = polls_of(history, event.process).filter(|record| record.log == log);
                let mut found = Final {
                    start,
                    end,
                    offsets: BTreeSet::new(),
                    values: BTreeSet::new(),
                };
                for record in read {
                    found.offsets.insert(record.offset);
                    found.values.extend(record.value);
                }
                self.finals.insert(log, found);
            }
        }
    }
}

fn polls_of(history: &[Event], process: Process) -> impl Iterator<Item = &Polled> {
    let theirs = history.iter().filter(move |event| event.process == process);
    theirs.flat_map(|event| {
        if let What::Poll(records) = &event.what {
            records.as_slice()
        } else {
            &[]
        }
    })
}
