//! How a group moves from state to state: the join phase opens and closes, a
//! generation begins, members go.

use ottla_base::{Generation, MemberId, Millis};

use super::join::{JoinError, Joined};
use super::machine::{Reply, Step};
use super::state::{Group, Preparing, State};
use super::sync::SyncError;
use super::timers::Timer;

impl Group {
    /// Opens a join phase, or goes on with the one that is open.
    pub(super) fn rebalance(&mut self, step: &mut Step<'_>) {
        match self.state {
            State::Preparing(_) => self.close_join_if_complete(step),
            State::Empty | State::Completing(_) | State::Stable(_) => self.open_join(step),
        }
    }

    pub(super) fn open_join(&mut self, step: &mut Step<'_>) {
        if matches!(self.state, State::Completing(_)) {
            self.refuse_syncs(&SyncError::RebalanceInProgress, step);
        }
        step.timers.cancel(&Timer::SyncPhase(self.id.clone()));
        if self.is_empty() {
            return self.open_first_join(step);
        }
        self.enter(State::Preparing(Preparing::Again), step.now);
        if self.is_complete() {
            self.close_join(step);
        } else {
            self.await_members(step);
        }
    }

    fn open_first_join(&mut self, step: &mut Step<'_>) {
        let delay_ms = step.settings.initial_rebalance_delay_ms;
        let longest_ms = self.members.rebalance_timeout_ms().max(delay_ms);
        let closes_by = step.now.plus_ms(longest_ms.into());
        let first = Preparing::First {
            closes_by,
            has_grown: false,
        };
        self.enter(State::Preparing(first), step.now);
        if delay_ms <= 0 {
            self.close_join(step);
        } else {
            step.set_timer(Timer::JoinPhase(self.id.clone()), delay_ms);
        }
    }

    /// Somebody new gives others one more wait to follow in.
    pub(super) fn extend_first_join(&mut self) {
        if let State::Preparing(Preparing::First { has_grown, .. }) = &mut self.state {
            *has_grown = true;
        }
    }

    /// A first join phase is closed by its timer alone.
    pub(super) fn close_join_if_complete(&mut self, step: &mut Step<'_>) {
        if matches!(self.state, State::Preparing(Preparing::Again)) && self.is_complete() {
            self.close_join(step);
        }
    }

    /// The join phase has lasted as long as it was given. A first one goes on by
    /// whole waits, so that two members who come together wait twice.
    pub(super) fn on_join_timer(&mut self, step: &mut Step<'_>) {
        let State::Preparing(preparing) = &mut self.state else {
            unreachable!("a join phase has left its timer behind");
        };
        match preparing {
            Preparing::First {
                closes_by,
                has_grown,
            } if *has_grown && step.now < *closes_by => {
                *has_grown = false;
                let delay_ms = i64::from(step.settings.initial_rebalance_delay_ms);
                let wait_ms = delay_ms.min(closes_by.since(step.now));
                let closing = Timer::JoinPhase(self.id.clone());
                step.timers.set(closing, step.now, wait_ms);
            }
            Preparing::First { .. } | Preparing::Again => self.close_join(step),
        }
    }

    /// Goes on without the dynamic members that are missing.
    pub(super) fn close_join(&mut self, step: &mut Step<'_>) {
        step.timers.cancel(&Timer::JoinPhase(self.id.clone()));
        for id in self.members.absent_dynamic() {
            self.remove_member(&id, step);
        }
        if self.members.is_empty() {
            self.become_empty(step);
        } else if self.members.elect_joined_leader() {
            self.begin_generation(step);
        } else {
            // Only static members are left and none of them has come back:
            // their sessions decide.
            self.await_members(step);
        }
    }

