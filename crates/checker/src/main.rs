//! Drives a Kafka broker while faults happen to it, and finds what the history
//! of that contradicts.

mod analysis;
mod chance;
mod history;
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
}

/// Nothing is wrong, something is, or nobody knows.
const CLEAN: u8 = 0;
const BROKEN: u8 = 1;
const INCONCLUSIVE: u8 = 2;

fn main() -> ExitCode {
    let judged = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Check { history } => check(&history),
    };
    ExitCode::from(match judged {
        Ok(verdict) => {
            verdict::say(&verdict);
            if verdict.is_clean() { CLEAN } else { BROKEN }
        }
        Err(error) => {
            verdict::complain(&error);
            INCONCLUSIVE
        }
    })
}

fn check(file: &PathBuf) -> Result<Verdict> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(Verdict::of(&history::parse(&text)?))
}
