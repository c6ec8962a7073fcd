//! Whether a leader is one still: its followers say so when they are asked.
//!
//! Knows nothing of how they are asked.

use std::collections::BTreeMap;

use ottla_base::BrokerId;
use ottla_replication::Round;
use tokio::sync::oneshot;

/// Questions to the followers of one partition, and who waits for the answers. Owned by a
/// cell.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    last: Round,
    /// The last round that each follower has confirmed.
    said: BTreeMap<BrokerId, Round>,
    /// Dropped with the leadership, which tells who waits.
    waiting: Vec<(Round, oneshot::Sender<()>)>,
}

impl Confirmations {
    /// The next round, and what tells that it is confirmed.
    pub(super) fn begin(&mut self) -> (Round, oneshot::Receiver<()>) {
        self.last = Round(self.last.0 + 1);
        let (confirmed, waiting) = oneshot::channel();
        self.waiting.push((self.last, confirmed));
        (self.last, waiting)
    }

    pub(super) fn on_confirmed(&mut self, by: BrokerId, round: Round) {
        let known = self.said.entry(by).or_default();
        *known = round.max(*known);
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells who waits for what all of these followers have confirmed, which are those
    /// that may lead next.
    pub(super) fn release(&mut self, successors: &[BrokerId]) {
        let said = |follower| self.said.get(follower).copied().unwrap_or_default();
        let confirmed = successors.iter().map(said).min().unwrap_or(self.last);
        let is_confirmed = |(round, _): &mut (Round, _)| *round <= confirmed;
        for (_, waiting) in self.waiting.extract_if(.., is_confirmed) {
            let _gone = waiting.send(());
        }
        // Who has stopped waiting is not waited for.
        self.waiting.retain(|(_, waiting)| !waiting.is_closed());
    }

    /// The leadership is over.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BrokerId = BrokerId(2);
    const B: BrokerId = BrokerId(3);

    fn is_told(waiting: &mut oneshot::Receiver<()>) -> bool {
        waiting.try_recv().is_ok()
    }

    #[test]
    fn all_who_may_lead_next_have_to_say_so_after_they_were_asked() {
        let mut confirmations = Confirmations::default();
        let (first, mut waits_for_first) = confirmations.begin();
        let (second, mut waits_for_second) = confirmations.begin();
        confirmations.on_confirmed(A, second);
        confirmations.release(&[A, B]);
        assert!(!is_told(&mut waits_for_first), "nothing is known of one");
        confirmations.on_confirmed(B, first);
        confirmations.on_confirmed(A, first);
        confirmations.release(&[A, B]);
        assert!(is_told(&mut waits_for_first));
        assert!(!is_told(&mut waits_for_second), "one was asked before");
        // That one is not in sync any more.
        confirmations.release(&[A]);
        assert!(is_told(&mut waits_for_second));
        assert!(!confirmations.is_waited_for());
    }

    #[test]
    fn who_has_no_followers_in_sync_is_sure() {
        let mut confirmations = Confirmations::default();
        let (_, mut waiting) = confirmations.begin();
        confirmations.release(&[]);
        assert!(is_told(&mut waiting));
    }

    #[test]
    fn who_waits_hears_that_the_leadership_is_over() {
        let mut confirmations = Confirmations::default();
        let (_, mut waiting) = confirmations.begin();
        confirmations.give_up();
        assert_eq!(
            waiting.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
    }
}
