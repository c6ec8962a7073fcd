//! What a replica does that does not lead: it copies its leader's log.

use ottla_base::{BrokerId, LeaderEpoch, Offset};
use ottla_protocol::records::RecordBatch;

use crate::effect::Effect;
use crate::input::Settings;
use crate::log::Log;

/// A replica that another broker leads, or nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<BrokerId>,
    in_sync: bool,
    /// Where the leader goes on from is still to be asked, or asked again.
    following: Following,
    /// What the leader has said of its log in this epoch.
    leader_high_watermark: Offset,
    /// Below, our log may differ from the leader's, which has nothing there to compare it
    /// with: until it is known, nothing counts as committed.
    leader_start: Option<Offset>,
    /// What the leader was told last.
    acknowledged: Option<(Offset, Offset)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Following {
    /// As soon as the whole log is durable: what is asked for next says so.
    Wanted,
    /// The leader was asked, and has not answered.
    Asked,
    /// Our log is the beginning of the leader's.
    Placed,
}

/// Where a follower's log ends, for its leader to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowPosition {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    /// The end of the log, all of it durable.
    pub end: Offset,
    /// The epoch of the last batch; none if the log is empty.
    pub last_epoch: LeaderEpoch,
    /// Where the log surely starts.
    pub log_start: Offset,
}

/// Where a follower's log lies in its leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the beginning of ours, which goes on from here.
    From(Offset),
    /// Its last batches are not ours: our own data of `epoch` ends at `end`.
    Diverged { epoch: LeaderEpoch, end: Offset },
    /// It ends before ours starts, which is here, or with what is older than all of ours:
    /// see [`Place::at_base`].
    BehindStart(Offset),
    /// This replica does not lead in the follower's epoch, or has not heard yet that the
    /// follower has a replica: what it said now would count for nothing then, and it need
    /// not say it again. It knows this epoch.
    NotLeader { epoch: LeaderEpoch },
}

impl Place {
    /// The same where the follower's log ends at `end` with a batch of `last_epoch`, and
    /// `base_at` knows where the batch of ours begins that holds an offset. What we send
    /// next may lie within a batch: at our start, and where a log without batches ends.
    /// Whoever ends within that batch has another one or none there, which what we send
    /// would not follow.
    #[must_use]
    pub fn at_base(
        self,
        end: Offset,
        last_epoch: LeaderEpoch,
        base_at: impl FnOnce(Offset) -> Offset,
    ) -> Self {
        let base = match self {
            Self::BehindStart(start) => base_at(start),
            Self::From(next) if last_epoch == LeaderEpoch::NONE => base_at(next),
            Self::From(_) | Self::Diverged { .. } | Self::NotLeader { .. } => return self,
        };
        match self {
            _ if base < end => Self::Diverged {
                epoch: last_epoch,
                end: base,
            },
            Self::BehindStart(_) => Self::BehindStart(base),
            Self::From(_) | Self::Diverged { .. } | Self::NotLeader { .. } => self,
        }
    }
}

impl Follower {
    pub(crate) fn new(epoch: LeaderEpoch, leader: Option<BrokerId>, in_sync: bool) -> Self {
        Self {
            epoch,
            leader,
            in_sync,
            following: Following::Wanted,
            leader_high_watermark: Offset::ZERO,
            leader_start: None,
            acknowledged: None,
        }
    }

    pub(crate) fn is_older_than(&self, newer: &Self) -> bool {
        self.epoch < newer.epoch || self.epoch == newer.epoch && self.leader != newer.leader
    }

    /// The controller's newer word on this replica, where nothing else has changed.
    pub(crate) fn heed(&mut self, word: &Self) {
        if (self.epoch, self.leader) == (word.epoch, word.leader) {
            self.in_sync = word.in_sync;
        }
    }

    /// Whether our log is known to be the beginning of the leader's.
    pub(crate) fn is_placed(&self) -> bool {
        self.following == Following::Placed
    }

    pub(crate) fn position(&self, log: &Log) -> Option<FollowPosition> {
        let is_durable = log.durable == log.hard.end && log.is_founded();
        let leader = self.leader.filter(|_| is_durable)?;
        Some(FollowPosition {
            leader,
            epoch: self.epoch,
            end: log.hard.end,
            last_epoch: log.last_epoch(),
            log_start: log.durable_start,
        })
    }

