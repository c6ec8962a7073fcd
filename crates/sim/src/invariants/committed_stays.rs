//! What a consumer has read is what every later reader finds at that offset.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId};

use super::{Invariant, ensure};
use crate::fact::{Fact, Value};

#[derive(Debug, Default)]
pub(crate) struct CommittedStays {
    read: BTreeMap<(PartitionId, Offset), Value>,
}

impl Invariant for CommittedStays {
    fn name(&self) -> &'static str {
        "committed stays"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Read {
            partition,
            offset,
            value,
            ..
        } = fact
        {
            let known = self.read.insert((*partition, *offset), *value);
            ensure(known.is_none_or(|known| known == *value), || {
                format!("p{partition} {offset} was {known:?} and is {value}")
            })?;
        }
        if let Fact::Scanned {
            partition,
            start,
            records,
            ..
        } = fact
        {
            let stored: BTreeMap<_, _> = records.iter().copied().collect();
            let from = (*partition, *start)..(*partition, Offset(i64::MAX));
            for ((_, offset), value) in self.read.range(from) {
                let found = stored.get(offset);
                ensure(found == Some(value), || {
                    format!("p{partition} {offset} was read as {value} and is {found:?}")
                })?;
            }
        }
        Ok(())
    }
}
