//! Every offset from the start of a log to its end has one record, and a
//! consumer meets each in turn.

use ottla_base::{Millis, Offset};

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct OffsetsDense;

impl Invariant for OffsetsDense {
    fn name(&self) -> &'static str {
        "offsets dense"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Scanned {
            start,
            end,
            records,
            ..
        } = fact
        {
            let expected = (start.0..end.0).map(Offset);
            let found = records.iter().map(|(offset, _)| *offset);
            ensure(expected.eq(found), || {
                format!("{start}..{end} holds {records:?}")
            })?;
        }
        if let Fact::Read {
            expected, offset, ..
        } = fact
        {
            ensure(expected == offset, || {
                format!("a reader at {expected} got {offset}")
            })?;
        }
        Ok(())
    }
}
