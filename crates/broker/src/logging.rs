//! Where the broker's own log goes: lines on standard output, as Kafka's do.
//!
//! Knows nothing of what is logged, but for the one line that others wait for.

use std::io::IsTerminal;

use ottla_base::BrokerId;
use tracing::info;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::cli::LogFormat;

/// What is logged when nobody says otherwise. Raft tells of every step that it takes, and
/// several times a second that another node is still away.
const FILTER_DEFAULT: &str = "info,openraft=off";

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("the log filter {filter:?} cannot be read: {reason}")]
    Filter { filter: String, reason: ParseError },
    #[error("logging was set up before")]
    Twice(#[from] TryInitError),
}

/// Begins to log, for the whole process and until it ends.
///
/// `filter` is a level or a list of `target=level`; without it the variable
/// `RUST_LOG` says the same.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: Option<&str>, format: LogFormat) -> Result<(), LoggingError> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = filter.unwrap_or(match variable.as_str() {
        "" => FILTER_DEFAULT,
        filter => filter,
    });
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|reason| LoggingError::Filter {
            filter: filter.to_owned(),
            reason,
        })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(std::io::stdout().is_terminal());
    match format {
        LogFormat::Human => lines.with_target(false).finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Says that clients may connect, in the words that scripts, suites and libraries which
/// start a Kafka wait for.
pub fn announce_started(node: BrokerId) {
    info!("[BrokerLifecycleManager id={node}] Transitioning from RECOVERY to RUNNING");
    info!("[KafkaRaftServer nodeId={node}] Kafka Server started");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let refused = start(Some("info,=,x=louder"), LogFormat::Human).expect_err("refused");
        assert!(refused.to_string().contains("info,=,x=louder"), "{refused}");
    }
}
