//! Runs cases: records what Apache Kafka answers, compares what Ottla does.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;

use crate::broker::{Broker, Program, root};
use crate::case::{Before, Case};
use crate::differences::Differences;
use crate::session::Session;
use crate::transcript::{self, Difference, Step};

/// Where the expected transcript of a case is kept.
pub fn golden(case: &Case) -> PathBuf {
    let directory = root().join("crates/oracle/golden").join(case.group);
    directory.join(format!("{}.txt", case.name))
}

/// Runs all cases on one program, those that share a broker one after the other,
/// and gives each one's transcript away.
///
/// # Errors
/// If a broker cannot be started, or whoever takes the transcripts fails.
fn run(
    program: Program,
    cases: &[Case],
    mut take: impl FnMut(usize, Vec<Step>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut is_done = vec![false; cases.len()];
    for at in 0..cases.len() {
        if is_done[at] {
            continue;
        }
        let first = &cases[at];
        let broker = start(program, first)?;
        for (other, case) in cases.iter().enumerate().skip(at) {
            let share = [case, first].map(|it| it.before) == [Before::Others; 2];
            let shares = share && case.settings == first.settings;
            if !is_done[other] && (shares || at == other) {
                is_done[other] = true;
                take(other, transcript(&broker, case))?;
            }
        }
    }
    Ok(())
}

/// The transcripts of all cases on one program, in the order of the cases.
fn transcripts(program: Program, cases: &[Case]) -> anyhow::Result<Vec<Vec<Step>>> {
    let mut found = vec![Vec::new(); cases.len()];
    run(program, cases, |at, steps| {
        found[at] = steps;
        Ok(())
    })?;
    Ok(found)
}

fn start(program: Program, case: &Case) -> anyhow::Result<Broker> {
    Broker::start(program, case.settings, case.before)
        .with_context(|| format!("starting {program:?}"))
}

fn transcript(broker: &Broker, case: &Case) -> Vec<Step> {
    let began = Instant::now();
    let mut session = Session::new(broker, &case.name);
    if let Err(why) = (case.steps)(&mut session) {
        session.break_off(&why);
    }
    let seconds = began.elapsed().as_secs();
    if seconds > 2 {
        let program = broker.program();
        let _ = writeln!(
            io::stderr(),
            "{} takes {seconds} s on {program:?}",
            case.path()
        );
    }
    session.into_steps()
}

/// Writes what Apache Kafka answers into the golden files.
///
/// # Errors
/// If Kafka cannot be started, or a file not written.
pub fn record(cases: &[Case], out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut is_complete = true;
    run(Program::Kafka, cases, |at, steps| {
        let case = &cases[at];
        let path = golden(case);
        let text = transcript::write(&steps);
        if let Some(ends) = text
            .lines()
            .find(|line| line.starts_with("# The case ends here"))
        {
            writeln!(out, "{}: {ends}", case.path())?;
            is_complete = false;
        }
        fs::create_dir_all(path.parent().context("it lies in a directory")?)?;
        let is_as_before = fs::read_to_string(&path).is_ok_and(|old| old == text);
        if !is_as_before {
            writeln!(out, "writing {}", path.display())?;
            fs::write(path, text)?;
        }
        Ok(())
    })?;
    Ok(is_complete)
}

/// What Ottla is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// What Apache Kafka answered when it was recorded.
    Golden,
    /// What it answers now.
    Live,
}

