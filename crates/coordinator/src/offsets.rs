//! Committed offsets: OffsetCommit, OffsetFetch and OffsetDelete. What ends them
//! without a request is in [`expiry`].

mod expiry;

use std::sync::Arc;

use ottla_base::{
    Effects, Generation, GroupId, InstanceId, LeaderEpoch, Machine, MemberId, Offset, PartitionId,
    ReplyToken, TopicId, TopicName,
};

use crate::group::{Group, GroupMachine, Hard, OffsetValue, Record, Reply, State, Stranger};

pub use expiry::DeletedTopic;

/// A partition, by the name of its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPartition {
    pub topic: TopicName,
    pub partition: PartitionId,
}

#[derive(Clone, Debug)]
pub struct Commit {
    pub token: ReplyToken,
    /// May be the empty id, which old consumers without a group use.
    pub group: GroupId,
    /// `None` for a consumer that the group does not manage.
    pub member: Option<MemberId>,
    pub instance: Option<InstanceId>,
    pub generation: Option<Generation>,
    pub unknown_group: UnknownGroup,
    /// How long the offsets are to be kept, where the client decides that.
    pub retention_ms: Option<i64>,
    pub offsets: Vec<CommitOffset>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffset {
    pub topic: TopicName,
    pub topic_id: TopicId,
    pub partition: PartitionId,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: Arc<str>,
}

/// What a member of a group that does not exist is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownGroup {
    IsIllegalGeneration,
    IsNotFound,
}

/// Why nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("the group id is too long")]
    InvalidGroupId,
    #[error("the group does not exist")]
    UnknownGroup,
    #[error("the group does not know the member")]
    UnknownMember,
    #[error("another member has taken over the instance")]
    Fenced,
    #[error("the generation is not that of the group")]
    IllegalGeneration,
    #[error("the group waits for its assignment")]
    RebalanceInProgress,
}

impl From<Stranger> for CommitError {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::UnknownMember,
            Stranger::Fenced => Self::Fenced,
        }
    }
}

/// Why one offset was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetRefusal {
    #[error("metadata of {length} characters, and {max} are allowed")]
    MetadataTooLarge { length: usize, max: usize },
}

#[derive(Clone, Debug)]
pub struct FetchOffsets {
    pub token: ReplyToken,
    pub group: GroupId,
    pub wanted: Wanted,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    /// Everything that the group has committed.
    All,
    These(Vec<WantedOffset>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedOffset {
    pub topic: TopicName,
    /// [`TopicId::ZERO`] if any topic of that name will do.
    pub topic_id: TopicId,
    pub partition: PartitionId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    pub topic: TopicName,
    pub partition: PartitionId,
    /// `None` if nothing was committed.
    pub committed: Option<OffsetValue>,
}

#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    pub token: ReplyToken,
    pub group: GroupId,
    pub partitions: Vec<NamedPartition>,
}

/// Why no offset was deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteOffsetsError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group does not exist")]
    UnknownGroup,
    #[error("the group has members, and what they read is not known")]
    NotEmpty,
}

/// Why one offset was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetDeleteRefusal {
    #[error("a member of the group reads the topic")]
    Subscribed,
}

impl GroupMachine {
    pub(crate) fn commit(&mut self, commit: Commit, fx: &mut Effects<Self>) {
        let token = commit.token;
        let result = match self.check_commit(&commit, fx) {
            Ok(()) => Ok(self.commit_offsets(commit, fx)),
            Err(error) => Err(error),
        };
        fx.reply(token, Reply::Commit(result));
    }

    fn check_commit(&mut self, commit: &Commit, fx: &mut Effects<Self>) -> Result<(), CommitError> {
        if !Record::holds_name(commit.group.as_str()) {
            return Err(CommitError::InvalidGroupId);
        }
        if self.group(&commit.group).is_some() {
            return self.with_group(&commit.group, fx, |group, step| {
                group.check_commit(commit)?;
                group.keep_alive(commit.member.as_ref(), step);
                Ok(())
            });
        }
        match (commit.generation, commit.unknown_group) {
            // It only wants its offsets kept, and the group is made for that.
            (None, _) => Ok(()),
            (Some(_), UnknownGroup::IsIllegalGeneration) => Err(CommitError::IllegalGeneration),
            (Some(_), UnknownGroup::IsNotFound) => Err(CommitError::UnknownGroup),
        }
    }

    fn commit_offsets(
        &mut self,
        commit: Commit,
        fx: &mut Effects<Self>,
    ) -> Vec<Result<(), OffsetRefusal>> {
        let now = fx.now();
        let expires_at = commit.retention_ms.map(|ms| now.plus_ms(ms));
        let group = commit.group;
        let commit_one = |offset: CommitOffset| {
            self.check_metadata(&offset.metadata)?;
            // The one version of the record that holds an expiry holds neither
            // of these, and what is served is what a reload would find.
            let (leader_epoch, topic_id) = match expires_at {
                None => (offset.leader_epoch, offset.topic_id),
                Some(_) => (LeaderEpoch::NONE, TopicId::ZERO),
            };
            let record = Record::Offset {
                group: group.clone(),
                topic: offset.topic,
                partition: offset.partition,
                value: Some(OffsetValue {
                    offset: offset.offset,
                    leader_epoch,
                    metadata: offset.metadata,
                    committed_at: now,
                    expires_at,
                    topic_id,
                }),
            };
            self.emit(record, fx);
            Ok(())
        };
        let results = commit.offsets.into_iter().map(commit_one).collect();
        if self.hard().offsets_of(&group).is_some() && self.group(&group).is_none() {
            self.add_group(group.clone(), Group::new(group, now));
        }
        results
    }

