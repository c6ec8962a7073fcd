//! What compaction leaves of a log: Kafka's rules, as functions of batches, settings
//! and a time that is given.
//!
//! Must not know where batches are, nor what time it is.

mod judge;
mod latest;
mod segments;

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, ProducerId};
use ottla_protocol::records::BatchHeader;

pub(crate) use self::judge::{Pass, Verdict, judge, learn};
pub(crate) use self::latest::Latest;
pub(crate) use self::segments::{Extent, Segments};
use crate::Compaction;

/// The last batch of each idempotent producer: it says what the next one's sequence
/// must be, so something of it stays.
#[derive(Debug, Default)]
pub(crate) struct LastOfProducers(BTreeMap<ProducerId, (Offset, i64)>);

impl LastOfProducers {
    /// Batches come in the order of their offsets.
    pub(crate) fn add(&mut self, header: &BatchHeader) {
        if header.has_producer() && !header.attributes.is_control() {
            let last = (header.base_offset, header.max_timestamp);
            self.0.insert(header.producer_id, last);
        }
    }

    /// Whether the batch is the last one of a producer that is still remembered.
    fn needs(&self, header: &BatchHeader, rules: &Compaction) -> bool {
        let last = self.0.get(&header.producer_id);
        last.is_some_and(|(base, timestamp)| {
            let silent_ms = rules.now.since(Millis(*timestamp));
            *base == header.base_offset && silent_ms < rules.producer_expiration_ms
        })
    }
}