    /// Takes over the leader's next batch, if it is the next here too. Says whether it is
    /// here now.
    pub(crate) fn append_from(
        &mut self,
        after: Offset,
        batch: RecordBatch,
        settings: &Settings,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) -> bool {
        let header = batch.header();
        if header.next_offset() <= log.hard.end {
            return true; // It came before.
        }
        let follows = after == log.hard.end && after <= header.base_offset;
        // A leader has nothing of an epoch after its own (KAFKA-18723).
        if follows && header.leader_epoch <= self.epoch {
            self.placed();
            log.copy(batch, settings.checkpoint_batches, out);
            true
        } else {
            if self.following == Following::Placed {
                self.following = Following::Wanted;
            }
            false
        }
    }

    /// The leader's high watermark has come with a batch.
    pub(crate) fn raise(&mut self, high_watermark: Offset) {
        self.leader_high_watermark = self.leader_high_watermark.max(high_watermark);
    }

    /// Says whether the log begins anew: nothing is left of what was in it.
    pub(crate) fn on_position(
        &mut self,
        high_watermark: Offset,
        log_start: Offset,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) -> bool {
        self.raise(high_watermark);
        self.leader_start = self.leader_start.max(Some(log_start));
        let is_anew = log.hard.end < log_start || self.is_incomparable(log_start, log);
        if is_anew {
            log.begin_anew(log_start, out);
        }
        self.placed();
        is_anew
    }

    /// Whether the answer to what was asked is that all of our log lies before the
    /// leader's, which has nothing to compare it with: what other leaders wrote and never
    /// committed must not count as sent.
    fn is_incomparable(&self, leader_start: Offset, log: &Log) -> bool {
        self.following == Following::Asked
            && log.start < leader_start
            && log.hard.end == leader_start
            && log.last_epoch() != self.epoch
    }

    /// The leader has said what follows. Where it has yet to be asked, because something
    /// was missing, this is not the answer.
    fn placed(&mut self) {
        if self.following == Following::Asked {
            self.following = Following::Placed;
        }
    }

    /// Cuts the log where it parts from its leader's, whose data of `epoch`, the
    /// largest epoch that it has up to ours, ends at `end`. Ours may know that epoch
    /// too; if not, everything above the largest epoch below it goes. Says where it is cut,
    /// if there was anything to cut.
    pub(crate) fn diverged(
        &mut self,
        epoch: LeaderEpoch,
        end: Offset,
        log: &Log,
        out: &mut Vec<Effect>,
    ) -> Option<Offset> {
        if self.following == Following::Placed {
            // A late answer to a question that was asked before the log was cut; or what
            // came of an earlier one was taken for this one's, and nothing more is sent.
            self.following = Following::Wanted;
            return None;
        }
        // What this leader has written itself is never cut.
        if log.last_epoch() == self.epoch {
            return None;
        }
        let known = log.hard.epochs.end_offset_for(epoch, None, log.hard.end);
        let to = known.map_or(log.hard.end, |known| known.end).min(end);
        if to >= log.hard.end {
            return None;
        }
        log.truncate(to, out);
        Some(to)
    }

    /// What every step ends with.
    pub(crate) fn settle(&mut self, log: &mut Log, out: &mut Vec<Effect>) {
        if let Some(start) = self.leader_start {
            log.commit(self.leader_high_watermark.min(log.durable), out);
            let start = start.min(log.high_watermark);
            if self.in_sync {
                log.advance_start(start, out);
            } else {
                // What is to be committed may wait for this replica, which may not join
                // before it has deleted what the leader has.
                log.advance_start_now(start, out);
            }
        }
        match self.following {
            Following::Wanted => self.ask(log, out),
            Following::Asked => (),
            Following::Placed => self.acknowledge(log, out),
        }
    }

    fn ask(&mut self, log: &Log, out: &mut Vec<Effect>) {
        if self.position(log).is_some() {
            self.following = Following::Asked;
            out.push(Effect::Refollow);
        }
    }

    fn acknowledge(&mut self, log: &Log, out: &mut Vec<Effect>) {
        let (end, log_start) = (log.durable, log.durable_start);
        if log.is_founded() && self.acknowledged != Some((end, log_start)) {
            self.acknowledged = Some((end, log_start));
            out.push(Effect::Acknowledge {
                epoch: self.epoch,
                end,
                log_start,
            });
        }
    }
}
