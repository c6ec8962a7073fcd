//! AlterUserScramCredentials: v0 (KIP-554).
//!
//! Gives users credentials and takes them away.
//!
//! A request holds salted passwords. Only the keys made of them are kept, and none
//! of it is ever shown.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_base::ErrorCode;
use ottla_controller::{
    AlterScramError, Input, Reply, ScramAlteration, ScramChange, ScramMechanism,
};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use ottla_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use ottla_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};

use super::{Outcome, first_time};
use crate::api::{Cx, Handler, Refusal};
use crate::scram;

#[derive(Debug)]
pub(in crate::api) struct AlterUserScramCredentials;

impl Handler for AlterUserScramCredentials {
    type Request = AlterUserScramCredentialsRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: AlterUserScramCredentialsRequest,
    ) -> Result<AlterUserScramCredentialsResponse, Refusal> {
        let deletions = request.deletions.into_iter().map(deletion);
        let upsertions = request.upsertions.into_iter().map(upsertion);
        let alterations: Vec<_> = deletions.chain(upsertions).collect();
        let users: Vec<_> = alterations.iter().map(|it| it.user.clone()).collect();
        let input = |token| Input::AlterScram { token, alterations };
        let outcomes: Vec<_> = match cx.broker.controller.ask(input).await {
            Ok(Reply::AlterScram(results)) => results.iter().map(Outcome::of).collect(),
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(error) => vec![ErrorCode::from(error).into(); users.len()],
        };
        let mut first_time = first_time();
        let mut outcomes: Vec<_> = users.into_iter().zip(outcomes).collect();
        outcomes.retain(|(user, _)| first_time(user));
        // What failed comes last, as in Kafka.
        outcomes.sort_by_key(|(_, outcome)| *outcome != Outcome::DONE);
        let results = outcomes.into_iter().map(to_wire).collect();
        Ok(AlterUserScramCredentialsResponse::default().with_results(results))
    }

    fn refuse(_error: ErrorCode) -> AlterUserScramCredentialsResponse {
        // Every refusal is a user's.
        AlterUserScramCredentialsResponse::default()
    }
}

fn deletion(asked: ScramCredentialDeletion) -> ScramAlteration {
    let change = mechanism(asked.mechanism).map(ScramChange::Delete);
    ScramAlteration {
        user: asked.name.to_string(),
        change: change.unwrap_or_else(ScramChange::Impossible),
    }
}

fn upsertion(asked: ScramCredentialUpsertion) -> ScramAlteration {
    let change = mechanism(asked.mechanism).and_then(|mechanism| {
        if asked.salted_password.is_empty() {
            return Err(AlterScramError::NoPassword);
        }
        let salt = asked.salt.to_vec();
        let credential =
            scram::credential(mechanism, salt, asked.iterations, &asked.salted_password);
        Ok(ScramChange::Upsert(mechanism, Arc::new(credential)))
    });
    ScramAlteration {
        user: asked.name.to_string(),
        change: change.unwrap_or_else(ScramChange::Impossible),
    }
}

fn mechanism(code: i8) -> Result<ScramMechanism, AlterScramError> {
    ScramMechanism::from_code(code).ok_or(AlterScramError::UnknownMechanism)
}

fn to_wire((user, outcome): (String, Outcome)) -> AlterUserScramCredentialsResult {
    AlterUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user))
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
