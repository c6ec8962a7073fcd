//! The timed events of a cluster: where each goes, and where nothing happens for now.

use ottla_base::{BrokerId, Millis, PartitionId};
use ottla_controller::Reply as Decision;
use ottla_coordinator::Reply as GroupReply;
use ottla_partition::{AppendError, Appended};

use super::links::{Message, Place};
use super::quorum::{Ask, Asker};
use super::world::ClusterWorld;
use crate::fact::Fact;
use crate::member::MemberRequest;
use crate::workload::Request;

#[derive(Debug)]
pub(super) enum Event {
    Deliver(BrokerId, Box<Request>),
    Answer {
        client: u32,
        batch_number: u32,
        result: Result<Appended, AppendError>,
    },
    WakeProducer(usize),
    WakeMember(usize),
    AskGroups(BrokerId, Box<MemberRequest>),
    GroupAnswer {
        member: usize,
        number: u32,
        reply: Option<GroupReply>,
    },
    PlainSend,
    Administer,
    Read(usize),
    Disk {
        broker: BrokerId,
        life: u32,
    },
    Tick {
        broker: BrokerId,
        life: u32,
        partition: PartitionId,
    },
    Reload {
        broker: BrokerId,
        life: u32,
        partition: PartitionId,
    },
    Housekeep {
        broker: BrokerId,
        life: u32,
    },
    Stream {
        ends: (BrokerId, BrokerId),
        number: u64,
        to: BrokerId,
        message: Box<Message>,
    },
    Breach {
        ends: (BrokerId, BrokerId),
        number: u64,
    },
    Call {
        follower: BrokerId,
        life: u32,
        leader: BrokerId,
    },
    FollowAgain {
        follower: BrokerId,
        life: u32,
        partition: PartitionId,
        leader: BrokerId,
    },
    ToController {
        asker: Asker,
        ask: Box<Ask>,
    },
    FromController {
        asker: Asker,
        reply: Box<Decision>,
    },
    Decisions {
        broker: BrokerId,
        life: u32,
    },
    Commit {
        term: u32,
        count: usize,
    },
    ControllerTick,
    ControllerStarts,
    CreateTopic,
    Fault,
    Rearrange,
    TakeBack(PartitionId),
    Stop(BrokerId),
    HandOver {
        broker: BrokerId,
        life: u32,
    },
    HandOverUnheard {
        broker: BrokerId,
        life: u32,
        attempt: u32,
    },
    Restart(BrokerId),
    Mend(Vec<(Place, Place)>),
    DiskRecovers(BrokerId),
    DiskPace(BrokerId),
    Calm,
}

