//! Measures Kafka brokers side by side: ours and others, with the same clients
//! and by the same command.

mod backing;
mod bare;
mod broker;
mod case;
mod cold;
mod compact;
mod consume;
mod disk;
mod failover;
mod frames;
mod goals;
mod kind;
mod latency;
mod life;
mod load;
mod machine;
mod many;
mod node;
mod options;
mod outcome;
mod page;
mod perf_test;
mod plot;
mod process;
mod produce;
mod report;
mod results;
mod rounds;
mod statistics;
mod steady;
mod topic;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::goals::{Verdict, goals};
use crate::kind::Kind;
use crate::machine::Machine;
use crate::options::Options;
use crate::results::Results;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let results = options.plan()?.run(|case| options.command(case));
    report::print(&results);
    let mut failed = has_failed(&results);
    if options.goals {
        report::print_goals(&results);
        failed |= goals()
            .iter()
            .any(|goal| goal.verdict(&results) != Verdict::Met);
    }
    if let Some(directory) = &options.write {
        write(directory, results)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Another broker may have nothing to offer to a case; ours must.
fn has_failed(results: &Results) -> bool {
    let mut refused = results.refusals();
    refused.any(|(_, kind, _)| matches!(kind, Kind::Ottla(_) | Kind::Running { .. }))
}

/// Figures of another machine are not kept beside this one's.
fn write(directory: &Path, newer: Results) -> Result<()> {
    let machine = Machine::this()?;
    let file = directory.join("benchmarks.tsv");
    let mut results = match fs::read_to_string(&file).map(|text| Results::from_text(&text)) {
        Ok(read) => match read? {
            (there, results) if there == machine => results,
            _ => Results::default(),
        },
        Err(_) => Results::default(),
    };
    results.replace(newer);
    fs::create_dir_all(directory)?;
    fs::write(&file, results.to_text(&machine))?;
    fs::write(
        directory.join("benchmarks.md"),
        page::page(&results, &machine),
    )?;
    fs::write(directory.join("benchmarks.svg"), plot::plot(&results))?;
    Ok(())
}
