//! A replica's log as its machine knows it: positions, the state that is a fold
//! over its batches, and when that state is saved. The batches are elsewhere.

use bytes::Bytes;
use ottla_base::{LeaderEpoch, Offset};
use ottla_protocol::records::{BatchHeader, RecordBatch};

use crate::checkpoint;
use crate::effect::Effect;
use crate::epochs::Epochs;
use crate::producers::Producers;

/// What a replica's state is after the batches below `end`: a fold over their
/// headers, the same whether they were just written or read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hard {
    pub end: Offset,
    pub epochs: Epochs,
    pub producers: Producers,
}

impl Hard {
    pub(crate) fn apply(&mut self, header: &BatchHeader) {
        assert!(
            self.end < header.next_offset(),
            "a batch below the end of the log"
        );
        // The log may begin within its first batch.
        let start = header.base_offset.max(self.end);
        self.epochs.assign(header.leader_epoch, start);
        self.producers.apply(header);
        self.end = header.next_offset();
    }

    /// The state before the batches from `to` on, from which they lead to this one again.
    /// A producer that has filled its window since then is not in it.
    fn below(&self, to: Offset) -> Self {
        Self {
            end: to,
            epochs: self.epochs.below(to),
            producers: self.producers.below(to),
        }
    }
}

/// The log of one replica. Owned by its `Partition`.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) hard: Hard,
    pub(crate) start: Offset,
    /// The start that no crash takes back.
    pub(crate) durable_start: Offset,
    /// Where the log last began anew: nothing of it is sure before that is durable.
    anew: Offset,
    /// Everything below is durable here.
    pub(crate) durable: Offset,
    /// Everything below is committed.
    pub(crate) high_watermark: Offset,
    /// Batches below are covered by the last checkpoint that was let out.
    saved: Offset,
    /// A checkpoint and the position that it covers. It waits until that is
    /// committed, so that no truncation can make it a lie.
    pending: Option<(Offset, Bytes)>,
    /// Batches since the last checkpoint was made.
    unsaved_batches: u32,
    /// Where the log shall start as soon as a checkpoint remembers what the
    /// batches before it did to the state.
    wanted_start: Option<Offset>,
}

impl Log {
    /// The log as a recovery found it: nothing of it is known to be committed
    /// but what `saved` covers.
    pub(crate) fn recovered(hard: Hard, start: Offset, saved: Offset) -> Self {
        Self {
            anew: start,
            durable: hard.end,
            high_watermark: saved.max(start),
            hard,
            start,
            durable_start: start,
            saved,
            pending: None,
            unsaved_batches: 0,
            wanted_start: None,
        }
    }

    /// Appends a batch and returns its first offset.
    pub(crate) fn write(
        &mut self,
        batch: RecordBatch,
        epoch: LeaderEpoch,
        checkpoint_batches: u32,
        out: &mut Vec<Effect>,
    ) -> Offset {
        let base = self.hard.end;
        self.push(batch.at(base, epoch), checkpoint_batches, out);
        base
    }

    /// Appends a batch as it is, which lies at the end or beyond it.
    pub(crate) fn copy(
        &mut self,
        batch: RecordBatch,
        checkpoint_batches: u32,
        out: &mut Vec<Effect>,
    ) {
        assert!(
            self.hard.end <= batch.header().base_offset,
            "a copied batch below the end of the log"
        );
        self.push(batch, checkpoint_batches, out);
    }

    fn push(&mut self, batch: RecordBatch, checkpoint_batches: u32, out: &mut Vec<Effect>) {
        self.hard.apply(batch.header());
        out.push(Effect::Write { batch });
        self.unsaved_batches = self.unsaved_batches.saturating_add(1);
        // Making a checkpoint costs time by the number of producers, so it is
        // made the more seldom the more there are.
        let producers = u32::try_from(self.hard.producers.len()).unwrap_or(u32::MAX);
        if self.unsaved_batches >= checkpoint_batches.max(producers) && self.pending.is_none() {
            self.make_checkpoint();
        }
    }

    /// Whether what counts as durable is so: also where the log began anew.
    pub(crate) fn is_founded(&self) -> bool {
        self.anew <= self.durable_start
    }

    /// The epoch of the last batch; none in an empty log.
    pub(crate) fn last_epoch(&self) -> LeaderEpoch {
        let latest = self.hard.epochs.latest();
        latest
            .filter(|_| self.start < self.hard.end)
            .unwrap_or(LeaderEpoch::NONE)
    }

