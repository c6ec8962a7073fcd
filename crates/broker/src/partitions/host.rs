//! The coordinator that lives in a partition: its shard, and the log that the
//! partition is to it.

use ottla_base::{Millis, Offset, ReplyToken, Shard, ShardLog};
use ottla_coordinator::{GroupMachine, Input, Record, Reply};
use ottla_partition::{AppendError, Effect, Partition};
use ottla_protocol::records::BatchBuilder;

/// The coordinator of the groups whose records a partition stores.
#[derive(Debug)]
pub(crate) struct Host(Box<Shard<GroupMachine>>);

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
    /// One that has read all records below `end`, of which those below `committed` are
    /// committed.
    pub(crate) fn new(machine: GroupMachine, end: Offset, committed: Offset, seed: u64) -> Self {
        Self(Box::new(Shard::loaded(machine, end, committed, seed)))
    }

    pub(crate) fn handle(
        &mut self,
        now: Millis,
        input: Input,
        log: &mut HostLog<'_>,
    ) -> Result<(), MustReload> {
        self.0.handle(now, input, log)
    }

    pub(crate) fn tick(&mut self, now: Millis, log: &mut HostLog<'_>) -> Result<(), MustReload> {
        self.0.tick(now, log)
    }

    pub(crate) fn on_committed(&mut self, end: Offset) -> Vec<(ReplyToken, Reply)> {
        self.0.on_committed(end)
    }

    /// Replies that wait for nothing.
    pub(crate) fn released(&mut self) -> Vec<(ReplyToken, Reply)> {
        self.0.released()
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.0.next_deadline()
    }
}

/// A partition as the log of the coordinator that lives in it, for one call.
#[derive(Debug)]
pub(crate) struct HostLog<'a> {
    partition: &'a mut Partition,
    effects: &'a mut Vec<Effect>,
    now: Millis,
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
}

impl ShardLog<Record> for HostLog<'_> {
    type Error = AppendError;

    fn append(&mut self, records: &[Record]) -> Result<Offset, AppendError> {
        let mut batch = BatchBuilder::new();
        for record in records {
            let stored = record
                .encode()
                .expect("the machine checks what a record may hold before it emits it");
            batch.push(self.now, Some(&stored.key), stored.value.as_deref());
        }
        let batch = batch
            .build()
            .expect("a coordinator's records are far below the limits of a batch");
        self.partition.append_hosted(self.now, batch, self.effects)
    }
}
