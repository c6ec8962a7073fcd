//! What the program does without serving.

use std::process::ExitCode;

use crate::cli::{Format, Info};
use crate::data_dir::fresh_id;
use crate::format::{self, FormatError};

/// `ottla random-uuid`: a fresh id in Kafka's form.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn random_uuid() -> ExitCode {
    println!("{}", fresh_id());
    ExitCode::SUCCESS
}

/// `ottla format`.
pub fn format(request: &Format) -> ExitCode {
    exit(format::format(request, &mut std::io::stdout()).map(|()| true))
}

/// `ottla info`.
pub fn info(request: &Info) -> ExitCode {
    exit(format::info(request, &mut std::io::stdout()))
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn exit(outcome: Result<bool, FormatError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
