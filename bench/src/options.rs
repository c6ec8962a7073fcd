//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::case::Case;

/// Measures a Kafka broker with librdkafka's client.
///
/// Give the address of a broker that runs, or the path of an ottla binary,
/// which is then started on a free port with an empty directory.
#[derive(Debug, Parser)]
#[command(name = "ottla-bench", version, max_term_width = 100)]
pub(crate) struct Options {
    /// Address of a broker that runs
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "spawn",
        conflicts_with = "spawn"
    )]
    pub(crate) broker: Option<String>,

    /// Process id of that broker, for its processor time and memory
    #[arg(long, requires = "broker")]
    pub(crate) pid: Option<u32>,

    /// Path of an ottla binary to start
    #[arg(long, value_name = "PATH")]
    pub(crate) spawn: Option<PathBuf>,

    /// Where the started broker keeps its data [default: a new directory under /tmp]
    #[arg(long, value_name = "DIR", requires = "spawn")]
    pub(crate) data: Option<PathBuf>,

    /// A setting for the started broker, such as ottla.flush.policy=page-cache; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "spawn")]
    pub(crate) settings: Vec<String>,

    /// A setting for librdkafka, such as linger.ms=20; may be repeated
    #[arg(long = "client", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) client: Vec<(String, String)>,

    /// Only this case; may be repeated
    #[arg(long = "case", value_enum, value_name = "CASE")]
    pub(crate) cases: Vec<Case>,

    /// How often each case runs
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,

    /// How long each run lasts
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u32,

    /// Partitions of the topic that is written and read
    #[arg(long, default_value_t = 6)]
    pub(crate) partitions: i32,

    /// Records a second in the end-to-end case
    #[arg(long, default_value_t = 1000)]
    pub(crate) rate: u32,
}

impl Options {
    pub(crate) fn wants(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.contains(&case)
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("'{text}' is not KEY=VALUE"))
}
