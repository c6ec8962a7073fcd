//! An idempotent producer's records are in the log once and in its order, with
//! none left out, however often it sent them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::Millis;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct NoDuplicates {
    /// Producers that a broker has forgotten: one that begins its log anew where the
    /// leader's starts knows nothing of who wrote before, as Kafka's
    /// `truncateFullyAndStartAt`, and takes whatever comes first. What it took for new may
    /// have been acknowledged and deleted, and what followed that is not in the log.
    forgotten: BTreeSet<u32>,
}

impl Invariant for NoDuplicates {
    fn name(&self) -> &'static str {
        "no duplicates"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Forgotten { client } = fact {
            self.forgotten.insert(*client);
        }
        let Fact::Scanned {
            partition, records, ..
        } = fact
        else {
            return Ok(());
        };
        let mut last = BTreeMap::new();
        let idempotent = records.iter().filter(|(_, value)| value.is_idempotent());
        for (offset, value) in idempotent {
            let before = last.insert(value.client, value.number);
            let is_forgotten = self.forgotten.contains(&value.client);
            let follows = |n| n + 1 == value.number || is_forgotten && n < value.number;
            ensure(before.is_none_or(follows), || {
                format!("p{partition} {offset} {value} comes after number {before:?}")
            })?;
        }
        Ok(())
    }
}
