//! The shard of groups as one machine: what goes in, what comes out, and which
//! file decides. Knows nothing of what the operations do.

use std::collections::BTreeMap;
use std::ops::Bound;

use ottla_base::{Effects, GroupId, Machine, MemberId, Millis, ReplyToken};

use super::describe::{Delete, DeleteError, Describe, Description, List, ListedGroup};
use super::hard::Hard;
use super::heartbeat::{Heartbeat, HeartbeatError};
use super::join::{Join, JoinError, Joined};
use super::leave::{Leave, LeaveError};
use super::loader::Loaded;
use super::record::Record;
use super::state::{Group, Stranger};
use super::sync::{Sync, SyncError, Synced};
use super::timers::{Timer, Timers};
use crate::offsets::{
    Commit, CommitError, DeleteOffsets, DeleteOffsetsError, DeletedTopic, FetchOffsets,
    FetchedOffset, OffsetDeleteRefusal, OffsetRefusal,
};
use crate::settings::Settings;

/// All classic groups of one `__consumer_offsets` partition, and their offsets.
/// Owned by the shard that this partition's leader hosts. Made by [`Loader`].
///
/// [`Loader`]: super::Loader
#[derive(Debug)]
pub struct GroupMachine {
    settings: Settings,
    hard: Hard,
    /// Every group that has a record, an offset, or somebody on the way in.
    groups: BTreeMap<GroupId, Group>,
    timers: Timers,
    /// The last group that an unfinished sweep has looked at.
    pub(crate) swept: Option<GroupId>,
}

#[derive(Debug)]
pub enum Input {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    Commit(Commit),
    FetchOffsets(FetchOffsets),
    DeleteOffsets(DeleteOffsets),
    Describe(Describe),
    List(List),
    Delete(Delete),
    /// Offsets of these topics are of no use any more. Nobody waits for this.
    TopicsDeleted(Vec<DeletedTopic>),
}

/// Each variant answers the input of its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Join(Result<Joined, JoinError>),
    Sync(Result<Synced, SyncError>),
    Heartbeat(Result<(), HeartbeatError>),
    /// One result per member of the request, in its order.
    Leave(Result<Vec<Result<(), LeaveError>>, LeaveError>),
    /// One result per offset of the request, in its order.
    Commit(Result<Vec<Result<(), OffsetRefusal>>, CommitError>),
    FetchOffsets(Vec<FetchedOffset>),
    /// One result per partition of the request, in its order.
    DeleteOffsets(Result<Vec<Result<(), OffsetDeleteRefusal>>, DeleteOffsetsError>),
    /// `None` if there is no such group.
    Describe(Option<Description>),
    List(Vec<ListedGroup>),
    Delete(Result<(), DeleteError>),
}

impl Machine for GroupMachine {
    type Input = Input;
    type Record = Record;
    type Reply = Reply;
    type Hard = Hard;

    fn hard(&self) -> &Hard {
        &self.hard
    }

    fn apply(&mut self, record: &Record) {
        self.hard.apply(record);
    }

