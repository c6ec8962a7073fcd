//! DescribeConfigs: v1-4.
//!
//! - v1: sources and synonyms instead of one flag. v3: types and documentation.
//! - v4: flexible.
//!
//! A broker has no loggers in Kafka's sense: their list (resource type 8) is
//! empty.

use std::ops::RangeInclusive;

use ottla_base::config::{
    ConfigEntry, ConfigSynonym, Overrides, describe_broker, describe_client_metrics,
    describe_cluster, describe_group, describe_topic,
};
use ottla_base::{ErrorCode, TopicName};
use ottla_controller::Resource;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::Outcome;
use super::resource::{self, invalid, kind, this_broker};
use crate::api::error::unexpected;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct DescribeConfigs;

impl Handler for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    const SERVED: RangeInclusive<i16> = 1..=4;

    async fn handle(
        cx: Cx,
        request: DescribeConfigsRequest,
    ) -> Result<DescribeConfigsResponse, Refusal> {
        let detail = Detail {
            synonyms: request.include_synonyms,
            docs: request.include_documentation,
        };
        let results = request.resources.into_iter().map(|asked| {
            let entries = entries(&cx, &asked);
            to_wire(asked, entries, detail)
        });
        Ok(DescribeConfigsResponse::default().with_results(results.collect()))
    }

    fn refuse(_error: ErrorCode) -> DescribeConfigsResponse {
        // Every refusal is a resource's.
        DescribeConfigsResponse::default()
    }
}

/// What the client wants to read beside the values.
#[derive(Clone, Copy, Debug)]
struct Detail {
    synonyms: bool,
    docs: bool,
}

fn entries(cx: &Cx, asked: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Outcome> {
    if asked.resource_type == kind::BROKER_LOGGER {
        return this_broker(cx, &asked.resource_name).map(|_| Vec::new());
    }
    let resource = resource::from_wire(cx, asked.resource_type, &asked.resource_name)?;
    let image = cx.broker.image();
    if let Resource::Topic(name) = &resource {
        exists(name, image.topic(name).is_some())?;
    }
    if asked.resource_name.is_empty() && resource != Resource::Brokers {
        return Err(invalid("the resource has no name"));
    }
    // Nobody asks for nothing: an empty list means all, as null does.
    let keys = asked.configuration_keys.as_ref();
    let keys = keys.filter(|keys| !keys.is_empty());
    let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
    let none = Overrides::new();
    let overrides = image.overrides(&resource).map_or(&none, |set| set);
    let entries = cx.broker.with_layers(&image, |layers| match &resource {
        Resource::Topic(_) => describe_topic(&layers, overrides, wanted),
        Resource::Broker(_) => describe_broker(&layers, wanted),
        Resource::Brokers => Ok(describe_cluster(&layers, wanted)),
        Resource::Group(_) => describe_group(&layers, overrides, wanted),
        Resource::ClientMetrics(_) => describe_client_metrics(overrides, wanted),
    });
    entries.map_err(|error| unexpected(&error).into())
}

fn exists(name: &TopicName, is_known: bool) -> Result<(), Outcome> {
    match (name.is_legal(), is_known) {
        (false, _) => Err(ErrorCode::InvalidTopic.into()),
        (true, false) => Err(ErrorCode::UnknownTopicOrPartition.into()),
        (true, true) => Ok(()),
    }
}

fn to_wire(
    asked: DescribeConfigsResource,
    entries: Result<Vec<ConfigEntry>, Outcome>,
    detail: Detail,
) -> DescribeConfigsResult {
    let (outcome, entries) = match entries {
        // Kafka writes no message as an empty one here.
        Ok(entries) => (Outcome::failed(ErrorCode::None, ""), entries),
        Err(refused) => (refused, Vec::new()),
    };
    let entries = entries.into_iter();
    DescribeConfigsResult::default()
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name)
        .with_configs(entries.map(|entry| entry_to_wire(entry, detail)).collect())
}

fn entry_to_wire(entry: ConfigEntry, detail: Detail) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.iter().filter(|_| detail.synonyms);
    let doc = entry.doc.filter(|_| detail.docs);
    DescribeConfigsResourceResult::default()
        .with_read_only(entry.is_read_only)
        .with_config_source(entry.source.code())
        .with_is_sensitive(entry.is_sensitive)
        .with_synonyms(synonyms.map(synonym_to_wire).collect())
        .with_config_type(entry.kind_code())
        .with_documentation(doc.map(StrBytes::from_static_str))
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
}

fn synonym_to_wire(synonym: &ConfigSynonym) -> DescribeConfigsSynonym {
    let value = synonym.value.clone();
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name.clone()))
        .with_value(value.map(StrBytes::from_string))
        .with_source(synonym.source.code())
}
