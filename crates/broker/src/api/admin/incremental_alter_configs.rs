//! IncrementalAlterConfigs: v0-1. Changes the settings that it names.
//!
//! - v1: flexible.
//!
//! Log levels of loggers (resource type 8) are not supported: INVALID_CONFIG, as
//! for a logger that there is not.

use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_controller::{Alteration, ConfigChange, Edit, EditOp};
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::resource::{self, invalid, kind, this_broker};
use super::{Outcome, mode};
use crate::api::{Cx, Handler, Refusal};

/// The operation that gives a setting a value.
const SET: i8 = 0;

#[derive(Debug)]
pub(in crate::api) struct IncrementalAlterConfigs;

impl Handler for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const SERVED: RangeInclusive<i16> = 0..=1;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: IncrementalAlterConfigsRequest,
    ) -> Result<IncrementalAlterConfigsResponse, Refusal> {
        let mode = mode(request.validate_only);
        let asked = request.resources.iter();
        let asked = asked.map(|resource| from_wire(&cx, resource)).collect();
        let outcomes = resource::alter(&cx, mode, asked).await;
        let results = request.resources.into_iter().zip(outcomes);
        let results = results.map(|(resource, outcome)| to_wire(resource, outcome));
        Ok(IncrementalAlterConfigsResponse::default().with_responses(results.collect()))
    }

    fn refuse(_error: ErrorCode) -> IncrementalAlterConfigsResponse {
        // Every refusal is a resource's.
        IncrementalAlterConfigsResponse::default()
    }
}

fn from_wire(cx: &Cx, asked: &AlterConfigsResource) -> Result<Alteration, Outcome> {
    if asked.resource_type == kind::BROKER_LOGGER {
        this_broker(cx, &asked.resource_name)?;
        return Err(logger(&asked.configs));
    }
    let resource = resource::to_alter(cx, asked.resource_type, &asked.resource_name)?;
    let edits = asked.configs.iter().map(edit);
    Ok(Alteration {
        resource,
        change: ConfigChange::Edit(edits.collect::<Result<_, Outcome>>()?),
    })
}

/// Why log levels are not changed: there are no loggers with levels of their own.
fn logger(configs: &[AlterableConfig]) -> Outcome {
    let mut refusals = configs.iter().map(|config| match config.config_operation {
        SET => Outcome::failed(
            ErrorCode::InvalidConfig,
            format!("there is no logger {:?}", config.name),
        ),
        _ => invalid("a logger's level can only be set"),
    });
    refusals
        .next()
        .unwrap_or_else(|| invalid("no logger is named"))
}

fn edit(config: &AlterableConfig) -> Result<Edit, Outcome> {
    let name = config.name.as_str();
    let value = || match &config.value {
        Some(value) => Ok(value.as_str().to_owned()),
        None => Err(invalid(format!("{name} has no value"))),
    };
    let op = match config.config_operation {
        SET => EditOp::Set(value()?),
        1 => EditOp::Delete,
        2 => EditOp::Append(value()?),
        3 => EditOp::Subtract(value()?),
        unknown => return Err(invalid(format!("operation {unknown} is not known"))),
    };
    Ok(Edit {
        name: name.to_owned(),
        op,
    })
}

fn to_wire(asked: AlterConfigsResource, outcome: Outcome) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name)
}
