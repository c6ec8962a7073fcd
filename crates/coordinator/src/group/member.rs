//! The members of one group, and the counts over them that decide when a
//! rebalance is complete. Knows nothing of states, timers or records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{InstanceId, MemberId, ReplyToken};

/// A way of sharing work that a member offers, with what it says about itself
/// under it. For consumers: an assignor and a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: Arc<str>,
    pub metadata: Bytes,
}

/// Where a member connects from, for people who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub id: Arc<str>,
    pub host: Arc<str>,
}

/// How long a member may be silent, and how long it may take to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub session_ms: i32,
    pub rebalance_ms: i32,
}

/// One member. Changed only through [`Members`], which counts.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<InstanceId>,
    pub(crate) client: Client,
    pub(crate) timeouts: Timeouts,
    /// In the member's order of preference, no name twice.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// No answer has told it its id yet, so it cannot send heartbeats, and is
    /// not excused from its deadline by waiting.
    pub(crate) is_new: bool,
    awaits_join: Option<ReplyToken>,
    awaits_sync: Option<ReplyToken>,
}

impl Member {
    pub(crate) fn new(
        instance: Option<InstanceId>,
        client: Client,
        timeouts: Timeouts,
        protocols: Vec<Protocol>,
    ) -> Self {
        Self {
            instance,
            client,
            timeouts,
            protocols: without_duplicates(protocols),
            assignment: Bytes::new(),
            is_new: false,
            awaits_join: None,
            awaits_sync: None,
        }
    }

    /// What it says about itself under `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|offered| &*offered.name == protocol)
            .map(|offered| offered.metadata.clone())
            .unwrap_or_default()
    }

    pub(crate) fn awaits_join(&self) -> bool {
        self.awaits_join.is_some()
    }

    /// Whether it waits for us, so that its silence is no sign of its death.
    pub(crate) fn is_excused(&self) -> bool {
        !self.is_new && (self.awaits_join.is_some() || self.awaits_sync.is_some())
    }

    /// Whether these are the protocols that it has offered, in their order.
    pub(crate) fn offers_exactly(&self, protocols: &[Protocol]) -> bool {
        self.protocols == without_duplicates(protocols.to_vec())
    }
}

/// The answers that a member still waits for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) join: Option<ReplyToken>,
    pub(crate) sync: Option<ReplyToken>,
}

