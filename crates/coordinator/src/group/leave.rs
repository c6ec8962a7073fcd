//! LeaveGroup: members say goodbye, or an operator says it for them.

use ottla_base::{Effects, GroupId, InstanceId, MemberId, ReplyToken};

use super::machine::{GroupMachine, Reply, Step};
use super::record::Record;
use super::state::{Group, State, Stranger};

#[derive(Clone, Debug)]
pub struct Leave {
    pub token: ReplyToken,
    pub group: GroupId,
    pub members: Vec<Leaving>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// `None` where an operator names only the instance.
    pub member: Option<MemberId>,
    pub instance: Option<InstanceId>,
}

/// Why a member cannot be taken out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group does not know the member")]
    UnknownMember,
    #[error("another member has taken over the instance")]
    Fenced,
}

impl From<Stranger> for LeaveError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::UnknownMember,
            Stranger::Fenced => Self::Fenced,
        }
    }
}

impl GroupMachine {
    /// Answers for each member, in the order of the request.
    pub(super) fn leave(&mut self, leave: &Leave, fx: &mut Effects<Self>) {
        let result = if Record::holds_group(&leave.group) {
            let left = self.with_group(&leave.group, fx, |group, step| {
                Ok::<_, Stranger>(group.leave(&leave.members, step))
            });
            let nobody = |_| vec![Err(LeaveError::UnknownMember); leave.members.len()];
            Ok(left.unwrap_or_else(nobody))
        } else {
            Err(LeaveError::InvalidGroupId)
        };
        fx.reply(leave.token, Reply::Leave(result));
    }
}

impl Group {
    fn leave(&mut self, members: &[Leaving], step: &mut Step<'_>) -> Vec<Result<(), LeaveError>> {
        let results: Vec<_> = members
            .iter()
            .map(|leaving| self.leave_one(leaving, step))
            .collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                State::Empty => (),
                State::Preparing(_) => self.close_join_if_complete(step),
                State::Completing(_) | State::Stable(_) => self.open_join(step),
            }
        }
        results
    }

    fn leave_one(&mut self, leaving: &Leaving, step: &mut Step<'_>) -> Result<(), LeaveError> {
        let id = match &leaving.member {
            Some(id) if self.pending.remove(id) => {
                step.cancel_session(&self.id, id);
                return Ok(());
            }
            Some(id) => {
                self.recognise(id, leaving.instance.as_ref())?;
                id.clone()
            }
            None => leaving
                .instance
                .as_ref()
                .and_then(|instance| self.members.of_instance(instance))
                .cloned()
                .ok_or(LeaveError::UnknownMember)?,
        };
        self.remove_member(&id, step);
        Ok(())
    }
}
