//! The coordinator that lives in a partition: its shard, and the log that the
//! partition is to it.

use std::collections::VecDeque;

use ottla_base::{Millis, Offset, ReplyToken, Shard, ShardLog};
use ottla_controller as controller;
use ottla_coordinator as coordinator;
use ottla_partition::{AppendError, Effect, Partition};
use ottla_protocol::records::BatchBuilder;
use tokio::sync::{mpsc, oneshot};

use crate::metadata::Event;

/// One of the coordinators that a partition can host.
#[derive(Debug)]
pub(crate) enum Host {
    Groups(Box<Shard<coordinator::GroupMachine>>),
    Controller(Box<ControllerHost>),
}

/// The controller's shard, and what it wrote that is not committed yet.
#[derive(Debug)]
pub(crate) struct ControllerHost {
    shard: Shard<controller::ControllerMachine>,
    /// Records by the offset after them.
    uncommitted: VecDeque<(Offset, Vec<controller::Record>)>,
    committed: mpsc::UnboundedSender<Event>,
}

#[derive(Debug)]
pub(crate) enum HostInput {
    Group(coordinator::Input),
    Controller(controller::Input),
}

#[derive(Debug)]
pub(crate) enum HostReply {
    Group(coordinator::Reply),
    Controller(controller::Reply),
}

/// Where a coordinator's reply goes.
#[derive(Debug)]
pub(crate) enum Answer {
    Group(oneshot::Sender<coordinator::Reply>),
    /// By way of the metadata task, so that what was decided is published before
    /// its reply arrives.
    Controller(
        oneshot::Sender<controller::Reply>,
        mpsc::UnboundedSender<Event>,
    ),
}

/// Why an input does not reach a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostRefusal {
    #[error("the coordinator is not here")]
    NotHere,
    #[error("the coordinator is loading")]
    Loading,
}

/// A coordinator could not write: it is to be loaded again.
pub(super) type MustReload = ottla_base::MustReload<AppendError>;

impl Host {
    pub(crate) fn groups(machine: coordinator::GroupMachine, end: Offset, seed: u64) -> Self {
        Self::Groups(Box::new(Shard::loaded(machine, end, end, seed)))
    }

    /// What it commits goes to `committed`, in order.
    pub(crate) fn controller(
        machine: controller::ControllerMachine,
        end: Offset,
        seed: u64,
        committed: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self::Controller(Box::new(ControllerHost {
            shard: Shard::loaded(machine, end, end, seed),
            uncommitted: VecDeque::new(),
            committed,
        }))
    }

    pub(crate) fn handle(
        &mut self,
        now: Millis,
        input: HostInput,
        log: &mut HostLog<'_>,
    ) -> Result<(), MustReload> {
        match (self, input) {
            (Self::Groups(shard), HostInput::Group(input)) => shard.handle(now, input, log),
            (Self::Controller(host), HostInput::Controller(input)) => {
                let mut log = host_log(log, &mut host.uncommitted);
                host.shard.handle(now, input, &mut log)
            }
            (Self::Groups(_), HostInput::Controller(_))
            | (Self::Controller(_), HostInput::Group(_)) => {
                unreachable!("callers find a host by what it coordinates")
            }
        }
    }

    pub(crate) fn tick(&mut self, now: Millis, log: &mut HostLog<'_>) -> Result<(), MustReload> {
        match self {
            Self::Groups(shard) => shard.tick(now, log),
            Self::Controller(host) => {
                let mut log = host_log(log, &mut host.uncommitted);
                host.shard.tick(now, &mut log)
            }
        }
    }

    pub(crate) fn on_committed(&mut self, end: Offset) -> Vec<(ReplyToken, HostReply)> {
        match self {
            Self::Groups(shard) => group_replies(shard.on_committed(end)),
            Self::Controller(host) => {
                host.publish(end);
                controller_replies(host.shard.on_committed(end))
            }
        }
    }

