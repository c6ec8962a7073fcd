//! The commands that ask a cluster as Kafka's tools do.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use ottla_tools::{
    Servers, ToolError, create, delete, write_api_versions, write_cluster_id, write_descriptions,
    write_names,
};

use crate::cli::{BootstrapServer, Cluster, ClusterQuestion, TopicAction, Topics};

/// How long a start command waits for a cluster that begins beside it, as Kafka's tools do.
const UNTIL_THERE: Duration = Duration::from_secs(60);

/// Who asks whether a broker is there is not kept waiting for one.
const AT_ONCE: Duration = Duration::ZERO;

/// `ottla topics`.
pub fn topics(request: &Topics) -> ExitCode {
    let servers = Servers::new(&request.servers.bootstrap_server, UNTIL_THERE);
    let out = &mut io::stdout();
    exit(match request.action() {
        TopicAction::List => write_names(&servers, out),
        TopicAction::Create(topic) => create(&servers, &topic, out),
        TopicAction::Describe(topic) => write_descriptions(&servers, topic.as_deref(), out),
        TopicAction::Delete(topic) => delete(&servers, &topic),
    })
}

/// `ottla cluster`.
pub fn cluster(request: &Cluster) -> ExitCode {
    let ClusterQuestion::ClusterId(asked) = &request.question;
    exit(write_cluster_id(
        &Servers::new(&asked.bootstrap_server, AT_ONCE),
        &mut io::stdout(),
    ))
}

/// `ottla api-versions`.
pub fn api_versions(asked: &BootstrapServer) -> ExitCode {
    exit(write_api_versions(
        &Servers::new(&asked.bootstrap_server, AT_ONCE),
        &mut io::stdout(),
    ))
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn exit(outcome: Result<(), ToolError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}
