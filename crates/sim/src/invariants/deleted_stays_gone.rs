//! Records that a deletion was acknowledged for are gone for ever.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::Reply;

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct DeletedStaysGone {
    asked: BTreeMap<ReplyToken, (PartitionId, Offset)>,
    /// Everything below was said to be gone.
    gone: BTreeMap<PartitionId, Offset>,
}

impl Invariant for DeletedStaysGone {
    fn name(&self) -> &'static str {
        "deleted stays gone"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::DeleteAsked {
            token,
            partition,
            before,
            ..
        } = fact
        {
            self.asked.insert(*token, (*partition, *before));
        }
        if let Fact::Answered {
            token,
            reply: Reply::Deleted(Ok(start)),
        } = fact
        {
            self.on_deleted(*token, *start)?;
        }
        if let Fact::Scanned {
            partition, start, ..
        } = fact
        {
            let gone = self.gone.get(partition).copied().unwrap_or_default();
            ensure(gone <= *start, || {
                format!("p{partition} starts at {start}, and was said to start at {gone}")
            })?;
        }
        Ok(())
    }
}

impl DeletedStaysGone {
    fn on_deleted(&mut self, token: ReplyToken, start: Offset) -> Result<(), String> {
        let Some((partition, before)) = self.asked.remove(&token) else {
            return Ok(());
        };
        let gone = self.gone.entry(partition).or_default();
        *gone = start.max(*gone);
        ensure(before <= start, || {
            format!("p{partition} was to start at {before}, and starts at {start}")
        })
    }
}
