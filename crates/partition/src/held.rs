//! Replies that wait for a position.

use std::collections::VecDeque;

use ottla_base::{Millis, Offset, ReplyToken};

use crate::effect::Appended;

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
    pub(crate) fn hold(&mut self, waiting: Waiting) {
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

    /// Takes out every reply that nobody waits for any longer at `now`.
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<ReplyToken> {
        if self.earliest.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let late = self.queue.iter().filter(|waiting| waiting.deadline <= now);
        let late = late.map(|waiting| waiting.token).collect();
        self.queue.retain(|waiting| now < waiting.deadline);
        self.earliest = self.queue.iter().map(|waiting| waiting.deadline).min();
        late
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.earliest.filter(|_| !self.queue.is_empty())
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = ReplyToken> {
        self.earliest = None;
        self.queue.drain(..).map(|waiting| waiting.token)
    }
}
