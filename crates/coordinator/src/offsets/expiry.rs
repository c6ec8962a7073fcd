//! Offsets that nobody needs any more: those of groups that went away, of topics
//! that nobody reads, and of topics that were deleted.

use ottla_base::{Effects, GroupId, Machine, Millis, TopicId, TopicName};

use super::tombstone;
use crate::group::{Group, GroupMachine, OffsetValue, Record, State};

/// How many offsets one step of a sweep looks at, so that a shard with millions
/// of them does not stand still for long, and neither does its log get one batch
/// with all of them.
const SWEEP_STEP: usize = 5_000;
/// How long others may go before a sweep that is not done goes on.
const SWEEP_PAUSE_MS: i64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: TopicName,
    pub id: TopicId,
}

/// From when on the retention of an offset counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Commit,
    /// When its group lost its last member.
    Desertion(Millis),
}

impl GroupMachine {
    /// Takes away what has expired, and the groups that have nothing left.
    pub(crate) fn sweep(&mut self, fx: &mut Effects<Self>) {
        let (due, is_done) = self.next_to_sweep();
        for id in &due {
            self.sweep_group(id, fx);
        }
        if is_done {
            self.swept = None;
            let interval_ms = self.settings().offsets_retention_check_interval_ms;
            self.sweep_in(fx.now(), interval_ms);
        } else {
            self.swept = due.last().cloned();
            self.sweep_in(fx.now(), SWEEP_PAUSE_MS);
        }
    }

    /// The groups that this step of a sweep looks at, and whether they are the
    /// last.
    fn next_to_sweep(&self) -> (Vec<GroupId>, bool) {
        let mut offsets = 0;
        let mut due = Vec::new();
        for id in self.groups_after(self.swept.as_ref()) {
            if offsets >= SWEEP_STEP {
                return (due, false);
            }
            offsets += 1 + self.hard().offsets_of(id).map_or(0, count);
            due.push(id.clone());
        }
        (due, true)
    }

    fn sweep_group(&mut self, id: &GroupId, fx: &mut Effects<Self>) {
        for record in self.expired(id, fx.now()) {
            self.emit(record, fx);
        }
        let deserted = self.group(id).is_some_and(Group::is_deserted);
        if deserted && self.hard().offsets_of(id).is_none() {
            self.bury(id, fx);
        }
    }

    fn expired(&self, id: &GroupId, now: Millis) -> Vec<Record> {
        let (Some(group), Some(offsets)) = (self.group(id), self.hard().offsets_of(id)) else {
            return Vec::new();
        };
        let Some(since) = group.offsets_expire_since() else {
            return Vec::new();
        };
        let retention_ms = self.settings().offsets_retention_ms;
        offsets
            .iter()
            .filter(|(topic, _)| !group.is_subscribed_to(topic))
            .flat_map(|(topic, partitions)| partitions.iter().map(move |entry| (topic, entry)))
            .filter(|(_, (_, value))| is_expired(value, since, retention_ms, now))
            .map(|(topic, (partition, _))| tombstone(id, topic, *partition))
            .collect()
    }

    /// Topics are gone, and what was committed for them says nothing about
    /// another topic that gets the same name.
    pub(crate) fn forget_topics(&mut self, topics: &[DeletedTopic], fx: &mut Effects<Self>) {
        let mut records = Vec::new();
        for (group, offsets) in self.hard().offsets() {
            for topic in topics {
                let partitions = offsets.get(&topic.name).into_iter().flatten();
                let of_this_topic = partitions.filter(|(_, value)| {
                    value.topic_id == TopicId::ZERO || value.topic_id == topic.id
                });
                records.extend(
                    of_this_topic.map(|(partition, _)| tombstone(group, &topic.name, *partition)),
                );
            }
        }
        for record in records {
            self.emit(record, fx);
        }
    }
}

impl Group {
    /// `None` while its offsets do not expire at all.
    fn offsets_expire_since(&self) -> Option<Since> {
        if self.protocol_type.is_none() {
            return Some(Since::Commit);
        }
        match self.state {
            State::Empty => Some(self.state_since.map_or(Since::Commit, Since::Desertion)),
            State::Stable(_) => self.subscribed.as_ref().map(|_| Since::Commit),
            State::Preparing(_) | State::Completing(_) => None,
        }
    }
}

fn is_expired(value: &OffsetValue, since: Since, retention_ms: i64, now: Millis) -> bool {
    if let Some(at) = value.expires_at {
        return at <= now;
    }
    let since = match since {
        Since::Commit => value.committed_at,
        Since::Desertion(at) => at,
    };
    now.since(since) >= retention_ms
}

fn count(offsets: &crate::group::TopicOffsets) -> usize {
    offsets.values().map(std::collections::BTreeMap::len).sum()
}
