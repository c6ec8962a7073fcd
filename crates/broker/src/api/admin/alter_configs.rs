//! AlterConfigs: v0-2. Replaces all settings of a resource.
//!
//! - v2: flexible.
//!
//! Log levels of loggers (resource type 8) are not supported: INVALID_REQUEST.

use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_controller::{Alteration, ConfigChange};
use ottla_protocol::messages::alter_configs_request::AlterConfigsResource;
use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::resource::{self, invalid};
use super::{Outcome, mode};
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct AlterConfigs;

impl Handler for AlterConfigs {
    type Request = AlterConfigsRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;
    const BY_CONTROLLER: bool = true;

    async fn handle(cx: Cx, request: AlterConfigsRequest) -> Result<AlterConfigsResponse, Refusal> {
        let mode = mode(request.validate_only);
        let asked = request.resources.iter();
        let asked = asked.map(|resource| from_wire(&cx, resource)).collect();
        let outcomes = resource::alter(&cx, mode, asked).await;
        let results = request.resources.into_iter().zip(outcomes);
        let results = results.map(|(resource, outcome)| to_wire(resource, outcome));
        Ok(AlterConfigsResponse::default().with_responses(results.collect()))
    }

    fn refuse(_error: ErrorCode) -> AlterConfigsResponse {
        // Every refusal is a resource's.
        AlterConfigsResponse::default()
    }
}

fn from_wire(cx: &Cx, asked: &AlterConfigsResource) -> Result<Alteration, Outcome> {
    let resource = resource::to_alter(cx, asked.resource_type, &asked.resource_name)?;
    let settings = asked.configs.iter().map(|config| {
        let name = config.name.as_str();
        let value = config.value.as_ref();
        let value = value.ok_or_else(|| invalid(format!("{name} has no value")))?;
        Ok((name.to_owned(), value.as_str().to_owned()))
    });
    Ok(Alteration {
        resource,
        change: ConfigChange::Replace(settings.collect::<Result<_, Outcome>>()?),
    })
}

fn to_wire(asked: AlterConfigsResource, outcome: Outcome) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name)
}
