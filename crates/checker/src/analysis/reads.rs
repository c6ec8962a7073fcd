//! What is wrong about what consumers received.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use super::anomaly::Jump;
use super::facts::{Facts, Outcome};
use crate::history::{Event, Log, Offset, Polled, Process, What};

/// Records that no consumer may get: aborted ones, and what nobody sent.
pub(super) fn impossible_reads(facts: &Facts, history: &[Event]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for event in history {
        if let What::Poll(records) = &event.what {
            let wrong = records
                .iter()
                .filter_map(|record| impossible(facts, event.process, record));
            found.extend(wrong);
        }
    }
    found
}

fn impossible(facts: &Facts, process: Process, record: &Polled) -> Option<Anomaly> {
    let Polled { log, offset, value } = *record;
    let outcome = value.and_then(|value| Some((value, facts.outcome(log, value)?)));
    match outcome {
        Some((_, Outcome::Acked(_) | Outcome::Unknown)) => None,
        Some((value, Outcome::Failed | Outcome::Aborted)) => Some(Anomaly::AbortedRead {
            log,
            offset,
            value,
            process,
        }),
        None => Some(Anomaly::GarbageRead {
            log,
            offset,
            process,
        }),
    }
}

/// Consumers that were moved in a log without having asked for it.
pub(super) fn disorder(facts: &Facts, history: &[Event]) -> Vec<Anomaly> {
    let mut readers: BTreeMap<Process, Reader> = BTreeMap::new();
    let mut found = Vec::new();
    for event in history {
        let reader = readers.entry(event.process).or_default();
        match &event.what {
            What::Assign(starts) => {
                reader.keeps_all_but(starts.iter().map(|(log, _)| *log).collect());
                for (log, start) in starts {
                    reader.moved_to(*log, *start);
                }
            }
            What::Revoke(logs) => {
                reader.keeps_all_but(logs.iter().copied().collect());
                for log in logs {
                    reader.moved_to(*log, None);
                }
            }
            What::Poll(records) => found.extend(reader.poll(facts, event, records)),
            What::Run { .. }
            | What::Note(_)
            | What::Producer(_)
            | What::Send { .. }
            | What::Acked { .. }
            | What::Failed { .. }
            | What::Aborted { .. }
            | What::Unknown { .. }
            | What::Member(_)
            | What::Commit(_)
            | What::Committed
            | What::Uncommitted
            | What::Ask(_)
            | What::Answer(_)
            | What::Final { .. } => {}
        }
    }
    found
}

/// One consumer: which offset of each log is next, where that is known.
#[derive(Debug, Default)]
struct Reader {
    next: BTreeMap<Log, Offset>,
    /// Logs that a rebalance has left it since it was given a record of them.
    kept: BTreeSet<Log>,
}

impl Reader {
    fn keeps_all_but(&mut self, changed: BTreeSet<Log>) {
        let known: BTreeSet<Log> = self.next.keys().copied().collect();
        self.kept = known.difference(&changed).copied().collect();
    }

    fn moved_to(&mut self, log: Log, start: Option<Offset>) {
        match start {
            Some(start) => self.next.insert(log, start),
            None => self.next.remove(&log),
        };
    }

    fn poll(&mut self, facts: &Facts, event: &Event, records: &[Polled]) -> Vec<Anomaly> {
        let mut found = Vec::new();
        let mut within = BTreeSet::new();
        for record in records {
            let is_first = within.insert(record.log);
            let before = self.next.insert(record.log, record.offset.next());
            let kept = self.kept.remove(&record.log);
            let Some(expected) = before else { continue };
            let jump = Jump {
                log: record.log,
                process: event.process,
                expected,
                read: record.offset,
                at: event.at,
                kept,
            };
            if record.offset < expected {
                found.push(if is_first {
                    Anomaly::NonmonotonicPoll(jump)
                } else {
                    Anomaly::IntNonmonotonicPoll(jump)
                });
            } else if facts.has_record_within(record.log, expected, record.offset) {
                found.push(if is_first {
                    Anomaly::PollSkip(jump)
                } else {
                    Anomaly::IntPollSkip(jump)
                });
            }
        }
        found
    }
}
