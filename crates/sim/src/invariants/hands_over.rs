//! A broker that ends as it may leads nothing that another could: its leaders have moved
//! before.

use ottla_base::Millis;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct HandsOver;

impl Invariant for HandsOver {
    fn name(&self) -> &'static str {
        "hands over"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Stopped {
            broker,
            may: true,
            leads,
        } = fact
        else {
            return Ok(());
        };
        ensure(leads.is_empty(), || {
            format!("b{broker} ends and still leads {leads:?}")
        })
    }
}