    /// What batches below did to the state is in a checkpoint.
    pub(crate) fn saved(&self) -> Offset {
        self.saved
    }

    pub(crate) fn flushed(&mut self, end: Offset) {
        assert!(end <= self.hard.end, "flushed past the end");
        self.durable = self.durable.max(end);
    }

    /// The store says where the log starts.
    pub(crate) fn start_moved(&mut self, to: Offset, out: &mut Vec<Effect>) {
        self.durable_start = self.durable_start.max(to);
        if self.start < to {
            // An earlier machine of this log asked for it, so all of it was committed.
            self.start = to;
            self.hard.epochs.truncate_from_start(to);
            self.durable = self.durable.max(to);
            self.commit(to, out);
        }
    }

    /// Everything below `end` is committed.
    pub(crate) fn commit(&mut self, end: Offset, out: &mut Vec<Effect>) {
        if end <= self.high_watermark {
            return;
        }
        self.high_watermark = end;
        out.push(Effect::Committed { end });
        self.settle(out);
    }

    /// Saves the state as soon as what it covers is committed.
    pub(crate) fn checkpoint(&mut self, out: &mut Vec<Effect>) {
        if self.pending.is_none() {
            self.make_checkpoint();
        }
        self.settle(out);
    }

    /// The same, where there is something that the last checkpoint lacks.
    pub(crate) fn checkpoint_if_behind(&mut self, out: &mut Vec<Effect>) {
        if self.saved < self.hard.end {
            self.checkpoint(out);
        }
    }

    /// Lets the log start at `to`, which is committed, as soon as that loses
    /// nothing of the state.
    pub(crate) fn advance_start(&mut self, to: Offset, out: &mut Vec<Effect>) {
        assert!(to <= self.high_watermark, "a start that is not committed");
        if to <= self.start {
            return;
        }
        self.wanted_start = self.wanted_start.max(Some(to));
        if self.saved < to {
            self.checkpoint(out);
        }
        self.settle(out);
    }

    /// The same at once. Where the log is cut later, a producer that has filled its window
    /// beyond `to` may be forgotten.
    pub(crate) fn advance_start_now(&mut self, to: Offset, out: &mut Vec<Effect>) {
        if self.start.max(self.saved) < to && self.high_watermark < self.hard.end {
            self.saved = to;
            out.push(Effect::Checkpoint {
                bytes: checkpoint::encode(&self.hard.below(to)),
            });
        }
        self.advance_start(to, out);
    }

    /// Cuts the log, which has to be recovered after that.
    pub(crate) fn truncate(&self, to: Offset, out: &mut Vec<Effect>) {
        let from = to.max(self.start);
        if from < self.high_watermark {
            out.push(Effect::CommittedLost {
                from,
                to: self.high_watermark,
            });
        }
        if to < self.saved {
            // The checkpoint covers what goes.
            let bytes = Bytes::new();
            out.push(Effect::Checkpoint { bytes });
        }
        out.push(Effect::Truncate { to });
    }

    /// Forgets everything: the log is empty, and begins at `to`, not before its end.
    pub(crate) fn begin_anew(&mut self, to: Offset, out: &mut Vec<Effect>) {
        self.hard = Hard {
            end: to,
            ..Hard::default()
        };
        self.start = to;
        self.durable = to;
        self.anew = to;
        self.wanted_start = None;
        // The other way round, a crash could leave a checkpoint of a log that never was.
        out.push(Effect::StartOffset { to });
        self.make_checkpoint();
        self.commit(to, out);
        self.settle(out);
    }

    fn make_checkpoint(&mut self) {
        self.unsaved_batches = 0;
        self.pending = Some((self.hard.end, checkpoint::encode(&self.hard)));
    }

    /// Lets out what waited for the high watermark, in the order in which it
    /// must reach the store.
    fn settle(&mut self, out: &mut Vec<Effect>) {
        let committed = self.high_watermark;
        if let Some((at, bytes)) = self.pending.take_if(|(at, _)| *at <= committed) {
            self.saved = at;
            out.push(Effect::Checkpoint { bytes });
        }
        let saved = self.saved;
        if let Some(to) = self.wanted_start.take_if(|to| *to <= saved) {
            self.start = to;
            self.hard.epochs.truncate_from_start(to);
            out.push(Effect::StartOffset { to });
        }
    }
}
