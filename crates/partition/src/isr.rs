//! Which replicas are in sync, how far each has come, and who is to join or leave.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{BrokerId, Millis, Offset};

use crate::error::AppendError;
use crate::input::Lead;
use crate::log::Log;

/// How long a refused proposal is not repeated: what stood against it lasts a while, and
/// the longer the more often it is refused.
const RETRY_MS: i64 = 250;
const RETRY_MAX_MS: i64 = 2_000;

/// The replicas of a partition as its leader sees them. The leader itself is a
/// member always, and is not in the map.
#[derive(Debug)]
pub(crate) struct Isr {
    pub(crate) partition_epoch: i32,
    followers: BTreeMap<BrokerId, Progress>,
    /// Where this broker's log ended when it was last looked at.
    seen: Offset,
    proposed: Proposed,
    retry_ms: i64,
}

/// What the controller was asked for.
#[derive(Debug)]
enum Proposed {
    Nothing,
    /// These followers in sync. It may be so decided already, or not: until the
    /// controller's word comes, the high watermark heeds both sets.
    Set(BTreeSet<BrokerId>),
    /// It was refused; nothing is proposed before this time.
    Refused {
        until: Millis,
    },
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    in_sync: bool,
    /// Everything below is durable there; unknown until this epoch's first word.
    end: Offset,
    log_start: Offset,
    /// When it last had everything that the leader had.
    caught_up_at: Option<Millis>,
    /// When it was last heard of, and where this log ended then.
    heard: Option<(Millis, Offset)>,
}

/// What decides over membership, beside the followers' own progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) now: Millis,
    pub(crate) lag_ms: i64,
    pub(crate) epoch_start: Offset,
    pub(crate) log: &'a Log,
}

impl Isr {
    pub(crate) fn new(now: Millis, this: BrokerId, lead: &Lead) -> Self {
        let followers = lead.replicas.iter().filter(|replica| **replica != this);
        let followers = followers.map(|replica| {
            let in_sync = lead.isr.contains(replica);
            let progress = Progress {
                in_sync,
                end: Offset::ZERO,
                log_start: Offset::ZERO,
                caught_up_at: in_sync.then_some(now),
                heard: None,
            };
            (*replica, progress)
        });
        Self {
            partition_epoch: lead.partition_epoch,
            followers: followers.collect(),
            seen: Offset::ZERO,
            proposed: Proposed::Nothing,
            retry_ms: RETRY_MS,
        }
    }

    /// The same term's membership, changed; what followers have stays known. Whatever
    /// was proposed is decided by that.
    pub(crate) fn update(&mut self, now: Millis, this: BrokerId, lead: &Lead) {
        if lead.partition_epoch <= self.partition_epoch {
            return;
        }
        let mut next = Self::new(now, this, lead);
        for (replica, progress) in &mut next.followers {
            let Some(known) = self.followers.get(replica) else {
                continue;
            };
            let in_sync = progress.in_sync;
            // Who has everything may have nothing more to say, until it is in sync again.
            let has_all = known.end == self.seen;
            let stays = in_sync || !known.in_sync || has_all;
            *progress = Progress {
                in_sync,
                // Who has left counts again once it has caught up again; who has
                // joined gets all the time that a new leader gives its followers.
                caught_up_at: known
                    .caught_up_at
                    .or(progress.caught_up_at)
                    .filter(|_| in_sync || !known.in_sync),
                heard: known.heard.filter(|_| stays),
                ..*known
            };
        }
        next.seen = self.seen;
        *self = next;
    }

    /// The log has grown: until now, who had everything was not behind, however long
    /// there was nothing to say.
    pub(crate) fn on_end(&mut self, now: Millis, end: Offset) {
        if end == self.seen {
            return;
        }
        for follower in self.followers.values_mut() {
            if follower.end == self.seen && follower.heard.is_some() {
                follower.caught_up_at = follower.caught_up_at.map(|at| at.max(now));
            }
        }
        self.seen = end;
    }

    pub(crate) fn on_replicated(
        &mut self,
        by: BrokerId,
        end: Offset,
        log_start: Offset,
        terms: Terms<'_>,
    ) {
        let (now, ours) = (terms.now, terms.log.hard.end);
        let Some(progress) = self.followers.get_mut(&by) else {
            return;
        };
        // Less than before where the follower has lost what it had, or is gone: nothing
        // waits for one that is not in sync until it has caught up anew.
        if end < progress.end && !progress.in_sync {
            progress.caught_up_at = None;
            progress.heard = None;
        }
        progress.end = end.min(ours);
        progress.log_start = log_start;
        if progress.end == ours {
            progress.caught_up_at = Some(now);
        } else if let Some((at, had)) = progress.heard
            && had <= progress.end
        {
            progress.caught_up_at = progress.caught_up_at.max(Some(at));
        }
        progress.heard = Some((now, ours));
    }

    pub(crate) fn on_refused(&mut self, now: Millis, partition_epoch: i32) {
        if partition_epoch != self.partition_epoch {
            return;
        }
        let Proposed::Set(set) = &self.proposed else {
            return;
        };
        for (replica, progress) in &mut self.followers {
            if !progress.in_sync && set.contains(replica) {
                // Nothing waits for it until it is heard of again.
                progress.caught_up_at = None;
            }
        }
        let until = now.plus_ms(self.retry_ms);
        self.retry_ms = RETRY_MAX_MS.min(self.retry_ms * 2);
        self.proposed = Proposed::Refused { until };
    }

