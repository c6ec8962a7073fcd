//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::broker::Programs;
use crate::case::Case;
use crate::goals;
use crate::kind::Kind;
use crate::load::Load;
use crate::rounds::Plan;

/// Measures Kafka brokers side by side.
///
/// Each round starts every broker once, in an empty directory, gives it the
/// cases and stops it, so that the brokers take turns.
#[derive(Debug, Parser)]
#[command(name = "ottla-bench", version, max_term_width = 100)]
pub(crate) struct Options {
    /// ottla, ottla:page-cache, kafka, kafka:fsync, tansu, noida, or HOST:PORT of a broker that
    /// runs, with @PID for its processor time and memory; may be repeated [default: those that
    /// each case is for]
    #[arg(long = "broker", value_name = "BROKER")]
    brokers: Vec<Kind>,

    /// Only this case; may be repeated
    #[arg(long = "case", value_enum, value_name = "CASE")]
    cases: Vec<Case>,

    /// Only what the goals are about, then whether each is met; ends with 1 if one is not
    #[arg(long, conflicts_with_all = ["brokers", "cases"])]
    pub(crate) goals: bool,

    /// Few and short runs: to see that everything works, not to be quoted
    #[arg(long)]
    quick: bool,

    /// Write the page of results with its plot and raw figures to this directory; cases that are
    /// not run now stay there as they were
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<PathBuf>,

    /// How often each broker is started and measured [default: 5, with --quick 3]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,

    /// How long each run lasts [default: 3, with --quick 1]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// How long a broker works on the first case before that is measured [default: 10, with
    /// --quick 4]
    #[arg(long, value_name = "SECONDS")]
    warm_up: Option<f64>,

    /// The same for each further case [default: 1.5, with --quick 0.5]
    #[arg(long, value_name = "SECONDS")]
    lead_in: Option<f64>,

    /// Partitions of the topic that is written and read [default: 6]
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,

    /// Records a second where the rate is fixed [default: 10000]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,

    /// What is on disk when a broker is restarted [default: 1024, with --quick 256]
    #[arg(long, value_name = "MIB")]
    restart_mebibytes: Option<u32>,

    /// A setting for Ottla, such as ottla.flush.policy=page-cache; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,

    /// A setting for librdkafka, such as linger.ms=20; may be repeated
    #[arg(long = "client", value_name = "KEY=VALUE", value_parser = pair)]
    client: Vec<(String, String)>,

    /// The program to start as Ottla [default: OTTLA_BIN, or what lies beside this one]
    #[arg(long, value_name = "PATH")]
    ottla: Option<PathBuf>,

    /// Where the programs are that start other brokers
    #[arg(long, value_name = "DIR", default_value = "peers")]
    peers: PathBuf,
}

impl Options {
    pub(crate) fn plan(&self) -> Result<Plan> {
        let either = |given: Option<f64>, usual: f64, quick: f64| {
            Duration::try_from_secs_f64(given.unwrap_or(if self.quick { quick } else { usual }))
        };
        let load = Load {
            duration: either(self.seconds, 3.0, 1.0)?,
            partitions: self.partitions.unwrap_or(6),
            rate: self.rate.unwrap_or(10_000),
            restart_mebibytes: self.restart_mebibytes.unwrap_or(if self.quick {
                256
            } else {
                1024
            }),
            client: self.client.clone(),
        };
        Ok(Plan {
            rounds: self.rounds.unwrap_or(if self.quick { 3 } else { 5 }),
            warm_up: either(self.warm_up, 10.0, 4.0)?,
            lead_in: either(self.lead_in, 1.5, 0.5)?,
            load,
            programs: self.programs()?,
            cases: self.cases(),
        })
    }

    fn cases(&self) -> Vec<(Case, Vec<Kind>)> {
        if self.goals {
            return goals::needed();
        }
        let cases = Case::value_variants().iter().copied();
        let cases = cases.filter(|case| self.cases.is_empty() || self.cases.contains(case));
        let brokers = |case: Case| match self.brokers[..] {
            [] => case.brokers(),
            _ => self.brokers.clone(),
        };
        cases.map(|case| (case, brokers(case))).collect()
    }

    fn programs(&self) -> Result<Programs> {
        let ottla = self.ottla.clone();
        let ottla = ottla.or_else(|| std::env::var_os("OTTLA_BIN").map(PathBuf::from));
        let ottla = match ottla {
            Some(ottla) => ottla,
            None => std::env::current_exe()?.with_file_name("ottla"),
        };
        let settings = self.settings.iter();
        Ok(Programs {
            ottla,
            peers: self.peers.canonicalize().context("where the peers are")?,
            settings: settings
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
        })
    }

    /// The command that measures a case as it was measured now.
    pub(crate) fn command(&self, case: Case) -> String {
        let mut words = vec!["--case".to_owned(), case.to_string()];
        let mut add = |option: &str, value: Option<String>| {
            words.extend(
                value
                    .into_iter()
                    .flat_map(|value| [option.to_owned(), value]),
            );
        };
        for broker in &self.brokers {
            add("--broker", Some(broker.to_string()));
        }
        add("--rounds", self.rounds.map(|rounds| rounds.to_string()));
        add("--seconds", self.seconds.map(|seconds| seconds.to_string()));
        add("--warm-up", self.warm_up.map(|seconds| seconds.to_string()));
        add("--lead-in", self.lead_in.map(|seconds| seconds.to_string()));
        add(
            "--partitions",
            self.partitions.map(|count| count.to_string()),
        );
        add("--rate", self.rate.map(|rate| rate.to_string()));
        add(
            "--restart-mebibytes",
            self.restart_mebibytes.map(|size| size.to_string()),
        );
        for (key, value) in &self.settings {
            add("--set", Some(format!("{key}={value}")));
        }
        for (key, value) in &self.client {
            add("--client", Some(format!("{key}={value}")));
        }
        if self.quick {
            words.push("--quick".to_owned());
        }
        format!("make bench ARGS=\"{}\"", words.join(" "))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("'{text}' is not KEY=VALUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_case_says_what_was_asked_for_but_not_of_other_cases() {
        let line = "ottla-bench --case consume --case start --broker kafka --rounds 7 \
                    --seconds 0.5 --set a=b=c --quick --write docs";
        let options = Options::parse_from(line.split_whitespace());
        let expected = "make bench ARGS=\"--case consume --broker kafka --rounds 7 --seconds 0.5 \
                        --set a=b=c --quick\"";
        assert_eq!(options.command(Case::Consume), expected);
    }

    #[test]
    fn a_case_names_its_brokers_unless_the_command_line_does() {
        let cases = |line: &str| Options::parse_from(line.split_whitespace()).cases();
        let start = (Case::Start, vec![Kind::OTTLA, Kind::KAFKA]);
        assert_eq!(cases("ottla-bench --case start"), [start]);
        let tansu = (Case::Start, vec![Kind::Tansu]);
        assert_eq!(cases("ottla-bench --case start --broker tansu"), [tansu]);
        assert_eq!(cases("ottla-bench").len(), Case::value_variants().len());
    }
}
