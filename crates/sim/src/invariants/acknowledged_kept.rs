//! What was acknowledged is in the log for ever, where the answer said, until
//! somebody asks for it to be deleted.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId, ReplyToken};
use ottla_partition::{Acks, Appended, Reply};

use super::{Invariant, Scope, ensure};
use crate::fact::{Fact, Value};

#[derive(Debug)]
pub(crate) struct AcknowledgedKept {
    scope: Scope,
    asked: BTreeMap<ReplyToken, (PartitionId, Vec<Value>)>,
    kept: BTreeMap<(PartitionId, Offset), Value>,
    /// How far each log may have been cut from its start.
    may_start: BTreeMap<PartitionId, Offset>,
}

impl Invariant for AcknowledgedKept {
    fn name(&self) -> &'static str {
        "acknowledged is kept"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::AppendAsked {
            token,
            partition,
            acks: acks @ (Acks::Leader | Acks::All),
            values,
            ..
        } = fact
            && (*acks == Acks::All || self.scope == Scope::OneBroker)
        {
            self.asked.insert(*token, (*partition, values.to_vec()));
        }
        if let Fact::Answered {
            token,
            reply: Reply::Appended(Ok(appended)),
        } = fact
        {
            self.on_acknowledged(*token, appended)?;
        }
        if let Fact::MayStart { partition, at } = fact {
            let may_start = self.may_start.entry(*partition).or_default();
            *may_start = (*at).max(*may_start);
        }
        if let Fact::Scanned {
            partition,
            start,
            end,
            records,
            ..
        } = fact
        {
            self.on_scan(*partition, *start, *end, records)?;
        }
        Ok(())
    }
}

impl AcknowledgedKept {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            asked: BTreeMap::new(),
            kept: BTreeMap::new(),
            may_start: BTreeMap::new(),
        }
    }

    fn on_acknowledged(&mut self, token: ReplyToken, appended: &Appended) -> Result<(), String> {
        let Some((partition, values)) = self.asked.remove(&token) else {
            return Ok(());
        };
        for (offset, value) in (appended.base.0..).map(Offset).zip(values) {
            let known = self.kept.insert((partition, offset), value);
            ensure(known.is_none_or(|known| known == value), || {
                format!("p{partition} {offset} was {known:?} and is now said to be {value}")
            })?;
        }
        Ok(())
    }

    fn on_scan(
        &self,
        partition: PartitionId,
        start: Offset,
        end: Offset,
        records: &[(Offset, Value)],
    ) -> Result<(), String> {
        let may_start = self.may_start.get(&partition).copied().unwrap_or_default();
        ensure(start <= may_start, || {
            format!("p{partition} starts at {start}, and nobody asked for more than {may_start}")
        })?;
        let stored: BTreeMap<_, _> = records.iter().copied().collect();
        let kept = self
            .kept
            .range((partition, start)..(partition, Offset(i64::MAX)));
        for ((_, offset), value) in kept {
            let found = stored.get(offset);
            ensure(found == Some(value), || {
                format!("p{partition} {start}..{end} has {found:?} at {offset}, not {value}")
            })?;
        }
        Ok(())
    }
}
