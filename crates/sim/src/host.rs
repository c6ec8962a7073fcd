//! The groups whose records a partition keeps: a shard that lives in its cell and
//! is lent the partition for every call.

use bytes::Bytes;
use ottla_base::{Machine, Millis, Offset, ReplyToken, Shard, ShardLog};
use ottla_coordinator::group::Hard;
use ottla_coordinator::{GroupMachine, Input, Loader, Record, Reply, Settings};
use ottla_partition::{AppendError, Effect, Partition};
use ottla_protocol::records::{BatchBuilder, RecordBatch};

/// A shard of groups. Owned by the cell of its partition.
#[derive(Debug)]
pub(crate) struct Host {
    shard: Shard<GroupMachine>,
    /// Everything that the shard was loaded from and has written since.
    records: Vec<Record>,
}

/// What a shard has to say after a call.
pub(crate) type Replies = Vec<(ReplyToken, Reply)>;

impl Host {
    /// Loads the shard from its log, all of which is committed.
    pub(crate) fn load(now: Millis, end: Offset, batches: &[RecordBatch], seed: u64) -> Self {
        let records: Vec<_> = batches.iter().flat_map(records_of).collect();
        let shard = Shard::loaded(fold(now, &records), end, end, seed);
        Self { shard, records }
    }

    /// Lets the shard answer an input, or run what is due if there is none.
    pub(crate) fn call(
        &mut self,
        now: Millis,
        input: Option<Input>,
        partition: &mut Partition,
        out: &mut Vec<Effect>,
    ) -> Replies {
        let mut log = Hosted {
            now,
            partition,
            records: &mut self.records,
            out,
        };
        let done = match input {
            Some(input) => self.shard.handle(now, input, &mut log),
            None => self.shard.tick(now, &mut log),
        };
        done.expect("who may append is asked before the shard decides anything");
        self.shard.released()
    }

    pub(crate) fn on_committed(&mut self, end: Offset) -> Replies {
        self.shard.on_committed(end)
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.shard.next_deadline()
    }

    /// The state that serves, and the one that the records lead to.
    pub(crate) fn states(&self) -> (&Hard, GroupMachine) {
        (self.shard.machine().hard(), fold(Millis(0), &self.records))
    }
}

fn fold(now: Millis, records: &[Record]) -> GroupMachine {
    let mut loader = Loader::new();
    for record in records {
        loader.apply(record);
    }
    let settings = Settings {
        initial_rebalance_delay_ms: 500,
        ..Settings::default()
    };
    loader.finish(settings, now)
}

fn records_of(batch: &RecordBatch) -> Vec<Record> {
    let records = batch.records().expect("what was written can be read");
    let decoded = records.map(|record| {
        let record = record.expect("what was written can be read");
        let decoded = Record::decode(record.key.as_deref(), record.value.as_deref());
        decoded
            .expect("the shard wrote it")
            .expect("the shard wrote it")
    });
    decoded.collect()
}

/// A partition, lent to the shard that lives in it.
#[derive(Debug)]
struct Hosted<'a> {
    now: Millis,
    partition: &'a mut Partition,
    records: &'a mut Vec<Record>,
    out: &'a mut Vec<Effect>,
}

impl ShardLog<Record> for Hosted<'_> {
    type Error = AppendError;

    fn append(&mut self, records: &[Record]) -> Result<Offset, AppendError> {
        let mut batch = BatchBuilder::new();
        for record in records {
            let stored = record.encode().expect("a story has short names");
            let value = stored.value.as_ref().map(Bytes::as_ref);
            batch.push(self.now, Some(&stored.key), value);
        }
        let batch = batch.build().expect("an uncompressed batch can be built");
        self.records.extend_from_slice(records);
        self.partition.append_hosted(self.now, batch, self.out)
    }
}
