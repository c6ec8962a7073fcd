//! The high watermark and the start of a log never fall: not while a machine
//! lives, and across crashes never below what was acknowledged or seen. And who
//! is told that all replicas have a batch can read it from then on.

use std::collections::BTreeMap;

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::{Acks, Reply, RoleKind, View};

use super::{Invariant, Scope, ensure};
use crate::fact::Fact;

#[derive(Debug)]
pub(crate) struct HighWatermarkGrows {
    scope: Scope,
    /// The last view of the machine that runs now.
    views: BTreeMap<(BrokerId, PartitionId), View>,
    /// Of the leaders that there were.
    newest: BTreeMap<PartitionId, LeaderEpoch>,
    asked: BTreeMap<ReplyToken, Asked>,
    /// The end of what was acknowledged, or seen by readers.
    promised: BTreeMap<PartitionId, Offset>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    broker: BrokerId,
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
            broker,
            ..
        } = fact
        {
            let asked = Asked {
                broker: *broker,
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
        if let Fact::Recovered { broker, partition } = fact {
            self.views.remove(&(*broker, *partition));
        }
        if let Fact::Published {
            broker,
            partition,
            view,
        } = fact
        {
            self.on_view(*broker, *partition, view)?;
        }
        Ok(())
    }
}

impl HighWatermarkGrows {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            views: BTreeMap::new(),
            newest: BTreeMap::new(),
            asked: BTreeMap::new(),
            promised: BTreeMap::new(),
        }
    }

    fn on_acknowledged(&mut self, asked: Asked, end: Offset) -> Result<(), String> {
        let Asked {
            broker,
            partition,
            acks,
            ..
        } = asked;
        if acks == Acks::All || self.scope == Scope::OneBroker {
            self.promise(partition, end);
        }
        let view = self.views.get(&(broker, partition));
        let visible = view.is_some_and(|view| end <= view.high_watermark);
        ensure(acks != Acks::All || visible, || {
            format!("p{partition} is acknowledged up to {end}, and readers see {view:?}")
        })
    }

    fn promise(&mut self, partition: PartitionId, end: Offset) {
        let promised = self.promised.entry(partition).or_default();
        *promised = end.max(*promised);
    }

    fn on_view(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        view: &View,
    ) -> Result<(), String> {
        let View {
            log_start,
            high_watermark,
            end,
            ..
        } = *view;
        ensure(log_start <= high_watermark && high_watermark <= end, || {
            format!("{view:?} is out of order")
        })?;
        if let Some(last) = self.views.insert((broker, partition), *view) {
            let grew = last.high_watermark <= high_watermark && last.log_start <= log_start;
            ensure(grew, || format!("{last:?} became {view:?}"))?;
        }
        if view.role != RoleKind::Leader {
            return Ok(());
        }
        let newest = self.newest.entry(partition).or_insert(LeaderEpoch::NONE);
        *newest = view.leader_epoch.max(*newest);
        // Who was deposed and does not know it knows no more than it did; who is new
        // says nothing of the end before it has caught up with who was before.
        let speaks = *newest == view.leader_epoch && view.knows_latest();
        if self.scope == Scope::OneBroker || speaks {
            let promised = self.promised.get(&partition).copied().unwrap_or_default();
            ensure(promised <= high_watermark, || {
                format!("{promised} was promised, and now {view:?}")
            })?;
        }
        self.promise(partition, high_watermark);
        Ok(())
    }
}
