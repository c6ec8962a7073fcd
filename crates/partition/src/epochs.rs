//! Which leader wrote which part of the log. Kafka's `LeaderEpochFileCache`,
//! but for the epoch of a leader that has not written yet: that one is not in
//! the log, so it is not kept here either.

use ottla_base::{LeaderEpoch, Offset};

/// The epochs that are in the log, and where each begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    /// Epochs and offsets both rise.
    starts: Vec<(LeaderEpoch, Offset)>,
}

/// The largest epoch up to the one asked for, and where its data ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

impl Epochs {
    /// A batch of `epoch` begins at `start`.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch < LeaderEpoch(0) || self.latest() == Some(epoch) {
            return;
        }
        while self
            .starts
            .last()
            .is_some_and(|last| last.0 >= epoch || last.1 >= start)
        {
            self.starts.pop();
        }
        self.starts.push((epoch, start));
    }

    /// Nothing before `start` is in the log any more; the epoch that reaches
    /// across it begins there now.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) {
        let gone = self.starts.partition_point(|(_, begin)| *begin <= start);
        if gone > 0 {
            self.starts.drain(..gone - 1);
            self.starts[0].1 = start;
        }
    }

    /// Those that begin before `end`.
    pub(crate) fn below(&self, end: Offset) -> Self {
        let count = self.starts.partition_point(|(_, begin)| *begin < end);
        Self {
            starts: self.starts[..count].to_vec(),
        }
    }

    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// Where the data of `epoch` ends, in a log that ends at `end` and is being
    /// written in the epoch `current`. `None` for an epoch above all known.
    pub(crate) fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        current: Option<LeaderEpoch>,
        end: Offset,
    ) -> Option<EpochEnd> {
        let current = current.max(self.latest())?;
        if epoch == LeaderEpoch::NONE || epoch > current {
            return None;
        }
        if epoch == current {
            return Some(EpochEnd { epoch, end });
        }
        let above = self.starts.partition_point(|(known, _)| *known <= epoch);
        let end = self.starts.get(above).map_or(end, |(_, start)| *start);
        // What is below all known epochs is gone from the log: the reader goes
        // on where the log begins.
        let epoch = above.checked_sub(1).map_or(epoch, |at| self.starts[at].0);
        Some(EpochEnd { epoch, end })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (LeaderEpoch, Offset)> {
        self.starts.iter().copied()
    }
}
