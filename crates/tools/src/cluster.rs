//! `kafka-broker-api-versions.sh` and `kafka-cluster.sh cluster-id`.

use std::fmt::Write as _;
use std::io::Write;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::messages::api_versions_response::ApiVersion;
use ottla_protocol::messages::metadata_response::MetadataResponseBroker;

use crate::connection::Connection;
use crate::{Servers, ToolError, accepted};

/// Writes what every broker of the cluster speaks. A broker that its own address does
/// not lead to has an error in place of that, as with Kafka's tool.
pub fn write_api_versions(servers: &Servers, out: &mut impl Write) -> Result<(), ToolError> {
    let mut connection = servers.connect()?;
    let answer = connection.ask(&of_no_topic())?;
    accepted("the brokers", answer.error_code, None)?;
    for broker in &answer.brokers {
        let address = format!("{}:{}", &*broker.host, broker.port);
        let text = match Connection::open(&address) {
            Ok(connection) => table(connection.spoken()),
            Err(error) => format!("ERROR: {error}"),
        };
        writeln!(out, "{address} {} -> {text}", named(broker)).map_err(ToolError::Output)?;
    }
    Ok(())
}

/// Writes the id of the cluster.
pub fn write_cluster_id(servers: &Servers, out: &mut impl Write) -> Result<(), ToolError> {
    let answer = servers.connect()?.ask(&of_no_topic())?;
    accepted("the cluster", answer.error_code, None)?;
    let id = answer.cluster_id.unwrap_or_default();
    writeln!(out, "Cluster ID: {}", &*id).map_err(ToolError::Output)
}

fn of_no_topic() -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(Vec::new()))
}

fn named(broker: &MetadataResponseBroker) -> String {
    let rack = broker.rack.as_deref().unwrap_or("null");
    format!("(id: {} rack: {rack} isFenced: false)", *broker.node_id)
}

fn table(spoken: &[ApiVersion]) -> String {
    let rows: Vec<_> = spoken.iter().map(row).collect();
    format!("(\n{}\n)", rows.join(",\n"))
}

fn row(api: &ApiVersion) -> String {
    let name = ApiKey::from_code(api.api_key).map_or("UNKNOWN", ApiKey::name);
    let mut row = format!("\t{name}({}): {}", api.api_key, api.min_version);
    if api.max_version > api.min_version {
        // Writing to a string does not fail.
        let _ = write!(row, " to {}", api.max_version);
    }
    let _ = write!(row, " [usable: {}]", api.max_version);
    row
}
