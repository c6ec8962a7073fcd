//! Machines in record form: decisions go in as inputs, come out as records, and
//! the state that survives is a fold over those records.

use std::fmt::Debug;

use crate::{Millis, Offset};

/// Names the caller who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyToken(pub u64);

/// A deterministic machine whose hard state is a fold over its records.
pub trait Machine: Sized {
    type Input;
    type Record: Clone + Debug;
    type Reply: Debug;
    /// What must survive a restart.
    type Hard: PartialEq + Debug;

    fn hard(&self) -> &Self::Hard;

    /// Total: never fails, whatever order compaction left the records in. The
    /// only writer of [`Machine::Hard`].
    fn apply(&mut self, record: &Self::Record);

    /// One call is one atomic batch in the log.
    fn handle(&mut self, input: Self::Input, fx: &mut Effects<Self>);

    /// When [`Machine::on_deadline`] wants to run next.
    fn next_deadline(&self) -> Option<Millis>;

    /// Must move the deadline past `fx.now()`, or remove it.
    fn on_deadline(&mut self, fx: &mut Effects<Self>);

    /// Applies a record and queues it for the log, so that the next line of the
    /// same handler already reads the new state.
    fn emit(&mut self, record: Self::Record, fx: &mut Effects<Self>) {
        self.apply(&record);
        fx.records.push(record);
    }
}

/// What one step wants done, and the facts it may use.
#[derive(Debug)]
pub struct Effects<M: Machine> {
    now: Millis,
    seed: u64,
    records: Vec<M::Record>,
    replies: Vec<(ReplyToken, M::Reply)>,
}

impl<M: Machine> Effects<M> {
    fn new(now: Millis, seed: u64) -> Self {
        Self {
            now,
            seed,
            records: Vec::new(),
            replies: Vec::new(),
        }
    }

    pub fn now(&self) -> Millis {
        self.now
    }

    /// A fresh number for a random choice; every step has another.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Answers `to` once everything written so far is committed.
    pub fn reply(&mut self, to: ReplyToken, reply: M::Reply) {
        self.replies.push((to, reply));
    }
}

/// The log below a machine.
pub trait ShardLog<R> {
    type Error;

    /// Appends one atomic batch and returns the offset after it.
    fn append(&mut self, records: &[R]) -> Result<Offset, Self::Error>;
}

/// Why a shard stopped: its owner drops it and loads it again from the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine must be loaded again: {0}")]
pub struct MustReload<E>(pub E);

/// Drives one machine over a log that it is lent for each step. The broker and
/// the simulator both use it.
#[derive(Debug)]
pub struct Shard<M: Machine> {
    machine: M,
    written: Offset,
    committed: Offset,
    /// Replies held back until what they depend on is committed.
    held: Vec<(Offset, ReplyToken, M::Reply)>,
    seed: u64,
}

impl<M: Machine> Shard<M> {
    /// A shard whose machine has applied all records below `end`, of which those
    /// below `committed` are committed.
    pub fn loaded(machine: M, end: Offset, committed: Offset, seed: u64) -> Self {
        Self {
            machine,
            written: end,
            committed,
            held: Vec::new(),
            seed,
        }
    }

    pub fn handle<L: ShardLog<M::Record>>(
        &mut self,
        now: Millis,
        input: M::Input,
        log: &mut L,
    ) -> Result<(), MustReload<L::Error>> {
        let mut fx = self.effects(now);
        self.machine.handle(input, &mut fx);
        self.finish(fx, log)
    }

    /// Runs every deadline that has come.
    pub fn tick<L: ShardLog<M::Record>>(
        &mut self,
        now: Millis,
        log: &mut L,
    ) -> Result<(), MustReload<L::Error>> {
        while self.machine.next_deadline().is_some_and(|at| at <= now) {
            let before = self.machine.next_deadline();
            let mut fx = self.effects(now);
            self.machine.on_deadline(&mut fx);
            self.finish(fx, log)?;
            assert!(
                before != self.machine.next_deadline(),
                "a deadline that has run did not move"
            );
        }
        Ok(())
    }

