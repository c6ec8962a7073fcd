//! What was asked and what was answered, as text that people read and diffs show.
//!
//! ```text
//! # A sentence about what comes.
//! a> Metadata v5-8 { Topics: [{ Name: "~t" }] }
//!   Brokers[0].NodeId = 1
//! ```
//!
//! A step begins in the first column; what came of it is indented, one field a
//! line. A path that begins with a dot continues that of the line before it,
//! up to its last dot. Steps that differ in nothing but the version stand together.

use std::fmt::Write;

use anyhow::{Context, ensure};

/// One field of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub path: String,
    pub value: String,
}

/// One request with its answer, or a remark.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    pub title: Title,
    pub lines: Vec<Line>,
}

/// What stands in a step's first column, split where versions may be put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Title {
    /// Up to the version, as in `a> Metadata`.
    pub before: String,
    pub version: Option<i16>,
    /// Behind the version: the request.
    pub after: String,
}

impl Title {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            before: text.into(),
            ..Self::default()
        }
    }

    /// What a difference in this step is listed under: the API and its version.
    pub fn short(&self) -> String {
        let name = self.before.split_once(' ').map_or(&*self.before, |it| it.1);
        match self.version {
            Some(version) => format!("{name} v{version}"),
            None => name.to_owned(),
        }
    }
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            Some(version) => write!(f, "{} v{version}{}", self.before, self.after),
            None => write!(f, "{}", self.before),
        }
    }
}

/// Steps as they are kept in a file.
pub fn write(steps: &[Step]) -> String {
    let mut out = String::new();
    let mut rest = steps;
    while let Some(first) = rest.first() {
        let count = 1 + rest
            .windows(2)
            .take_while(|pair| continues(&pair[0], &pair[1]))
            .count();
        let last = &rest[count - 1];
        let title = &first.title;
        match (title.version, last.title.version) {
            (Some(low), Some(high)) if low != high => {
                let _ = writeln!(out, "{} v{low}-{high}{}", title.before, title.after);
            }
            _ => {
                let _ = writeln!(out, "{title}");
            }
        }
        let mut parent = "";
        for line in &first.lines {
            let shown = match line.path.rsplit_once('.') {
                Some((front, _)) if front == parent => &line.path[front.len()..],
                _ => &line.path,
            };
            parent = line.path.rsplit_once('.').map_or("", |(front, _)| front);
            let _ = writeln!(out, "  {shown} = {}", line.value);
        }
        rest = &rest[count..];
    }
    out
}

/// Whether nothing but the version is new.
fn continues(one: &Step, next: &Step) -> bool {
    let (Some(version), Some(next_version)) = (one.title.version, next.title.version) else {
        return false;
    };
    next_version == version + 1
        && one.title.before == next.title.before
        && one.title.after == next.title.after
        && one.lines == next.lines
}

/// Steps as they were written.
///
/// # Errors
/// If the text is no transcript.
pub fn read(text: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    // How many steps the last title stood for.
    let mut same = 0;
    for line in text.lines() {
        if let Some(field) = line.strip_prefix("  ") {
            let (path, value) = field
                .split_once(" = ")
                .with_context(|| format!("no field: {line:?}"))?;
            ensure!(same > 0, "a field comes before any step");
            let at = steps.len() - same;
            let before = steps[at].lines.last();
            let path = match before.and_then(|before| before.path.rsplit_once('.')) {
                Some((parent, _)) if path.starts_with('.') => format!("{parent}{path}"),
                _ => path.to_owned(),
            };
            for step in &mut steps[at..] {
                step.lines.push(Line {
                    path: path.clone(),
                    value: value.to_owned(),
                });
            }
        } else {
            let titles = titles(line);
            same = titles.len();
            steps.extend(titles.into_iter().map(|title| Step {
                title,
                lines: Vec::new(),
            }));
        }
    }
    Ok(steps)
}

fn titles(line: &str) -> Vec<Title> {
    versions(line).unwrap_or_else(|| vec![Title::text(line)])
}

/// The titles of `a> Name v1-3 ...`; none if the line has another form.
fn versions(line: &str) -> Option<Vec<Title>> {
    let mut words = line.splitn(4, ' ');
    let (connection, name, versions) = (words.next()?, words.next()?, words.next()?);
    if !connection.ends_with(['<', '>']) {
        return None;
    }
    let numbers = versions.strip_prefix('v')?;
    let (low, high) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let after = words
        .next()
        .map(|rest| format!(" {rest}"))
        .unwrap_or_default();
    let title = |version| Title {
        before: format!("{connection} {name}"),
        version: Some(version),
        after: after.clone(),
    };
    let (low, high): (i16, i16) = (low.parse().ok()?, high.parse().ok()?);
    Some((low..=high).map(title).collect())
}

