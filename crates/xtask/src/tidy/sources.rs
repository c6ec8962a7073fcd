//! Rules for every Rust source: no unfinished business, no silenced lint, no
//! long function, no wire version outside the wire's own places.

use super::code::{Code, line_of, words};
use super::{Finding, Tree};

/// Code lines that a function's body may have.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are longer all the same, as `path function lines`, one per
/// line. An entry may only shrink, and goes when its function has fitted.
const LONG_FUNCTIONS: &str = "crates/xtask/long-functions.txt";

/// Where a wire version may be compared with a number: everybody else works
/// with facts that were derived from it there.
const KNOW_VERSIONS: &[&str] = &[
    "crates/protocol/",
    "crates/broker/src/api/",
    "crates/broker/tests/",
    "crates/oracle/",
];

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = LongFunction::list(tree);
    let mut seen = Vec::new();
    for (path, text) in tree.rust() {
        let split = Code::of(text);
        let mut add = |at: usize, message: &str| {
            findings.push(Finding::new(path, line_of(text, at), message));
        };
        for at in unfinished(&split.comments) {
            add(at, "write `TODO(#issue)`, or do it");
        }
        for (attribute, instead) in [
            ("ignore", "a test is run, or removed"),
            ("allow", "write #[expect(lint, reason = \"...\")]"),
        ] {
            for at in attributes(&split.code, attribute) {
                add(at, instead);
            }
        }
        if !KNOW_VERSIONS.iter().any(|folder| path.starts_with(folder)) {
            for at in version_comparisons(&split.code) {
                add(
                    at,
                    "only the protocol and broker/src/api compare wire versions",
                );
            }
        }
        for function in functions(&split.code) {
            if function.lines > FUNCTION_LINES_MAX {
                let listed = known.iter().find(|known| known.is(path, function.name));
                seen.extend(listed);
                if let Some(message) = function.too_long(listed) {
                    add(function.at, &message);
                }
            }
        }
    }
    for (line, entry) in known.iter().enumerate() {
        if !seen.contains(&entry) {
            let message = format!("{} has fitted; take this entry out", entry.name);
            findings.push(Finding::new(LONG_FUNCTIONS, line + 1, message));
        }
    }
    findings
}

fn unfinished(comments: &str) -> impl Iterator<Item = usize> {
    ["TODO", "FIXME", "XXX"]
        .into_iter()
        .flat_map(move |word| words(comments, word).map(move |at| (word, at)))
        .filter(|(word, at)| !names_an_issue(&comments[at + word.len()..]))
        .map(|(_, at)| at)
}

fn names_an_issue(after: &str) -> bool {
    after
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once(')'))
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

fn attributes<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    words(code, name).filter(|at| {
        let before = code[..*at].trim_end();
        before.ends_with("#[") || before.ends_with("#![")
    })
}

fn version_comparisons(code: &str) -> impl Iterator<Item = usize> {
    ["version", "api_version"]
        .into_iter()
        .flat_map(|word| words(code, word).map(move |at| (word, at)))
        .filter(|(word, at)| {
            let after = code[at + word.len()..].trim_start();
            let before =
                code[..*at].trim_end_matches(|c: char| c.is_alphanumeric() || "._&*".contains(c));
            is_compared_on(after) || ends_in_a_compared_number(before.trim_end())
        })
        .map(|(_, at)| at)
}

const OPERATORS: [&str; 6] = ["<=", ">=", "==", "!=", "<", ">"];

fn is_compared_on(after: &str) -> bool {
    OPERATORS
        .iter()
        .find_map(|operator| after.strip_prefix(operator))
        .is_some_and(|right| right.trim_start().starts_with(|c: char| c.is_ascii_digit()))
}

fn ends_in_a_compared_number(before: &str) -> bool {
    OPERATORS
        .iter()
        .find_map(|operator| before.strip_suffix(operator))
        .is_some_and(|left| {
            let left = left.trim_end();
            let word = left.rsplit(|c: char| !c.is_alphanumeric()).next();
            word.is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        })
}

#[derive(Debug)]
struct Function<'a> {
    name: &'a str,
    at: usize,
    /// Lines between the braces that hold code.
    lines: usize,
}

impl Function<'_> {
    fn too_long(&self, listed: Option<&LongFunction<'_>>) -> Option<String> {
        let Self { name, lines, .. } = self;
        match listed {
            None => Some(format!(
                "{name} has {lines} lines; {FUNCTION_LINES_MAX} are the most"
            )),
            Some(listed) if *lines > listed.lines => Some(format!(
                "{name} has grown from {} to {lines} lines; it may only shrink",
                listed.lines
            )),
            Some(_) => None,
        }
    }
}

