//! DescribeGroups, ListGroups and DeleteGroups: what people ask of groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Effects, GroupId, InstanceId, Machine, MemberId, ReplyToken};

use super::machine::{GroupMachine, Reply};
use super::member::Client;
use super::record::Record;
use super::state::{Group, State};
use crate::offsets::tombstones;

#[derive(Clone, Debug)]
pub struct Describe {
    pub token: ReplyToken,
    pub group: GroupId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub state: GroupState,
    /// Empty for a group that only has offsets.
    pub protocol_type: Arc<str>,
    /// Empty unless the group is stable.
    pub protocol: Arc<str>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: MemberId,
    pub instance: Option<InstanceId>,
    pub client: Client,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, Debug)]
pub struct List {
    pub token: ReplyToken,
    pub states: Filter<GroupState>,
    pub kinds: Filter<GroupKind>,
}

/// What of many is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter<T> {
    Any,
    /// Only these; an empty set lets nothing through.
    Only(BTreeSet<T>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: GroupId,
    pub protocol_type: Arc<str>,
    pub state: GroupState,
    pub kind: GroupKind,
}

/// The states of a classic group, as the protocol names them. A group that does
/// not exist is `Dead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

/// The protocols that groups speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    Classic,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub token: ReplyToken,
    pub group: GroupId,
}

/// Why a group stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    #[error("the group does not exist")]
    UnknownGroup,
    #[error("the group has members")]
    NotEmpty,
}

impl GroupState {
    const ALL: [Self; 5] = [
        Self::Empty,
        Self::PreparingRebalance,
        Self::CompletingRebalance,
        Self::Stable,
        Self::Dead,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    /// The state of this name, in whatever case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name.trim()))
    }
}

impl GroupKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
        }
    }

    /// The kind of this name, in whatever case.
    pub fn from_name(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case(Self::Classic.name())
            .then_some(Self::Classic)
    }
}

impl<T: Ord> Filter<T> {
    pub fn lets_through(&self, item: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(items) => items.contains(item),
        }
    }
}

impl GroupMachine {
    pub(super) fn describe(&self, describe: &Describe, fx: &mut Effects<Self>) {
        let description = self.group(&describe.group).map(Group::description);
        fx.reply(describe.token, Reply::Describe(description));
    }

    pub(super) fn list(&self, list: &List, fx: &mut Effects<Self>) {
        let listed = self
            .groups()
            .map(Group::listed)
            .filter(|group| list.states.lets_through(&group.state))
            .filter(|group| list.kinds.lets_through(&group.kind))
            .collect();
        fx.reply(list.token, Reply::List(listed));
    }

    pub(super) fn delete(&mut self, delete: &Delete, fx: &mut Effects<Self>) {
        let result = match self.group(&delete.group).map(Group::is_empty) {
            None => Err(DeleteError::UnknownGroup),
            Some(false) => Err(DeleteError::NotEmpty),
            Some(true) => {
                for record in tombstones(&delete.group, self.hard()) {
                    self.emit(record, fx);
                }
                self.bury(&delete.group, fx);
                Ok(())
            }
        };
        fx.reply(delete.token, Reply::Delete(result));
    }

    /// Ends an empty group that has no offsets any more.
    pub(crate) fn bury(&mut self, group: &GroupId, fx: &mut Effects<Self>) {
        self.forget_group(group);
        let record = Record::Group {
            group: group.clone(),
            value: None,
        };
        self.emit(record, fx);
    }
}

impl Group {
    fn state_name(&self) -> GroupState {
        match self.state {
            State::Empty => GroupState::Empty,
            State::Preparing(_) => GroupState::PreparingRebalance,
            State::Completing(_) => GroupState::CompletingRebalance,
            State::Stable(_) => GroupState::Stable,
        }
    }

    fn description(&self) -> Description {
        let none = || Arc::from("");
        let protocol = match self.state {
            State::Stable(_) => self.protocol.clone().unwrap_or_else(none),
            State::Empty | State::Preparing(_) | State::Completing(_) => none(),
        };
        let members = self.members.iter().map(|(id, member)| DescribedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            metadata: match self.state {
                State::Stable(_) => member.metadata(&protocol),
                State::Empty | State::Preparing(_) | State::Completing(_) => Bytes::new(),
            },
            assignment: member.assignment.clone(),
        });
        Description {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(none),
            members: members.collect(),
            protocol,
        }
    }

    fn listed(&self) -> ListedGroup {
        ListedGroup {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            state: self.state_name(),
            kind: GroupKind::Classic,
        }
    }
}
