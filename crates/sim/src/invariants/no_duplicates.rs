//! An idempotent producer's records are in the log once and in its order, with
//! none left out, however often it sent them.

use std::collections::BTreeMap;

use ottla_base::Millis;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct NoDuplicates;

impl Invariant for NoDuplicates {
    fn name(&self) -> &'static str {
        "no duplicates"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
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
            ensure(before.is_none_or(|n| n + 1 == value.number), || {
                format!("p{partition} {offset} {value} comes after number {before:?}")
            })?;
        }
        Ok(())
    }
}
