//! From the records of a partition to the machine that serves its groups.

use std::collections::BTreeMap;

use ottla_base::{GroupId, Millis};

use super::hard::Hard;
use super::machine::GroupMachine;
use super::record::{Record, RecordError};
use super::state::Group;
use super::timers::{Timer, Timers};
use crate::settings::Settings;

/// Takes the records of a partition in their order. A log by Kafka may hold
/// kinds of records that are not ours; they are counted and passed over.
#[derive(Debug, Default)]
pub struct Loader {
    hard: Hard,
    passed_over: u64,
}

/// The soft state that a machine starts with.
#[derive(Debug)]
pub struct Loaded {
    pub(super) groups: BTreeMap<GroupId, Group>,
    pub(super) timers: Timers,
}

impl Loader {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one stored record. An error leaves the loader as it was.
    pub fn read(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), RecordError> {
        match Record::decode(key, value)? {
            Some(record) => self.apply(&record),
            None => self.passed_over += 1,
        }
        Ok(())
    }

    pub fn apply(&mut self, record: &Record) {
        self.hard.apply(record);
    }

    /// How many records were of a kind that is not ours.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The machine, serving from `now` on. Groups with members are stable, and
    /// each member has a full session timeout to be heard of.
    pub fn finish(self, settings: Settings, now: Millis) -> GroupMachine {
        let mut loaded = Loaded {
            groups: BTreeMap::new(),
            timers: Timers::default(),
        };
        for (id, value) in self.hard.groups() {
            let mut group = Group::loaded(id.clone(), value);
            loaded.watch(&mut group, &settings, now);
            loaded.groups.insert(id.clone(), group);
        }
        for (id, _) in self.hard.offsets() {
            loaded
                .groups
                .entry(id.clone())
                .or_insert_with(|| Group::new(id.clone(), now));
        }
        let sweep_ms = settings.offsets_retention_check_interval_ms;
        loaded.timers.set(Timer::Sweep, now, sweep_ms);
        GroupMachine::new(settings, self.hard, loaded)
    }
}

impl Loaded {
    fn watch(&mut self, group: &mut Group, settings: &Settings, now: Millis) {
        for (member, details) in group.members.iter() {
            let session = Timer::Session(group.id.clone(), member.clone());
            self.timers
                .set(session, now, details.timeouts.session_ms.into());
        }
        if group.members.len() > settings.members_max {
            let timeout_ms = group.reopen_loaded(now);
            let closing = Timer::JoinPhase(group.id.clone());
            self.timers.set(closing, now, timeout_ms.into());
        }
    }
}
