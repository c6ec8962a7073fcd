//! Runs stories: `--seed N` tells one with its trace, `--seeds N` the first N, `--seeds M..N` those from M on.

use std::io::{self, Write};
use std::ops::Range;
use std::panic;
use std::process::ExitCode;

use ottla_sim::run;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--seed", seed] => seed.parse().ok().map(tell),
        ["--seeds", seeds] => range(seeds).map(tell_all),
        _ => None,
    };
    match done {
        Some(Ok(true)) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Some(Err(_)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        None => {
            // Nobody may be there to read it.
            let usage = "usage: ottla-sim --seed N | --seeds N | --seeds M..N";
            let _ = writeln!(io::stderr(), "{usage}");
            ExitCode::FAILURE
        }
    }
}

fn range(seeds: &str) -> Option<Range<u64>> {
    let (first, end) = seeds.split_once("..").unwrap_or(("0", seeds));
    Some(first.parse().ok()?..end.parse().ok()?)
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

/// Many stories; whether every promise was kept in all of them.
fn tell_all(seeds: Range<u64>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let mut broken = 0_u64;
    for seed in seeds.clone() {
        match panic::catch_unwind(|| run(seed, false).violation) {
            Ok(None) => continue,
            Ok(Some(violation)) => writeln!(out, "seed {seed}: {violation}")?,
            Err(_) => writeln!(out, "seed {seed}: an assertion, see above")?,
        }
        broken += 1;
    }
    let count = seeds.end.saturating_sub(seeds.start);
    writeln!(out, "{count} seeds, {broken} broken")?;
    Ok(broken == 0)
}
