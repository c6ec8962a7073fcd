//! A machine made from what was written is in the state of the machine that
//! wrote it.

use ottla_base::{BrokerId, Machine, Millis};
use ottla_partition::Settings;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct RecoveryAgrees;

impl Invariant for RecoveryAgrees {
    fn name(&self) -> &'static str {
        "recovery agrees"
    }

    fn observe(&mut self, now: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Stepped {
            machine, shadow, ..
        } = fact
        {
            let recovered = shadow.recover(now, BrokerId(0), Settings::default());
            ensure(machine.hard() == recovered.hard(), || {
                format!("{:?} comes back as {:?}", machine.hard(), recovered.hard())
            })?;
        }
        if let Fact::GroupStepped { host } = fact {
            let (live, recovered) = host.states();
            ensure(live == recovered.hard(), || {
                format!("{live:?} comes back as {:?}", recovered.hard())
            })?;
        }
        Ok(())
    }
}
