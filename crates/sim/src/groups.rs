//! The part of a world that concerns consumer groups.

use ottla_base::{PartitionId, ReplyToken};
use ottla_coordinator::Reply;

use crate::client::Client;
use crate::fact::Fact;
use crate::host::Replies;
use crate::member::MemberRequest;
use crate::world::{Event, GROUPS, World};

impl World {
    pub(crate) fn on_wake_member(&mut self, at: usize) {
        if self.members_rest {
            return;
        }
        if let Some(request) = self.members[at].on_wake(self.now, &mut self.rng) {
            if let Some(delay) = self.network.deliver(&mut self.rng) {
                self.after(delay, Event::AskGroups(Box::new(request)));
            }
            self.plan_member(at);
        }
    }

    pub(crate) fn plan_member(&mut self, at: usize) {
        let pause = self.members[at].wake_at().since(self.now).max(0);
        self.after(pause, Event::WakeMember(at));
    }

    pub(crate) fn on_group_request(&mut self, request: MemberRequest) {
        if !self.broker.is_up {
            return; // The member will notice.
        }
        let MemberRequest { member, number, .. } = request;
        let token = self.owe(Client::Member { member, number });
        let input = request.into_input(token);
        self.observe(&Fact::GroupAsked {
            token,
            input: &input,
        });
        match self.broker.ask_groups(self.now, GROUPS, input) {
            Some((effects, replies)) => {
                self.carry_out(GROUPS, effects);
                self.answer_members(replies);
            }
            None => self.answer_member(token, None),
        }
    }

    pub(crate) fn answer_members(&mut self, replies: Replies) {
        for (token, reply) in replies {
            self.answer_member(token, Some(reply));
        }
    }

    /// The groups of a partition are gone; whoever waits for them is told.
    pub(crate) fn drop_groups(&mut self, partition: PartitionId) {
        if let Some(cell) = self.broker.cell(partition) {
            cell.host = None;
        }
        if partition != GROUPS {
            return;
        }
        let waiting = self.owed.iter();
        let waiting = waiting.filter(|(_, client)| matches!(client, Client::Member { .. }));
        let waiting: Vec<_> = waiting.map(|(token, _)| *token).collect();
        for token in waiting {
            self.answer_member(token, None);
        }
    }

    fn answer_member(&mut self, token: ReplyToken, reply: Option<Reply>) {
        self.observe(&Fact::GroupAnswered {
            deposed: false,
            token,
            reply: reply.as_ref(),
        });
        let client = self.owed.remove(&token);
        self.answer(client.and_then(|client| client.told_by_groups(reply)));
    }
}
