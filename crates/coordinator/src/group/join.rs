//! JoinGroup: a member enters a group, or comes back to it.

use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Effects, Generation, GroupId, InstanceId, Machine, MemberId, ReplyToken};

use super::machine::{GroupMachine, Reply, Step};
use super::member::{Client, Member, Protocol, Timeouts};
use super::record::{GroupValue, Record};
use super::state::{Group, State, Stranger};
use crate::settings::Settings;

/// How long a member may wait for its first answer. It cannot send heartbeats
/// before that, and a client that went away and came back as another would
/// otherwise stay in the group for as long as the join phase lasts.
const NEW_MEMBER_TIMEOUT_MS: i32 = 5 * 60 * 1000;

#[derive(Clone, Debug)]
pub struct Join {
    pub token: ReplyToken,
    pub group: GroupId,
    /// `None` for a member that has no id yet.
    pub member: Option<MemberId>,
    pub instance: Option<InstanceId>,
    pub client: Client,
    /// The id that the member gets if it needs one: the name of its instance or
    /// client, a dash, and a UUID.
    pub fresh_member_id: MemberId,
    pub timeouts: Timeouts,
    pub protocol_type: Arc<str>,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    pub new_member: NewMember,
    pub returning_leader: ReturningLeader,
}

/// What happens to a dynamic member that has no id yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewMember {
    /// It is in the group with this request.
    JoinsAtOnce,
    /// It is told its id and has to come again with it (KIP-394).
    MustReturnWithId,
}

/// What a static leader can be told that comes back to a stable group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturningLeader {
    /// Only that another leads, so that it does not assign.
    ActsAsFollower,
    /// That it leads, but need not assign (KIP-814).
    MaySkipAssignment,
}

/// The generation that a member is in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub member: MemberId,
    pub generation: Generation,
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<MemberId>,
    /// All members, for the leader; none for the others.
    pub members: Vec<JoinedMember>,
    pub skip_assignment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: MemberId,
    pub instance: Option<InstanceId>,
    pub metadata: Bytes,
}

/// Why a member is not in a generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("a session timeout of {asked} ms is not within {min}..={max} ms")]
    InvalidSessionTimeout { asked: i32, min: i32, max: i32 },
    #[error("a name in the request is longer than a record holds")]
    NameTooLong,
    #[error("the group has as many members as it may have")]
    GroupFull,
    #[error("the member has to join again as {member}")]
    MemberIdRequired { member: MemberId },
    #[error("no protocol suits all members")]
    InconsistentProtocol,
    #[error("the group does not know the member")]
    UnknownMember,
    #[error("another member has taken over the instance")]
    Fenced,
    #[error("the member has asked again since")]
    Superseded,
    #[error("the member was taken out while it waited")]
    Removed,
    #[error("the instance came back while its member {member} waited")]
    Replaced { member: MemberId },
}

impl From<Stranger> for JoinError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::UnknownMember,
            Stranger::Fenced => Self::Fenced,
        }
    }
}

/// What comes of a join: an answer now, or `None` while it waits.
type Outcome = Result<Option<Joined>, JoinError>;

impl GroupMachine {
    pub(super) fn join(&mut self, join: Join, fx: &mut Effects<Self>) {
        let token = join.token;
        let outcome = self
            .admit(&join, fx)
            .and_then(|()| self.with_group(&join.group, fx, |group, step| group.join(&join, step)))
            .transpose();
        if let Some(result) = outcome {
            fx.reply(token, Reply::Join(result));
        }
    }

    /// Refuses what no group could accept, and makes the group where the first
    /// member may make one.
    fn admit(&mut self, join: &Join, fx: &mut Effects<Self>) -> Result<(), JoinError> {
        check_request(join, self.settings())?;
        if self.group(&join.group).is_some() {
            return Ok(());
        }
        if join.member.is_some() {
            return Err(JoinError::UnknownMember);
        }
        let group = Group::new(join.group.clone(), fx.now());
        if !group.supports(&join.protocol_type, &join.protocols) {
            return Err(JoinError::InconsistentProtocol);
        }
        self.add_group(join.group.clone(), group);
        let record = Record::Group {
            group: join.group.clone(),
            value: Some(GroupValue::new_group(fx.now())),
        };
        self.emit(record, fx);
        Ok(())
    }
}

