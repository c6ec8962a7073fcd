//! The machine of one replica: the switch over what it is and what happens.

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, ReplyToken};
use ottla_protocol::records::RecordBatch;

use crate::deletions::{self, Deletion, Deletions};
use crate::effect::Effect;
use crate::epochs::EpochEnd;
use crate::error::{AppendError, DeleteError};
use crate::follower::{FollowPosition, Follower, Place};
use crate::held::Replies;
use crate::input::{Acks, Append, Input, Lead, Settings};
use crate::leader::{self, Leader};
use crate::log::{Hard, Log};
use crate::producers::ActiveProducer;
use crate::view::{RoleKind, View};

/// How long who appended waits, once another replica leads, until that one has said whether it
/// has what was appended. Kafka says at once that this one does not lead (`DelayedProduce`):
/// then who is idempotent sends it once more, and who is not writes it twice.
const HANDOVER_MS: i64 = 1_000;

/// One replica of one partition. Owned by the cell that drives it.
#[derive(Debug)]
pub struct Partition {
    broker: BrokerId,
    settings: Settings,
    role: Role,
    log: Log,
    replies: Replies,
    /// Until when those may wait for the word of a leader that has yet to say where this log
    /// lies in its own.
    handover_ends: Option<Millis>,
    /// When an append was refused for the last time because another leads, and how.
    turned_away: Option<(Millis, AppendError)>,
    deletions: Deletions,
    /// When expired producers are looked for; never while there are none.
    expire_at: Option<Millis>,
    /// What readers see.
    published: View,
}

#[derive(Debug)]
enum Role {
    /// Recovered, and not told yet what to be.
    Idle,
    Leader(Leader),
    Follower(Follower),
    /// Its log was cut: it must be recovered again.
    Cut(LeaderEpoch),
    /// Its store failed: nothing that it knows can be relied on.
    Failed(LeaderEpoch),
}

impl Partition {
    pub(crate) fn recovered(now: Millis, broker: BrokerId, settings: Settings, log: Log) -> Self {
        let role = Role::Idle;
        let published = view(&role, &log);
        let mut partition = Self {
            broker,
            settings,
            role,
            log,
            replies: Replies::default(),
            handover_ends: None,
            turned_away: None,
            deletions: Deletions::default(),
            expire_at: None,
            published,
        };
        partition.plan_expiry(now);
        partition
    }