    /// The followers in sync to ask the controller for now, if they are not those that
    /// are.
    pub(crate) fn propose(&mut self, terms: Terms<'_>) -> Option<Vec<BrokerId>> {
        match self.proposed {
            Proposed::Set(_) => return None,
            Proposed::Refused { until } if terms.now < until => return None,
            Proposed::Refused { .. } | Proposed::Nothing => (),
        }
        let mut followers = self.followers.values();
        if followers.all(|follower| follower.belongs(terms) == follower.in_sync) {
            self.proposed = Proposed::Nothing;
            return None;
        }
        let wanted = self.followers.iter();
        let wanted = wanted.filter(|(_, follower)| follower.belongs(terms));
        let wanted: BTreeSet<_> = wanted.map(|(replica, _)| *replica).collect();
        let isr = wanted.iter().copied().collect();
        self.proposed = Proposed::Set(wanted);
        Some(isr)
    }

    /// When the next member in sync will have been behind for too long, or a refused
    /// proposal may be repeated.
    pub(crate) fn next_deadline(&self, lag_ms: i64, end: Offset) -> Option<Millis> {
        let until = match self.proposed {
            Proposed::Set(_) => return None,
            Proposed::Refused { until } => Some(until),
            Proposed::Nothing => None,
        };
        let behind = self.followers.values();
        let behind = behind.filter(|follower| follower.in_sync && follower.end < end);
        let due = behind.filter_map(|follower| Some(follower.caught_up_at?.plus_ms(lag_ms)));
        due.min().into_iter().chain(until).max_by_key(|at| at.0)
    }

    /// What every member in sync has, of which this broker has `own`: also those that
    /// may be members by now, and those that keep up and are about to join, or they
    /// would never catch up with a high watermark that is always a little ahead.
    pub(crate) fn durable(&self, now: Millis, lag_ms: i64, own: Offset) -> Offset {
        let counted = self.followers.iter().filter(|(replica, follower)| {
            self.may_be_in_sync(**replica, follower) || follower.keeps_up(now, lag_ms)
        });
        counted
            .map(|(_, follower)| follower.end)
            .fold(own, Offset::min)
    }

    /// Where the log surely starts on every member in sync, of which this broker has
    /// `own`: also on those that may be members by now.
    pub(crate) fn log_start(&self, own: Offset) -> Offset {
        let followers = self.followers.iter();
        let counted =
            followers.filter(|(replica, follower)| self.may_be_in_sync(**replica, follower));
        counted
            .map(|(_, follower)| follower.log_start)
            .fold(own, Offset::min)
    }

    /// The followers in sync, and those that may be by now: one of them leads next. Where
    /// too few are in sync it may be another, that was when they were enough (KIP-966).
    pub(crate) fn successors(&self, min_insync_replicas: u32) -> impl Iterator<Item = BrokerId> {
        let all_count = !self.sufficiency(min_insync_replicas).is_met();
        let followers = self.followers.iter();
        let counted = followers.filter(move |(replica, follower)| {
            all_count || self.may_be_in_sync(**replica, follower)
        });
        counted.map(|(replica, _)| *replica)
    }

    fn may_be_in_sync(&self, replica: BrokerId, follower: &Progress) -> bool {
        let proposed = match &self.proposed {
            Proposed::Set(set) => set.contains(&replica),
            Proposed::Nothing | Proposed::Refused { .. } => false,
        };
        follower.in_sync || proposed
    }

    pub(crate) fn sufficiency(&self, min_insync_replicas: u32) -> Sufficiency {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        Sufficiency {
            have: count(self.in_sync().count()),
            need: min_insync_replicas.min(count(self.followers.len())),
        }
    }

    /// Every follower in sync, where its log starts and ends for sure.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (BrokerId, Offset, Offset)> {
        let in_sync = self.followers.iter();
        let in_sync = in_sync.filter(|(_, follower)| follower.in_sync);
        in_sync.map(|(replica, follower)| (*replica, follower.log_start, follower.end))
    }

    /// Whether another broker has a replica, as far as this leader has heard.
    pub(crate) fn has_replica(&self, broker: BrokerId) -> bool {
        self.followers.contains_key(&broker)
    }

    /// Whether anybody else is in sync.
    pub(crate) fn has_followers(&self) -> bool {
        self.in_sync().next().is_some()
    }

    fn in_sync(&self) -> impl Iterator<Item = BrokerId> {
        let in_sync = self
            .followers
            .iter()
            .filter(|(_, follower)| follower.in_sync);
        in_sync.map(|(replica, _)| *replica)
    }
}

impl Progress {
    /// Whether it should be in sync.
    fn belongs(&self, terms: Terms<'_>) -> bool {
        if self.in_sync {
            !self.lags(terms)
        } else {
            self.may_join(terms)
        }
    }

    /// Whether it has been behind for too long. A log that grows no more waits for
    /// nobody: who is gone from it, the controller finds out.
    fn lags(&self, terms: Terms<'_>) -> bool {
        self.end < terms.log.hard.end && !self.keeps_up(terms.now, terms.lag_ms)
    }

    fn keeps_up(&self, now: Millis, lag_ms: i64) -> bool {
        self.caught_up_at.is_some_and(|at| now.since(at) < lag_ms)
    }

    /// Whether it has what is committed, what earlier leaders have written, and has
    /// deleted what is deleted: what a leader must have.
    fn may_join(&self, terms: Terms<'_>) -> bool {
        let Terms {
            epoch_start, log, ..
        } = terms;
        self.heard.is_some()
            && log.high_watermark.max(epoch_start) <= self.end
            && log.start <= self.log_start
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