    fn handle(&mut self, input: Input, fx: &mut Effects<Self>) {
        match input {
            Input::Join(join) => self.join(join, fx),
            Input::Sync(sync) => self.sync(sync, fx),
            Input::Heartbeat(heartbeat) => self.heartbeat(&heartbeat, fx),
            Input::Leave(leave) => self.leave(&leave, fx),
            Input::Commit(commit) => self.commit(commit, fx),
            Input::FetchOffsets(fetch) => self.fetch_offsets(fetch, fx),
            Input::DeleteOffsets(delete) => self.delete_offsets(delete, fx),
            Input::Describe(describe) => self.describe(&describe, fx),
            Input::List(list) => self.list(&list, fx),
            Input::Delete(delete) => self.delete(&delete, fx),
            Input::TopicsDeleted(topics) => self.forget_topics(&topics, fx),
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.timers.next()
    }

    fn on_deadline(&mut self, fx: &mut Effects<Self>) {
        // No timer can be set for a moment that has come, so this ends.
        while let Some(timer) = self.timers.take_due(fx.now()) {
            match timer {
                Timer::Sweep => self.sweep(fx),
                Timer::JoinPhase(group) => self.run(&group, fx, Group::on_join_timer),
                Timer::SyncPhase(group) => self.run(&group, fx, Group::on_sync_timer),
                Timer::Session(group, member) => self.run(&group, fx, |group, step| {
                    group.on_session_timer(&member, step);
                }),
            }
        }
    }
}

impl GroupMachine {
    pub(super) fn new(settings: Settings, hard: Hard, loaded: Loaded) -> Self {
        Self {
            settings,
            hard,
            groups: loaded.groups,
            timers: loaded.timers,
            swept: None,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(crate) fn groups_after(&self, id: Option<&GroupId>) -> impl Iterator<Item = &GroupId> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.groups.range::<GroupId, _>((from, Bound::Unbounded));
        range.map(|(id, _)| id)
    }

    pub(crate) fn add_group(&mut self, id: GroupId, group: Group) {
        self.groups.insert(id, group);
    }

    /// Forgets an empty group and the ids that it has handed out.
    pub(super) fn forget_group(&mut self, id: &GroupId) {
        let Some(group) = self.groups.remove(id) else {
            return;
        };
        assert!(group.is_empty(), "a group with members is forgotten");
        for member in &group.pending {
            let session = Timer::Session(id.clone(), member.clone());
            self.timers.cancel(&session);
        }
    }

    pub(crate) fn sweep_in(&mut self, now: Millis, delay_ms: i64) {
        self.timers.set(Timer::Sweep, now, delay_ms);
    }

    /// Lets a group act, and writes what it decides. A member of a group that
    /// does not exist is a stranger to it.
    pub(crate) fn with_group<R, E: From<Stranger>>(
        &mut self,
        id: &GroupId,
        fx: &mut Effects<Self>,
        act: impl FnOnce(&mut Group, &mut Step<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let Some(group) = self.groups.get_mut(id) else {
            return Err(Stranger::Unknown.into());
        };
        let mut step = Step {
            now: fx.now(),
            settings: &self.settings,
            timers: &mut self.timers,
            fx,
            records: Vec::new(),
        };
        let result = act(group, &mut step);
        for record in step.records {
            self.emit(record, fx);
        }
        result
    }

    fn run(
        &mut self,
        id: &GroupId,
        fx: &mut Effects<Self>,
        act: impl FnOnce(&mut Group, &mut Step<'_>),
    ) {
        let ran = self.with_group(id, fx, |group, step| {
            act(group, step);
            Ok::<_, Stranger>(())
        });
        assert!(ran.is_ok(), "a timer outlived its group");
    }
}

/// What a group may use while it acts, and where it leaves what it wants done.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Millis,
    pub(crate) settings: &'a Settings,
    pub(crate) timers: &'a mut Timers,
    fx: &'a mut Effects<GroupMachine>,
    records: Vec<Record>,
}

impl Step<'_> {
    pub(crate) fn reply(&mut self, to: ReplyToken, reply: Reply) {
        self.fx.reply(to, reply);
    }

    /// Puts the group into the log as it is now.
    pub(crate) fn write_group(&mut self, group: &Group) {
        self.records.push(Record::Group {
            group: group.id.clone(),
            value: Some(group.value()),
        });
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, delay_ms: i32) {
        self.timers.set(timer, self.now, delay_ms.into());
    }

    /// The member is taken for dead if it is not heard of for so long.
    pub(crate) fn set_session(&mut self, group: &GroupId, member: &MemberId, timeout_ms: i32) {
        self.set_timer(Timer::Session(group.clone(), member.clone()), timeout_ms);
    }

    pub(crate) fn cancel_session(&mut self, group: &GroupId, member: &MemberId) {
        let session = Timer::Session(group.clone(), member.clone());
        self.timers.cancel(&session);
    }
}
