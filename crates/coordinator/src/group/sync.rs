//! SyncGroup: the leader brings the assignment, every member fetches its part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Effects, Generation, GroupId, InstanceId, MemberId, ReplyToken};

use super::machine::{GroupMachine, Reply, Step};
use super::record::Record;
use super::state::{Group, State, Stranger};
use super::timers::Timer;

#[derive(Clone, Debug)]
pub struct Sync {
    pub token: ReplyToken,
    pub group: GroupId,
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub generation: Generation,
    /// Checked where the member says it.
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    /// Looked at only if the member leads.
    pub assignments: BTreeMap<MemberId, Bytes>,
}

/// A member's part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub assignment: Bytes,
}

/// Why a member gets no assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group does not know the member")]
    UnknownMember,
    #[error("another member has taken over the instance")]
    Fenced,
    #[error("the group is in generation {current}")]
    IllegalGeneration { current: Generation },
    #[error("the group uses another protocol")]
    InconsistentProtocol,
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    #[error("the group takes {bytes} bytes, and a record holds {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("the member has asked again since")]
    Superseded,
}

impl From<Stranger> for SyncError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::UnknownMember,
            Stranger::Fenced => Self::Fenced,
        }
    }
}

impl GroupMachine {
    pub(super) fn sync(&mut self, sync: Sync, fx: &mut Effects<Self>) {
        let token = sync.token;
        let outcome = if Record::holds_group(&sync.group) {
            self.with_group(&sync.group.clone(), fx, |group, step| {
                group.sync(sync, step)
            })
        } else {
            Err(SyncError::InvalidGroupId)
        };
        if let Some(result) = outcome.transpose() {
            fx.reply(token, Reply::Sync(result));
        }
    }
}

impl Group {
    /// An answer now, or `None` while the member waits for the leader.
    fn sync(&mut self, sync: Sync, step: &mut Step<'_>) -> Result<Option<Synced>, SyncError> {
        self.check_sync(&sync)?;
        match &mut self.state {
            State::Empty => Err(SyncError::UnknownMember),
            State::Preparing(_) => Err(SyncError::RebalanceInProgress),
            State::Stable(unsynced) => {
                unsynced.remove(&sync.member);
                self.stop_waiting_for_syncs(step);
                Ok(self.synced(&sync.member))
            }
            State::Completing(unsynced) => {
                unsynced.remove(&sync.member);
                self.stop_waiting_for_syncs(step);
                let superseded = self.members.park_sync(&sync.member, sync.token);
                if let Some(token) = superseded {
                    step.reply(token, Reply::Sync(Err(SyncError::Superseded)));
                }
                if self.members.is_leader(&sync.member) {
                    self.accept_assignment(sync.assignments, step);
                }
                Ok(None)
            }
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), SyncError> {
        let differs = |said: &Option<Arc<str>>, ours: &Option<Arc<str>>| {
            said.is_some() && ours.is_some() && said != ours
        };
        self.recognise(&sync.member, sync.instance.as_ref())?;
        if sync.generation != self.generation {
            return Err(SyncError::IllegalGeneration {
                current: self.generation,
            });
        }
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(SyncError::InconsistentProtocol);
        }
        Ok(())
    }

    /// The leader has decided. Everyone who waits is answered, once the
    /// assignment is in the log.
    fn accept_assignment(
        &mut self,
        mut assignments: BTreeMap<MemberId, Bytes>,
        step: &mut Step<'_>,
    ) {
        // Members that the leader does not name have nothing to do.
        self.members
            .assign(|id| assignments.remove(id).unwrap_or_default());
        let (bytes, max) = (self.value().bytes(), step.settings.record_bytes_max);
        if bytes > max {
            self.refuse_syncs(&SyncError::TooLarge { bytes, max }, step);
            return self.rebalance(step);
        }
        step.write_group(self);
        let unsynced = self.state.unsynced_mut().map(std::mem::take);
        self.enter(State::Stable(unsynced.unwrap_or_default()), step.now);
        for (id, token) in self.members.take_syncs() {
            if let Some(synced) = self.synced(&id) {
                step.reply(token, Reply::Sync(Ok(synced)));
            }
            self.renew_session(&id, step);
        }
    }

    fn synced(&self, member: &MemberId) -> Option<Synced> {
        Some(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(member)?.assignment.clone(),
        })
    }

    fn stop_waiting_for_syncs(&mut self, step: &mut Step<'_>) {
        if self
            .state
            .unsynced_mut()
            .is_some_and(|unsynced| unsynced.is_empty())
        {
            step.timers.cancel(&Timer::SyncPhase(self.id.clone()));
        }
    }
}
