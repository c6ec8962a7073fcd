//! In one epoch one machine leads a partition, and it leads once: not again after
//! it has lost what it had not flushed.

use std::collections::BTreeMap;

use ottla_base::{BrokerId, LeaderEpoch, Millis, PartitionId};
use ottla_partition::RoleKind;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct OneLeader {
    /// How often each replica was recovered.
    lives: BTreeMap<(BrokerId, PartitionId), u32>,
    /// Who led, in which of its lives.
    leaders: BTreeMap<(PartitionId, LeaderEpoch), (BrokerId, u32)>,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "one leader"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Recovered { broker, partition } = fact {
            *self.lives.entry((*broker, *partition)).or_default() += 1;
        }
        if let Fact::Published {
            broker,
            partition,
            view,
        } = fact
            && view.role == RoleKind::Leader
        {
            let life = self.lives.get(&(*broker, *partition)).copied();
            let this = (*broker, life.unwrap_or_default());
            let epoch = view.leader_epoch;
            let leader = *self.leaders.entry((*partition, epoch)).or_insert(this);
            ensure(leader == this, || {
                format!("p{partition} is led in epoch {epoch} by {leader:?} and by {this:?}")
            })?;
        }
        Ok(())
    }
}
