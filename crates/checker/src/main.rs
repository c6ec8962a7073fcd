//! Drives a Kafka broker while faults happen to it, and finds what the history
//! of that contradicts.

mod analysis;
mod chance;
mod history;
mod probe;
mod run;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::run::Options;
use crate::verdict::Verdict;

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send, read and commit until the faults are over, read everything, judge.
    ///
    /// A line `note TEXT` on the standard input is kept in the history, and a
    /// line `end`, or the input's end, says that there are no more faults.
    Run(Options),
    /// Judge a history.
    Check { history: PathBuf },
    /// Write one record after the other to each partition of a topic, and tell when
    /// each is acknowledged.
    Probe(probe::Options),
}

/// Nothing is wrong, something is, or nobody knows.
const CLEAN: u8 = 0;
const BROKEN: u8 = 1;
const INCONCLUSIVE: u8 = 2;

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Run(options) => run::run(&options).map(|verdict| told(&verdict)),
        Command::Check { history } => check(&history).map(|verdict| told(&verdict)),
        Command::Probe(options) => probe::run(&options).map(|()| CLEAN),
    };
    ExitCode::from(ended.unwrap_or_else(|error| {
        verdict::complain(&error);
        INCONCLUSIVE
    }))
}

fn told(verdict: &Verdict) -> u8 {
    verdict::say(verdict);
    if verdict.is_clean() { CLEAN } else { BROKEN }
}

fn check(file: &PathBuf) -> Result<Verdict> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(Verdict::of(&history::parse(&text)?))
}
