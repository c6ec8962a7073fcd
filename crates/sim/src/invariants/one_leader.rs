//! In one epoch one machine leads a partition, and it leads once: not again after
//! it has lost what it had not flushed, which others may have. The only replica there is
//! may lead again, as nobody else has anything of its epoch.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{BrokerId, LeaderEpoch, Millis, PartitionId};
use ottla_partition::RoleKind;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct OneLeader {
    /// How often each replica was recovered.
    lives: BTreeMap<(BrokerId, PartitionId), u32>,
    leaders: BTreeMap<(PartitionId, LeaderEpoch), Leader>,
    /// Those that had others to copy them.
    copied: BTreeSet<(PartitionId, LeaderEpoch, Leader)>,
}

/// Who led, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Leader {
    broker: BrokerId,
    life: u32,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "one leader"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Recovered { broker, partition } = fact {
            *self.lives.entry((*broker, *partition)).or_default() += 1;
        }
        if let Fact::Led {
            broker,
            partition,
            epoch,
        } = fact
        {
            let this = self.current(*broker, *partition);
            self.copied.insert((*partition, *epoch, this));
        }
        if let Fact::Published {
            broker,
            partition,
            view,
        } = fact
            && view.role == RoleKind::Leader
        {
            self.on_leader(*broker, *partition, view.leader_epoch)?;
        }
        Ok(())
    }
}

impl OneLeader {
    fn on_leader(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        epoch: LeaderEpoch,
    ) -> Result<(), String> {
        let this = self.current(broker, partition);
        let known = self.leaders.insert((partition, epoch), this);
        let known = known.unwrap_or(this);
        let was_alone = known.broker == broker && !self.copied.contains(&(partition, epoch, known));
        ensure(known == this || was_alone, || {
            format!("p{partition} is led in epoch {epoch} by {known:?} and by {this:?}")
        })
    }

    fn current(&self, broker: BrokerId, partition: PartitionId) -> Leader {
        let life = self.lives.get(&(broker, partition)).copied();
        Leader {
            broker,
            life: life.unwrap_or_default(),
        }
    }
}
