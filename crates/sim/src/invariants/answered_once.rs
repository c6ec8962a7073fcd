//! Every request is answered exactly once and in time, unless the broker dies.

use std::collections::BTreeMap;

use ottla_base::{Millis, ReplyToken};

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct AnsweredOnce {
    /// Unanswered requests, and when their senders stop waiting.
    open: BTreeMap<ReplyToken, Millis>,
}

impl Invariant for AnsweredOnce {
    fn name(&self) -> &'static str {
        "answered once"
    }

    fn observe(&mut self, now: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::AppendAsked {
            token, deadline, ..
        }
        | Fact::DeleteAsked {
            token, deadline, ..
        } = fact
        {
            self.open.insert(*token, *deadline);
        }
        if let Fact::GroupAsked { token, .. } = fact {
            self.open.insert(*token, Millis(i64::MAX));
        }
        if let Fact::Answered { token, .. } | Fact::GroupAnswered { token, .. } = fact {
            let deadline = self.open.remove(token);
            let deadline = deadline.ok_or_else(|| format!("t{} was not open", token.0))?;
            ensure(now <= deadline, || {
                format!("t{} was due at {deadline}", token.0)
            })?;
        }
        if let Fact::Orphaned { token } = fact {
            self.open.remove(token);
        }
        if let Fact::Ended { .. } = fact {
            ensure(self.open.is_empty(), || {
                format!("never answered: {:?}", self.open)
            })?;
        }
        Ok(())
    }
}
