//! Scripts for machines: lines that go in, and the trace that is expected to
//! come out. Knows nothing of any machine.
//!
//! A file is a sequence of blocks with an empty line between them. A block is
//! comments, commands, the line `----`, and the trace that those commands make:
//!
//! ```text
//! # A second member waits for the first.
//! join member=a topics=[x y]
//! join member=b topics=[x]
//! ----
//! parked a
//! parked b
//! ```
//!
//! All blocks of one file drive one machine. `UPDATE_EXPECT=1` rewrites the
//! traces in place.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a script drives: a machine with whatever it needs around it.
pub trait Script {
    /// Carries out one command and describes everything that came out, one line
    /// each. A command that it does not know ends in [`Command::unknown`].
    fn run(&mut self, command: &Command<'_>, trace: &mut Vec<String>);
}

/// Runs every `*.txt` under `dir`, each on a fresh machine, and panics with all
/// traces that differ from what the files expect.
pub fn run_scripts<S: Script>(dir: impl AsRef<Path>, mut fresh: impl FnMut() -> S) {
    let paths = script_paths(dir.as_ref());
    assert!(!paths.is_empty(), "no scripts in {:?}", dir.as_ref());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a script is readable");
        let actual = replay(&path, &text, &mut fresh());
        if actual == text {
            continue;
        }
        if update {
            fs::write(&path, actual).expect("a script is writable");
        } else {
            describe_difference(&path, &text, &actual, &mut failures);
        }
    }
    assert!(
        failures.is_empty(),
        "{failures}\nUPDATE_EXPECT=1 rewrites the traces"
    );
}

/// One line of a script: a verb, plain words, and `key=value` pairs, where a
/// value with spaces stands in brackets. Every argument must be asked for, so
/// that a misspelt one does not pass unseen.
#[derive(Debug)]
pub struct Command<'a> {
    line: &'a str,
    verb: &'a str,
    arguments: Vec<&'a str>,
    asked: RefCell<Vec<bool>>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = words(line);
        assert!(!words.is_empty(), "a command without a verb");
        let verb = words.remove(0);
        let asked = RefCell::new(vec![false; words.len()]);
        Self {
            line,
            verb,
            arguments: words,
            asked,
        }
    }

    pub fn verb(&self) -> &'a str {
        self.verb
    }

    /// The value of `key=value`, without its brackets.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.find(|argument| argument.strip_prefix(key)?.strip_prefix('='))
            .map(without_brackets)
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &str) -> &'a str {
        self.get(key)
            .unwrap_or_else(|| panic!("no {key}= in {:?}", self.line))
    }

    /// The value of `key=value`, read as a `T`.
    pub fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key).map(|value| {
            value
                .parse()
                .unwrap_or_else(|_| panic!("{key}={value} does not parse in {:?}", self.line))
        })
    }

    /// The value of `key=value` read as a `T`, or `default` where it is absent.
    pub fn or<T: FromStr>(&self, key: &str, default: T) -> T {
        self.parsed(key).unwrap_or(default)
    }

    /// The words of `key=[a b c]`; none where it is absent.
    pub fn list(&self, key: &str) -> Vec<&'a str> {
        self.get(key).map(words).unwrap_or_default()
    }

    /// Whether the plain word is among the arguments.
    pub fn has(&self, word: &str) -> bool {
        self.find(|argument| (argument == word).then_some(argument))
            .is_some()
    }

    /// The first plain word that nobody asked for yet.
    pub fn word(&self) -> &'a str {
        let mut asked = self.asked.borrow_mut();
        let (argument, asked) = self
            .arguments
            .iter()
            .zip(asked.iter_mut())
            .find(|(argument, asked)| !**asked && !argument.contains('='))
            .unwrap_or_else(|| panic!("a word is missing in {:?}", self.line));
        *asked = true;
        argument
    }

    /// Ends the test: no such verb.
    pub fn unknown(&self) -> ! {
        panic!("unknown command {:?}", self.line)
    }

    fn find(&self, pick: impl Fn(&'a str) -> Option<&'a str>) -> Option<&'a str> {
        let mut asked = self.asked.borrow_mut();
        self.arguments
            .iter()
            .zip(asked.iter_mut())
            .find_map(|(argument, asked)| {
                let value = pick(argument)?;
                *asked = true;
                Some(value)
            })
    }

    fn assert_used_up(&self) {
        let asked = self.asked.borrow();
        for (argument, asked) in self.arguments.iter().zip(asked.iter()) {
            assert!(asked, "nobody asked for {argument:?} in {:?}", self.line);
        }
    }
}