    fn check_metadata(&self, metadata: &str) -> Result<(), OffsetRefusal> {
        let max = self.settings().offset_metadata_length_max;
        let length = metadata.encode_utf16().count();
        if length > max {
            return Err(OffsetRefusal::MetadataTooLarge { length, max });
        }
        Ok(())
    }

    /// A group that does not exist has committed nothing.
    pub(crate) fn fetch_offsets(&mut self, fetch: FetchOffsets, fx: &mut Effects<Self>) {
        let offsets = self.hard().offsets_of(&fetch.group);
        let committed =
            |topic: &TopicName, partition| offsets?.get(topic)?.get(&partition).cloned();
        let fetched = match fetch.wanted {
            Wanted::These(wanted) => wanted
                .into_iter()
                .map(|wanted| FetchedOffset {
                    committed: committed(&wanted.topic, wanted.partition)
                        .filter(|value| is_of_topic(value, wanted.topic_id)),
                    topic: wanted.topic,
                    partition: wanted.partition,
                })
                .collect(),
            Wanted::All => offsets
                .into_iter()
                .flatten()
                .flat_map(|(topic, partitions)| {
                    partitions.iter().map(|(partition, value)| FetchedOffset {
                        topic: topic.clone(),
                        partition: *partition,
                        committed: Some(value.clone()),
                    })
                })
                .collect(),
        };
        fx.reply(fetch.token, Reply::FetchOffsets(fetched));
    }

    pub(crate) fn delete_offsets(&mut self, delete: DeleteOffsets, fx: &mut Effects<Self>) {
        let token = delete.token;
        let result = self.delete_all(delete, fx);
        fx.reply(token, Reply::DeleteOffsets(result));
    }

    fn delete_all(
        &mut self,
        delete: DeleteOffsets,
        fx: &mut Effects<Self>,
    ) -> Result<Vec<Result<(), OffsetDeleteRefusal>>, DeleteOffsetsError> {
        if !Record::holds_group(&delete.group) {
            return Err(DeleteOffsetsError::InvalidGroupId);
        }
        let Some(group) = self.group(&delete.group) else {
            return Err(DeleteOffsetsError::UnknownGroup);
        };
        if !group.is_empty() && !group.is_consumers() {
            return Err(DeleteOffsetsError::NotEmpty);
        }
        let results = delete
            .partitions
            .iter()
            .map(|named| match group.is_subscribed_to(&named.topic) {
                true => Err(OffsetDeleteRefusal::Subscribed),
                false => Ok(()),
            })
            .collect::<Vec<_>>();
        for (named, result) in delete.partitions.into_iter().zip(&results) {
            if result.is_ok() {
                self.delete_offset(&delete.group, named, fx);
            }
        }
        Ok(results)
    }

    /// Writes a tombstone where there is something to delete.
    fn delete_offset(&mut self, group: &GroupId, named: NamedPartition, fx: &mut Effects<Self>) {
        let exists = self
            .hard()
            .offsets_of(group)
            .and_then(|topics| topics.get(&named.topic))
            .is_some_and(|partitions| partitions.contains_key(&named.partition));
        if exists {
            self.emit(tombstone(group, &named.topic, named.partition), fx);
        }
    }
}

impl Group {
    /// Whether this member, or a consumer that nobody manages, may commit.
    fn check_commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let unmanaged = commit.member.is_none() && commit.instance.is_none();
        match commit.generation {
            None if self.is_empty() => return Ok(()),
            None if unmanaged => return Err(CommitError::UnknownMember),
            None | Some(_) => (),
        }
        // Nobody has the empty id, so that it is fenced if its instance exists.
        let member = commit.member.clone().unwrap_or_else(|| "".into());
        self.recognise(&member, commit.instance.as_ref())?;
        if commit.generation != Some(self.generation) {
            return Err(CommitError::IllegalGeneration);
        }
        match self.state {
            State::Completing(_) => Err(CommitError::RebalanceInProgress),
            State::Empty | State::Preparing(_) | State::Stable(_) => Ok(()),
        }
    }

    /// Who commits is alive.
    fn keep_alive(&self, member: Option<&MemberId>, step: &mut crate::group::Step<'_>) {
        if let Some(member) = member {
            self.renew_session(member, step);
        }
    }
}

/// Whether a committed offset is of the topic that is asked for, and not of one
/// that had the same name before.
fn is_of_topic(value: &OffsetValue, wanted: TopicId) -> bool {
    wanted == TopicId::ZERO || value.topic_id == TopicId::ZERO || value.topic_id == wanted
}

fn tombstone(group: &GroupId, topic: &TopicName, partition: PartitionId) -> Record {
    Record::Offset {
        group: group.clone(),
        topic: topic.clone(),
        partition,
        value: None,
    }
}

/// What takes away every offset of a group.
pub(crate) fn tombstones(group: &GroupId, hard: &Hard) -> Vec<Record> {
    hard.offsets_of(group)
        .into_iter()
        .flatten()
        .flat_map(|(topic, partitions)| {
            partitions
                .keys()
                .map(|partition| tombstone(group, topic, *partition))
        })
        .collect()
}