impl ClusterWorld {
    /// Until when nothing happens where this event would.
    pub(super) fn stands_still(&self, event: &Event) -> Option<Millis> {
        let broker = match event {
            Event::Deliver(broker, _)
            | Event::AskGroups(broker, _)
            | Event::Disk { broker, .. }
            | Event::Tick { broker, .. }
            | Event::Reload { broker, .. }
            | Event::Housekeep { broker, .. }
            | Event::Stream { to: broker, .. }
            | Event::Call {
                follower: broker, ..
            }
            | Event::FollowAgain {
                follower: broker, ..
            }
            | Event::HandOver { broker, .. }
            | Event::HandOverUnheard { broker, .. }
            | Event::Decisions { broker, .. } => *broker,
            Event::FromController { asker, .. } => asker.broker,
            Event::Breach { .. }
            | Event::Answer { .. }
            | Event::WakeProducer(_)
            | Event::WakeMember(_)
            | Event::GroupAnswer { .. }
            | Event::PlainSend
            | Event::Administer
            | Event::Read(_)
            | Event::ToController { .. }
            | Event::Commit { .. }
            | Event::ControllerTick
            | Event::ControllerStarts
            | Event::CreateTopic
            | Event::Fault
            | Event::Rearrange
            | Event::TakeBack(_)
            | Event::Stop(_)
            | Event::Restart(_)
            | Event::Mend(_)
            | Event::DiskRecovers(_)
            | Event::DiskPace(_)
            | Event::Calm => return None,
        };
        let node = self.nodes.get(&broker)?;
        Some(node.paused_until).filter(|until| self.now < *until)
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Deliver(broker, request) => self.on_request(broker, *request),
            Event::Answer {
                client,
                batch_number,
                result,
            } => self.on_answer(client, batch_number, &result),
            Event::WakeProducer(at) => self.on_wake_producer(at),
            Event::WakeMember(at) => self.on_wake_member(at),
            Event::AskGroups(broker, request) => self.on_group_request(broker, *request),
            Event::GroupAnswer {
                member,
                number,
                reply,
            } => self.on_group_answer(member, number, reply.as_ref()),
            Event::PlainSend => self.on_plain_send(),
            Event::Administer => self.on_administer(),
            Event::Read(at) => self.on_read(at),
            Event::Stream {
                ends,
                number,
                to,
                message,
            } => self.on_stream(ends, number, to, *message),
            Event::Breach { ends, number } => self.on_breach(ends, number),
            Event::Call {
                follower,
                life,
                leader,
            } => self.on_call(follower, life, leader),
            Event::FollowAgain {
                follower,
                life,
                partition,
                leader,
            } => self.on_follow_again(follower, life, partition, leader),
            Event::Disk { .. }
            | Event::Tick { .. }
            | Event::Reload { .. }
            | Event::Housekeep { .. }
            | Event::HandOver { .. }
            | Event::HandOverUnheard { .. }
            | Event::Decisions { .. } => self.on_broker_event(event),
            Event::ToController { .. }
            | Event::FromController { .. }
            | Event::Commit { .. }
            | Event::ControllerTick
            | Event::ControllerStarts
            | Event::CreateTopic => self.on_controller_event(event),
            Event::Fault => self.on_fault(),
            Event::Rearrange => self.on_rearrange(),
            Event::Stop(broker) => self.on_stop(broker),
            Event::TakeBack(partition) => self.on_take_back(partition),
            Event::Restart(broker) => self.on_restart(broker),
            Event::Mend(ways) => self.on_mend(ways),
            Event::DiskRecovers(broker) => self.on_disk_refuses(broker, false),
            Event::DiskPace(broker) => self.on_disk_pace(broker),
            Event::Calm => self.on_calm(),
        }
    }

    fn on_broker_event(&mut self, event: Event) {
        if let Event::Disk { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_disk(broker);
        } else if let Event::Tick {
            broker,
            life,
            partition,
        } = event
            && self.lives(broker, life)
        {
            self.on_tick(broker, partition);
        } else if let Event::Reload {
            broker,
            life,
            partition,
        } = event
            && self.lives(broker, life)
        {
            self.reload(broker, partition);
        } else if let Event::Housekeep { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_housekeep(broker);
        } else if let Event::HandOver { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_hand_over(broker);
        } else if let Event::HandOverUnheard {
            broker,
            life,
            attempt,
        } = event
            && self.lives(broker, life)
        {
            self.on_hand_over_unheard(broker, attempt);
        } else if let Event::Decisions { broker, life } = event
            && self.lives(broker, life)
        {
            self.on_decisions(broker);
        }
    }

    fn on_controller_event(&mut self, event: Event) {
        if let Event::ToController { asker, ask } = event {
            self.on_ask(asker, *ask);
        } else if let Event::FromController { asker, reply } = event {
            self.on_decision(asker, *reply);
        } else if let Event::Commit { term, count } = event {
            if term == self.quorum.term {
                self.on_commit(count);
            }
        } else if let Event::ControllerTick = event {
            if self.controller_at == Some(self.now) {
                self.controller_at = None;
                self.wake_controller();
            }
        } else if let Event::ControllerStarts = event {
            let seed = self.rng.below(u64::MAX);
            self.quorum.start(seed);
            let what = format!("a controller starts in term {}", self.quorum.term);
            self.observe(&Fact::Fault { what: &what });
            self.wake_controller();
        } else if let Event::CreateTopic = event {
            self.on_create_topic();
        }
    }
}
