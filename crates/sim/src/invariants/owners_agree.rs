//! In one generation of a group a partition has one owner, also if a crash comes
//! between two members' answers; and nothing is taken from a member of an older
//! generation once a newer one has its assignment.

use std::collections::BTreeMap;

use ottla_base::{Generation, MemberId, Millis, PartitionId, ReplyToken};
use ottla_coordinator::{Input, Reply};

use super::{Invariant, ensure};
use crate::fact::Fact;
use crate::member::owned;

#[derive(Debug, Default)]
pub(crate) struct OwnersAgree {
    asked: BTreeMap<ReplyToken, Asked>,
    /// Of those whose assignment somebody has got.
    newest: Generation,
    owners: BTreeMap<(Generation, PartitionId), MemberId>,
}

/// Who asked, as a member of which generation, and which was the newest then.
#[derive(Debug)]
struct Asked {
    member: MemberId,
    generation: Generation,
    newest: Generation,
}

impl Invariant for OwnersAgree {
    fn name(&self) -> &'static str {
        "owners agree"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::GroupAsked { token, input } = fact {
            if let Input::Sync(sync) = input {
                self.on_asked(*token, Some(&sync.member), Some(sync.generation));
            }
            if let Input::Commit(commit) = input {
                self.on_asked(*token, commit.member.as_ref(), commit.generation);
            }
        }
        if let Fact::GroupAnswered {
            deposed: false,
            token,
            reply: Some(reply),
        } = fact
            && let Some(asked) = self.asked.remove(token)
        {
            if let Reply::Sync(Ok(synced)) = reply {
                self.newest = self.newest.max(asked.generation);
                self.on_accepted(&asked, owned(&synced.assignment))?;
            }
            if let Reply::Commit(Ok(_)) = reply {
                self.on_accepted(&asked, std::iter::empty())?;
            }
        }
        Ok(())
    }
}

impl OwnersAgree {
    fn on_asked(
        &mut self,
        token: ReplyToken,
        member: Option<&MemberId>,
        generation: Option<Generation>,
    ) {
        if let (Some(member), Some(generation)) = (member, generation) {
            let asked = Asked {
                member: member.clone(),
                generation,
                newest: self.newest,
            };
            self.asked.insert(token, asked);
        }
    }

    fn on_accepted(
        &mut self,
        asked: &Asked,
        owned: impl Iterator<Item = PartitionId>,
    ) -> Result<(), String> {
        let Asked {
            member,
            generation,
            newest,
        } = asked;
        ensure(newest <= generation, || {
            format!("{member} of generation {generation} was heard in generation {newest}")
        })?;
        for partition in owned {
            let owner = self.owners.entry((*generation, partition));
            let owner = owner.or_insert_with(|| member.clone());
            ensure(owner == member, || {
                format!("p{partition} is {owner}'s and {member}'s in generation {generation}")
            })?;
        }
        Ok(())
    }
}
