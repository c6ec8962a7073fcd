//! `cargo xtask check` reads and judges, `cargo xtask fix` writes.
//!
//! Knows the workspace from outside only: manifests, sources and cargo.

mod reference;
mod steps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

const USAGE: &str = "\
usage: cargo xtask VERB

  check    judge everything, write nothing: format, tidy, lints, tests, reference pages, licences
  fix      format, apply what clippy suggests, write the reference pages
  tidy     only the rules that clippy does not know: crate edges, API files, sources
";

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Option<&str>) -> anyhow::Result<()> {
    let root = root()?;
    match verb {
        Some("check") => steps::check(&root),
        Some("fix") => steps::fix(&root),
        Some("tidy") => steps::tidy(&root),
        Some("help" | "--help" | "-h") => {
            steps::say(USAGE);
            Ok(())
        }
        Some(other) => bail!("there is no verb '{other}'\n{USAGE}"),
        None => bail!("{USAGE}"),
    }
}

/// The workspace's directory. Asked of cargo when it starts us, so that a
/// binary built in one checkout and run in another judges the other.
fn root() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = Path::new(&manifest).ancestors().nth(2);
    Ok(root
        .context("xtask lies two directories below the root")?
        .to_owned())
}
