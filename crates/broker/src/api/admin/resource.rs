//! Resources that have settings, as the wire names them.

use ottla_base::{BrokerId, ErrorCode, GroupId, TopicName};
use ottla_controller::{Alteration, Input, Mode, Reply, Resource};

use super::Outcome;
use crate::api::Cx;

/// The numbers of the kinds of resources (`ConfigResource.Type`).
pub(super) mod kind {
    pub(in crate::api::admin) const TOPIC: i8 = 2;
    pub(in crate::api::admin) const BROKER: i8 = 4;
    pub(in crate::api::admin) const BROKER_LOGGER: i8 = 8;
    pub(in crate::api::admin) const CLIENT_METRICS: i8 = 16;
    pub(in crate::api::admin) const GROUP: i8 = 32;
}

/// The resource of that kind and name. Only the broker itself answers for its
/// settings; clients send the request to it.
pub(super) fn from_wire(cx: &Cx, kind: i8, name: &str) -> Result<Resource, Outcome> {
    match kind {
        kind::TOPIC => Ok(Resource::Topic(TopicName::from(name))),
        kind::BROKER if name.is_empty() => Ok(Resource::Brokers),
        kind::BROKER => this_broker(cx, name).map(Resource::Broker),
        kind::CLIENT_METRICS => Ok(Resource::ClientMetrics(name.to_owned())),
        kind::GROUP => Ok(Resource::Group(GroupId::from(name))),
        kind::BROKER_LOGGER => Err(invalid("the log levels of loggers cannot be changed")),
        unknown => Err(invalid(format!("resource type {unknown} is not known"))),
    }
}

/// The same, to change its settings.
pub(super) fn to_alter(cx: &Cx, kind: i8, name: &str) -> Result<Resource, Outcome> {
    if kind == kind::TOPIC && name.is_empty() {
        return Err(invalid("the topic has no name"));
    }
    from_wire(cx, kind, name)
}

/// The broker of that name, which must be the one that the client asked.
pub(super) fn this_broker(cx: &Cx, name: &str) -> Result<BrokerId, Outcome> {
    let asked = cx.connection.forwarded_by.unwrap_or(cx.broker.id);
    match name.parse() {
        Ok(id) if BrokerId(id) == asked => Ok(asked),
        Ok(id) => Err(invalid(format!("this is broker {asked}, not {id}"))),
        Err(_) => Err(invalid(format!("{name:?} is not the number of a broker"))),
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Outcome {
    Outcome::failed(ErrorCode::InvalidRequest, message)
}

/// Has the well-formed alterations done, and answers for all, in order.
pub(super) async fn alter(
    cx: &Cx,
    mode: Mode,
    asked: Vec<Result<Alteration, Outcome>>,
) -> Vec<Outcome> {
    let alterations: Vec<_> = asked.iter().flatten().cloned().collect();
    let reply = cx.broker.controller.ask(|token| Input::AlterConfigs {
        token,
        mode,
        alterations,
    });
    let mut results = match reply.await {
        Ok(Reply::AlterConfigs(results)) => results.into_iter(),
        Ok(other) => unreachable!("the controller answered with {other:?}"),
        Err(error) => {
            let code = ErrorCode::from(error);
            return asked
                .into_iter()
                .map(|asked| asked.err().unwrap_or_else(|| code.into()))
                .collect();
        }
    };
    asked
        .into_iter()
        .map(|asked| match asked {
            Ok(_) => Outcome::of(&results.next().expect("every alteration has a result")),
            Err(refused) => refused,
        })
        .collect()
}
