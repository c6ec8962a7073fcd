//! What one replica counts as committed, every other has too or will have, byte for
//! byte; and nobody cuts it.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId};

use super::{Invariant, ensure};
use crate::fact::{Fact, Stamp};

#[derive(Debug, Default)]
pub(crate) struct LogsAgree {
    committed: BTreeMap<(PartitionId, Offset), Stamp>,
}

impl Invariant for LogsAgree {
    fn name(&self) -> &'static str {
        "logs agree"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Committed {
            broker,
            partition,
            stamps,
            ..
        } = fact
        {
            for stamp in *stamps {
                let known = self.committed.entry((*partition, stamp.base));
                let known = *known.or_insert(*stamp);
                ensure(known == *stamp, || {
                    format!("p{partition} has {known:?}, and b{broker} has {stamp:?}")
                })?;
            }
        }
        if let Fact::CommittedLost {
            broker,
            partition,
            from,
            to,
        } = fact
        {
            return Err(format!("b{broker} p{partition} cuts {from}..{to}"));
        }
        Ok(())
    }
}