/// Compares Ottla with the golden files, or with Apache Kafka while it runs.
///
/// # Errors
/// If a broker cannot be started, or a golden file is missing.
pub fn compare(words: &[&str], truth: Truth, out: &mut dyn Write) -> anyhow::Result<bool> {
    let cases = &chosen(words, truth == Truth::Live);
    let mut tally = Tally::default();
    let expected: Vec<Vec<Step>> = match truth {
        Truth::Live => {
            let live = transcripts(Program::Kafka, cases)?;
            tally.stale = stale(cases, &live, out)?;
            live
        }
        Truth::Golden => {
            let read = cases.iter().map(read_golden);
            read.collect::<anyhow::Result<_>>()?
        }
    };
    let actual = transcripts(Program::Ottla, cases)?;
    let text = fs::read_to_string(root().join("docs/differences.md"))?;
    let listed = Differences::read(&text).context("in docs/differences.md")?;
    for ((case, expected), actual) in cases.iter().zip(&expected).zip(&actual) {
        tally.steps += expected.len();
        tally.fields += expected.iter().map(|step| step.lines.len()).sum::<usize>();
        let (known, new): (Vec<_>, Vec<_>) = transcript::compare(expected, actual)
            .into_iter()
            .partition(|difference| listed.holds(&case.path(), difference));
        tally.known += known.len();
        tally.new += new.len();
        show(&case.path(), &new, out)?;
    }
    // A choice of cases need not show every listed difference.
    if words.is_empty() {
        let paths: Vec<String> = cases.iter().map(Case::path).collect();
        for (line, pattern) in listed.unseen(&paths) {
            let what = format!("nothing differs like {pattern} any more");
            writeln!(out, "docs/differences.md:{line}: {what}")?;
            tally.gone += 1;
        }
    }
    writeln!(out, "{} cases, {tally}", cases.len())?;
    Ok(tally.new + tally.gone + tally.stale == 0)
}

/// How many cases Kafka answers otherwise than when it was recorded.
fn stale(cases: &[Case], live: &[Vec<Step>], out: &mut dyn Write) -> anyhow::Result<usize> {
    let mut count = 0;
    for (case, live) in cases.iter().zip(live) {
        let recorded = read_golden(case)?;
        let differences = transcript::compare(&recorded, live);
        for it in &differences {
            let (then, now) = (side(it.expected.as_ref()), side(it.actual.as_ref()));
            writeln!(
                out,
                "{}: Kafka answers otherwise than recorded",
                case.path()
            )?;
            writeln!(out, "  {}\n    then: {then}\n    now:  {now}", it.place)?;
        }
        count += usize::from(!differences.is_empty());
    }
    Ok(count)
}

fn side(value: Option<&String>) -> &str {
    value.map_or("(nothing)", String::as_str)
}

#[derive(Debug, Default)]
struct Tally {
    steps: usize,
    fields: usize,
    known: usize,
    new: usize,
    gone: usize,
    /// Cases in which Kafka answered otherwise than when it was recorded.
    stale: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, fields, .. } = self;
        write!(f, "{steps} steps, {fields} fields compared: ")?;
        write!(
            f,
            "{} listed differences, {} unlisted, ",
            self.known, self.new
        )?;
        write!(f, "{} listed that no longer show", self.gone)?;
        if self.stale > 0 {
            write!(
                f,
                "; Kafka answers {} cases otherwise than recorded",
                self.stale
            )?;
        }
        Ok(())
    }
}

fn read_golden(case: &Case) -> anyhow::Result<Vec<Step>> {
    let path = golden(case);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is missing: record it", path.display()))?;
    transcript::read(&text).with_context(|| format!("in {}", path.display()))
}

/// The differences of a case, under the steps in which they are.
fn show(case: &str, differences: &[Difference], out: &mut dyn Write) -> io::Result<()> {
    let mut title = None;
    for difference in differences {
        if title != Some(&difference.title) {
            title = Some(&difference.title);
            writeln!(out, "{case}: {}", difference.title)?;
        }
        let kafka = side(difference.expected.as_ref());
        let ottla = side(difference.actual.as_ref());
        writeln!(out, "  {}", difference.place)?;
        writeln!(out, "    kafka: {kafka}")?;
        writeln!(out, "    ottla: {ottla}")?;
    }
    Ok(())
}

/// Prints what one program answers.
///
/// # Errors
/// If it cannot be started.
pub fn print(program: Program, cases: &[Case], out: &mut dyn Write) -> anyhow::Result<bool> {
    for (case, steps) in cases.iter().zip(transcripts(program, cases)?) {
        writeln!(out, "## {}\n{}", case.path(), transcript::write(&steps))?;
    }
    Ok(true)
}

/// The cases whose path holds one of the words; all of them without a word. Those
/// that need Java are left out where there is none.
pub fn chosen(words: &[&str], has_java: bool) -> Vec<Case> {
    let is_chosen = |case: &Case| {
        if case.needs_java && !has_java {
            return false;
        }
        let path = case.path();
        words.is_empty() || words.iter().any(|word| path.contains(word))
    };
    crate::cases::all().into_iter().filter(is_chosen).collect()
}
