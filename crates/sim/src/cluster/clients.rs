//! The clients of a cluster: whom they ask, and what becomes of their requests.

use ottla_base::{BrokerId, Millis, Offset, PartitionId, ReplyToken};
use ottla_coordinator::Reply as GroupReply;
use ottla_partition::{Append, Input, RoleKind};

use super::event::Event;
use super::world::{CALM_AT, ClusterWorld};
use crate::broker::topic_partition;
use crate::client::{Answer, Client};
use crate::fact::Fact;
use crate::host::Replies;
use crate::member::MemberRequest;
use crate::network::milliseconds;
use crate::workload::{Request, Wish, index};
use crate::world::{GROUPS, PARTITIONS};

/// Brokers' clocks jump and brokers stand still, so nothing is due at a time.
const NEVER: Millis = Millis(i64::MAX);

impl ClusterWorld {
    /// Whom some broker that runs believes to lead a partition.
    fn leader_by_hearsay(&mut self, partition: PartitionId) -> Option<BrokerId> {
        let mut ids = self.ids();
        ids.retain(|id| self.node(*id).broker.is_up);
        if ids.is_empty() {
            return None;
        }
        let asked = ids[index(&mut self.rng, ids.len())];
        let image = &self.node(asked).life.image;
        image.partition(topic_partition(partition))?.leader
    }

    fn send(&mut self, request: Request) {
        if let Some(leader) = self.leader_by_hearsay(request.partition)
            && let Some(delay) = self.network.deliver(&mut self.rng)
        {
            self.after(delay, Event::Deliver(leader, Box::new(request)));
        }
    }

