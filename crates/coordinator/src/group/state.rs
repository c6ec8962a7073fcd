//! One classic group: its state, and the questions that every operation asks of
//! it. How it moves from state to state is in [`super::rebalance`].

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_base::{Generation, GroupId, InstanceId, MemberId, Millis, TopicName};

use super::join::JoinedMember;
use super::member::{Client, Member, Members, Protocol, Timeouts};
use super::record::{GroupValue, MemberValue};
use super::subscription::subscribed_topics;

/// The protocol type of consumers; the only one whose metadata is looked into.
const CONSUMER: &str = "consumer";

/// Owned by the machine. Soft: after a reload it is built anew from what the
/// log holds, by [`Group::loaded`].
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) state: State,
    /// When it came into its state; unknown for groups from old records.
    pub(crate) state_since: Option<Millis>,
    pub(crate) generation: Generation,
    /// Set by the first member; `None` for a group that only has offsets.
    pub(crate) protocol_type: Option<Arc<str>>,
    /// What the members of this generation agreed on.
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) members: Members,
    /// Ids that were handed out to members who have not joined with them yet.
    pub(crate) pending: BTreeSet<MemberId>,
    /// `None` if it cannot be known.
    pub(crate) subscribed: Option<BTreeSet<TopicName>>,
}

#[derive(Debug)]
pub(crate) enum State {
    /// There are no members.
    Empty,
    /// Waits until every member has joined again.
    Preparing(Preparing),
    /// Waits for the leader's assignment.
    Completing(Unsynced),
    Stable(Unsynced),
}

/// The members of a generation that have not asked for their assignment.
pub(crate) type Unsynced = BTreeSet<MemberId>;

/// When the join phase may close.
#[derive(Debug)]
pub(crate) enum Preparing {
    /// At the end of a wait in which nobody new has come: the members of an empty
    /// group are given time to arrive together, but not beyond this moment.
    First { closes_by: Millis, has_grown: bool },
    /// As soon as all known members are there.
    Again,
}

/// Why a request is not that of the member it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    Unknown,
    Fenced,
}

impl Group {
    pub(crate) fn new(id: GroupId, now: Millis) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: Some(now),
            generation: Generation(0),
            protocol_type: None,
            protocol: None,
            members: Members::default(),
            pending: BTreeSet::new(),
            subscribed: None,
        }
    }

    /// A group as its last record left it: stable if it has members. What it
    /// was in the middle of is forgotten; its members find out and join again.
    pub(crate) fn loaded(id: GroupId, value: &GroupValue) -> Self {
        let mut members = Members::default();
        let protocol = value.protocol.clone();
        for stored in &value.members {
            if !members.contains(&stored.id) {
                members.insert(stored.id.clone(), loaded_member(stored, protocol.clone()));
            }
        }
        if let Some(leader) = &value.leader {
            members.restore_leader(leader);
        }
        let state = if members.is_empty() {
            State::Empty
        } else {
            State::Stable(Unsynced::new())
        };
        let protocol_type = Some(Arc::clone(&value.protocol_type));
        let mut group = Self {
            id,
            state,
            state_since: value.state_since,
            generation: value.generation,
            protocol_type: protocol_type.filter(|name| !name.is_empty()),
            protocol,
            members,
            pending: BTreeSet::new(),
            subscribed: None,
        };
        group.subscribed = group.subscriptions();
        group
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// Whether nothing but offsets keeps the group.
    pub(crate) fn is_deserted(&self) -> bool {
        self.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn is_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether everyone is waiting for the join phase to close.
    pub(crate) fn is_complete(&self) -> bool {
        self.members.len() == self.members.awaiting_join() && self.pending.is_empty()
    }

    /// Whether members read `topic`, or may do so for all that is known.
    pub(crate) fn is_subscribed_to(&self, topic: &TopicName) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumers(),
        }
    }

    /// Whether a member with these protocols fits in.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && self.members.all_support_one_of(protocols)
    }

    /// Checks that `member` is in the group, and that it is the current one of
    /// its instance, if it names one.
    pub(crate) fn recognise(
        &self,
        member: &MemberId,
        instance: Option<&InstanceId>,
    ) -> Result<(), Stranger> {
        if let Some(instance) = instance {
            let current = self.members.of_instance(instance);
            if current.ok_or(Stranger::Unknown)? != member {
                return Err(Stranger::Fenced);
            }
        }
        if self.members.contains(member) {
            Ok(())
        } else {
            Err(Stranger::Unknown)
        }
    }

    pub(crate) fn enter(&mut self, state: State, now: Millis) {
        self.state = state;
        self.state_since = Some(now);
    }

    /// The topics that the members of this generation read, where they are
    /// consumers and their subscriptions can be read.
    pub(crate) fn subscriptions(&self) -> Option<BTreeSet<TopicName>> {
        if !self.is_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for (_, member) in self.members.iter() {
            let protocol = self.protocol.as_deref()?;
            topics.extend(subscribed_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// The members as the leader has to know them.
    pub(crate) fn roll(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .iter()
            .map(|(id, member)| JoinedMember {
                id: id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    /// What the log has to know of the group as it is.
    pub(crate) fn value(&self) -> GroupValue {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberValue {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: Arc::clone(&member.client.id),
            client_host: Arc::clone(&member.client.host),
            rebalance_timeout_ms: member.timeouts.rebalance_ms,
            session_timeout_ms: member.timeouts.session_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.members.leader().cloned(),
            state_since: self.state_since,
            members: members.collect(),
        }
    }
}

impl State {
    /// Of the members that still have to ask for their assignment, where there
    /// is one or will be one.
    pub(crate) fn unsynced_mut(&mut self) -> Option<&mut Unsynced> {
        match self {
            Self::Empty | Self::Preparing(_) => None,
            Self::Completing(unsynced) | Self::Stable(unsynced) => Some(unsynced),
        }
    }
}

fn loaded_member(stored: &MemberValue, protocol: Option<Arc<str>>) -> Member {
    let client = Client {
        id: Arc::clone(&stored.client_id),
        host: Arc::clone(&stored.client_host),
    };
    let timeouts = Timeouts {
        session_ms: stored.session_timeout_ms,
        // Records of members that knew no rebalance timeout hold -1.
        rebalance_ms: if stored.rebalance_timeout_ms == -1 {
            stored.session_timeout_ms
        } else {
            stored.rebalance_timeout_ms
        },
    };
    let offered = Protocol {
        name: protocol.unwrap_or_else(|| "".into()),
        metadata: stored.subscription.clone(),
    };
    let mut member = Member::new(stored.instance.clone(), client, timeouts, vec![offered]);
    member.assignment = stored.assignment.clone();
    member
}
