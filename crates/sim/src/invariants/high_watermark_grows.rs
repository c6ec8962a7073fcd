//! The high watermark and the start of a log never fall: not while a machine
//! lives, and across crashes never below what was acknowledged or seen.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::{Acks, Reply, RoleKind, View};

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct HighWatermarkGrows {
    /// The last view of the machine that runs now.
    views: BTreeMap<PartitionId, View>,
    asked: BTreeMap<ReplyToken, (PartitionId, i64)>,
    /// The end of what was acknowledged, or seen by readers.
    promised: BTreeMap<PartitionId, Offset>,
}

impl Invariant for HighWatermarkGrows {
    fn name(&self) -> &'static str {
        "high watermark grows"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::AppendAsked {
            token,
            partition,
            acks: Acks::Leader | Acks::All,
            values,
            ..
        } = fact
        {
            let count = i64::try_from(values.len()).expect("few");
            self.asked.insert(*token, (*partition, count));
        }
        if let Fact::Answered {
            token,
            reply: Reply::Appended(Ok(appended)),
        } = fact
            && let Some((partition, count)) = self.asked.remove(token)
        {
            self.promise(partition, appended.base.plus(count));
        }
        if let Fact::Recovered { partition, .. } = fact {
            self.views.remove(partition);
        }
        if let Fact::Published { partition, view } = fact {
            self.on_view(*partition, view)?;
        }
        Ok(())
    }
}

impl HighWatermarkGrows {
    fn promise(&mut self, partition: PartitionId, end: Offset) {
        let promised = self.promised.entry(partition).or_default();
        *promised = end.max(*promised);
    }

    fn on_view(&mut self, partition: PartitionId, view: &View) -> Result<(), String> {
        let View {
            log_start,
            high_watermark,
            end,
            ..
        } = *view;
        ensure(log_start <= high_watermark && high_watermark <= end, || {
            format!("{view:?} is out of order")
        })?;
        if let Some(last) = self.views.insert(partition, *view) {
            let grew = last.high_watermark <= high_watermark && last.log_start <= log_start;
            ensure(grew, || format!("{last:?} became {view:?}"))?;
        }
        if view.role == RoleKind::Leader {
            let promised = self.promised.get(&partition).copied().unwrap_or_default();
            ensure(promised <= high_watermark, || {
                format!("{promised} was promised, and now {view:?}")
            })?;
            self.promise(partition, high_watermark);
        }
        Ok(())
    }
}
