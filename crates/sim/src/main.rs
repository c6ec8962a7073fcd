//! Runs stories: `--seed N` tells one with its trace, `--seeds N` the first N.

use std::io::{self, Write};
use std::process::ExitCode;

use ottla_sim::run;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--seed", seed] => seed.parse().ok().map(tell),
        ["--seeds", count] => count.parse().ok().map(tell_all),
        _ => None,
    };
    match done {
        Some(Ok(true)) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Some(Err(_)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        None => {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "usage: ottla-sim --seed N | --seeds N");
            ExitCode::FAILURE
        }
    }
}

/// One story with its trace; whether every promise was kept.
fn tell(seed: u64) -> io::Result<bool> {
    let outcome = run(seed, true);
    let mut out = io::stdout().lock();
    for line in &outcome.trace {
        writeln!(out, "{line}")?;
    }
    if let Some(violation) = &outcome.violation {
        writeln!(out, "BROKEN {violation}")?;
    }
    Ok(outcome.violation.is_none())
}

/// The first `count` stories; whether every promise was kept in all of them.
fn tell_all(count: u64) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let mut broken = 0_u64;
    for seed in 0..count {
        if let Some(violation) = run(seed, false).violation {
            broken += 1;
            writeln!(out, "seed {seed}: {violation}")?;
        }
    }
    writeln!(out, "{count} seeds, {broken} broken")?;
    Ok(broken == 0)
}
