//! What the controllers decide of a partition fits together: who leads is in sync, who is
//! in sync has a replica, and replicas go only when those that come instead are in sync,
//! or come no more.

use ottla_base::Millis;
use ottla_controller::Partition;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct ReplicasFit;

impl Invariant for ReplicasFit {
    fn name(&self) -> &'static str {
        "replicas fit"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Decided {
            partition,
            before,
            after,
            ..
        } = fact
        else {
            return Ok(());
        };
        let leads = after
            .leader
            .is_none_or(|leader| after.isr.contains(&leader));
        let in_sync = after.isr.iter().all(|id| after.replicas.contains(id));
        ensure(leads && in_sync, || format!("p{partition} is {after:?}"))?;
        let waits = before.is_none_or(|before| waits(before, after));
        ensure(waits, || {
            format!("p{partition} was {before:?} and is {after:?}")
        })
    }
}

fn waits(before: &Partition, after: &Partition) -> bool {
    let mut left = before.replicas.iter();
    let mut stay = after.replicas.iter();
    let is_new = |id| !before.replicas.contains(id) || before.adding.contains(id);
    left.all(|id| after.replicas.contains(id))
        || stay.all(|id| !is_new(id) || after.isr.contains(id))
}
