//! What is wrong about the offsets that groups commit.
//!
//! The run's groups only ever go forward, so a group is never to be found
//! behind a commit that was acknowledged before somebody looked.

use std::collections::BTreeMap;

use super::Anomaly;
use super::anomaly::Resumption;
use super::facts::Facts;
use crate::history::{Event, Group, Log, Offset, Process, What};

pub(super) fn broken(facts: &Facts, history: &[Event]) -> Vec<Anomaly> {
    let mut groups = Groups::default();
    let mut found = Vec::new();
    for event in history {
        found.extend(groups.note(facts, event));
    }
    found
}

#[derive(Debug, Default)]
struct Groups {
    member_of: BTreeMap<Process, Group>,
    /// What a process asked to commit and has no answer for.
    pending: BTreeMap<Process, Vec<(Log, Offset)>>,
    /// The highest offset that is committed, and the highest that may be.
    committed: BTreeMap<(Group, Log), Offset>,
    asked_for: BTreeMap<(Group, Log), Offset>,
    /// Who asks, and what was committed by then.
    asking: BTreeMap<Process, (Group, BTreeMap<Log, Offset>)>,
    /// Logs that a member was given and has not read yet, and what was
    /// committed by then.
    given: BTreeMap<(Process, Log), Option<Offset>>,
}

impl Groups {
    fn note(&mut self, facts: &Facts, event: &Event) -> Vec<Anomaly> {
        let process = event.process;
        match &event.what {
            What::Member(group) => {
                self.member_of.insert(process, *group);
            }
            What::Commit(offsets) => self.on_commit(process, offsets),
            What::Committed => self.on_committed(process),
            What::Uncommitted => {
                self.pending.remove(&process);
            }
            What::Ask(group) => self.on_ask(process, *group),
            What::Answer(offsets) => return self.on_answer(process, offsets),
            What::Assign(starts) => self.on_assign(process, starts),
            What::Revoke(logs) => {
                for log in logs {
                    self.given.remove(&(process, *log));
                }
            }
            What::Poll(records) => {
                let read = records.iter().map(|record| (record.log, record.offset));
                return read
                    .filter_map(|(log, offset)| self.on_read(facts, process, log, offset))
                    .collect();
            }
            What::Run { .. }
            | What::Note(_)
            | What::Producer(_)
            | What::Send { .. }
            | What::Acked { .. }
            | What::Failed { .. }
            | What::Aborted { .. }
            | What::Unknown { .. }
            | What::Final { .. } => {}
        }
        Vec::new()
    }

    fn on_commit(&mut self, process: Process, offsets: &[(Log, Offset)]) {
        let Some(group) = self.member_of.get(&process).copied() else {
            return;
        };
        for (log, offset) in offsets {
            raise(&mut self.asked_for, (group, *log), *offset);
        }
        self.pending.insert(process, offsets.to_vec());
    }

    fn on_committed(&mut self, process: Process) {
        let Some(group) = self.member_of.get(&process).copied() else {
            return;
        };
        for (log, offset) in self.pending.remove(&process).into_iter().flatten() {
            raise(&mut self.committed, (group, log), offset);
        }
    }

    fn on_ask(&mut self, process: Process, group: Group) {
        let committed = self.committed.iter();
        let theirs = committed.filter(|((of, _), _)| *of == group);
        let by_now = theirs.map(|((_, log), offset)| (*log, *offset)).collect();
        self.asking.insert(process, (group, by_now));
    }

    fn on_answer(&mut self, process: Process, offsets: &[(Log, Option<Offset>)]) -> Vec<Anomaly> {
        let Some((group, by_then)) = self.asking.remove(&process) else {
            return Vec::new();
        };
        let answered = offsets.iter().filter_map(|(log, read)| {
            let committed = *by_then.get(log)?;
            behind(group, *log, committed, *read)
        });
        answered.collect()
    }

    fn on_assign(&mut self, process: Process, starts: &[(Log, Option<Offset>)]) {
        let Some(group) = self.member_of.get(&process).copied() else {
            return;
        };
        for (log, _) in starts {
            let committed = self.committed.get(&(group, *log)).copied();
            self.given.insert((process, *log), committed);
        }
    }

    /// The first record that a member gets of a log is the one that its group
    /// committed last.
    fn on_read(
        &mut self,
        facts: &Facts,
        process: Process,
        log: Log,
        read: Offset,
    ) -> Option<Anomaly> {
        let by_then = self.given.remove(&(process, log))?;
        let group = self.member_of.get(&process).copied()?;
        if let Some(committed) = by_then.filter(|committed| read < *committed) {
            return behind(group, log, committed, Some(read));
        }
        let order = facts.order.get(&log)?;
        let start = order.first_key_value().map(|(offset, _)| *offset)?;
        let asked_for = self.asked_for.get(&(group, log)).copied();
        let expected = asked_for.unwrap_or(start);
        let resumption = Resumption {
            group,
            log,
            expected,
            read: Some(read),
        };
        let has_skipped = facts.has_record_within(log, expected, read);
        has_skipped.then_some(Anomaly::CommitSkip(resumption))
    }
}

fn behind(group: Group, log: Log, expected: Offset, read: Option<Offset>) -> Option<Anomaly> {
    let resumption = Resumption {
        group,
        log,
        expected,
        read,
    };
    match read {
        None => Some(Anomaly::LostCommit(resumption)),
        Some(read) if read < expected => Some(Anomaly::RegressedCommit(resumption)),
        Some(_) => None,
    }
}

fn raise(offsets: &mut BTreeMap<(Group, Log), Offset>, place: (Group, Log), to: Offset) {
    let offset = offsets.entry(place).or_insert(to);
    *offset = to.max(*offset);
}
