//! Replies that wait for a position.

use std::collections::VecDeque;

use ottla_base::{Millis, Offset, ReplyToken};

use crate::effect::Appended;
use crate::input::Acks;

/// Replies to appends, held while this replica leads. When another leads they stay until it
/// is known whether that one has what was appended.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Those that need this broker's disk: acks=1.
    pub(crate) local: Held,
    /// Those that need the high watermark: acks=all.
    pub(crate) committed: Held,
}

impl Replies {
    pub(crate) fn hold(&mut self, acks: Acks, waiting: Waiting) {
        match acks {
            Acks::None | Acks::Leader => self.local.hold(waiting),
            Acks::All => self.committed.hold(waiting),
        }
    }

    /// The oldest for which all is safe, where the log is durable and committed that far.
    pub(crate) fn release(&mut self, durable: Offset, committed: Offset) -> Option<Waiting> {
        let local = self.local.release(durable);
        local.or_else(|| self.committed.release(committed))
    }

    /// Takes out every reply that nobody waits for any longer at `now`.
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<ReplyToken> {
        let mut late = self.local.expire(now);
        late.append(&mut self.committed.expire(now));
        late
    }

    /// Takes out every reply to what lies beyond `end`.
    pub(crate) fn cut(&mut self, end: Offset) -> Vec<ReplyToken> {
        let mut lost = self.local.cut(end);
        lost.append(&mut self.committed.cut(end));
        lost
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let deadlines = [self.local.next_deadline(), self.committed.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.local.queue.is_empty() && self.committed.queue.is_empty()
    }
}

/// Replies that wait until everything below their fence is safe, in the order
/// of their fences.
#[derive(Debug, Default)]
pub(crate) struct Held {
    queue: VecDeque<Waiting>,
    /// No deadline of the queue is earlier. It may be that of a reply that has
    /// left since: then one tick comes in vain.
    earliest: Option<Millis>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) fence: Offset,
    pub(crate) deadline: Millis,
    pub(crate) token: ReplyToken,
    pub(crate) appended: Appended,
}

impl Held {
    fn hold(&mut self, waiting: Waiting) {
        self.earliest = Some(
            self.earliest
                .map_or(waiting.deadline, |at| at.min(waiting.deadline)),
        );
        match self.queue.back() {
            // A repeated batch waits for the place of the first, among others
            // that have come since.
            Some(last) if waiting.fence < last.fence => {
                let at = self.queue.partition_point(|w| w.fence <= waiting.fence);
                self.queue.insert(at, waiting);
            }
            Some(_) | None => self.queue.push_back(waiting),
        }
    }

    /// The oldest reply, if everything that it depends on lies below `safe`.
    pub(crate) fn release(&mut self, safe: Offset) -> Option<Waiting> {
        self.queue.pop_front_if(|waiting| waiting.fence <= safe)
    }

    fn expire(&mut self, now: Millis) -> Vec<ReplyToken> {
        if self.earliest.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let late = self.queue.iter().filter(|waiting| waiting.deadline <= now);
        let late = late.map(|waiting| waiting.token).collect();
        self.queue.retain(|waiting| now < waiting.deadline);
        self.earliest = self.queue.iter().map(|waiting| waiting.deadline).min();
        late
    }

    fn cut(&mut self, end: Offset) -> Vec<ReplyToken> {
        let kept = self.queue.partition_point(|waiting| waiting.fence <= end);
        let lost = self.queue.drain(kept..);
        lost.map(|waiting| waiting.token).collect()
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.earliest.filter(|_| !self.queue.is_empty())
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = ReplyToken> {
        self.earliest = None;
        self.queue.drain(..).map(|waiting| waiting.token)
    }
}
