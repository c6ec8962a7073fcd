//! The project's own rules, those that clippy does not know.
//!
//! Each rule is a function from the checkout's text to findings and reads no
//! file itself, so that its tests are small trees of strings.

mod api;
mod code;
mod edges;
mod sources;
mod toolchain;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

use anyhow::{Context, bail};

/// The text files of a checkout by their path from its root.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// What git tracks or would track; so build results are not in it.
    pub(crate) fn of_checkout(root: &Path) -> anyhow::Result<Self> {
        let output = Command::new("git")
            // Whoever runs the checks need not own the checkout.
            .args(["-c", "safe.directory=*"])
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git could not be started")?;
        if !output.status.success() {
            bail!("this is not a git checkout");
        }
        let mut tree = Self::default();
        for path in String::from_utf8(output.stdout)?.lines() {
            let wanted = [".rs", ".toml", ".md", ".txt", "Dockerfile"]
                .iter()
                .any(|end| path.ends_with(end));
            // A file that is deleted but not committed yet is listed too.
            if wanted && let Ok(text) = fs::read_to_string(root.join(path)) {
                tree.0.insert(path.to_owned(), text);
            }
        }
        Ok(tree)
    }

    fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(path, _)| path.ends_with(".rs"))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self(files.iter().map(owned).collect())
    }
}

/// One broken rule, at a place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 speaks of the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

pub(crate) fn findings(tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mut findings = edges::findings(tree)?;
    findings.extend(api::findings(tree));
    findings.extend(sources::findings(tree));
    findings.extend(toolchain::findings(tree));
    findings.sort();
    Ok(findings)
}

/// Asserts what a rule says of a tree, as `path:line: message` each.
#[cfg(test)]
#[track_caller]
fn assert_findings(found: &[Finding], expected: &[&str]) {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}
