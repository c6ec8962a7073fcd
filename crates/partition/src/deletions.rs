//! Deletions that wait until the log starts where they asked for, and will after a
//! crash.

use ottla_base::{Millis, Offset, ReplyToken};

use crate::effect::{Effect, Reply};
use crate::error::DeleteError;

/// Deletions that are decided and not yet done; few at any time.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    waiting: Vec<Deletion>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    pub(crate) token: ReplyToken,
    pub(crate) before: Offset,
    pub(crate) deadline: Millis,
}

impl Deletions {
    pub(crate) fn hold(&mut self, deletion: Deletion) {
        self.waiting.push(deletion);
    }

    /// Answers those that are carried out in a log that surely starts at `start`.
    pub(crate) fn release(&mut self, start: Offset, out: &mut Vec<Effect>) {
        self.answer(|deletion| deletion.before <= start, &Ok(start), out);
    }

    /// Nobody waits longer for followers. The leader's own part is not waited for by
    /// the clock, as in Kafka: a client that gives no time asks for that part.
    pub(crate) fn expire(&mut self, now: Millis, own_start: Offset, out: &mut Vec<Effect>) {
        let late = |deletion: &Deletion| deletion.before <= own_start && deletion.deadline <= now;
        self.answer(late, &Err(DeleteError::TimedOut), out);
    }

    pub(crate) fn refuse_all(&mut self, why: DeleteError, out: &mut Vec<Effect>) {
        self.answer(|_| true, &Err(why), out);
    }

    pub(crate) fn next_deadline(&self, own_start: Offset) -> Option<Millis> {
        let done = |deletion: &&Deletion| deletion.before <= own_start;
        let done = self.waiting.iter().filter(done);
        done.map(|deletion| deletion.deadline).min()
    }

    fn answer(
        &mut self,
        is_due: impl Fn(&Deletion) -> bool,
        result: &Result<Offset, DeleteError>,
        out: &mut Vec<Effect>,
    ) {
        self.waiting.retain(|deletion| {
            let due = is_due(deletion);
            if due {
                reply(deletion.token, result.clone(), out);
            }
            !due
        });
    }
}

pub(crate) fn reply(to: ReplyToken, result: Result<Offset, DeleteError>, out: &mut Vec<Effect>) {
    let reply = Reply::Deleted(result);
    out.push(Effect::Reply { to, reply });
}
