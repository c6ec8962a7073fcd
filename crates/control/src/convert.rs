//! Between what is said on the wire and what both sides work with.

use ottla_base::{BrokerId, ClusterId, ErrorCode, LeaderEpoch, PartitionId, ProducerId, TopicId};
use ottla_controller::{
    BrokerEpoch, Heartbeat, HeartbeatAnswer, IsrChange, Member, ProducerIdBlock, Record,
    Registration,
};
use ottla_rpc::Address;

use crate::proto;
use crate::request::{Active, Answer, Forward, Forwarded, Refused, Request};

/// Why a message means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or makes no sense")]
pub(crate) struct Malformed(&'static str);

pub(crate) fn request_to_proto(request: Request) -> proto::Request {
    use proto::request::Request as Wire;
    let wire = match request {
        Request::Register { cluster, broker } => {
            let record = Record::Broker(broker.into());
            Wire::Register(proto::Register {
                cluster_id: cluster.as_str().to_owned(),
                key: record.key(),
                value: record.value().unwrap_or_default(),
            })
        }
        Request::Heartbeat(beat) => Wire::Heartbeat(proto::Heartbeat {
            broker_id: beat.broker.0,
            broker_epoch: beat.epoch.0,
            caught_up: beat.caught_up,
            wants_fence: beat.wants_fence,
            wants_shutdown: beat.wants_shutdown,
        }),
        Request::AlterPartitions {
            broker,
            epoch,
            changes,
        } => Wire::AlterPartitions(proto::AlterPartitions {
            broker_id: broker.0,
            broker_epoch: epoch.0,
            changes: changes.into_iter().map(change_to_proto).collect(),
        }),
        Request::AllocateProducerIds { broker, epoch } => {
            Wire::AllocateProducerIds(proto::AllocateProducerIds {
                broker_id: broker.0,
                broker_epoch: epoch.0,
            })
        }
        Request::Forward(forward) => Wire::Forward(proto::Forward {
            frame: forward.frame,
            listener: forward.listener,
            client: forward.client,
            broker_id: forward.broker.0,
        }),
    };
    proto::Request {
        request: Some(wire),
    }
}

pub(crate) fn request_from_proto(request: proto::Request) -> Result<Request, Malformed> {
    use proto::request::Request as Wire;
    Ok(match request.request.ok_or(Malformed("request"))? {
        Wire::Register(register) => Request::Register {
            cluster: ClusterId::from(register.cluster_id.as_str()),
            broker: registration(&register)?,
        },
        Wire::Heartbeat(beat) => Request::Heartbeat(Heartbeat {
            broker: BrokerId(beat.broker_id),
            epoch: BrokerEpoch(beat.broker_epoch),
            caught_up: beat.caught_up,
            wants_fence: beat.wants_fence,
            wants_shutdown: beat.wants_shutdown,
        }),
        Wire::AlterPartitions(alter) => {
            let changes = alter.changes.into_iter().map(change_from_proto);
            Request::AlterPartitions {
                broker: BrokerId(alter.broker_id),
                epoch: BrokerEpoch(alter.broker_epoch),
                changes: changes.collect::<Result<_, _>>()?,
            }
        }
        Wire::AllocateProducerIds(allocate) => Request::AllocateProducerIds {
            broker: BrokerId(allocate.broker_id),
            epoch: BrokerEpoch(allocate.broker_epoch),
        },
        Wire::Forward(forward) => Request::Forward(Forward {
            frame: forward.frame,
            listener: forward.listener,
            client: forward.client,
            broker: BrokerId(forward.broker_id),
        }),
    })
}

pub(crate) fn answer_to_proto(answer: Result<Answer, Refused>) -> proto::Answer {
    use proto::answer::Answer as Wire;
    let wire = match answer {
        Ok(Answer::Registered(epoch)) => Wire::Registered(proto::Registered {
            broker_epoch: epoch.0,
        }),
        Ok(Answer::Heartbeat {
            answer,
            metadata_end,
        }) => Wire::Heartbeat(proto::HeartbeatAnswer {
            fenced: answer.fenced,
            may_shut_down: answer.may_shut_down,
            metadata_end,
        }),
        Ok(Answer::Altered(codes)) => Wire::Altered(proto::Altered {
            error_codes: codes.iter().map(|code| code.code().into()).collect(),
        }),
        Ok(Answer::ProducerIds(block)) => Wire::ProducerIds(proto::ProducerIds {
            first: block.first.0,
            count: block.len,
        }),
        Ok(Answer::Forwarded(forwarded)) => Wire::Forwarded(proto::Forwarded {
            frame: forwarded.frame,
            metadata_end: forwarded.metadata_end,
        }),
        Err(Refused::NotActive(active)) => {
            return proto::Answer {
                error_code: ErrorCode::NotController.code().into(),
                controller: active.map(|active| proto::Controller {
                    id: active.id.0,
                    host: active.address.host,
                    port: active.address.port.into(),
                }),
                answer: None,
            };
        }
        Err(Refused::Code(code)) => {
            return proto::Answer {
                error_code: code.code().into(),
                ..proto::Answer::default()
            };
        }
    };
    proto::Answer {
        answer: Some(wire),
        ..proto::Answer::default()
    }
}

pub(crate) fn answer_from_proto(
    answer: proto::Answer,
) -> Result<Result<Answer, Refused>, Malformed> {
    use proto::answer::Answer as Wire;
    let code = error_code(answer.error_code);
    if code == ErrorCode::NotController {
        return Ok(Err(Refused::NotActive(answer.controller.and_then(active))));
    }
    if code != ErrorCode::None {
        return Ok(Err(Refused::Code(code)));
    }
    Ok(Ok(match answer.answer.ok_or(Malformed("answer"))? {
        Wire::Registered(registered) => Answer::Registered(BrokerEpoch(registered.broker_epoch)),
        Wire::Heartbeat(answer) => Answer::Heartbeat {
            answer: HeartbeatAnswer {
                fenced: answer.fenced,
                may_shut_down: answer.may_shut_down,
            },
            metadata_end: answer.metadata_end,
        },
        Wire::Altered(altered) => {
            Answer::Altered(altered.error_codes.into_iter().map(error_code).collect())
        }
        Wire::ProducerIds(block) => Answer::ProducerIds(ProducerIdBlock {
            first: ProducerId(block.first),
            len: block.count,
        }),
        Wire::Forwarded(forwarded) => Answer::Forwarded(Forwarded {
            frame: forwarded.frame,
            metadata_end: forwarded.metadata_end,
        }),
    }))
}

/// A number that this program does not know is an error all the same.
fn error_code(code: i32) -> ErrorCode {
    let known = i16::try_from(code).ok().and_then(ErrorCode::from_code);
    known.unwrap_or(ErrorCode::UnknownServerError)
}

fn active(controller: proto::Controller) -> Option<Active> {
    Some(Active {
        id: BrokerId(controller.id),
        address: Address {
            host: controller.host,
            port: u16::try_from(controller.port).ok()?,
        },
    })
}

fn registration(register: &proto::Register) -> Result<Registration, Malformed> {
    match Record::decode(&register.key, Some(&register.value)) {
        Ok(Record::Broker(broker)) => Ok(Registration::clone(&broker)),
        Ok(_) | Err(_) => Err(Malformed("registration")),
    }
}

fn change_to_proto(change: IsrChange) -> proto::IsrChange {
    proto::IsrChange {
        topic_id: change.topic.0.to_vec().into(),
        partition: change.partition.0,
        leader_epoch: change.leader_epoch.0,
        partition_epoch: change.partition_epoch,
        isr: change.isr.iter().map(|member| member.id.0).collect(),
        isr_epochs: change.isr.iter().map(epoch_to_proto).collect(),
        recovered: change.recovered,
    }
}

fn change_from_proto(change: proto::IsrChange) -> Result<IsrChange, Malformed> {
    let topic = <[u8; 16]>::try_from(change.topic_id.as_ref());
    if change.isr.len() != change.isr_epochs.len() {
        return Err(Malformed("epochs of replicas in sync"));
    }
    let epochs = change.isr_epochs;
    Ok(IsrChange {
        topic: TopicId(topic.map_err(|_| Malformed("topic id"))?),
        partition: PartitionId(change.partition),
        leader_epoch: LeaderEpoch(change.leader_epoch),
        partition_epoch: change.partition_epoch,
        isr: change.isr.into_iter().zip(epochs).map(member).collect(),
        recovered: change.recovered,
    })
}

fn epoch_to_proto(member: &Member) -> i64 {
    member.epoch.map_or(-1, |epoch| epoch.0)
}

fn member((id, epoch): (i32, i64)) -> Member {
    Member {
        id: BrokerId(id),
        epoch: Some(BrokerEpoch(epoch)).filter(|epoch| epoch.0 >= 0),
    }
}
