//! Tells stories of power losses: `--seed N` tells one with its trace, `--losses N` as
//! many as it takes for so many losses of power, from the seed `--from N` on.

use std::io::{self, Write};
use std::process::ExitCode;

use ottla_store::power_loss::{replay, run, run_many};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--seed", seed] => seed.parse().ok().map(tell),
        ["--losses", losses] => losses.parse().ok().map(|losses| tell_all(0, losses)),
        ["--losses", losses, "--from", first] => match (first.parse(), losses.parse()) {
            (Ok(first), Ok(losses)) => Some(tell_all(first, losses)),
            _ => None,
        },
        _ => None,
    };
    match done {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        // Whoever reads has seen enough.
        Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Some(Err(_)) => ExitCode::FAILURE,
        None => {
            // Nobody may be there to read it.
            let _ = writeln!(
                io::stderr(),
                "usage: power_loss --seed N | --losses N [--from SEED]"
            );
            ExitCode::FAILURE
        }
    }
}

/// One story with its trace; whether every promise was kept.
fn tell(seed: u64) -> io::Result<bool> {
    let dir = tempfile::tempdir()?;
    let outcome = run(seed, dir.path(), true);
    let mut out = io::stdout().lock();
    for line in &outcome.trace {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}", outcome.ends)?;
    Ok(outcome.violation.is_none())
}

/// Stories until power was lost so often; whether every promise was kept in all.
fn tell_all(first: u64, losses: u32) -> io::Result<bool> {
    let new_dir = || tempfile::tempdir().expect("a directory for temporary files");
    let summary = run_many(first, losses, new_dir);
    let mut out = io::stdout().lock();
    for (seed, violation) in &summary.broken {
        writeln!(out, "seed {seed}: {violation}\n{}", replay(*seed))?;
    }
    let (stories, broken) = (summary.stories, summary.broken.len());
    writeln!(out, "{stories} stories, {broken} broken: {}", summary.ends)?;
    Ok(broken == 0)
}