/// The functions with a body, wherever they stand; a body within another's
/// counts for both.
fn functions(code: &str) -> impl Iterator<Item = Function<'_>> {
    words(code, "fn").filter_map(|at| {
        let signature = &code[at + 2..];
        let name = signature.trim_start();
        let name = &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_')?];
        if name.is_empty() {
            return None;
        }
        let body = body(signature)?;
        let inside = &body[..closing_brace(body)];
        // The rest of the opening line and the closing brace's line are not inside.
        let lines = inside
            .lines()
            .skip(1)
            .filter(|line| !line.trim().is_empty())
            .count();
        Some(Function { name, at, lines })
    })
}

/// What follows the brace that opens the body, if the function has one.
fn body(signature: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, character) in signature.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            '{' if depth == 0 => return Some(&signature[at + 1..]),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing_brace(body: &str) -> usize {
    let mut depth = 1_usize;
    for (at, character) in body.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    body.len()
}

/// One entry of the list of exceptions.
#[derive(Debug, PartialEq, Eq)]
struct LongFunction<'a> {
    path: &'a str,
    name: &'a str,
    lines: usize,
}

impl<'a> LongFunction<'a> {
    fn list(tree: &'a Tree) -> Vec<Self> {
        let list = tree.get(LONG_FUNCTIONS).unwrap_or_default();
        list.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        Some(Self {
            path: fields.next()?,
            name: fields.next()?,
            lines: fields.next()?.parse().ok()?,
        })
    }

    fn is(&self, path: &str, name: &str) -> bool {
        self.path == path && self.name == name
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(path: &str, source: &str, expected: &[&str]) {
        assert_findings(&findings(&Tree::of(&[(path, source)])), expected);
    }

    #[test]
    fn unfinished_business_names_its_issue() {
        check("a.rs", "// TODO(#12): later\nlet a = \"TODO\";\n", &[]);
        for bare in ["// TODO: later", "/* FIXME */", "/// XXX", "// TODO(me): x"] {
            check("a.rs", bare, &["a.rs:1: write `TODO(#issue)`, or do it"]);
        }
    }

    #[test]
    fn tests_and_lints_are_not_switched_off() {
        check("a.rs", "#[expect(x, reason = \"y\")]\nfn ignore() {}", &[]);
        check(
            "a.rs",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n",
            &["a.rs:2: a test is run, or removed"],
        );
        for allow in [
            "#[allow(dead_code)]",
            "#![allow(dead_code)]",
            "#[ allow(x)]",
        ] {
            check(
                "a.rs",
                allow,
                &["a.rs:1: write #[expect(lint, reason = \"...\")]"],
            );
        }
    }

    #[test]
    fn wire_versions_are_compared_at_the_wire_only() {
        let message = "only the protocol and broker/src/api compare wire versions";
        for comparison in [
            "if version >= 4 {}",
            "if cx.api_version==4 {}",
            "if 4 <= header.version {}",
            "x(version < 12)",
        ] {
            let source = format!("fn f() {{\n{comparison}\n}}");
            check(
                "crates/coordinator/src/a.rs",
                &source,
                &[&format!("crates/coordinator/src/a.rs:2: {message}")],
            );
            check("crates/protocol/src/a.rs", &source, &[]);
            check("crates/broker/src/api/fetch.rs", &source, &[]);
        }
        let other = "if format_version >= 4 || version == LATEST { f(version) }";
        check("crates/store/src/a.rs", other, &[]);
    }

    fn function_of(lines: usize) -> String {
        let body = "    a();\n\n    // b\n".repeat(lines);
        format!("impl A {{\nfn long<T>(a: [u8; 2]) -> u8\n{{\n{body}}}\n}}\n")
    }

    #[test]
    fn a_function_may_not_cross_the_limit() {
        check("a.rs", "trait A { fn f(&self); fn g() -> u8 { 1 } }", &[]);
        check("a.rs", &function_of(70), &[]);
        check(
            "a.rs",
            &function_of(71),
            &["a.rs:2: long has 71 lines; 70 are the most"],
        );
    }

    #[test]
    fn a_listed_function_may_only_shrink() {
        let list = "a.rs long 80\n";
        let with = |lines| {
            findings(&Tree::of(&[
                ("a.rs", &function_of(lines)),
                (LONG_FUNCTIONS, list),
            ]))
        };
        assert_findings(&with(80), &[]);
        assert_findings(&with(75), &[]);
        assert_findings(
            &with(81),
            &["a.rs:2: long has grown from 80 to 81 lines; it may only shrink"],
        );
        assert_findings(
            &with(70),
            &["crates/xtask/long-functions.txt:1: long has fitted; take this entry out"],
        );
    }
}
