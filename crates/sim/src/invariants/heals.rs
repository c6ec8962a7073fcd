//! Once nothing fails any more, everybody gets what they want.

use ottla_base::Millis;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Heals;

impl Invariant for Heals {
    fn name(&self) -> &'static str {
        "heals"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Ended { waiting } = fact else {
            return Ok(());
        };
        ensure(waiting.is_empty(), || format!("still waiting: {waiting:?}"))
    }
}
