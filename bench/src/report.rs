//! What the terminal shows: each step as it ends, then the tables.

use std::time::Duration;

use anyhow::Error;

use crate::case::Case;
use crate::kind::Kind;
use crate::outcome::Figures;
use crate::page;
use crate::results::Results;

#[expect(clippy::print_stderr, reason = "progress, beside the result")]
pub(crate) fn begin(round: u32, rounds: u32, kind: &Kind) {
    eprintln!("round {round} of {rounds}: {kind}");
}

#[expect(clippy::print_stderr, reason = "progress, beside the result")]
pub(crate) fn step(case: Case, run: &Result<Figures, String>) {
    let figure = case.headline();
    let described = figure.describe();
    match run {
        Ok(figures) => {
            let value = figures.get(&figure).copied().unwrap_or_default();
            let digits = described.digits;
            eprintln!("  {case:20} {value:>12.digits$} {}", described.title);
        }
        Err(reason) => eprintln!("  {case:20} {reason}"),
    }
}

#[expect(clippy::print_stderr, reason = "progress, beside the result")]
pub(crate) fn end(took: Duration) {
    eprintln!("  {:.0} s", took.as_secs_f64());
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
pub(crate) fn print(results: &Results) {
    for (case, measured) in &results.cases {
        println!("{}\n", page::section(results, *case, measured));
    }
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
pub(crate) fn print_goals(results: &Results) {
    println!("## Goals\n\n{}", page::goal_table(results));
}

#[expect(clippy::print_stderr, reason = "the last word of the program")]
pub(crate) fn complain(error: &Error) {
    eprintln!("ottla-bench: {error:#}");
}