/// One way in which two transcripts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The API with its version, and the field: `Metadata v5/Brokers[0].NodeId`.
    pub place: String,
    /// The whole title, for people.
    pub title: String,
    pub expected: Option<String>,
    pub actual: Option<String>,
}

/// Everything in which `actual` is not as `expected`.
pub fn compare(expected: &[Step], actual: &[Step]) -> Vec<Difference> {
    let mut found = Vec::new();
    for at in 0..expected.len().max(actual.len()) {
        match (expected.get(at), actual.get(at)) {
            (Some(one), Some(other)) => compare_steps(one, other, &mut found),
            (Some(step), None) => found.push(whole_step(step, "(asked)", "(never asked)")),
            (None, Some(step)) => found.push(whole_step(step, "(never asked)", "(asked)")),
            (None, None) => {}
        }
    }
    found
}

fn whole_step(step: &Step, expected: &str, actual: &str) -> Difference {
    Difference {
        place: format!("{}/(step)", step.title.short()),
        title: step.title.to_string(),
        expected: Some(expected.to_owned()),
        actual: Some(actual.to_owned()),
    }
}

fn compare_steps(expected: &Step, actual: &Step, found: &mut Vec<Difference>) {
    let title = &expected.title;
    if *title != actual.title {
        found.push(Difference {
            place: format!("{}/(request)", title.short()),
            title: title.to_string(),
            expected: Some(title.to_string()),
            actual: Some(actual.title.to_string()),
        });
    }
    let mut difference = |path: &str, expected: Option<&Line>, actual: Option<&Line>| {
        found.push(Difference {
            place: format!("{}/{path}", title.short()),
            title: title.to_string(),
            expected: expected.map(|line| line.value.clone()),
            actual: actual.map(|line| line.value.clone()),
        });
    };
    for line in &expected.lines {
        let other = actual.lines.iter().find(|other| other.path == line.path);
        if other.is_none_or(|other| other.value != line.value) {
            difference(&line.path, Some(line), other);
        }
    }
    for line in &actual.lines {
        if !expected.lines.iter().any(|other| other.path == line.path) {
            difference(&line.path, None, Some(line));
        }
    }
    let paths =
        |step: &Step| -> Vec<String> { step.lines.iter().map(|line| line.path.clone()).collect() };
    let (mut one, mut other) = (paths(expected), paths(actual));
    if one != other {
        one.sort();
        other.sort();
        // The same fields in another order.
        if one == other {
            difference("(order)", None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# Who is there.
a> Metadata v0 { Topics: [] }
  Brokers[0].NodeId = 1
a> Metadata v1-3 { Topics: [] }
  Brokers[0].NodeId = 1
  .Rack = null
  Brokers[1].NodeId = 2
a> bytes 0x00
  answer = closed
";

    #[test]
    fn what_is_written_reads_the_same() {
        let steps = read(TEXT).unwrap();
        assert_eq!(steps.len(), 6);
        assert_eq!(steps[3].title.version, Some(2));
        assert_eq!(write(&steps), TEXT);
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[(&str, Option<&str>, Option<&str>)]) {
        let steps = read(TEXT).unwrap();
        let other = read(&TEXT.replacen(from, to, 1)).unwrap();
        let found = compare(&steps, &other);
        let found: Vec<_> = found
            .iter()
            .map(|it| (&*it.place, it.expected.as_deref(), it.actual.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        check("NodeId = 1", "NodeId = 1", &[]);
        check(
            "NodeId = 1",
            "NodeId = 2",
            &[("Metadata v0/Brokers[0].NodeId", Some("1"), Some("2"))],
        );
        let rack = "  .Rack = null\n";
        check(
            rack,
            "",
            &[
                ("Metadata v1/Brokers[0].Rack", Some("null"), None),
                ("Metadata v2/Brokers[0].Rack", Some("null"), None),
                ("Metadata v3/Brokers[0].Rack", Some("null"), None),
            ],
        );
        check(
            "  answer = closed\n",
            "  answer = closed\n  more = 1\n",
            &[("bytes 0x00/more", None, Some("1"))],
        );
        check(
            "v1-3 { Topics: [] }\n  Brokers[0].NodeId = 1\n  .Rack = null",
            "v1-3 { Topics: [] }\n  Brokers[0].Rack = null\n  .NodeId = 1",
            &[
                ("Metadata v1/(order)", None, None),
                ("Metadata v2/(order)", None, None),
                ("Metadata v3/(order)", None, None),
            ],
        );
        check(
            "a> bytes 0x00\n  answer = closed\n",
            "",
            &[("bytes 0x00/(step)", Some("(asked)"), Some("(never asked)"))],
        );
    }
}
