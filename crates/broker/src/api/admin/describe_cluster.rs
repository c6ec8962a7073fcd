//! DescribeCluster: v0-2.
//!
//! - v1: the client says which kind of node it takes this one for.
//! - v2: fenced brokers on request.

use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_controller::Registration;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::api::replicas::controller_id;
use crate::api::{CLUSTER_OPERATIONS, Cx, Handler, NO_OPERATIONS, Refusal};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

#[derive(Debug)]
pub(in crate::api) struct DescribeCluster;

impl Handler for DescribeCluster {
    type Request = DescribeClusterRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;

    async fn handle(
        cx: Cx,
        request: DescribeClusterRequest,
    ) -> Result<DescribeClusterResponse, Refusal> {
        match request.endpoint_type {
            BROKERS => {}
            CONTROLLERS => return Err(ErrorCode::MismatchedEndpointType.into()),
            _ => return Err(ErrorCode::UnsupportedEndpointType.into()),
        }
        let operations = if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            NO_OPERATIONS
        };
        let image = cx.broker.image();
        let brokers = image.brokers();
        let brokers = brokers.filter(|broker| request.include_fenced_brokers || !broker.fenced);
        let brokers = brokers.filter_map(|broker| to_wire(broker, &cx.connection.listener));
        let cluster_id = cx.broker.cluster_id.as_str().to_owned();
        Ok(DescribeClusterResponse::default()
            .with_error_message(None)
            .with_endpoint_type(BROKERS)
            .with_cluster_id(StrBytes::from_string(cluster_id))
            .with_controller_id(controller_id(&cx, &image).into())
            .with_brokers(brokers.collect())
            .with_cluster_authorized_operations(operations))
    }

    fn refuse(error: ErrorCode) -> DescribeClusterResponse {
        DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}

/// None for a broker that the client's listener does not lead to.
fn to_wire(broker: &Registration, listener: &str) -> Option<DescribeClusterBroker> {
    let endpoint = broker.endpoint(listener)?;
    let broker = DescribeClusterBroker::default()
        .with_broker_id(broker.id.0.into())
        .with_host(StrBytes::from_string(endpoint.host.clone()))
        .with_port(endpoint.port.into())
        .with_rack(broker.rack.clone().map(StrBytes::from_string))
        .with_is_fenced(broker.fenced);
    Some(broker)
}
