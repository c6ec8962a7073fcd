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
    /// Where the leader goes on from is still to be asked, or asked again.
    following: Following,
    /// What the leader has said of its log in this epoch.
    leader_high_watermark: Offset,
    leader_start: Offset,
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
    /// It ends before ours starts, which is here.
    BehindStart(Offset),
    /// This replica does not lead in the follower's epoch; it knows this one.
    NotLeader { epoch: LeaderEpoch },
}

impl Follower {
    pub(crate) fn new(epoch: LeaderEpoch, leader: Option<BrokerId>) -> Self {
        Self {
            epoch,
            leader,
            following: Following::Wanted,
            leader_high_watermark: Offset::ZERO,
            leader_start: Offset::ZERO,
            acknowledged: None,
        }
    }

    pub(crate) fn is_older_than(&self, newer: &Self) -> bool {
        self.epoch < newer.epoch || self.epoch == newer.epoch && self.leader != newer.leader
    }

    pub(crate) fn position(&self, log: &Log) -> Option<FollowPosition> {
        let leader = self.leader.filter(|_| log.durable == log.hard.end)?;
        Some(FollowPosition {
            leader,
            epoch: self.epoch,
            end: log.hard.end,
            last_epoch: log.last_epoch(),
            log_start: log.durable_start,
        })
    }

    /// Takes over the leader's next batch, if it is the next here too.
    pub(crate) fn append_from(
        &mut self,
        after: Offset,
        batch: RecordBatch,
        settings: &Settings,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) {
        let header = batch.header();
        if header.next_offset() <= log.hard.end {
            return; // It came before.
        }
        let follows = after == log.hard.end && after <= header.base_offset;
        // A leader has nothing of an epoch after its own (KAFKA-18723).
        if follows && header.leader_epoch <= self.epoch {
            self.following = Following::Placed;
            log.copy(batch, settings.checkpoint_batches, out);
        } else if self.following == Following::Placed {
            self.following = Following::Wanted;
        }
    }

    pub(crate) fn on_position(
        &mut self,
        high_watermark: Offset,
        log_start: Offset,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) {
        self.leader_high_watermark = self.leader_high_watermark.max(high_watermark);
        self.leader_start = self.leader_start.max(log_start);
        if log.hard.end < log_start {
            log.begin_anew(log_start, out);
        }
        self.following = Following::Placed;
    }

    /// Cuts the log where it parts from its leader's, whose data of `epoch`, the
    /// largest epoch that it has up to ours, ends at `end`. Ours may know that epoch
    /// too; if not, everything above the largest epoch below it goes. Says whether
    /// there was anything to cut.
    pub(crate) fn diverged(
        &self,
        epoch: LeaderEpoch,
        end: Offset,
        log: &Log,
        out: &mut Vec<Effect>,
    ) -> bool {
        // A late answer to a question that was asked before the log was cut. What this
        // leader has written itself is never cut.
        if self.following == Following::Placed || log.last_epoch() == self.epoch {
            return false;
        }
        let known = log.hard.epochs.end_offset_for(epoch, None, log.hard.end);
        let to = known.map_or(log.hard.end, |known| known.end).min(end);
        let cuts = to < log.hard.end;
        if cuts {
            log.truncate(to, out);
        }
        cuts
    }

    /// What every step ends with.
    pub(crate) fn settle(&mut self, log: &mut Log, out: &mut Vec<Effect>) {
        log.commit(self.leader_high_watermark.min(log.durable), out);
        log.advance_start(self.leader_start.min(log.high_watermark), out);
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
        if self.acknowledged != Some((end, log_start)) {
            self.acknowledged = Some((end, log_start));
            out.push(Effect::Acknowledge {
                epoch: self.epoch,
                end,
                log_start,
            });
        }
    }
}