    /// Replies that wait for nothing.
    pub(crate) fn released(&mut self) -> Vec<(ReplyToken, HostReply)> {
        match self {
            Self::Groups(shard) => group_replies(shard.released()),
            Self::Controller(host) => controller_replies(host.shard.released()),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        match self {
            Self::Groups(shard) => shard.next_deadline(),
            Self::Controller(host) => host.shard.next_deadline(),
        }
    }
}

impl ControllerHost {
    fn publish(&mut self, end: Offset) {
        while let Some((after, _)) = self.uncommitted.front()
            && *after <= end
        {
            let Some((_, records)) = self.uncommitted.pop_front() else {
                return;
            };
            // The metadata task outlives the partitions, but for the last moments.
            let _stopping = self.committed.send(Event::Committed(records));
        }
    }
}

impl Answer {
    /// Whoever waited may have gone; then the reply is dropped.
    pub(crate) fn send(self, reply: HostReply) {
        match (self, reply) {
            (Self::Group(to), HostReply::Group(reply)) => {
                let _gone = to.send(reply);
            }
            (Self::Controller(to, via), HostReply::Controller(reply)) => {
                let _stopping = via.send(Event::Reply(to, reply));
            }
            (Self::Group(_), HostReply::Controller(_))
            | (Self::Controller(..), HostReply::Group(_)) => {
                unreachable!("an input and its answer are of one coordinator")
            }
        }
    }
}

fn group_replies(replies: Vec<(ReplyToken, coordinator::Reply)>) -> Vec<(ReplyToken, HostReply)> {
    let replies = replies.into_iter();
    replies
        .map(|(to, reply)| (to, HostReply::Group(reply)))
        .collect()
}

fn controller_replies(
    replies: Vec<(ReplyToken, controller::Reply)>,
) -> Vec<(ReplyToken, HostReply)> {
    let replies = replies.into_iter();
    replies
        .map(|(to, reply)| (to, HostReply::Controller(reply)))
        .collect()
}

/// A partition as the log of the coordinator that lives in it, for one call.
#[derive(Debug)]
pub(crate) struct HostLog<'a> {
    partition: &'a mut Partition,
    effects: &'a mut Vec<Effect>,
    now: Millis,
}

/// The same log, which also keeps what was written until it is committed.
struct ControllerLog<'a, 'b> {
    log: &'a mut HostLog<'b>,
    uncommitted: &'a mut VecDeque<(Offset, Vec<controller::Record>)>,
}

fn host_log<'a, 'b>(
    log: &'a mut HostLog<'b>,
    uncommitted: &'a mut VecDeque<(Offset, Vec<controller::Record>)>,
) -> ControllerLog<'a, 'b> {
    ControllerLog { log, uncommitted }
}

impl<'a> HostLog<'a> {
    pub(crate) fn new(
        partition: &'a mut Partition,
        effects: &'a mut Vec<Effect>,
        now: Millis,
    ) -> Self {
        Self {
            partition,
            effects,
            now,
        }
    }

    fn write(&mut self, batch: BatchBuilder) -> Result<Offset, AppendError> {
        let batch = batch
            .build()
            .expect("a coordinator's records are far below the limits of a batch");
        self.partition.append_hosted(self.now, batch, self.effects)
    }
}

impl ShardLog<coordinator::Record> for HostLog<'_> {
    type Error = AppendError;

    fn append(&mut self, records: &[coordinator::Record]) -> Result<Offset, AppendError> {
        let mut batch = BatchBuilder::new();
        for record in records {
            let stored = record
                .encode()
                .expect("the machine checks what a record may hold before it emits it");
            batch.push(self.now, Some(&stored.key), stored.value.as_deref());
        }
        self.write(batch)
    }
}

impl ShardLog<controller::Record> for ControllerLog<'_, '_> {
    type Error = AppendError;

    fn append(&mut self, records: &[controller::Record]) -> Result<Offset, AppendError> {
        let mut batch = BatchBuilder::new();
        for record in records {
            batch.push(self.log.now, Some(&record.key()), record.value().as_deref());
        }
        let end = self.log.write(batch)?;
        self.uncommitted.push_back((end, records.to_vec()));
        Ok(end)
    }
}
