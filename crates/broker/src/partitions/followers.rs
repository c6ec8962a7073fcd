//! What a replicated partition keeps for those who copy it: whom to tell, and the
//! batches that the store cannot be asked for yet.

use std::collections::VecDeque;
use std::sync::Arc;

use ottla_base::{BrokerId, Offset};
use ottla_controller::BrokerEpoch;
use ottla_protocol::records::RecordBatch;
use ottla_replication::News;

/// Owned by a cell.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// Batches that are appended and not durable here. Followers get them all the same:
    /// what counts is that enough disks have a record, not which had it first.
    unflushed: VecDeque<RecordBatch>,
    /// Replaced whole, so that they can be told without the cell's lock.
    streams: Arc<[(BrokerId, News)]>,
}

impl Followers {
    pub(super) fn on_write(&mut self, batch: &RecordBatch) {
        self.unflushed.push_back(batch.clone());
    }

    /// The store has everything below `end`.
    pub(super) fn on_flushed(&mut self, end: Offset) {
        while let Some(first) = self.unflushed.front()
            && first.header().next_offset() <= end
        {
            self.unflushed.pop_front();
        }
    }

    /// The log was cut, or is another.
    pub(super) fn forget_unflushed(&mut self) {
        self.unflushed.clear();
    }

    /// Batches from `from` on, if the store need not be asked for the first of them;
    /// at least one, and more of at most `max_bytes`.
    pub(super) fn unflushed_from(&self, from: Offset, max_bytes: usize) -> Vec<RecordBatch> {
        let Some(first) = self.unflushed_start() else {
            return Vec::new();
        };
        if from < first {
            return Vec::new();
        }
        let at = self
            .unflushed
            .partition_point(|batch| batch.header().next_offset() <= from);
        let mut bytes = 0;
        let fits = self.unflushed.range(at..).take_while(|batch| {
            let is_first = bytes == 0;
            bytes += batch.size().0;
            is_first || bytes <= max_bytes as u64
        });
        fits.cloned().collect()
    }

    /// Where the batches begin that the store cannot be asked for.
    pub(super) fn unflushed_start(&self) -> Option<Offset> {
        let first = self.unflushed.front()?;
        Some(first.header().base_offset)
    }

    /// A follower's stream, in the place of an older one of that follower, which is
    /// returned.
    pub(super) fn join(&mut self, follower: BrokerId, news: News) -> Option<News> {
        let is_others = |(known, _): &&(BrokerId, News)| *known != follower;
        let mut streams = self.streams.iter();
        let replaced = streams.find(|(known, of)| *known == follower && !of.is_same(&news));
        let replaced = replaced.map(|(_, of)| of.clone());
        let others = self.streams.iter().filter(is_others).cloned();
        self.streams = others.chain([(follower, news)]).collect();
        replaced
    }

    /// Says whether the follower has no stream any more.
    pub(super) fn leave(&mut self, follower: BrokerId, news: &News) -> bool {
        let is_it = |(known, of): &(BrokerId, News)| *known == follower && of.is_same(news);
        let before = self.streams.len();
        let others = self.streams.iter().filter(|stream| !is_it(stream));
        self.streams = others.cloned().collect();
        self.streams.len() < before
    }

    /// The term of a follower's broker in which it has what it said; none where it has no
    /// stream.
    pub(super) fn epoch_of(&self, follower: BrokerId) -> Option<BrokerEpoch> {
        let mut streams = self.streams.iter();
        let (_, news) = streams.find(|(known, _)| *known == follower)?;
        Some(BrokerEpoch(news.broker_epoch())).filter(|epoch| epoch.0 >= 0)
    }

    pub(super) fn streams(&self) -> &Arc<[(BrokerId, News)]> {
        &self.streams
    }
}