/// The members of a group. Owned by the group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<MemberId, Member>,
    /// The current member of each static instance.
    by_instance: BTreeMap<InstanceId, MemberId>,
    /// Some unless there are no members.
    leader: Option<MemberId>,
    /// How many wait for the join phase to close.
    awaiting_join: usize,
    /// How many offer each protocol.
    supporters: BTreeMap<Arc<str>, usize>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn contains(&self, id: &MemberId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.by_id.iter()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &MemberId> {
        self.by_id.keys()
    }

    pub(crate) fn of_instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.by_instance.get(instance)
    }

    pub(crate) fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub(crate) fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    pub(crate) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// The longest time that any of them may take to join again.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.by_id
            .values()
            .map(|member| member.timeouts.rebalance_ms)
            .fold(0, i32::max)
    }

    /// Whether all members offer one of `protocols`. True of anything while
    /// there are no members.
    pub(crate) fn all_support_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols
            .iter()
            .any(|protocol| self.all_support(&protocol.name))
    }

    /// The protocol that wins when every member votes for the one it prefers
    /// among those that all offer. `None` only without members.
    pub(crate) fn vote(&self) -> Option<Arc<str>> {
        let mut votes = BTreeMap::<&Arc<str>, usize>::new();
        for member in self.by_id.values() {
            let choice = member
                .protocols
                .iter()
                .find(|protocol| self.all_support(&protocol.name));
            if let Some(protocol) = choice {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, votes)| *votes)
            .map(|(name, _)| Arc::clone(name))
    }

    /// The first member leads.
    pub(crate) fn insert(&mut self, id: MemberId, member: Member) {
        assert!(!self.contains(&id), "a member joins twice");
        if let Some(instance) = &member.instance {
            self.by_instance.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count_in(&member);
        self.by_id.insert(id, member);
    }

    /// Who led before leaves the lead to the first of the others.
    pub(crate) fn remove(&mut self, id: &MemberId) -> Option<Owed> {
        let member = self.by_id.remove(id)?;
        self.count_out(&member);
        if let Some(instance) = &member.instance {
            self.by_instance.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.by_id.keys().next().cloned();
        }
        Some(Owed {
            join: member.awaits_join,
            sync: member.awaits_sync,
        })
    }

    /// The static member `old` goes on as `new`, with its lead and its
    /// assignment, but not with what it waited for.
    pub(crate) fn rename(&mut self, old: &MemberId, new: MemberId) -> Option<Owed> {
        let mut member = self.by_id.remove(old)?;
        self.count_out(&member);
        let owed = Owed {
            join: member.awaits_join.take(),
            sync: member.awaits_sync.take(),
        };
        member.is_new = false;
        self.count_in(&member);
        if let Some(instance) = &member.instance {
            self.by_instance.insert(instance.clone(), new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.by_id.insert(new, member);
        Some(owed)
    }

    /// Takes over what a member says of itself when it joins again.
    pub(crate) fn update(&mut self, id: &MemberId, protocols: Vec<Protocol>, timeouts: Timeouts) {
        let Some(mut member) = self.by_id.remove(id) else {
            return;
        };
        self.count_out(&member);
        member.protocols = without_duplicates(protocols);
        member.timeouts = timeouts;
        self.count_in(&member);
        self.by_id.insert(id.clone(), member);
    }

    /// Lets a member wait for the join phase to close. Returns the token of an
    /// earlier request of its that waits for the same.
    pub(crate) fn park_join(&mut self, id: &MemberId, token: ReplyToken) -> Option<ReplyToken> {
        let member = self.by_id.get_mut(id)?;
        let superseded = member.awaits_join.replace(token);
        if superseded.is_none() {
            self.awaiting_join += 1;
        }
        superseded
    }

    /// Lets a member wait for its assignment. Returns the token of an earlier
    /// request of its that waits for the same.
    pub(crate) fn park_sync(&mut self, id: &MemberId, token: ReplyToken) -> Option<ReplyToken> {
        self.by_id.get_mut(id)?.awaits_sync.replace(token)
    }

    /// Everyone whose join is to be answered now. All members have been heard
    /// of from here on.
    pub(crate) fn take_joins(&mut self) -> Vec<(MemberId, ReplyToken)> {
        self.awaiting_join = 0;
        self.by_id
            .iter_mut()
            .filter_map(|(id, member)| {
                member.is_new = false;
                Some((id.clone(), member.awaits_join.take()?))
            })
            .collect()
    }

    /// Everyone whose sync is to be answered now.
    pub(crate) fn take_syncs(&mut self) -> Vec<(MemberId, ReplyToken)> {
        self.by_id
            .iter_mut()
            .filter_map(|(id, member)| Some((id.clone(), member.awaits_sync.take()?)))
            .collect()
    }

    /// Gives each member what `assignment_of` says is its.
    pub(crate) fn assign(&mut self, mut assignment_of: impl FnMut(&MemberId) -> Bytes) {
        for (id, member) in &mut self.by_id {
            member.assignment = assignment_of(id);
        }
    }

    /// The members without an instance id that have not joined again.
    pub(crate) fn absent_dynamic(&self) -> Vec<MemberId> {
        self.by_id
            .iter()
            .filter(|(_, member)| member.instance.is_none() && !member.awaits_join())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Makes a member lead that has joined. False if none has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.by_id.get(id).is_some_and(Member::awaits_join);
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let first = self.by_id.iter().find(|(_, member)| member.awaits_join());
        let Some((id, _)) = first else {
            return false;
        };
        self.leader = Some(id.clone());
        true
    }

    /// Makes `id` lead, where a record says so.
    pub(crate) fn restore_leader(&mut self, id: &MemberId) {
        if self.contains(id) {
            self.leader = Some(id.clone());
        }
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.len()
    }

    fn count_in(&mut self, member: &Member) {
        self.awaiting_join += usize::from(member.awaits_join());
        for protocol in &member.protocols {
            *self
                .supporters
                .entry(Arc::clone(&protocol.name))
                .or_default() += 1;
        }
    }

    fn count_out(&mut self, member: &Member) {
        self.awaiting_join -= usize::from(member.awaits_join());
        for protocol in &member.protocols {
            let count = self.supporters.get_mut(&protocol.name);
            let count = count.expect("what a member offers was counted in");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }
}

/// Counting by name needs each name once; the first one holds, as in Kafka.
fn without_duplicates(protocols: Vec<Protocol>) -> Vec<Protocol> {
    let mut seen = BTreeSet::new();
    protocols
        .into_iter()
        .filter(|protocol| seen.insert(Arc::clone(&protocol.name)))
        .collect()
}
