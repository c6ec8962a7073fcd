//! UnregisterBroker: v0.
//!
//! The broker is forgotten; one that is alive registers again.

use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode};
use ottla_controller::{Input, Reply};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::Outcome;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct UnregisterBroker;

impl Handler for UnregisterBroker {
    type Request = UnregisterBrokerRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: UnregisterBrokerRequest,
    ) -> Result<UnregisterBrokerResponse, Refusal> {
        let broker = BrokerId(request.broker_id.0);
        let input = |token| Input::UnregisterBroker { token, broker };
        let outcome = match cx.broker.controller.ask(input).await {
            Ok(Reply::UnregisterBroker(result)) => Outcome::of(&result),
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(error) => ErrorCode::from(error).into(),
        };
        Ok(UnregisterBrokerResponse::default()
            .with_error_code(outcome.code.code())
            .with_error_message(outcome.message))
    }

    fn refuse(error: ErrorCode) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}
