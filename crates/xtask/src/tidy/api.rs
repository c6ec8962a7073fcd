//! Rules for the request handlers under crates/broker/src/api.
//!
//! A handler's file says first which versions are served and what changed with
//! them, and every handler has its row in the table of routes and in the
//! reference page.

use super::code::{Code, words};
use super::{Finding, Tree};

const FOLDER: &str = "crates/broker/src/api/";
const PAGE: &str = "docs/reference/apis.md";

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let files = || tree.rust().filter(|(path, _)| path.starts_with(FOLDER));
    let mut handlers = Vec::new();
    let mut routes = Vec::new();
    let mut findings = Vec::new();
    for (path, text) in files() {
        let code = Code::of(text).code;
        routes.extend(routed(&code).map(|name| (path, name.to_owned())));
        if let Some(name) = handler(&code) {
            findings
                .extend(header_fault(name, text, &code).map(|fault| Finding::new(path, 1, fault)));
            handlers.push((path, name.to_owned()));
        }
    }
    let page = tree.get(PAGE).unwrap_or_default();
    for (path, name) in &handlers {
        if !routes.iter().any(|(_, routed)| routed == name) {
            findings.push(Finding::new(
                path,
                0,
                format!("{name} has no row in ROUTES"),
            ));
        }
        if !words(page, name).any(|_| true) {
            findings.push(Finding::new(path, 0, format!("{name} is not in {PAGE}")));
        }
    }
    for (path, name) in &routes {
        if !handlers.iter().any(|(_, handler)| handler == name) {
            let message = format!("no file under {FOLDER} holds the handler {name}");
            findings.push(Finding::new(path, 0, message));
        }
    }
    findings
}

/// The type that the file implements `Handler` for.
fn handler(code: &str) -> Option<&str> {
    let after = code.split_once("impl Handler for ")?.1;
    after.split(|c: char| !c.is_alphanumeric()).next()
}

/// The types that `Route::of` is given.
fn routed(code: &str) -> impl Iterator<Item = &str> {
    code.split("Route::of::<").skip(1).filter_map(|after| {
        let path = after.split('>').next()?;
        path.rsplit("::").next().map(str::trim)
    })
}

/// What is wrong with the comment that the file begins with.
fn header_fault(name: &str, text: &str, code: &str) -> Option<String> {
    let mut lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let first = lines.next().unwrap_or_default();
    let Some(versions) = Versions::of_header(first, name) else {
        return Some(format!(
            "begin with `//! {name}: vA-B.`, the served versions"
        ));
    };
    if let Some(served) = Versions::of_constant(code)
        && served != versions
    {
        return Some(format!(
            "the header says {versions:?}, SERVED says {served:?}"
        ));
    }
    if versions.first != versions.last && !lines.any(speaks_of_a_version) {
        return Some("say in lines `//! - vN: ...` what changed with which version".to_owned());
    }
    None
}

fn speaks_of_a_version(line: &str) -> bool {
    line.split_whitespace()
        .any(|word| Versions::of_word(word).is_some())
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Versions {
    first: u16,
    last: u16,
}

impl Versions {
    /// `Produce: v0-13.`, or with KIPs before the full stop.
    fn of_header(line: &str, name: &str) -> Option<Self> {
        let after = line.trim().strip_prefix(name)?.strip_prefix(':')?;
        after.ends_with('.').then(|| Self::of_word(after.trim()))?
    }

    fn of_word(word: &str) -> Option<Self> {
        let versions = word.strip_prefix('v')?;
        let end = versions.find(|c: char| !c.is_ascii_digit() && c != '-');
        Self::parse(&versions[..end.unwrap_or(versions.len())], "-")
    }

    /// `const SERVED: ... = 0..=13;`, where it is written in numbers.
    fn of_constant(code: &str) -> Option<Self> {
        let after = code.split_once("const SERVED")?.1.split_once(';')?.0;
        Self::parse(
            after
                .rsplit_once('=')
                .and_then(|_| after.split_once(" = "))?
                .1,
            "..=",
        )
    }

    fn parse(text: &str, between: &str) -> Option<Self> {
        let (first, last) = text.split_once(between).unwrap_or((text, text));
        Some(Self {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
        })
    }
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "v{}", self.first)
        } else {
            write!(f, "v{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    const ROUTES: &str = "static ROUTES: &[Route] = &[Route::of::<fetch::Fetch>()];";

    fn fetch(header: &str) -> String {
        format!(
            "{header}\nimpl Handler for Fetch {{\n    const SERVED: RangeInclusive<i16> = 4..=18;\n}}"
        )
    }

    #[track_caller]
    fn check(header: &str, routes: &str, page: &str, expected: &[&str]) {
        let tree = Tree::of(&[
            ("crates/broker/src/api/mod.rs", routes),
            ("crates/broker/src/api/fetch.rs", &fetch(header)),
            (PAGE, page),
        ]);
        let expected: Vec<String> = expected
            .iter()
            .map(|fault| format!("crates/broker/src/api/{fault}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_findings(&findings(&tree), &expected);
    }

    #[test]
    fn a_handler_says_what_it_serves() {
        for header in [
            "//! Fetch: v4-18.\n//!\n//! - v7: sessions.",
            "//! Fetch: v4-18 (KIP-227).\n//! v12-13: topic ids. v14, v15: none.",
        ] {
            check(header, ROUTES, "| Fetch |", &[]);
        }
        let missing = "fetch.rs:1: begin with `//! Fetch: vA-B.`, the served versions";
        for header in [
            "",
            "//! Fetching.",
            "//! Produce: v4-18.",
            "//! Fetch: 4-18.",
        ] {
            check(header, ROUTES, "| Fetch |", &[missing]);
        }
    }

    #[test]
    fn the_header_agrees_with_the_code() {
        check(
            "//! Fetch: v4-17.\n//! - v7: sessions.",
            ROUTES,
            "| Fetch |",
            &["fetch.rs:1: the header says v4-17, SERVED says v4-18"],
        );
        check(
            "//! Fetch: v4-18.",
            ROUTES,
            "| Fetch |",
            &["fetch.rs:1: say in lines `//! - vN: ...` what changed with which version"],
        );
    }

    #[test]
    fn handlers_are_routed_and_on_the_page() {
        let header = "//! Fetch: v4-18.\n//! - v7: sessions.";
        check(
            header,
            "",
            "| Fetch |",
            &["fetch.rs:0: Fetch has no row in ROUTES"],
        );
        check(
            header,
            ROUTES,
            "| FetchSnapshot |",
            &["fetch.rs:0: Fetch is not in docs/reference/apis.md"],
        );
    }

    #[test]
    fn a_route_leads_to_a_handler() {
        let tree = Tree::of(&[("crates/broker/src/api/mod.rs", ROUTES)]);
        assert_findings(
            &findings(&tree),
            &[
                "crates/broker/src/api/mod.rs:0: no file under crates/broker/src/api/ holds the handler Fetch",
            ],
        );
    }
}