    pub fn step(&mut self, now: Millis, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Lead(lead) => self.lead(now, &lead),
            Input::Follow {
                epoch,
                leader,
                in_sync,
            } => self.follow(now, Follower::new(epoch, leader, in_sync), out),
            Input::Append(append) => self.append(now, append, out),
            Input::AppendFrom {
                epoch,
                after,
                batch,
                high_watermark,
            } => self.append_from(epoch, after, (batch, high_watermark), out),
            Input::Position {
                epoch,
                high_watermark,
                log_start,
            } => self.on_position(epoch, high_watermark, log_start, out),
            Input::Replicated {
                by,
                epoch,
                end,
                log_start,
            } => self.on_replicated(now, by, epoch, end, log_start),
            Input::IsrRefused { partition_epoch } => self.on_isr_refused(now, partition_epoch),
            Input::Flushed { end } => self.log.flushed(end),
            Input::StartMoved { to } => self.log.start_moved(to, out),
            Input::Diverged {
                leader_epoch,
                epoch,
                end,
            } => self.on_diverged(leader_epoch, epoch, end, out),
            Input::DeleteRecords {
                token,
                before,
                deadline,
            } => self.delete_records(token, before, deadline, out),
            Input::AdvanceStart { to } => self.advance_start(to, out),
            Input::Unheard => self.on_unheard(now),
            Input::Settings(settings) => self.settings = settings,
            Input::Checkpoint => self.log.checkpoint_if_behind(out),
            Input::StorageFailed => self.on_storage_failed(out),
            Input::Tick => (),
        }
        self.settle(now, out);
    }

    /// Goes on instead of the machine `before`, of which this one was recovered after a cut:
    /// whoever waits for what was not cut goes on waiting.
    pub fn succeed(&mut self, before: &mut Self, out: &mut Vec<Effect>) {
        self.replies = std::mem::take(&mut before.replies);
        self.refuse_beyond(self.log.hard.end, out);
    }

    /// Whether anybody waits for an append.
    pub fn owes_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Appends a batch of the coordinator that lives in this partition, which
    /// waits for it by offset and not by token. Returns the end of the batch.
    pub fn append_hosted(
        &mut self,
        now: Millis,
        batch: RecordBatch,
        out: &mut Vec<Effect>,
    ) -> Result<Offset, AppendError> {
        let epoch = self.admit_hosted()?;
        self.log
            .write(batch, epoch, self.settings.checkpoint_batches, out);
        self.settle(now, out);
        Ok(self.log.hard.end)
    }

    /// Whether the coordinator that lives here could append now. It asks before
    /// it decides anything, so that an append of its own never fails.
    pub fn can_append_hosted(&self) -> Result<(), AppendError> {
        self.admit_hosted().map(|_| ())
    }

    /// When the next [`Input::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Millis> {
        let isr = match &self.role {
            Role::Leader(leader) => leader.next_deadline(&self.settings, &self.log),
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => None,
        };
        let deadlines = [
            isr,
            self.replies.next_deadline(),
            self.handover_ends,
            self.deletions.next_deadline(),
            self.expire_at,
        ];
        deadlines.into_iter().flatten().min()
    }

    pub fn view(&self) -> View {
        view(&self.role, &self.log)
    }

    /// The state that a recovery must arrive at again.
    pub fn hard(&self) -> &Hard {
        &self.log.hard
    }

    /// The largest epoch up to `epoch`, and where its data ends here; `None` for
    /// one that lies ahead.
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let current = match &self.role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => None,
        };
        let Hard { epochs, end, .. } = &self.log.hard;
        epochs.end_offset_for(epoch, current, *end)
    }

    /// What to ask the leader for; `None` while this replica follows nobody, or waits
    /// for its disk: `Effect::Refollow` comes as soon as that is over.
    pub fn follow_position(&self) -> Option<FollowPosition> {
        match &self.role {
            Role::Follower(follower) => follower.position(&self.log),
            Role::Idle | Role::Leader(_) | Role::Cut(_) | Role::Failed(_) => None,
        }
    }

    /// Where the log of the follower `by` lies in this one, which ends at `end`, durably,
    /// with a batch of `last_epoch`. Nothing may be sent and nothing that it has counts but
    /// after [`Place::From`]; then its end counts as replicated.
    pub fn place(
        &self,
        by: BrokerId,
        epoch: LeaderEpoch,
        end: Offset,
        last_epoch: LeaderEpoch,
    ) -> Place {
        match &self.role {
            Role::Leader(leader) if leader.isr().has_replica(by) => {
                leader.place(epoch, end, last_epoch, &self.log)
            }
            Role::Leader(_) | Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => {
                Place::NotLeader {
                    epoch: self.view().leader_epoch,
                }
            }
        }
    }

    /// Everything below is committed, belongs to no open transaction, and lies before
    /// the last checkpoint.
    pub fn settled(&self) -> Offset {
        let View { last_stable, .. } = self.view();
        last_stable.min(self.log.saved())
    }

    /// The followers in sync that surely have the record at `offset` or the end of the
    /// log there, and how far each has come; none where this replica does not lead.
    pub fn in_sync_with(&self, offset: Offset) -> Vec<(BrokerId, Offset)> {
        match &self.role {
            Role::Leader(leader) => leader
                .isr()
                .ranges()
                .filter(|(_, start, end)| *start <= offset && offset <= *end)
                .map(|(replica, _, end)| (replica, end))
                .collect(),
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => Vec::new(),
        }
    }

    /// The followers of which one leads next: those that may be in sync, or all where too
    /// few are. None where this replica does not lead.
    pub fn successors(&self) -> Vec<BrokerId> {
        let min_insync_replicas = self.settings.min_insync_replicas;
        match &self.role {
            Role::Leader(leader) => leader.isr().successors(min_insync_replicas).collect(),
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => Vec::new(),
        }
    }

    /// Where to cut a store once more that ends at `end`, after a recovery: an earlier cut
    /// lay within a batch, which is gone whole.
    pub fn excess(&self, end: Offset) -> Option<Offset> {
        let ours = self.log.hard.end;
        (ours < end).then_some(ours)
    }

    /// For the API of that name.
    pub fn describe_producers(&self) -> impl Iterator<Item = ActiveProducer> {
        self.log.hard.producers.active()
    }

    fn lead(&mut self, now: Millis, lead: &Lead) {
        let end = self.log.hard.end;
        match &mut self.role {
            Role::Leader(leader) if leader.epoch <= lead.epoch => {
                leader.update(now, self.broker, lead, end);
            }
            Role::Idle => self.begin_to_lead(now, lead, end),
            Role::Follower(follower) if follower.epoch < lead.epoch => {
                self.begin_to_lead(now, lead, end);
            }
            // An older term, or a replica that cannot serve.
            Role::Leader(_) | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => (),
        }
    }

    fn begin_to_lead(&mut self, now: Millis, lead: &Lead, end: Offset) {
        let mut leader = Leader::new(now, self.broker, lead, end);
        leader.refused = self.turned_away.take();
        self.role = Role::Leader(leader);
    }

    fn follow(&mut self, now: Millis, follower: Follower, out: &mut Vec<Effect>) {
        let Follower { epoch, leader, .. } = follower;
        match &mut self.role {
            Role::Leader(led) if led.epoch <= epoch => {
                let why = DeleteError::NotLeader { leader, epoch };
                self.deletions.refuse_all(why, out);
                self.role = Role::Follower(follower);
            }
            Role::Follower(known) if known.is_older_than(&follower) => *known = follower,
            Role::Follower(known) => return known.heed(&follower),
            Role::Idle => self.role = Role::Follower(follower),
            // An older term, or a replica that cannot serve.
            Role::Leader(_) | Role::Cut(_) | Role::Failed(_) => return,
        }
        if leader.is_none() {
            // There is nobody to hear it from.
            self.refuse_all(out);
        }
        self.handover_ends = self.owes_replies().then(|| now.plus_ms(HANDOVER_MS));
    }

    fn append(&mut self, now: Millis, append: Append, out: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leader(leader) => {
                let (log, replies) = (&mut self.log, &mut self.replies);
                leader.append(now, append, &self.settings, log, replies, out);
            }
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => {
                let error = self.not_serving();
                self.turned_away = Some((now, error.clone()));
                leader::reply(append.token, Err(error), out);
            }
        }
    }

    fn admit_hosted(&self) -> Result<LeaderEpoch, AppendError> {
        match &self.role {
            Role::Leader(leader) => {
                leader.admit(Acks::All, &self.settings)?;
                Ok(leader.epoch)
            }
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => {
                Err(self.not_serving())
            }
        }
    }

    fn append_from(
        &mut self,
        epoch: LeaderEpoch,
        after: Offset,
        (batch, high_watermark): (RecordBatch, Offset),
        out: &mut Vec<Effect>,
    ) {
        if let Role::Follower(follower) = &mut self.role
            && follower.epoch == epoch
            && follower.append_from(after, batch, &self.settings, &mut self.log, out)
        {
            follower.raise(high_watermark);
        }
    }

    fn on_position(
        &mut self,
        epoch: LeaderEpoch,
        high_watermark: Offset,
        log_start: Offset,
        out: &mut Vec<Effect>,
    ) {
        if let Role::Follower(follower) = &mut self.role
            && follower.epoch == epoch
            && follower.on_position(high_watermark, log_start, &mut self.log, out)
        {
            self.refuse_all(out);
        }
    }

    fn on_replicated(
        &mut self,
        now: Millis,
        by: BrokerId,
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    ) {
        if let Role::Leader(leader) = &mut self.role
            && leader.epoch == epoch
        {
            leader.on_replicated(by, end, log_start, &self.settings, now, &self.log);
        }
    }

    fn on_isr_refused(&mut self, now: Millis, partition_epoch: i32) {
        if let Role::Leader(leader) = &mut self.role {
            leader.isr.on_refused(now, partition_epoch);
        }
    }

    fn on_diverged(
        &mut self,
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
        out: &mut Vec<Effect>,
    ) {
        if let Role::Follower(follower) = &mut self.role
            && follower.epoch == leader_epoch
            && let Some(to) = follower.diverged(epoch, end, &self.log, out)
        {
            self.refuse_beyond(to, out);
            self.role = Role::Cut(leader_epoch);
        }
    }

    fn delete_records(
        &mut self,
        token: ReplyToken,
        before: Option<Offset>,
        deadline: Millis,
        out: &mut Vec<Effect>,
    ) {
        match self.deletable(before) {
            Ok(before) => {
                self.log.advance_start(before, out);
                self.deletions.hold(Deletion {
                    token,
                    before,
                    deadline,
                });
            }
            Err(error) => deletions::reply(token, Err(error), out),
        }
    }

    fn deletable(&self, before: Option<Offset>) -> Result<Offset, DeleteError> {
        self.admit_deletion()?;
        let high_watermark = self.log.high_watermark;
        let before = before.unwrap_or(high_watermark);
        if !self.settings.records_deletable {
            Err(DeleteError::NotDeletable)
        } else if before < Offset::ZERO || high_watermark < before {
            Err(DeleteError::OutOfRange {
                before,
                high_watermark,
            })
        } else {
            Ok(before)
        }
    }

    fn admit_deletion(&self) -> Result<(), DeleteError> {
        match &self.role {
            Role::Leader(leader) if !leader.is_doubtful => Ok(()),
            Role::Failed(_) => Err(DeleteError::StorageFailed),
            Role::Idle | Role::Leader(_) | Role::Follower(_) | Role::Cut(_) => {
                let View { leader_epoch, .. } = self.view();
                Err(DeleteError::NotLeader {
                    leader: self.known_leader(),
                    epoch: leader_epoch,
                })
            }
        }
    }

    /// Retention never takes what is not committed.
    fn advance_start(&mut self, to: Offset, out: &mut Vec<Effect>) {
        if let Role::Leader(_) = &self.role {
            self.log.advance_start(to.min(self.log.high_watermark), out);
        }
    }

    fn on_unheard(&mut self, now: Millis) {
        if let Role::Leader(leader) = &mut self.role {
            leader.on_unheard(now);
        }
    }

    fn on_storage_failed(&mut self, out: &mut Vec<Effect>) {
        self.deletions.refuse_all(DeleteError::StorageFailed, out);
        self.role = Role::Failed(self.view().leader_epoch);
        self.refuse_all(out);
    }

    /// What every step ends with. Readers see a new view before anyone is told
    /// of what it shows, so that who was answered reads their own write.
    fn settle(&mut self, now: Millis, out: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leader(leader) => {
                // Whom the high watermark waits for is known after that.
                leader.propose(&self.settings, now, self.broker, &self.log, out);
                leader.advance(&self.settings, now, &mut self.log, out);
            }
            Role::Follower(follower) => follower.settle(&mut self.log, out),
            Role::Idle | Role::Cut(_) | Role::Failed(_) => (),
        }
        self.publish(out);
        self.release(now, out);
        if self.expire_at.is_some_and(|at| at <= now) {
            self.expire_producers(now, out);
        }
        self.plan_expiry(now);
        let log = &self.log;
        assert!(
            log.start <= log.high_watermark,
            "a start that is not committed"
        );
        assert!(
            log.high_watermark <= log.durable,
            "committed past what is durable"
        );
        assert!(log.durable <= log.hard.end, "durable past the end");
    }

    fn publish(&mut self, out: &mut Vec<Effect>) {
        let view = self.view();
        // The end alone is news to nobody.
        let seen = View {
            end: view.end,
            ..self.published
        };
        if seen != view {
            self.published = view;
            out.push(Effect::Publish(view));
        }
    }

    fn release(&mut self, now: Millis, out: &mut Vec<Effect>) {
        self.deletions.expire(now, out);
        if let Role::Leader(leader) = &mut self.role {
            // Where too few are in sync, one of the others may lead next.
            if leader
                .isr
                .sufficiency(self.settings.min_insync_replicas)
                .is_met()
            {
                let everywhere = leader.isr.log_start(self.log.durable_start);
                self.deletions.release(everywhere, out);
            }
        }
        match &self.role {
            Role::Leader(leader) => {
                leader.release(&self.settings, &self.log, &mut self.replies, out);
            }
            // What is committed is in the next leader's log.
            Role::Follower(_) => {
                let (durable, committed) = (self.log.durable, self.log.high_watermark);
                while let Some(waiting) = self.replies.release(durable, committed) {
                    leader::reply(waiting.token, Ok(waiting.appended), out);
                }
            }
            Role::Idle | Role::Cut(_) | Role::Failed(_) => (),
        }
        self.end_handover(now, out);
        let late = self.replies.expire(now);
        if !late.is_empty() {
            refuse(late, &self.why_late(), out);
        }
    }

    /// What the leader has as well waits for it to be committed, as before.
    fn end_handover(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let is_settled = match &self.role {
            Role::Follower(follower) => follower.is_placed(),
            Role::Idle | Role::Cut(_) => false,
            Role::Leader(_) | Role::Failed(_) => true,
        };
        if is_settled || !self.owes_replies() {
            self.handover_ends = None;
        } else if self.handover_ends.is_some_and(|end| end <= now) {
            self.refuse_all(out);
            self.handover_ends = None;
        }
    }

    fn why_late(&self) -> AppendError {
        match &self.role {
            Role::Leader(_) => AppendError::TimedOut,
            Role::Idle | Role::Follower(_) | Role::Cut(_) | Role::Failed(_) => self.not_serving(),
        }
    }

    /// Answers who waits for what this replica has not, or not any more.
    fn refuse_beyond(&mut self, end: Offset, out: &mut Vec<Effect>) {
        let lost = self.replies.cut(end);
        refuse(lost, &self.not_serving(), out);
    }

    fn refuse_all(&mut self, out: &mut Vec<Effect>) {
        self.refuse_beyond(Offset(-1), out);
    }

    fn expire_producers(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let after_ms = self.settings.producer_expiration_ms;
        if self.log.hard.producers.expire(now, after_ms) {
            // No batch says that they are gone, so a checkpoint does.
            self.log.checkpoint(out);
        }
        self.expire_at = None;
    }

    fn plan_expiry(&mut self, now: Millis) {
        if self.expire_at.is_none() && !self.log.hard.producers.is_empty() {
            let check_ms = self.settings.producer_expiration_check_ms.max(1);
            self.expire_at = Some(now.plus_ms(check_ms));
        }
    }

    fn not_serving(&self) -> AppendError {
        match &self.role {
            Role::Failed(_) => AppendError::StorageFailed,
            Role::Idle | Role::Leader(_) | Role::Follower(_) | Role::Cut(_) => {
                AppendError::NotLeader {
                    leader: self.known_leader(),
                    epoch: self.view().leader_epoch,
                }
            }
        }
    }

    fn known_leader(&self) -> Option<BrokerId> {
        match &self.role {
            Role::Leader(leader) => (!leader.is_doubtful).then_some(self.broker),
            Role::Follower(follower) => follower.leader,
            Role::Idle | Role::Cut(_) | Role::Failed(_) => None,
        }
    }
}

fn view(role: &Role, log: &Log) -> View {
    let (kind, leader_epoch, epoch_start) = match role {
        Role::Idle => {
            let epoch = log.hard.epochs.latest().unwrap_or(LeaderEpoch::NONE);
            (RoleKind::Idle, epoch, log.hard.end)
        }
        Role::Leader(leader) => (RoleKind::Leader, leader.epoch, leader.epoch_start),
        Role::Follower(follower) => (RoleKind::Follower, follower.epoch, log.start),
        Role::Cut(epoch) => (RoleKind::Idle, *epoch, log.hard.end),
        Role::Failed(epoch) => (RoleKind::Failed, *epoch, log.hard.end),
    };
    View {
        log_start: log.start,
        high_watermark: log.high_watermark,
        last_stable: log.high_watermark,
        end: log.hard.end,
        leader_epoch,
        epoch_start,
        role: kind,
        is_doubtful: matches!(role, Role::Leader(leader) if leader.is_doubtful),
    }
}

fn refuse(tokens: Vec<ReplyToken>, why: &AppendError, out: &mut Vec<Effect>) {
    for token in tokens {
        leader::reply(token, Err(why.clone()), out);
    }
}
