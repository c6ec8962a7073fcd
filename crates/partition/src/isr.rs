//! Which replicas are in sync, and how far each has come.

use std::collections::BTreeMap;

use ottla_base::{BrokerId, Offset};

use crate::error::AppendError;
use crate::input::Lead;

/// The replicas of a partition as its leader sees them. The leader itself is a
/// member always, and is not in the map.
#[derive(Debug)]
pub(crate) struct Isr {
    followers: BTreeMap<BrokerId, Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    in_sync: bool,
    /// Everything below is durable there.
    durable: Offset,
}

impl Isr {
    pub(crate) fn new(this: BrokerId, lead: &Lead) -> Self {
        let followers = lead.replicas.iter().filter(|replica| **replica != this);
        let followers = followers.map(|replica| {
            let progress = Progress {
                in_sync: lead.isr.contains(replica),
                durable: Offset::ZERO,
            };
            (*replica, progress)
        });
        Self {
            followers: followers.collect(),
        }
    }

    /// The same term's membership, changed; what followers have stays known.
    pub(crate) fn update(&mut self, this: BrokerId, lead: &Lead) {
        let mut next = Self::new(this, lead);
        for (replica, progress) in &mut next.followers {
            if let Some(known) = self.followers.get(replica) {
                progress.durable = known.durable;
            }
        }
        *self = next;
    }

    pub(crate) fn on_replicated(&mut self, by: BrokerId, end: Offset) {
        if let Some(progress) = self.followers.get_mut(&by) {
            progress.durable = progress.durable.max(end);
        }
    }

    /// What every member in sync has, of which this broker has `own`.
    pub(crate) fn durable(&self, own: Offset) -> Offset {
        let in_sync = self.followers.values().filter(|follower| follower.in_sync);
        in_sync
            .map(|follower| follower.durable)
            .fold(own, Offset::min)
    }

    pub(crate) fn sufficiency(&self, min_insync_replicas: u32) -> Sufficiency {
        let in_sync = self.followers.values().filter(|follower| follower.in_sync);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        Sufficiency {
            have: count(in_sync.count()),
            need: min_insync_replicas.min(count(self.followers.len())),
        }
    }
}

/// How many replicas are in sync against how many must be; a partition never
/// needs more than it has replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sufficiency {
    have: u32,
    need: u32,
}

impl Sufficiency {
    pub(crate) fn is_met(self) -> bool {
        self.need <= self.have
    }

    pub(crate) fn before_append(self) -> Result<(), AppendError> {
        let Self { have, need } = self;
        if self.is_met() {
            Ok(())
        } else {
            Err(AppendError::TooFewInSync { have, need })
        }
    }

    pub(crate) fn after_append(self) -> Result<(), AppendError> {
        let Self { have, need } = self;
        if self.is_met() {
            Ok(())
        } else {
            Err(AppendError::TooFewInSyncAfterAppend { have, need })
        }
    }
}
