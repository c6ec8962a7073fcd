//! In one generation of a group a partition has one owner, also if a crash comes
//! between two members' answers.

use std::collections::BTreeMap;

use ottla_base::{Generation, MemberId, Millis, PartitionId, ReplyToken};
use ottla_coordinator::{Input, Reply};

use super::{Invariant, ensure};
use crate::fact::Fact;
use crate::member::owned;

#[derive(Debug, Default)]
pub(crate) struct OwnersAgree {
    asked: BTreeMap<ReplyToken, (MemberId, Generation)>,
    owners: BTreeMap<(Generation, PartitionId), MemberId>,
}

impl Invariant for OwnersAgree {
    fn name(&self) -> &'static str {
        "owners agree"
    }

    fn observe(&mut self, _: Millis, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::GroupAsked {
            token,
            input: Input::Sync(sync),
        } = fact
        {
            let asked = (sync.member.clone(), sync.generation);
            self.asked.insert(*token, asked);
        }
        if let Fact::GroupAnswered {
            token,
            reply: Some(Reply::Sync(Ok(synced))),
        } = fact
            && let Some((member, generation)) = self.asked.remove(token)
        {
            for partition in owned(&synced.assignment) {
                let owner = self.owners.entry((generation, partition));
                let owner = owner.or_insert_with(|| member.clone());
                ensure(*owner == member, || {
                    format!("p{partition} is {owner}'s and {member}'s in generation {generation}")
                })?;
            }
        }
        Ok(())
    }
}
