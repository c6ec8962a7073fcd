//! Raft's pre-vote (KIP-996): a voter asks to be elected only while most voters answer
//! it and hear no leader either.
//!
//! Raft begins a term before it asks. One that only does not hear the others would begin
//! one after the other, and end the term of the leader that all others follow as soon as
//! it is heard again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::ServerState;

use crate::network::Peer;
use crate::raft::Raft;

/// Between two times that the others are asked.
const PAUSE: Duration = Duration::from_millis(100);

/// How long they have to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// When a voter heard its leader last. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderHeard(Arc<Mutex<Option<Instant>>>);

impl LeaderHeard {
    pub(crate) fn now(&self) {
        *self.last() = Some(Instant::now());
    }

    /// How long it is still counted as heard, if that is for so long.
    pub(crate) fn counts_for(&self, lease: Duration) -> Option<Duration> {
        let heard = *self.last();
        heard.and_then(|at| lease.checked_sub(at.elapsed()))
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a voter be elected, or not, for as long as its Raft runs.
pub(crate) struct Prevote<'a> {
    pub raft: &'a Raft,
    pub heard: &'a LeaderHeard,
    /// How long a leader that is silent is still waited for.
    pub silence: Duration,
    /// The other voters.
    pub others: Vec<Peer>,
}

impl Prevote<'_> {
    pub(crate) async fn run(self) -> Infallible {
        if self.others.is_empty() {
            return std::future::pending().await;
        }
        let may_elect = |may| self.raft.runtime_config().elect(may);
        loop {
            may_elect(false);
            self.leaderless().await;
            while !self.is_led() {
                may_elect(self.may_be_elected().await);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Returns once this voter does not lead, and has not heard for a while from who does.
    async fn leaderless(&self) {
        loop {
            let mut metrics = self.raft.metrics();
            let follows = metrics.wait_for(|seen| seen.state != ServerState::Leader);
            if follows.await.is_err() {
                return std::future::pending().await;
            }
            match self.heard.counts_for(self.silence) {
                Some(still) => tokio::time::sleep(still).await,
                None => return,
            }
        }
    }

    fn is_led(&self) -> bool {
        let leads = self.raft.metrics().borrow().state == ServerState::Leader;
        leads || self.heard.counts_for(self.silence).is_some()
    }

    async fn may_be_elected(&self) -> bool {
        let asked: FuturesUnordered<_> = self.others.iter().map(Peer::is_leaderless).collect();
        let free = asked.filter(|free| std::future::ready(*free));
        // With this voter they are most.
        let enough = self.others.len().div_ceil(2);
        let enough_are_free = async { free.take(enough).count().await == enough };
        let answered = tokio::time::timeout(PATIENCE, enough_are_free).await;
        answered.unwrap_or(false)
    }
}
