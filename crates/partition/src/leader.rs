//! What a leader does with appends: who may, what follows, who waits for what.

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, ReplyToken};
use ottla_protocol::records::{BatchHeader, RecordBatch, TimestampType};

use crate::effect::{Appended, Effect, Reply};
use crate::error::{AppendError, SequenceError};
use crate::follower::Place;
use crate::held::{Replies, Waiting};
use crate::input::{Acks, Append, Lead, Settings};
use crate::isr::{Isr, Terms};
use crate::log::Log;
use crate::producers::Verdict;

/// How long what is appended must have waited to be committed before a leader that the
/// controllers do not hear of takes itself for cut off.
const STALLED_MS: i64 = 1_000;

/// How long after a refusal what follows the refused batch may arrive.
const REFUSED_MS: i64 = 1_000;

/// A replica that leads.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) epoch: LeaderEpoch,
    /// The end of the log when this epoch began.
    pub(crate) epoch_start: Offset,
    pub(crate) isr: Isr,
    /// When an append was refused for the last time for what passes, and how: also before this
    /// replica led, for clients hear of it sooner than the leader itself.
    pub(crate) refused: Option<(Millis, AppendError)>,
    /// Since when there is something to commit, and nothing was.
    stalled_since: Option<Millis>,
    /// Whether another may lead by now, see [`Leader::on_unheard`].
    pub(crate) is_doubtful: bool,
}

impl Leader {
    pub(crate) fn new(now: Millis, this: BrokerId, lead: &Lead, end: Offset) -> Self {
        Self {
            epoch: lead.epoch,
            epoch_start: end,
            isr: Isr::new(now, this, lead),
            refused: None,
            stalled_since: None,
            is_doubtful: false,
        }
    }

    /// The controller's newer word on a leadership that goes on.
    pub(crate) fn update(&mut self, now: Millis, this: BrokerId, lead: &Lead, end: Offset) {
        self.is_doubtful = false;
        self.stalled_since = None;
        if self.epoch == lead.epoch {
            self.isr.update(now, this, lead);
        } else {
            self.epoch = lead.epoch;
            self.epoch_start = end;
            self.isr = Isr::new(now, this, lead);
        }
    }

    pub(crate) fn isr(&self) -> &Isr {
        &self.isr
    }

    /// Whether an append is taken on: not by a leader that may be none, and one that needs
    /// replicas where there are enough.
    pub(crate) fn admit(&self, acks: Acks, settings: &Settings) -> Result<(), AppendError> {
        if self.is_doubtful {
            return Err(self.superseded());
        }
        match acks {
            Acks::None | Acks::Leader => Ok(()),
            Acks::All => self
                .isr
                .sufficiency(settings.min_insync_replicas)
                .before_append(),
        }
    }

    /// A client's append: refused, or written and held until it is safe.
    pub(crate) fn append(
        &mut self,
        now: Millis,
        append: Append,
        settings: &Settings,
        log: &mut Log,
        replies: &mut Replies,
        out: &mut Vec<Effect>,
    ) {
        let Append {
            token,
            batch,
            acks,
            deadline,
        } = append;
        match self.write(now, batch, acks, settings, log, out) {
            Ok((fence, appended)) => {
                let waiting = Waiting {
                    fence,
                    deadline,
                    token,
                    appended,
                };
                match acks {
                    Acks::None => reply(token, Ok(appended), out),
                    Acks::Leader | Acks::All => replies.hold(acks, waiting),
                }
            }
            Err(error) => reply(token, Err(error), out),
        }
    }

    /// Writes a batch, or finds where it was written before. With the end of it.
    fn write(
        &mut self,
        now: Millis,
        batch: RecordBatch,
        acks: Acks,
        settings: &Settings,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) -> Result<(Offset, Appended), AppendError> {
        if let Err(error) = self.admit(acks, settings) {
            self.refused = Some((now, error.clone()));
            return Err(error);
        }
        let header = *batch.header();
        check_client(&header)?;
        let log_start = log.start;
        if let Verdict::Repeats(sent) = self.check_sequence(now, &header, log)? {
            let appended = Appended {
                base: sent.base,
                log_append_time: Some(Millis(sent.timestamp)).filter(|at| at.0 >= 0),
                log_start,
            };
            return Ok((sent.last_offset.plus(1), appended));
        }
        let base = log.write(batch, self.epoch, settings.checkpoint_batches, out);
        let appended = Appended {
            base,
            log_append_time: log_append_time(&header),
            log_start,
        };
        Ok((log.hard.end, appended))
    }

    /// What an idempotent producer sent behind a batch that was refused is refused as that was,
    /// and comes again behind it. Kafka says that the sequence has a gap (`ProducerAppendInfo`):
    /// then librdkafka begins a new epoch, and writes twice whatever was written and not
    /// acknowledged.
    fn check_sequence(
        &self,
        now: Millis,
        header: &BatchHeader,
        log: &Log,
    ) -> Result<Verdict, AppendError> {
        let verdict = log.hard.producers.check(header);
        match (&self.refused, verdict) {
            (Some((at, refusal)), Err(SequenceError::OutOfOrder { .. }))
                if now.since(*at) < REFUSED_MS =>
            {
                Err(refusal.clone())
            }
            (_, verdict) => Ok(verdict?),
        }
    }

    pub(crate) fn on_replicated(
        &mut self,
        by: BrokerId,
        end: Offset,
        log_start: Offset,
        settings: &Settings,
        now: Millis,
        log: &Log,
    ) {
        let terms = self.terms(settings, now, log);
        self.isr.on_replicated(by, end, log_start, terms);
    }

