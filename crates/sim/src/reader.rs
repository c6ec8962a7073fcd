//! A consumer that reads a partition from its start, as far as it may see.

use ottla_base::{Offset, PartitionId};

use crate::broker::Broker;
use crate::fact::Value;

/// Where a consumer is. Owned by the world.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) partition: PartitionId,
    position: Offset,
}

impl Reader {
    pub(crate) fn new(partition: PartitionId) -> Self {
        Self {
            partition,
            position: Offset::ZERO,
        }
    }

    /// The next records: where each was expected, and where and what it was. A
    /// consumer that finds its position deleted goes on at the start of the log.
    pub(crate) fn fetch(
        &mut self,
        broker: &mut Broker,
        bytes: usize,
    ) -> Vec<(Offset, Offset, Value)> {
        let Some(view) = broker.cell(self.partition).map(|cell| cell.published) else {
            return Vec::new();
        };
        self.position = self.position.max(view.log_start);
        if view.high_watermark <= self.position {
            return Vec::new();
        }
        let records = broker.read(self.partition, self.position, view.high_watermark, bytes);
        let mut fetched = Vec::new();
        for (offset, value) in records {
            fetched.push((self.position, offset, value));
            self.position = offset.plus(1);
        }
        fetched
    }
}
