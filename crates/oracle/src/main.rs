//! The command line of the oracle.

use std::io::{self, Write};
use std::process::ExitCode;

use ottla_oracle::broker::Program;
use ottla_oracle::run::{Truth, chosen, compare, print, record};

const USAGE: &str = "\
usage: ottla-oracle VERB [WORD]...

  compare   ask Ottla, and compare with what Apache Kafka answered when it was recorded
  both      ask Apache Kafka and Ottla, and compare
  record    ask Apache Kafka, and write crates/oracle/golden
  ottla     ask Ottla, and print
  kafka     ask Apache Kafka, and print
  list      name the cases

Words choose the cases whose names hold one of them.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = io::stdout().lock();
    let done = match words[..] {
        ["compare", ref words @ ..] => compare(words, Truth::Golden, &mut out),
        ["both", ref words @ ..] => compare(words, Truth::Live, &mut out),
        ["record", ref words @ ..] => record(&chosen(words, true), &mut out),
        ["ottla", ref words @ ..] => print(Program::Ottla, &chosen(words, true), &mut out),
        ["kafka", ref words @ ..] => print(Program::Kafka, &chosen(words, true), &mut out),
        ["list", ref words @ ..] => {
            for case in chosen(words, true) {
                let _ = writeln!(out, "{}", case.path());
            }
            Ok(true)
        }
        _ => {
            let _ = write!(io::stderr(), "{USAGE}");
            Ok(false)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}