    pub(super) fn on_request(&mut self, broker: BrokerId, request: Request) {
        let Request { partition, wish } = request;
        let Some(cell) = self.node(broker).broker.cell(partition) else {
            return; // Nobody is at home; the client will notice.
        };
        let view = cell.partition.view();
        let local = self.clock(broker);
        let deadline = local.plus_ms(500 + milliseconds(&mut self.rng, 2_000));
        let is_leader = view.role == RoleKind::Leader;
        let input = match wish {
            Wish::Append {
                client,
                batch_number,
                batch,
                values,
                acks,
            } => {
                let token = self.owe(
                    broker,
                    Client::Producer {
                        client,
                        batch_number,
                    },
                );
                self.observe(&Fact::AppendAsked {
                    broker,
                    token,
                    partition,
                    acks,
                    values: &values,
                    deadline: NEVER,
                });
                Input::Append(Append {
                    token,
                    batch,
                    acks,
                    deadline,
                })
            }
            Wish::DeleteBefore(before) => {
                let token = self.owe(broker, Client::Nobody);
                let at = before.unwrap_or(view.high_watermark);
                self.observe(&Fact::DeleteAsked {
                    token,
                    partition,
                    before: at,
                    deadline: NEVER,
                });
                if at <= view.high_watermark && is_leader {
                    self.observe(&Fact::MayStart { partition, at });
                }
                Input::DeleteRecords {
                    token,
                    before,
                    deadline,
                }
            }
            Wish::RetainFrom(to) => {
                let at = to.min(view.high_watermark);
                if is_leader {
                    self.observe(&Fact::MayStart { partition, at });
                }
                Input::AdvanceStart { to }
            }
        };
        self.step(broker, partition, input);
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Producer {
                client,
                batch_number,
                result,
            } => {
                let at = usize::try_from(client).expect("clients are few");
                if let Some(producer) = self.producers.get_mut(at) {
                    let is_forgotten = producer.on_answer(self.now, batch_number, &result);
                    if is_forgotten {
                        self.observe(&Fact::Forgotten { client });
                    }
                    self.plan_producer(at);
                }
            }
            Answer::Member {
                member,
                number,
                reply,
            } => {
                let reply = reply.as_ref();
                self.members[member].on_answer(self.now, number, reply, &mut self.rng);
                self.plan_member(member);
            }
        }
    }

    pub(super) fn on_wake_producer(&mut self, at: usize) {
        if self.wakings[at] != Some(self.now) {
            return;
        }
        self.wakings[at] = None;
        let now = self.now;
        let requests = self.producers[at].on_wake(now, &mut self.rng);
        for request in requests {
            self.send(request);
        }
        self.plan_producer(at);
    }

    pub(super) fn plan_producer(&mut self, at: usize) {
        let Some(when) = self.producers[at].wake_at() else {
            return;
        };
        let when = when.max(self.now);
        if self.wakings[at].is_none_or(|planned| when < planned) {
            self.wakings[at] = Some(when);
            self.after(when.since(self.now), Event::WakeProducer(at));
        }
    }

    pub(super) fn on_plain_send(&mut self) {
        let partition = PARTITIONS[index(&mut self.rng, PARTITIONS.len())];
        let now = self.now;
        let request = self.plain.send(partition, now, &mut self.rng);
        self.send(request);
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 300);
            self.after(pause, Event::PlainSend);
        }
    }

    pub(super) fn on_administer(&mut self) {
        let partition = PARTITIONS[index(&mut self.rng, PARTITIONS.len())];
        let somewhere = Offset(milliseconds(&mut self.rng, 60));
        let wish = match self.rng.below(4) {
            0 => Wish::DeleteBefore(None),
            1 => Wish::DeleteBefore(Some(somewhere)),
            _ => Wish::RetainFrom(somewhere),
        };
        self.send(Request { partition, wish });
        if self.now < CALM_AT {
            let pause = milliseconds(&mut self.rng, 4_000);
            self.after(pause, Event::Administer);
        }
    }

    /// From any replica: a follower shows what it knows to be committed.
    pub(super) fn on_read(&mut self, at: usize) {
        let bytes = 1 + index(&mut self.rng, 2_000);
        let ids = self.ids();
        let broker = ids[index(&mut self.rng, ids.len())];
        let partition = self.readers[at].partition;
        let (node, readers) = self.node_and_readers(broker);
        for (expected, offset, value) in readers[at].fetch(&mut node.broker, bytes) {
            self.observe(&Fact::Read {
                partition,
                expected,
                offset,
                value,
            });
        }
        let pause = milliseconds(&mut self.rng, 150);
        self.after(1 + pause, Event::Read(at));
    }

    pub(super) fn on_wake_member(&mut self, at: usize) {
        if self.members_rest {
            return;
        }
        let now = self.now;
        if let Some(request) = self.members[at].on_wake(now, &mut self.rng) {
            if let Some(broker) = self.leader_by_hearsay(GROUPS)
                && let Some(delay) = self.network.deliver(&mut self.rng)
            {
                self.after(delay, Event::AskGroups(broker, Box::new(request)));
            }
            self.plan_member(at);
        }
    }

    pub(super) fn plan_member(&mut self, at: usize) {
        let pause = self.members[at].wake_at().since(self.now).max(0);
        self.after(pause, Event::WakeMember(at));
    }

    pub(super) fn on_group_request(&mut self, broker: BrokerId, request: MemberRequest) {
        if !self.node(broker).broker.is_up {
            return; // The member will notice.
        }
        let MemberRequest { member, number, .. } = request;
        let token = self.owe(broker, Client::Member { member, number });
        let input = request.into_input(token);
        self.observe(&Fact::GroupAsked {
            token,
            input: &input,
        });
        let local = self.clock(broker);
        match self.node(broker).broker.ask_groups(local, GROUPS, input) {
            Some((effects, replies)) => {
                self.carry_out(broker, GROUPS, effects);
                self.answer_members(broker, replies);
            }
            None => self.answer_member(broker, token, None),
        }
    }

    pub(super) fn answer_members(&mut self, broker: BrokerId, replies: Replies) {
        for (token, reply) in replies {
            self.answer_member(broker, token, Some(reply));
        }
    }

    /// The groups of a partition are gone; whoever waits for them is told.
    pub(super) fn drop_groups(&mut self, broker: BrokerId, partition: PartitionId) {
        if partition != GROUPS {
            return;
        }
        if let Some(cell) = self.node(broker).broker.cell(partition) {
            cell.host = None;
        }
        let waiting = self.owed.iter();
        let waiting = waiting
            .filter(|(_, (of, client))| *of == broker && matches!(client, Client::Member { .. }));
        let waiting: Vec<_> = waiting.map(|(token, _)| *token).collect();
        for token in waiting {
            self.answer_member(broker, token, None);
        }
    }

    fn answer_member(&mut self, broker: BrokerId, token: ReplyToken, reply: Option<GroupReply>) {
        let decided = self.decided(GROUPS).and_then(|known| known.leader);
        self.observe(&Fact::GroupAnswered {
            deposed: decided != Some(broker),
            token,
            reply: reply.as_ref(),
        });
        let waiting = self.owed.remove(&token);
        self.answer(waiting.and_then(|(_, client)| client.told_by_groups(reply)));
    }

    pub(super) fn answer(&mut self, answer: Option<Answer>) {
        if let Some(answer) = answer
            && let Some(delay) = self.network.deliver(&mut self.rng)
        {
            self.after(delay, Event::Answer(answer));
        }
    }

    fn owe(&mut self, broker: BrokerId, client: Client) -> ReplyToken {
        self.next_token += 1;
        let token = ReplyToken(self.next_token);
        self.owed.insert(token, (broker, client));
        token
    }
}
