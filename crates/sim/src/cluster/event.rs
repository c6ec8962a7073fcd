//! The timed events of a cluster: where each goes, and where nothing happens for now.

use ottla_base::{BrokerId, Millis, PartitionId};
use ottla_controller::Reply as Decision;

use super::links::{Message, Place};
use super::quorum::{About, Ask, Asker};
use super::world::ClusterWorld;
use crate::client::Answer;
use crate::fact::Fact;
use crate::member::MemberRequest;
use crate::workload::Request;

#[derive(Debug)]
pub(super) enum Event {
    Deliver(BrokerId, Box<Request>),
    Answer(Answer),
    WakeProducer(usize),
    WakeMember(usize),
    AskGroups(BrokerId, Box<MemberRequest>),
    PlainSend,
    Administer,
    Read(usize),
    /// It happens to a process of a broker, unless that has ended by then.
    Process {
        broker: BrokerId,
        life: u32,
        event: ProcessEvent,
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
    ToController {
        asker: Asker,
        ask: Box<Ask>,
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
    Restart(BrokerId),
    Mend(Vec<(Place, Place)>),
    DiskRecovers(BrokerId),
    DiskPace(BrokerId),
    Calm,
}

#[derive(Debug)]
pub(super) enum ProcessEvent {
    Disk,
    Tick(PartitionId),
    Reload(PartitionId),
    Housekeep,
    Call(BrokerId),
    FollowAgain {
        partition: PartitionId,
        leader: BrokerId,
    },
    Decision {
        about: About,
        reply: Box<Decision>,
    },
    Decisions,
    HandOver,
    HandOverUnheard {
        attempt: u32,
    },
}

impl ClusterWorld {
    /// Until when nothing happens where this event would.
    pub(super) fn stands_still(&self, event: &Event) -> Option<Millis> {
        let broker = match event {
            Event::Deliver(broker, _)
            | Event::AskGroups(broker, _)
            | Event::Process { broker, .. }
            | Event::Stream { to: broker, .. } => *broker,
            Event::Breach { .. }
            | Event::Answer(_)
            | Event::WakeProducer(_)
            | Event::WakeMember(_)
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
            Event::Answer(answer) => self.on_answer(answer),
            Event::WakeProducer(at) => self.on_wake_producer(at),
            Event::WakeMember(at) => self.on_wake_member(at),
            Event::AskGroups(broker, request) => self.on_group_request(broker, *request),
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
            Event::Process {
                broker,
                life,
                event,
            } => {
                if self.lives(broker, life) {
                    self.on_process_event(broker, event);
                }
            }
            Event::ToController { .. }
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

    fn on_process_event(&mut self, broker: BrokerId, event: ProcessEvent) {
        match event {
            ProcessEvent::Disk => self.on_disk(broker),
            ProcessEvent::Tick(partition) => self.on_tick(broker, partition),
            ProcessEvent::Reload(partition) => self.reload(broker, partition),
            ProcessEvent::Housekeep => self.on_housekeep(broker),
            ProcessEvent::Call(leader) => self.on_call(broker, leader),
            ProcessEvent::FollowAgain { partition, leader } => {
                self.on_follow_again(broker, partition, leader);
            }
            ProcessEvent::Decision { about, reply } => self.on_decision(broker, about, *reply),
            ProcessEvent::Decisions => self.on_decisions(broker),
            ProcessEvent::HandOver => self.on_hand_over(broker),
            ProcessEvent::HandOverUnheard { attempt } => {
                self.on_hand_over_answer(broker, attempt, None);
            }
        }
    }

    fn on_controller_event(&mut self, event: Event) {
        if let Event::ToController { asker, ask } = event {
            self.on_ask(asker, *ask);
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
