//! The high watermark and the start of a log never fall: not while a machine
//! lives, and across crashes never below what was acknowledged or seen. And who
//! is told that all replicas have a batch can read it from then on.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::{Acks, Reply, RoleKind, View};

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct HighWatermarkGrows {
    /// The last view of the machine that runs now.
    views: BTreeMap<PartitionId, View>,
    asked: BTreeMap<ReplyToken, Asked>,
    /// The end of what was acknowledged, or seen by readers.
    promised: BTreeMap<PartitionId, Offset>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    partition: PartitionId,
    acks: Acks,
    count: i64,
}

impl Invariant for HighWatermarkGrows {
    fn name(&self) -> &'static str {
        "high watermark grows"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::AppendAsked {
            token,
            partition,
            acks: acks @ (Acks::Leader | Acks::All),
            values,
            ..
        } = fact
        {
            let asked = Asked {
                partition: *partition,
                acks: *acks,
                count: i64::try_from(values.len()).expect("few"),
            };
            self.asked.insert(*token, asked);
        }
        if let Fact::Answered {
            token,
            reply: Reply::Appended(Ok(appended)),
        } = fact
            && let Some(asked) = self.asked.remove(token)
        {
            self.on_acknowledged(asked, appended.base.plus(asked.count))?;
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
    fn on_acknowledged(&mut self, asked: Asked, end: Offset) -> Result<(), String> {
        let Asked {
            partition, acks, ..
        } = asked;
        self.promise(partition, end);
        let view = self.views.get(&partition);
        let visible = view.is_some_and(|view| end <= view.high_watermark);
        ensure(acks != Acks::All || visible, || {
            format!("p{partition} is acknowledged up to {end}, and readers see {view:?}")
        })
    }

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