    /// Asks the controller for another set of replicas in sync, where that is due.
    pub(crate) fn propose(
        &mut self,
        settings: &Settings,
        now: Millis,
        this: BrokerId,
        log: &Log,
        out: &mut Vec<Effect>,
    ) {
        self.isr.on_end(now, log.hard.end);
        let terms = self.terms(settings, now, log);
        if let Some(mut isr) = self.isr.propose(terms) {
            isr.insert(0, this);
            out.push(Effect::ProposeIsr {
                epoch: self.epoch,
                partition_epoch: self.isr.partition_epoch,
                isr,
            });
        }
    }

    fn terms<'a>(&self, settings: &Settings, now: Millis, log: &'a Log) -> Terms<'a> {
        Terms {
            now,
            lag_ms: settings.replica_lag_time_max_ms,
            epoch_start: self.epoch_start,
            log,
        }
    }

    /// Where the log of a follower lies in this one.
    pub(crate) fn place(
        &self,
        epoch: LeaderEpoch,
        end: Offset,
        last_epoch: LeaderEpoch,
        log: &Log,
    ) -> Place {
        let ours = log.hard.end;
        if epoch != self.epoch || self.epoch < last_epoch {
            return Place::NotLeader { epoch: self.epoch };
        }
        if end < log.start {
            return Place::BehindStart(log.start);
        }
        let epochs = &log.hard.epochs;
        match epochs.end_offset_for(last_epoch, Some(self.epoch), ours) {
            // Its last epoch ended somewhere before our first batch ends, which may begin
            // before our start.
            Some(found) if found.end == log.start && log.start < ours => {
                Place::BehindStart(log.start)
            }
            Some(found) if found.epoch < last_epoch || found.end < end => Place::Diverged {
                epoch: found.epoch,
                end: found.end,
            },
            // An empty log lies anywhere, but not beyond the end.
            None if ours < end => Place::Diverged {
                epoch: log.last_epoch(),
                end: ours,
            },
            Some(_) | None => Place::From(end),
        }
    }

    /// Moves the high watermark to what every replica in sync has. It stands
    /// still while too few are in sync, so that what is committed is on as many
    /// as were asked for (KIP-966).
    pub(crate) fn advance(
        &mut self,
        settings: &Settings,
        now: Millis,
        log: &mut Log,
        out: &mut Vec<Effect>,
    ) {
        let before = log.high_watermark;
        if self.isr.sufficiency(settings.min_insync_replicas).is_met() {
            let lag_ms = settings.replica_lag_time_max_ms;
            log.commit(self.isr.durable(now, lag_ms, log.durable), out);
        }
        if before < log.high_watermark || log.high_watermark == log.hard.end {
            // Those in sync follow this leader and no other.
            self.is_doubtful = false;
            self.stalled_since = None;
        }
        if log.high_watermark < log.hard.end {
            self.stalled_since.get_or_insert(now);
        }
    }

    /// A leader that is cut off from the others holds what it appends until its clients
    /// give up, and they may have a minute's patience. While the controllers do not hear
    /// of its broker either, it tells them that it leads no more. Where only the
    /// controllers are gone, what is appended is committed, and nothing changes.
    pub(crate) fn on_unheard(&mut self, now: Millis) {
        let stalled = self.stalled_since.map(|since| now.since(since));
        let is_cut_off = stalled.is_some_and(|stalled| STALLED_MS <= stalled);
        self.is_doubtful |= is_cut_off && self.isr.has_followers();
    }

    fn superseded(&self) -> AppendError {
        AppendError::NotLeader {
            leader: None,
            epoch: self.epoch,
        }
    }

    /// Lets out every reply that waits for nothing any more.
    pub(crate) fn release(
        &self,
        settings: &Settings,
        log: &Log,
        replies: &mut Replies,
        out: &mut Vec<Effect>,
    ) {
        while let Some(waiting) = replies.local.release(log.durable) {
            reply(waiting.token, Ok(waiting.appended), out);
        }
        while let Some(waiting) = replies.committed.release(log.high_watermark) {
            let sufficiency = self.isr.sufficiency(settings.min_insync_replicas);
            let result = sufficiency.after_append().map(|()| waiting.appended);
            reply(waiting.token, result, out);
        }
        if self.is_doubtful {
            let why = self.superseded();
            let held = replies.committed.drain();
            held.for_each(|token| reply(token, Err(why.clone()), out));
        }
    }

    pub(crate) fn next_deadline(&self, settings: &Settings, log: &Log) -> Option<Millis> {
        let lag_ms = settings.replica_lag_time_max_ms;
        self.isr.next_deadline(lag_ms, log.hard.end)
    }
}

pub(crate) fn reply(to: ReplyToken, result: Result<Appended, AppendError>, out: &mut Vec<Effect>) {
    let reply = Reply::Appended(result);
    out.push(Effect::Reply { to, reply });
}

/// What a client may not write, whatever its producer sent before.
fn check_client(header: &BatchHeader) -> Result<(), AppendError> {
    if header.attributes.is_control() {
        return Err(AppendError::ControlBatch);
    }
    if header.attributes.is_transactional() {
        let producer = header.producer_id;
        return Err(AppendError::NoTransaction { producer });
    }
    Ok(())
}

fn log_append_time(header: &BatchHeader) -> Option<Millis> {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(Millis(header.max_timestamp)),
    }
}
