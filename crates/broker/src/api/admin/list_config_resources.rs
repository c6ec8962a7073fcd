//! ListConfigResources: v0-1.
//!
//! - v0: subscriptions to client metrics only (ListClientMetricsResources).
//! - v1: every kind of resource; none named means all.
//!
//! Loggers are listed by broker, as in Kafka, though none can be changed.

use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_controller::{Image, Resource};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::list_config_resources_response::ConfigResource;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::resource::kind;
use crate::api::{Cx, Handler, Refusal};

/// The first version that may ask for other kinds than client metrics.
const KINDS_SINCE: i16 = 1;

const ALL: &[i8] = &[
    kind::GROUP,
    kind::CLIENT_METRICS,
    kind::BROKER_LOGGER,
    kind::BROKER,
    kind::TOPIC,
];

#[derive(Debug)]
pub(in crate::api) struct ListConfigResources;

impl Handler for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    const SERVED: RangeInclusive<i16> = 0..=1;

    async fn handle(
        cx: Cx,
        request: ListConfigResourcesRequest,
    ) -> Result<ListConfigResourcesResponse, Refusal> {
        let wanted = from_wire(cx.version, &request)?;
        let image = cx.broker.image();
        let kinds = ALL.iter().filter(|kind| wanted.contains(kind));
        let resources =
            kinds.flat_map(|kind| names(&image, *kind).map(|name| to_wire(*kind, name)));
        Ok(ListConfigResourcesResponse::default().with_config_resources(resources.collect()))
    }

    fn refuse(error: ErrorCode) -> ListConfigResourcesResponse {
        ListConfigResourcesResponse::default().with_error_code(error.code())
    }
}

fn from_wire(version: i16, request: &ListConfigResourcesRequest) -> Result<Vec<i8>, ErrorCode> {
    if version < KINDS_SINCE {
        return Ok(vec![kind::CLIENT_METRICS]);
    }
    let kinds = &request.resource_types;
    if kinds.iter().any(|kind| !ALL.contains(kind)) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    Ok(if kinds.is_empty() {
        ALL.to_vec()
    } else {
        kinds.clone()
    })
}

/// The names of all resources of one kind. Groups are those that were given
/// settings.
fn names(image: &Image, kind: i8) -> impl Iterator<Item = String> {
    let topics = image.topics().filter(move |_| kind == kind::TOPIC);
    let brokers = image
        .brokers()
        .filter(move |_| [kind::BROKER, kind::BROKER_LOGGER].contains(&kind));
    let configured = image
        .configured()
        .filter_map(move |resource| match resource {
            Resource::Group(id) if kind == kind::GROUP => Some(id.to_string()),
            Resource::ClientMetrics(name) if kind == kind::CLIENT_METRICS => Some(name.clone()),
            Resource::Topic(_)
            | Resource::Broker(_)
            | Resource::Brokers
            | Resource::Group(_)
            | Resource::ClientMetrics(_) => None,
        });
    let topics = topics.map(|topic| topic.name.to_string());
    let brokers = brokers.map(|broker| broker.id.to_string());
    topics.chain(brokers).chain(configured)
}

fn to_wire(kind: i8, name: String) -> ConfigResource {
    ConfigResource::default()
        .with_resource_name(StrBytes::from_string(name))
        .with_resource_type(kind)
}
