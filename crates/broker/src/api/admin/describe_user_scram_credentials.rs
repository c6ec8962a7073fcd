//! DescribeUserScramCredentials: v0 (KIP-554).
//!
//! Which credentials users have, and nothing that helps to log in with them.
//!
//! Nobody named means all.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_controller::{CredentialId, Image, ScramCredential, ScramMechanism};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use ottla_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};

use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct DescribeUserScramCredentials;

impl Handler for DescribeUserScramCredentials {
    type Request = DescribeUserScramCredentialsRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;

    async fn handle(
        cx: Cx,
        request: DescribeUserScramCredentialsRequest,
    ) -> Result<DescribeUserScramCredentialsResponse, Refusal> {
        let image = cx.broker.image();
        let asked = request.users.unwrap_or_default();
        let mut times = BTreeMap::new();
        for user in &asked {
            *times.entry(user.name.as_str()).or_insert(0) += 1;
        }
        if asked.is_empty() {
            let users = image.credentials().map(|(of, _)| of.user.as_str());
            times = users.map(|user| (user, 1)).collect();
        }
        let results = times.into_iter().map(|(user, times)| match times {
            1 => describe(&image, user),
            _ => {
                let why = "Cannot describe SCRAM credentials for the same user twice in a single \
                           request: ";
                failed(user, ErrorCode::DuplicateResource, why)
            }
        });
        Ok(DescribeUserScramCredentialsResponse::default()
            .with_error_message(NO_MESSAGE)
            .with_results(results.collect()))
    }

    fn refuse(error: ErrorCode) -> DescribeUserScramCredentialsResponse {
        DescribeUserScramCredentialsResponse::default().with_error_code(error.code())
    }
}

/// Where nothing failed; Kafka has no null here.
const NO_MESSAGE: Option<StrBytes> = Some(StrBytes::from_static_str(""));

fn describe(image: &Image, user: &str) -> DescribeUserScramCredentialsResult {
    let infos = ScramMechanism::ALL.into_iter().filter_map(|mechanism| {
        let user = user.to_owned();
        let credential = image.credential(&CredentialId { user, mechanism })?;
        Some(to_wire(mechanism, credential))
    });
    let infos: Vec<_> = infos.collect();
    if infos.is_empty() {
        let why = "Attempt to describe a user credential that does not exist: ";
        return failed(user, ErrorCode::ResourceNotFound, why);
    }
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_error_message(NO_MESSAGE)
        .with_credential_infos(infos)
}

/// With the reason in Kafka's words.
fn failed(user: &str, code: ErrorCode, why: &str) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_string(format!("{why}{user}"))))
}

fn to_wire(mechanism: ScramMechanism, credential: &ScramCredential) -> CredentialInfo {
    CredentialInfo::default()
        .with_mechanism(mechanism.code())
        .with_iterations(credential.iterations)
}
