//! The pages under docs/reference that the broker's own tables make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// What `crates/broker/examples/reference.rs` prints when it is given the name.
const PAGES: &[&str] = &["apis", "settings", "error-codes"];

pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for page in PAGES {
        let path = path(root, page);
        // A page that is missing is as stale as one that differs.
        if fs::read_to_string(&path).unwrap_or_default() != generate(root, page)? {
            stale.push(format!("{}", path.display()));
        }
    }
    if stale.is_empty() {
        Ok(())
    } else {
        bail!("stale, `cargo xtask fix` writes them: {}", stale.join(", "))
    }
}

pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    for page in PAGES {
        let text = generate(root, page)?;
        let path = path(root, page);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn path(root: &Path, page: &str) -> PathBuf {
    root.join("docs/reference").join(page).with_extension("md")
}

fn generate(root: &Path, page: &str) -> anyhow::Result<String> {
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "ottla-broker"])
        .args(["--example", "reference", "--", page])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("the reference page {page} could not be generated");
    }
    String::from_utf8(output.stdout).context("a reference page is text")
}
