//! What the program does without serving.

use std::process::ExitCode;

use ottla_base::TopicId;
use uuid::Uuid;

/// `ottla random-uuid`: a fresh id in Kafka's form.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn random_uuid() -> ExitCode {
    println!("{}", TopicId(*Uuid::new_v4().as_bytes()));
    ExitCode::SUCCESS
}
