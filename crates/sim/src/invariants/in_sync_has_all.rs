//! Whoever counts as in sync has everything that is committed on its disk.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId};
use ottla_partition::RoleKind;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct InSyncHasAll {
    committed: BTreeMap<PartitionId, Offset>,
}

impl Invariant for InSyncHasAll {
    fn name(&self) -> &'static str {
        "in sync has all"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Committed {
            partition,
            role: RoleKind::Leader,
            end,
            ..
        } = fact
        {
            let committed = self.committed.entry(*partition).or_default();
            *committed = end.max(committed).to_owned();
        }
        if let Fact::InSync {
            broker,
            partition,
            durable,
        } = fact
        {
            let committed = self.committed.get(partition).copied().unwrap_or_default();
            ensure(committed <= *durable, || {
                format!(
                    "b{broker} p{partition} is in sync with {durable}, and {committed} is committed"
                )
            })?;
        }
        Ok(())
    }
}
