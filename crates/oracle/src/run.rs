//! Runs cases: records what Apache Kafka answers, compares what Ottla does.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use crate::broker::{Broker, Program, Setting, root};
use crate::case::Case;
use crate::differences::Differences;
use crate::session::Session;
use crate::transcript::{self, Difference, Step};

/// Where the expected transcript of a case is kept.
pub fn golden(case: &Case) -> PathBuf {
    let directory = root().join("crates/oracle/golden").join(case.group);
    directory.join(format!("{}.txt", case.name))
}

/// The transcripts of all cases on one program, in the order of the cases.
///
/// # Errors
/// If a broker cannot be started.
pub fn transcripts(program: Program, cases: &[Case]) -> anyhow::Result<Vec<Vec<Step>>> {
    let mut found: Vec<Option<Vec<Step>>> = cases.iter().map(|_| None).collect();
    for at in 0..cases.len() {
        if found[at].is_some() {
            continue;
        }
        let first = &cases[at];
        let broker = start(program, first.settings)?;
        for (case, steps) in cases.iter().zip(&mut found).skip(at) {
            let shares = case.settings == first.settings && !case.is_alone && !first.is_alone;
            if steps.is_none() && (shares || std::ptr::eq(case, first)) {
                *steps = Some(transcript(&broker, case));
            }
        }
    }
    Ok(found.into_iter().flatten().collect())
}

fn start(program: Program, settings: &[Setting]) -> anyhow::Result<Broker> {
    Broker::start(program, settings).with_context(|| format!("starting {program:?}"))
}

fn transcript(broker: &Broker, case: &Case) -> Vec<Step> {
    let mut session = Session::new(broker, &case.name);
    if let Err(why) = (case.steps)(&mut session) {
        session.break_off(&why);
    }
    session.into_steps()
}

/// Writes what Apache Kafka answers into the golden files.
///
/// # Errors
/// If Kafka cannot be started, or a file not written.
pub fn record(cases: &[Case], out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut is_complete = true;
    for (case, steps) in cases.iter().zip(transcripts(Program::Kafka, cases)?) {
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
        let is_new = fs::read_to_string(&path).is_ok_and(|old| old == text);
        if !is_new {
            writeln!(out, "writing {}", path.display())?;
            fs::write(path, text)?;
        }
    }
    Ok(is_complete)
}

/// Compares Ottla with the golden files, or with Apache Kafka while it runs.
///
/// # Errors
/// If a broker cannot be started, or a golden file is missing.
pub fn compare(cases: &[Case], with_kafka: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let expected: Vec<Vec<Step>> = if with_kafka {
        transcripts(Program::Kafka, cases)?
    } else {
        cases
            .iter()
            .map(read_golden)
            .collect::<anyhow::Result<_>>()?
    };
    let actual = transcripts(Program::Ottla, cases)?;
    let text = fs::read_to_string(root().join("docs/differences.md"))?;
    let listed = Differences::read(&text).context("in docs/differences.md")?;
    let mut tally = Tally::default();
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
    let paths: Vec<String> = cases.iter().map(Case::path).collect();
    for line in listed.unseen(&paths) {
        writeln!(
            out,
            "docs/differences.md:{line}: nothing differs like this any more"
        )?;
        tally.gone += 1;
    }
    writeln!(
        out,
        "{} cases, {} steps, {} fields compared: {} listed differences, {} unlisted, {} listed that no longer show",
        cases.len(),
        tally.steps,
        tally.fields,
        tally.known,
        tally.new,
        tally.gone,
    )?;
    Ok(tally.new == 0 && tally.gone == 0)
}

#[derive(Debug, Default)]
struct Tally {
    steps: usize,
    fields: usize,
    known: usize,
    new: usize,
    gone: usize,
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
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
        let (kafka, ottla) = (side(&difference.expected), side(&difference.actual));
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

/// The cases whose path holds one of the words; all of them without a word.
pub fn chosen(words: &[&str]) -> Vec<Case> {
    let is_chosen = |case: &Case| {
        let path = case.path();
        words.is_empty() || words.iter().any(|word| path.contains(word))
    };
    crate::cases::all().into_iter().filter(is_chosen).collect()
}