    /// The high watermark is now `committed`: releases the replies it covers.
    pub fn on_committed(&mut self, committed: Offset) -> Vec<(ReplyToken, M::Reply)> {
        assert!(self.committed <= committed, "the high watermark went back");
        self.committed = committed;
        self.released()
    }

    /// Replies that wait for nothing any more, oldest first.
    pub fn released(&mut self) -> Vec<(ReplyToken, M::Reply)> {
        // Fences only grow, so what is ready is a prefix.
        let ready = self
            .held
            .partition_point(|(fence, ..)| *fence <= self.committed);
        self.held
            .drain(..ready)
            .map(|(_, to, reply)| (to, reply))
            .collect()
    }

    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        self.machine.next_deadline()
    }

    /// Offset after the last record that this shard has written or loaded.
    pub fn written(&self) -> Offset {
        self.written
    }

    fn effects(&mut self, now: Millis) -> Effects<M> {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Effects::new(now, self.seed >> 16)
    }

    fn finish<L: ShardLog<M::Record>>(
        &mut self,
        fx: Effects<M>,
        log: &mut L,
    ) -> Result<(), MustReload<L::Error>> {
        if !fx.records.is_empty() {
            self.written = log.append(&fx.records).map_err(MustReload)?;
        }
        // A reply without records may have read state that is not committed yet,
        // so it waits for the same fence.
        let fence = self.written;
        self.held
            .extend(fx.replies.into_iter().map(|(to, reply)| (fence, to, reply)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemoryLog, assert_replay_agrees};

    /// Adds numbers; replies with the sum; a deadline resets it.
    #[derive(Debug, Default)]
    struct Sum {
        total: i64,
        reset_at: Option<Millis>,
    }

    impl Machine for Sum {
        type Input = (ReplyToken, i64);
        type Record = i64;
        type Reply = i64;
        type Hard = i64;

        fn hard(&self) -> &i64 {
            &self.total
        }
        fn apply(&mut self, record: &i64) {
            self.total += record;
        }
        fn handle(&mut self, (to, n): Self::Input, fx: &mut Effects<Self>) {
            if n != 0 {
                self.emit(n, fx);
            }
            self.reset_at = Some(fx.now().plus_ms(10));
            fx.reply(to, self.total);
        }
        fn next_deadline(&self) -> Option<Millis> {
            self.reset_at
        }
        fn on_deadline(&mut self, fx: &mut Effects<Self>) {
            self.reset_at = None;
            self.emit(-self.total, fx);
        }
    }

    fn shard() -> Shard<Sum> {
        Shard::loaded(Sum::default(), Offset(0), Offset(0), 1)
    }

    #[test]
    fn replies_wait_for_what_they_read() {
        let (mut shard, mut log) = (shard(), MemoryLog::default());
        shard
            .handle(Millis(0), (ReplyToken(1), 5), &mut log)
            .unwrap();
        shard
            .handle(Millis(0), (ReplyToken(2), 0), &mut log)
            .unwrap();
        assert_eq!(shard.released(), vec![]);
        let replies = shard.on_committed(Offset(1));
        assert_eq!(replies, vec![(ReplyToken(1), 5), (ReplyToken(2), 5)]);
        assert_replay_agrees(shard.machine(), Sum::default(), &log.records);
    }

    #[test]
    fn deadlines_run_when_they_have_come() {
        let (mut shard, mut log) = (shard(), MemoryLog::default());
        shard
            .handle(Millis(0), (ReplyToken(1), 5), &mut log)
            .unwrap();
        shard.tick(Millis(9), &mut log).unwrap();
        assert_eq!(log.records, [5]);
        shard.tick(Millis(10), &mut log).unwrap();
        assert_eq!(log.records, [5, -5]);
        assert_eq!(shard.next_deadline(), None);
    }

    #[test]
    fn a_failed_append_asks_for_a_reload() {
        let (mut shard, mut log) = (shard(), MemoryLog::default());
        log.fail_next = true;
        let failed = shard.handle(Millis(0), (ReplyToken(1), 5), &mut log);
        assert_eq!(failed, Err(MustReload("log is gone")));
    }
}
