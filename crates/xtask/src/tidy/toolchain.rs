//! The rule for the compiler: the image is compiled by the version that the
//! tests are.

use super::{Finding, Tree};

const TOOLCHAIN: &str = "rust-toolchain.toml";
const DOCKERFILE: &str = "docker/Dockerfile";

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let channel = tree.get(TOOLCHAIN).and_then(|text| {
        let file: toml::Table = text.parse().ok()?;
        Some(file.get("toolchain")?.get("channel")?.as_str()?.to_owned())
    });
    let Some(channel) = channel else {
        return vec![Finding::new(TOOLCHAIN, 0, "there is no channel in it")];
    };
    let wanted = format!("ARG RUST=rust:{channel}-");
    let text = tree.get(DOCKERFILE).unwrap_or_default();
    if text.lines().any(|line| line.starts_with(&wanted)) {
        return Vec::new();
    }
    let message = format!("write `{wanted}...`, the channel of {TOOLCHAIN}");
    vec![Finding::new(DOCKERFILE, 0, message)]
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(image: &str, expected: &[&str]) {
        let tree = Tree::of(&[
            (TOOLCHAIN, "[toolchain]\nchannel = \"1.95.0\"\n"),
            (
                DOCKERFILE,
                &format!("ARG BASE=debian\nARG RUST=rust:{image}\n"),
            ),
        ]);
        assert_findings(&findings(&tree), expected);
    }

    #[test]
    fn the_image_is_compiled_by_the_version_that_the_tests_are() {
        check("1.95.0-slim-bookworm", &[]);
        for image in [
            "1-slim-bookworm",
            "1.95-slim-bookworm",
            "1.96.0-slim-bookworm",
        ] {
            check(
                image,
                &[
                    "docker/Dockerfile:0: write `ARG RUST=rust:1.95.0-...`, the channel of rust-toolchain.toml",
                ],
            );
        }
    }
}
