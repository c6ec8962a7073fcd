//! What a check and a fix consist of, and how their progress is shown.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::{reference, tidy};

/// A name for people, and a step that succeeds or says why not.
type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

/// The cheapest first.
const CHECKS: &[Step] = &[
    ("format", |root| cargo(root, &["fmt", "--all", "--check"])),
    ("tidy", tidy),
    ("lints", |root| {
        let lint = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
        ];
        cargo(root, &[&lint[..], &["--", "-D", "warnings"]].concat())
    }),
    ("licences and sources", deny),
    ("tests", |root| {
        cargo(root, &["test", "--workspace", "--locked", "--quiet"])
    }),
    ("reference pages", reference::check),
];

const FIXES: &[Step] = &[
    ("lints", |root| {
        let lint = ["clippy", "--workspace", "--all-targets", "--fix"];
        cargo(
            root,
            &[&lint[..], &["--allow-dirty", "--allow-staged"]].concat(),
        )
    }),
    ("format", |root| cargo(root, &["fmt", "--all"])),
    ("reference pages", reference::write),
];

pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    run(root, CHECKS)?;
    say(&format!("{} checks passed", CHECKS.len()));
    Ok(())
}

pub(crate) fn fix(root: &Path) -> anyhow::Result<()> {
    run(root, FIXES)
}

pub(crate) fn tidy(root: &Path) -> anyhow::Result<()> {
    let tree = tidy::Tree::of_checkout(root)?;
    let findings = tidy::findings(&tree)?;
    for finding in &findings {
        say(&finding.to_string());
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} of the project's own rules broken"),
    }
}

fn run(root: &Path, steps: &[Step]) -> anyhow::Result<()> {
    for (name, step) in steps {
        say(&format!("--- {name}"));
        let begun = Instant::now();
        step(root).with_context(|| format!("{name} failed"))?;
        say(&format!("    {name}: {:.0?}", begun.elapsed()));
    }
    Ok(())
}

/// cargo-deny is a large tool, so its check is for those who have it.
fn deny(root: &Path) -> anyhow::Result<()> {
    let present = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if present {
        cargo(
            root,
            &["deny", "--offline", "check", "licenses", "bans", "sources"],
        )
    } else {
        say("    skipped: cargo-deny is not installed (cargo install cargo-deny)");
        Ok(())
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cargo could not be started")?;
    if status.success() {
        Ok(())
    } else {
        bail!("`cargo {}` ended with {status}", arguments.join(" "))
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the terminal is this tool's only output"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