fn check_request(join: &Join, settings: &Settings) -> Result<(), JoinError> {
    if !Record::holds_group(&join.group) {
        return Err(JoinError::InvalidGroupId);
    }
    let (min, max) = (
        settings.session_timeout_ms_min,
        settings.session_timeout_ms_max,
    );
    let asked = join.timeouts.session_ms;
    if !(min..=max).contains(&asked) {
        return Err(JoinError::InvalidSessionTimeout { asked, min, max });
    }
    let instance = join.instance.as_ref().map_or("", InstanceId::as_str);
    let names = [
        instance,
        &join.client.id,
        join.fresh_member_id.as_str(),
        &join.protocol_type,
    ];
    let protocols = join.protocols.iter().map(|protocol| &*protocol.name);
    if names.into_iter().chain(protocols).all(Record::holds_name) {
        Ok(())
    } else {
        Err(JoinError::NameTooLong)
    }
}

impl Group {
    fn join(&mut self, join: &Join, step: &mut Step<'_>) -> Outcome {
        if !self.has_room_for(join.member.as_ref(), step.settings) {
            if let Some(member) = &join.member {
                self.turn_away(member, step);
            }
            return Err(JoinError::GroupFull);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(JoinError::InconsistentProtocol);
        }
        match &join.member {
            None => self.join_without_id(join, step),
            Some(member) if self.pending.contains(member) => {
                if join.instance.is_some() {
                    // Ids are held for dynamic members only.
                    return Err(JoinError::UnknownMember);
                }
                self.add_member(member.clone(), join, step);
                Ok(None)
            }
            Some(member) => {
                self.recognise(member, join.instance.as_ref())?;
                self.rejoin(member, join, step)
            }
        }
    }

    /// Whether one more member may come, or this one may come back.
    fn has_room_for(&self, member: Option<&MemberId>, settings: &Settings) -> bool {
        let known = member.and_then(|member| self.members.get(member));
        match self.state {
            State::Empty => true,
            // Counting those who wait lets a group that has grown beyond the
            // limit refuse the last of its members to come back.
            State::Preparing(_) => {
                known.is_some_and(Member::awaits_join)
                    || self.members.awaiting_join() < settings.members_max
            }
            State::Completing(_) | State::Stable(_) => {
                known.is_some() || self.members.len() < settings.members_max
            }
        }
    }

    /// There is no room for a member to come back, so nobody waits for it.
    fn turn_away(&mut self, member: &MemberId, step: &mut Step<'_>) {
        self.pending.remove(member);
        self.remove_member(member, step);
        self.close_join_if_complete(step);
    }

    fn join_without_id(&mut self, join: &Join, step: &mut Step<'_>) -> Outcome {
        let fresh = join.fresh_member_id.clone();
        let Some(instance) = &join.instance else {
            return match join.new_member {
                NewMember::JoinsAtOnce => {
                    self.add_member(fresh, join, step);
                    Ok(None)
                }
                NewMember::MustReturnWithId => {
                    self.pending.insert(fresh.clone());
                    step.set_session(&self.id, &fresh, join.timeouts.session_ms);
                    Err(JoinError::MemberIdRequired { member: fresh })
                }
            };
        };
        match self.members.of_instance(instance).cloned() {
            Some(old) => self.replace_static(&old, join, step),
            None => {
                self.add_member(fresh, join, step);
                Ok(None)
            }
        }
    }

