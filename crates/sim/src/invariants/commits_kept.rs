//! An offset that was committed is what the group finds, or one that was
//! committed later: never an earlier one, and none that nobody committed.

use std::collections::BTreeMap;

use ottla_base::{Millis, Offset, PartitionId, ReplyToken};
use ottla_coordinator::offsets::{FetchOffsets, FetchedOffset, Wanted};
use ottla_coordinator::{Input, Reply};

use super::{Invariant, ensure};
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct CommitsKept {
    partitions: BTreeMap<PartitionId, Commits>,
    /// Open requests to commit, by their place in the order of requests.
    commits: BTreeMap<ReplyToken, (PartitionId, usize)>,
    /// Open requests to fetch, with what each may find.
    fetches: BTreeMap<ReplyToken, Vec<Option<Offset>>>,
}

/// All commits of a partition that the coordinator was asked for, in order.
#[derive(Debug)]
struct Commits {
    /// The one that was acknowledged last and those after it, or what was there
    /// before anybody committed. Those that were refused are forgotten.
    possible: BTreeMap<usize, Option<Offset>>,
    next: usize,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            possible: BTreeMap::from([(0, None)]),
            next: 1,
        }
    }
}

impl Invariant for CommitsKept {
    fn name(&self) -> &'static str {
        "commits are kept"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::GroupAsked { token, input } = fact {
            if let Input::Commit(commit) = input {
                let offset = &commit.offsets[0];
                self.on_commit(*token, offset.partition, offset.offset);
            }
            if let Input::FetchOffsets(fetch) = input {
                self.on_fetch(*token, fetch);
            }
        }
        if let Fact::GroupAnswered {
            deposed: false,
            token,
            reply: Some(reply),
        } = fact
        {
            if let Reply::Commit(result) = reply {
                self.on_committed(*token, result.is_ok());
            }
            if let Reply::FetchOffsets(fetched) = reply {
                self.on_fetched(*token, fetched)?;
            }
        }
        Ok(())
    }
}

impl CommitsKept {
    fn on_commit(&mut self, token: ReplyToken, partition: PartitionId, offset: Offset) {
        let commits = self.partitions.entry(partition).or_default();
        self.commits.insert(token, (partition, commits.next));
        commits.possible.insert(commits.next, Some(offset));
        commits.next += 1;
    }

    fn on_committed(&mut self, token: ReplyToken, accepted: bool) {
        let Some((partition, place)) = self.commits.remove(&token) else {
            return;
        };
        let commits = self.partitions.entry(partition).or_default();
        if accepted {
            commits.possible = commits.possible.split_off(&place);
        } else {
            commits.possible.remove(&place);
        }
    }

    fn on_fetch(&mut self, token: ReplyToken, fetch: &FetchOffsets) {
        let Wanted::These(wanted) = &fetch.wanted else {
            return;
        };
        let commits = self.partitions.entry(wanted[0].partition).or_default();
        let possible = commits.possible.values().copied().collect();
        self.fetches.insert(token, possible);
    }

    fn on_fetched(&mut self, token: ReplyToken, fetched: &[FetchedOffset]) -> Result<(), String> {
        let Some(possible) = self.fetches.remove(&token) else {
            return Ok(());
        };
        let found = &fetched[0];
        let offset = found.committed.as_ref().map(|value| value.offset);
        ensure(possible.contains(&offset), || {
            let partition = found.partition;
            format!("p{partition} is at {offset:?}, and may be at {possible:?}")
        })
    }
}
