//! Heartbeat: a member lives, and learns whether it has to join again.

use ottla_base::{Effects, Generation, GroupId, InstanceId, MemberId, ReplyToken};

use super::machine::{GroupMachine, Reply, Step};
use super::record::Record;
use super::state::{Group, State, Stranger};

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub token: ReplyToken,
    pub group: GroupId,
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub generation: Generation,
}

/// What a member learns by its heartbeat, other than that all is well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group does not know the member")]
    UnknownMember,
    #[error("another member has taken over the instance")]
    Fenced,
    #[error("the group is in generation {current}")]
    IllegalGeneration { current: Generation },
    #[error("the group is rebalancing")]
    RebalanceInProgress,
}

impl From<Stranger> for HeartbeatError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::UnknownMember,
            Stranger::Fenced => Self::Fenced,
        }
    }
}

impl GroupMachine {
    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat, fx: &mut Effects<Self>) {
        let result = if Record::holds_group(&heartbeat.group) {
            self.with_group(&heartbeat.group, fx, |group, step| {
                group.heartbeat(heartbeat, step)
            })
        } else {
            Err(HeartbeatError::InvalidGroupId)
        };
        fx.reply(heartbeat.token, Reply::Heartbeat(result));
    }
}

impl Group {
    fn heartbeat(
        &mut self,
        heartbeat: &Heartbeat,
        step: &mut Step<'_>,
    ) -> Result<(), HeartbeatError> {
        self.recognise(&heartbeat.member, heartbeat.instance.as_ref())?;
        if heartbeat.generation != self.generation {
            return Err(HeartbeatError::IllegalGeneration {
                current: self.generation,
            });
        }
        self.renew_session(&heartbeat.member, step);
        match self.state {
            State::Empty => Err(HeartbeatError::UnknownMember),
            State::Preparing(_) => Err(HeartbeatError::RebalanceInProgress),
            State::Completing(_) | State::Stable(_) => Ok(()),
        }
    }
}
