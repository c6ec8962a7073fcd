//! Bounds the bytes that all tails hold together: what came first goes first.

use std::collections::VecDeque;
use std::sync::Arc;

use ottla_base::Offset;
use ottla_protocol::records::RecordBatch;

use super::log::{Log, LogState};

/// What a batch takes besides its bytes.
const BATCH_OVERHEAD: usize = 256;

/// Owned by the writer.
#[derive(Debug)]
pub(crate) struct TailCache {
    bytes_max: usize,
    bytes: usize,
    /// Every batch that was put into a tail, oldest first; it may have left since.
    order: VecDeque<(Arc<Log>, Offset, usize)>,
}

impl TailCache {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            order: VecDeque::new(),
        }
    }

    /// Adds the batch that was just appended. The bound may be passed until
    /// [`TailCache::shrink`].
    pub(crate) fn push(&mut self, log: &Arc<Log>, state: &mut LogState, batch: RecordBatch) {
        if self.bytes_max == 0 {
            return;
        }
        let bytes = batch.rest().len() + BATCH_OVERHEAD;
        self.bytes += bytes;
        self.order
            .push_back((log.clone(), batch.header().base_offset, bytes));
        state.tail.push_back(batch);
    }

    pub(crate) fn shrink(&mut self) {
        while self.bytes > self.bytes_max
            && let Some((log, base, bytes)) = self.order.pop_front()
        {
            self.bytes -= bytes;
            let mut state = log.state();
            let first = state.tail.front().map(|batch| batch.header().base_offset);
            if first == Some(base) {
                state.tail.pop_front();
            }
        }
    }
}