fn script_paths(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir:?}: {error}")) {
            let path = entry.expect("a directory is readable").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
}

/// The script's text with the traces that this run made.
fn replay<S: Script>(path: &Path, text: &str, script: &mut S) -> String {
    let mut actual = String::new();
    let blocks = text.split("\n\n").map(|block| block.trim_matches('\n'));
    for block in blocks.filter(|block| !block.is_empty()) {
        if !actual.is_empty() {
            actual.push('\n');
        }
        let input = block
            .lines()
            .take_while(|line| *line != "----")
            .collect::<Vec<_>>();
        let mut trace = Vec::new();
        for line in &input {
            actual.push_str(line);
            actual.push('\n');
            run_line(path, line, script, &mut trace);
        }
        if block.lines().any(|line| line == "----") || !trace.is_empty() {
            actual.push_str("----\n");
        }
        for line in trace {
            assert!(
                !line.trim().is_empty(),
                "an empty line in a trace ends its block"
            );
            writeln!(actual, "{line}").expect("a string takes any text");
        }
    }
    actual
}

fn run_line<S: Script>(path: &Path, line: &str, script: &mut S, trace: &mut Vec<String>) {
    if line.starts_with('#') {
        return;
    }
    let command = Command::parse(line);
    // The place is known only here, so it is said before a panic can come.
    let guard = SayWhere { path, line };
    script.run(&command, trace);
    command.assert_used_up();
    drop(guard);
}

/// Names the script's line when a step panics.
struct SayWhere<'a> {
    path: &'a Path,
    line: &'a str,
}

impl Drop for SayWhere<'_> {
    #[expect(
        clippy::print_stderr,
        reason = "a panic on its way cannot carry this text"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}: {}", self.path.display(), self.line);
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => (),
        }
        depth == 0 && c.is_whitespace()
    })
    .filter(|word| !word.is_empty())
    .collect()
}

fn without_brackets(value: &str) -> &str {
    value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(value)
}

fn describe_difference(path: &Path, expected: &str, actual: &str, out: &mut String) {
    let first = expected
        .lines()
        .zip(actual.lines())
        .take_while(|(expected, actual)| expected == actual)
        .count();
    let around = first.saturating_sub(6);
    writeln!(out, "{}:{}", path.display(), first + 1).expect("a string takes any text");
    for (mark, text) in [("-", expected), ("+", actual)] {
        for line in text.lines().skip(around).take(16) {
            writeln!(out, "  {mark} {line}").expect("a string takes any text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds numbers and says the sum.
    #[derive(Default)]
    struct Sum(i64);

    impl Script for Sum {
        fn run(&mut self, command: &Command<'_>, trace: &mut Vec<String>) {
            match command.verb() {
                "add" => {
                    let numbers = command.list("numbers");
                    self.0 += numbers
                        .iter()
                        .map(|n| n.parse::<i64>().unwrap())
                        .sum::<i64>();
                    trace.push(format!("sum {}", self.0));
                }
                "quiet" => self.0 += command.or("by", 1),
                _ => command.unknown(),
            }
        }
    }

    fn check(script: &str, expected: &str) {
        let actual = replay(Path::new("inline"), script, &mut Sum::default());
        assert_eq!(actual, expected);
    }

    #[test]
    fn traces_are_rewritten_and_all_else_is_kept() {
        check(
            "# Two lines.\nadd numbers=[1 2]\nadd numbers=3\n----\nwrong\n\n\nquiet\n\nadd numbers=[]\n",
            "# Two lines.\nadd numbers=[1 2]\nadd numbers=3\n----\nsum 3\nsum 6\n\nquiet\n\nadd numbers=[]\n----\nsum 7\n",
        );
    }

    #[test]
    #[should_panic(expected = "nobody asked for \"bye=3\"")]
    fn a_misspelt_argument_is_refused() {
        check("quiet bye=3\n", "");
    }

    #[test]
    fn a_difference_is_shown_with_its_line() {
        let mut out = String::new();
        describe_difference(Path::new("a.txt"), "x\ny\n", "x\nz\n", &mut out);
        assert_eq!(out, "a.txt:2\n  - x\n  - y\n  + x\n  + z\n");
    }
}
