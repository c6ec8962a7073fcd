//! What this node answers others as the active controller.

use std::sync::Arc;

use ottla_base::ErrorCode;
use ottla_control::{Answer, Controller, Forward, Forwarded, Refused, Request};
use ottla_controller::{Input, Reply};
use tracing::warn;

use super::departures::Told;
use crate::api::error::KafkaError;
use crate::api::gate;
use crate::broker::Broker;
use crate::net::ConnectionFacts;

const ELSE: &str = "the controller answered something else than was asked";

/// This node, as others ask it.
#[derive(Debug)]
pub(crate) struct Answering(pub Arc<Broker>);

impl Controller for Answering {
    async fn ask(&self, request: Request) -> Result<Answer, Refused> {
        answer(&self.0, request).await
    }
}

pub(super) async fn answer(broker: &Arc<Broker>, request: Request) -> Result<Answer, Refused> {
    if !broker.controller.is_active() {
        return Err(not_active(broker));
    }
    match request {
        Request::Register {
            cluster,
            broker: registration,
        } => {
            if cluster != broker.cluster_id {
                let (node, own) = (registration.id, &broker.cluster_id);
                warn!(%node, theirs = %cluster, ours = %own, "a broker of another cluster wants to register");
                return Err(Refused::Code(ErrorCode::InconsistentClusterId));
            }
            let input = |token| Input::RegisterBroker {
                token,
                broker: registration,
            };
            let Reply::RegisterBroker(result) = decide(broker, input).await? else {
                unreachable!("{ELSE}")
            };
            done(result).map(Answer::Registered)
        }
        Request::Heartbeat(heartbeat) => {
            let input = |token| Input::Heartbeat { token, heartbeat };
            let Reply::Heartbeat(result) = decide(broker, input).await? else {
                unreachable!("{ELSE}")
            };
            let answer = done(result)?;
            let metadata_end = sure_metadata_end(broker).await;
            Ok(Answer::Heartbeat {
                answer,
                metadata_end,
            })
        }
        Request::AlterPartitions {
            broker: id,
            epoch,
            changes,
        } => {
            let input = |token| Input::AlterPartitions {
                token,
                broker: id,
                epoch,
                changes,
            };
            let Reply::AlterPartitions(result) = decide(broker, input).await? else {
                unreachable!("{ELSE}")
            };
            let results = done(result)?;
            let code = |result: &Result<_, _>| match result {
                Ok(_) => ErrorCode::None,
                Err(error) => KafkaError::code(error),
            };
            Ok(Answer::Altered(results.iter().map(code).collect()))
        }
        Request::AllocateProducerIds {
            broker: id,
            epoch: _,
        } => {
            let input = |token| Input::AllocateProducerIds { token, broker: id };
            let Reply::AllocateProducerIds(result) = decide(broker, input).await? else {
                unreachable!("{ELSE}")
            };
            done(result).map(Answer::ProducerIds)
        }
        Request::Forward(forward) => answer_client(broker, forward).await,
    }
}

/// Where the metadata ends as far as it was decided, if that is decided here for sure: a
/// controller that has lost the others, or stood still, answers on for a while.
async fn sure_metadata_end(broker: &Broker) -> Option<i64> {
    let voter = broker.voter.as_ref()?;
    let is_sure = voter.confirm().await;
    is_sure.then(|| broker.metadata_offset())
}

async fn answer_client(broker: &Arc<Broker>, forward: Forward) -> Result<Answer, Refused> {
    let facts = ConnectionFacts {
        listener: forward.listener.into(),
        peer: forward.client.parse().ok(),
        forwarded_by: Some(forward.broker),
        told: Told::default(),
    };
    match gate::answer_forwarded(forward.frame, broker, &Arc::new(facts)).await {
        Ok(frame) => Ok(Answer::Forwarded(Forwarded {
            frame,
            metadata_end: broker.metadata_offset(),
        })),
        Err(reason) => {
            warn!(%reason, "a forwarded request cannot be answered");
            Err(Refused::Code(ErrorCode::InvalidRequest))
        }
    }
}

async fn decide(
    broker: &Broker,
    input: impl FnOnce(ottla_base::ReplyToken) -> Input,
) -> Result<Reply, Refused> {
    let decided = broker.controller.ask(input).await;
    decided.map_err(|_| not_active(broker))
}

fn done<T>(result: Result<T, impl KafkaError>) -> Result<T, Refused> {
    result.map_err(|error| Refused::Code(error.code()))
}

fn not_active(broker: &Broker) -> Refused {
    Refused::NotActive(broker.controller.active())
}