    fn become_empty(&mut self, step: &mut Step<'_>) {
        self.generation = next(self.generation);
        self.protocol = None;
        self.subscribed = self.subscriptions();
        self.enter(State::Empty, step.now);
        step.write_group(self);
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        self.generation = next(self.generation);
        self.protocol = self.members.vote();
        self.subscribed = self.subscriptions();
        let unsynced = self.members.ids().cloned().collect();
        self.enter(State::Completing(unsynced), step.now);
        for (id, token) in self.members.take_joins() {
            step.reply(token, Reply::Join(Ok(self.joined(&id))));
        }
        for (id, member) in self.members.iter() {
            step.set_session(&self.id, id, member.timeouts.session_ms);
        }
        let timeout_ms = self.members.rebalance_timeout_ms();
        step.set_timer(Timer::SyncPhase(self.id.clone()), timeout_ms);
    }

    /// What a member of this generation learns when it joins.
    pub(super) fn joined(&self, member: &MemberId) -> Joined {
        Joined {
            member: member.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.members.leader().cloned(),
            members: if self.members.is_leader(member) {
                self.roll()
            } else {
                Vec::new()
            },
            skip_assignment: false,
        }
    }

    /// Members that have not asked for their assignment in time are taken for
    /// dead.
    pub(super) fn on_sync_timer(&mut self, step: &mut Step<'_>) {
        let late = self.state.unsynced_mut().map(std::mem::take);
        let late = late.unwrap_or_default();
        if late.is_empty() {
            return;
        }
        for id in late {
            self.remove_member(&id, step);
        }
        self.open_join(step);
    }

    /// A member, or an id that was handed out, was not heard of for too long.
    pub(super) fn on_session_timer(&mut self, id: &MemberId, step: &mut Step<'_>) {
        if self.pending.remove(id) {
            return self.after_loss(step);
        }
        let Some(member) = self.members.get(id) else {
            return;
        };
        if !member.is_excused() {
            self.remove_member(id, step);
            self.after_loss(step);
        }
    }

    /// Somebody went without a word, and that may be who the others waited for;
    /// unlike [`Self::close_join_if_complete`], this ends a first join phase too.
    fn after_loss(&mut self, step: &mut Step<'_>) {
        match self.state {
            State::Empty => (),
            State::Preparing(_) if self.is_complete() => self.close_join(step),
            State::Preparing(_) => (),
            State::Completing(_) | State::Stable(_) => self.rebalance(step),
        }
    }

    /// Takes a member out and answers what it waited for.
    pub(super) fn remove_member(&mut self, id: &MemberId, step: &mut Step<'_>) {
        step.cancel_session(&self.id, id);
        if let Some(unsynced) = self.state.unsynced_mut() {
            unsynced.remove(id);
        }
        let owed = self.members.remove(id).unwrap_or_default();
        if let Some(token) = owed.join {
            step.reply(token, Reply::Join(Err(JoinError::Removed)));
        }
        if let Some(token) = owed.sync {
            step.reply(token, Reply::Sync(Err(SyncError::UnknownMember)));
        }
    }

    /// Sends everyone who waits for an assignment back, and forgets the
    /// assignments.
    pub(super) fn refuse_syncs(&mut self, error: &SyncError, step: &mut Step<'_>) {
        self.members.assign(|_| bytes::Bytes::new());
        for (id, token) in self.members.take_syncs() {
            step.reply(token, Reply::Sync(Err(error.clone())));
            self.renew_session(&id, step);
        }
    }

    pub(crate) fn renew_session(&self, id: &MemberId, step: &mut Step<'_>) {
        if let Some(member) = self.members.get(id) {
            step.set_session(&self.id, id, member.timeouts.session_ms);
        }
    }

    /// A group that was loaded with more members than it may have by now
    /// rebalances, so that they can commit before some of them are refused.
    pub(super) fn reopen_loaded(&mut self, now: Millis) -> i32 {
        self.enter(State::Preparing(Preparing::Again), now);
        self.members.rebalance_timeout_ms()
    }

    fn await_members(&self, step: &mut Step<'_>) {
        let timeout_ms = self.members.rebalance_timeout_ms();
        step.set_timer(Timer::JoinPhase(self.id.clone()), timeout_ms);
    }
}

fn next(generation: Generation) -> Generation {
    Generation(generation.0.saturating_add(1))
}
