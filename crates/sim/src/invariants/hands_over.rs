//! A broker that ends as it may leads nothing that another could: its leaders have moved
//! before. Where nothing has failed for a while, nobody ends otherwise.

use ottla_base::Millis;

use super::{Invariant, ensure};
use crate::fact::Fact;

/// After that nobody waits any more who was asked to stop while things failed.
const PATIENCE_MS: i64 = 6_100;

#[derive(Debug, Default)]
pub(crate) struct HandsOver {
    calm_since: Option<Millis>,
}

impl Invariant for HandsOver {
    fn name(&self) -> &'static str {
        "hands over"
    }

    fn observe(&mut self, now: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Calm = fact {
            self.calm_since = Some(now);
        }
        let Fact::Stopped { broker, may, leads } = fact else {
            return Ok(());
        };
        ensure(!may || leads.is_empty(), || {
            format!("b{broker} ends and still leads {leads:?}")
        })?;
        let calm = self.calm_since.map(|since| now.since(since));
        ensure(*may || calm.is_none_or(|calm| calm < PATIENCE_MS), || {
            format!("b{broker} ends before it may, leads {leads:?}")
        })
    }
}
