//! Runs stories: `--seed N` tells one with its trace, `--seeds N` the first N.

use std::process::ExitCode;

use ottla_sim::run;

#[expect(clippy::print_stdout, reason = "a command's output")]
#[expect(clippy::print_stderr, reason = "a command's complaint")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (option, number) = match words[..] {
        [option, number] => (option, number.parse::<u64>().ok()),
        _ => ("", None),
    };
    match (option, number) {
        ("--seed", Some(seed)) => {
            let outcome = run(seed, true);
            for line in &outcome.trace {
                println!("{line}");
            }
            match outcome.violation {
                None => ExitCode::SUCCESS,
                Some(violation) => {
                    println!("BROKEN {violation}");
                    ExitCode::FAILURE
                }
            }
        }
        ("--seeds", Some(count)) => {
            let broken = (0..count).filter_map(|seed| Some((seed, run(seed, false).violation?)));
            let broken = broken.inspect(|(seed, violation)| println!("seed {seed}: {violation}"));
            let broken = broken.count();
            println!("{count} seeds, {broken} broken");
            if broken == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        _ => {
            eprintln!("usage: ottla-sim --seed N | --seeds N");
            ExitCode::FAILURE
        }
    }
}