    /// A member of the group joins again under its id.
    fn rejoin(&mut self, id: &MemberId, join: &Join, step: &mut Step<'_>) -> Outcome {
        let member = self.members.get(id).ok_or(JoinError::UnknownMember)?;
        let unchanged = member.offers_exactly(&join.protocols);
        let answer_now = match self.state {
            State::Empty => return Err(JoinError::UnknownMember),
            State::Preparing(_) => false,
            // It may have missed the answer.
            State::Completing(_) => unchanged,
            // The leader asks for a rebalance by joining: it knows of changes
            // that do not show in what members say of themselves.
            State::Stable(_) => unchanged && !self.members.is_leader(id),
        };
        if answer_now {
            return Ok(Some(self.joined(id)));
        }
        self.members
            .update(id, join.protocols.clone(), join.timeouts);
        self.park_join(id, join.token, step);
        self.rebalance(step);
        Ok(None)
    }

    fn add_member(&mut self, id: MemberId, join: &Join, step: &mut Step<'_>) {
        self.extend_first_join();
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(&join.protocol_type));
        }
        let mut member = Member::new(
            join.instance.clone(),
            join.client.clone(),
            join.timeouts,
            join.protocols.clone(),
        );
        member.is_new = true;
        self.pending.remove(&id);
        self.members.insert(id.clone(), member);
        self.park_join(&id, join.token, step);
        step.set_session(&self.id, &id, NEW_MEMBER_TIMEOUT_MS);
        self.rebalance(step);
    }

    /// A static member has lost its id, by a restart, and gets another
    /// (KIP-345). Whoever still uses the old one is fenced from here on.
    fn replace_static(&mut self, old: &MemberId, join: &Join, step: &mut Step<'_>) -> Outcome {
        let new = join.fresh_member_id.clone();
        let old_leader = self.members.leader().cloned();
        self.rename_member(old, &new, step);
        self.members
            .update(&new, join.protocols.clone(), join.timeouts);
        self.renew_session(&new, step);
        match self.state {
            State::Stable(_) if self.carries_on(step.settings) => {
                step.write_group(self);
                Ok(Some(self.welcome_back(
                    &new,
                    old_leader,
                    join.returning_leader,
                )))
            }
            State::Stable(_) | State::Preparing(_) | State::Empty => {
                self.park_join(&new, join.token, step);
                self.rebalance(step);
                Ok(None)
            }
            // The leader may be assigning to the old id already, so the new one
            // would get nothing.
            State::Completing(_) => {
                self.park_join(&new, join.token, step);
                self.open_join(step);
                Ok(None)
            }
        }
    }

    fn rename_member(&mut self, old: &MemberId, new: &MemberId, step: &mut Step<'_>) {
        step.cancel_session(&self.id, old);
        if let Some(unsynced) = self.state.unsynced_mut()
            && unsynced.remove(old)
        {
            unsynced.insert(new.clone());
        }
        let owed = self.members.rename(old, new.clone()).unwrap_or_default();
        if let Some(token) = owed.join {
            let member = old.clone();
            step.reply(token, Reply::Join(Err(JoinError::Replaced { member })));
        }
        if let Some(token) = owed.sync {
            step.reply(token, Reply::Sync(Err(Stranger::Fenced.into())));
        }
    }

    /// Whether the generation can go on although a member has changed.
    fn carries_on(&self, settings: &Settings) -> bool {
        self.protocol == self.members.vote() && self.value().bytes() <= settings.record_bytes_max
    }

    fn welcome_back(
        &self,
        member: &MemberId,
        old_leader: Option<MemberId>,
        returning_leader: ReturningLeader,
    ) -> Joined {
        let joined = self.joined(member);
        match returning_leader {
            ReturningLeader::MaySkipAssignment => Joined {
                skip_assignment: self.members.is_leader(member),
                ..joined
            },
            // Told its own old id, a leader takes itself for a follower.
            ReturningLeader::ActsAsFollower => Joined {
                leader: old_leader,
                members: Vec::new(),
                ..joined
            },
        }
    }

    fn park_join(&mut self, id: &MemberId, token: ReplyToken, step: &mut Step<'_>) {
        if let Some(superseded) = self.members.park_join(id, token) {
            step.reply(superseded, Reply::Join(Err(JoinError::Superseded)));
        }
    }
}
