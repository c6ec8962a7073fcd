//! What Kafka's command-line tools ask a cluster in health checks, start commands and
//! tutorials: topics, API versions, the cluster's id.
//!
//! It is a client, and knows nothing of how a broker is built.

mod cluster;
mod connection;
mod topics;

use std::io;

use ottla_base::ErrorCode;
use ottla_protocol::{ApiKey, WireError};

pub use cluster::{write_api_versions, write_cluster_id};
pub use connection::Servers;
pub use topics::{NewTopic, create, delete, write_descriptions, write_names};

/// Why a cluster could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{address}: {reason}")]
    Unreachable { address: String, reason: io::Error },
    #[error("there is no address of a broker; write HOST:PORT")]
    NoAddress,
    #[error("the connection to {address} broke: {reason}")]
    Broken { address: String, reason: io::Error },
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{address} does not speak {}", api.name())]
    Unspoken { address: String, api: ApiKey },
    #[error("{address} answered another request than it was asked")]
    Unrelated { address: String },
    #[error("{what}: {reason}")]
    Refused { what: String, reason: String },
    #[error("topic '{0}' does not exist as expected")]
    NoTopic(String),
    #[error("{0}")]
    Output(io::Error),
}

/// Succeeds if the code is none of an error.
fn accepted(what: &str, code: i16, message: Option<&str>) -> Result<(), ToolError> {
    if code == ErrorCode::None.code() {
        return Ok(());
    }
    let known = ErrorCode::from_code(code).map_or("an unknown error", ErrorCode::text);
    Err(ToolError::Refused {
        what: what.to_owned(),
        reason: message.unwrap_or(known).to_owned(),
    })
}
