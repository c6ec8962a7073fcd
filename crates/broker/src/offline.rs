//! What the program does without serving.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use ottla_base::{Offset, TopicId, TopicPartition};
use ottla_controller::{METADATA_TOPIC, Record};
use ottla_store::rocks::{self, DumpRow, Entry, Fault, OpenError, Place, Position, Progress};

use crate::cli::{Check, Dump, Format, Info};
use crate::data_dir::fresh_id;
use crate::format;
use crate::topics::METADATA_TOPIC_ID;

/// Why a data directory could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the commit log cannot be read: {0}")]
    Read(io::Error),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    #[error("there is nothing of {0}: name a topic as clients do, or by its id")]
    Absent(String),
}

/// `ottla random-uuid`: a fresh id in Kafka's form.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn random_uuid() -> ExitCode {
    println!("{}", fresh_id());
    ExitCode::SUCCESS
}

/// `ottla format`.
pub fn format(request: &Format) -> ExitCode {
    exit(format::format(request, &mut io::stdout()).map(|()| true))
}

/// `ottla info`.
pub fn info(request: &Info) -> ExitCode {
    exit(format::info(request, &mut io::stdout()))
}

/// `ottla check`: fails if anything is wrong.
pub fn check(request: &Check) -> ExitCode {
    exit(unless_nobody_reads(try_check(request)))
}

/// `ottla dump`.
pub fn dump(request: &Dump) -> ExitCode {
    exit(unless_nobody_reads(try_dump(request)))
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn exit(outcome: Result<bool, impl Display>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Who reads the first lines only, as `head` does, has what they wanted.
fn unless_nobody_reads(outcome: Result<bool, LookError>) -> Result<bool, LookError> {
    match outcome {
        Err(LookError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        outcome => outcome,
    }
}

fn try_check(request: &Check) -> Result<bool, LookError> {
    let bar = bar();
    let report = rocks::check(&request.data, &mut |Progress { done, total }| {
        bar.set_length(total.0);
        bar.set_position(done.0);
    });
    bar.finish_and_clear();
    let report = report?;
    let mut out = io::stdout().lock();
    if report.faults.is_empty() {
        writeln!(
            out,
            "{} batches of {} partitions are sound",
            report.batches, report.logs
        )?;
        return Ok(true);
    }
    let names = names(&request.data)?;
    for Fault { place, what } in &report.faults {
        match place {
            Place::IndexCopy => write!(out, "index.copy")?,
            Place::Entry(Position { file, at }) => {
                write!(out, "commit/{} at {at}", file.file_name())?;
            }
            Place::File(number) => write!(out, "commit/{}", number.file_name())?,
            Place::Partition(partition) => write!(out, "{}", names.partition(*partition))?,
            Place::Batch { partition, base } => {
                write!(out, "{} offset {base}", names.partition(*partition))?;
            }
        }
        writeln!(out, ": {what}")?;
    }
    writeln!(
        out,
        "{} faults. A partition with a damaged batch stays offline when the broker starts: restore the \
         directory from a copy, or delete the topic",
        report.faults.len()
    )?;
    Ok(false)
}

/// Shown where standard error is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} to go");
    ProgressBar::new(0).with_style(style.expect("the template is right"))
}

fn try_dump(request: &Dump) -> Result<bool, LookError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut names = Names::default();
    let mut is_known = request.topic.is_none();
    for row in rocks::dump(&request.data)? {
        let row = row.map_err(LookError::Read)?;
        names.learn(&row);
        if !is_wanted(request, &names, &row) {
            continue;
        }
        is_known |= row.partition.is_some();
        let (position, what) = (row.position, row.what());
        match row.partition {
            Some(partition) => {
                writeln!(out, "{position} {} {what}", names.partition(partition))?;
            }
            None => writeln!(out, "{position} {} {what}", row.log)?,
        }
    }
    out.flush()?;
    match (&request.topic, request.partition) {
        _ if is_known => Ok(true),
        (Some(topic), Some(partition)) => Err(LookError::Absent(format!("{topic}-{partition}"))),
        (topic, _) => Err(LookError::Absent(topic.clone().unwrap_or_default())),
    }
}

/// Damage is always shown: whose it was is not known.
fn is_wanted(request: &Dump, names: &Names, row: &DumpRow) -> bool {
    let Some(TopicPartition { topic, partition }) = row.partition else {
        return row.entry.is_err() || request.topic.is_none();
    };
    let wants = request.topic.as_ref();
    if !wants.is_none_or(|wanted| *wanted == names.topic(topic) || *wanted == topic.to_string()) {
        return false;
    }
    if request
        .partition
        .is_some_and(|wanted| wanted != partition.0)
    {
        return false;
    }
    match (&row.entry, request.offset) {
        (Ok(Entry::Batch(batch)), Some(from)) => batch.header().last_offset() >= Offset(from),
        (Ok(_) | Err(_), _) => true,
    }
}

/// What topics are called, as far as the metadata log was read. It names a topic
/// before the topic has a log.
#[derive(Debug, Default)]
struct Names(BTreeMap<TopicId, String>);

fn names(directory: &Path) -> Result<Names, LookError> {
    let mut names = Names::default();
    for row in rocks::dump(directory)? {
        names.learn(&row.map_err(LookError::Read)?);
    }
    Ok(names)
}

impl Names {
    fn learn(&mut self, row: &DumpRow) {
        let is_metadata = row
            .partition
            .is_some_and(|tp| tp.topic == METADATA_TOPIC_ID);
        if !is_metadata {
            return;
        }
        let records = match &row.entry {
            Ok(Entry::Batch(entry)) => ottla_quorum::records_in(entry),
            Ok(Entry::State { key, value }) => ottla_quorum::records_in_state(key, value.clone()),
            // What cannot be read names nobody; `check` says what is damaged.
            Ok(_) | Err(_) => return,
        };
        for record in records {
            if let Record::Topic(topic) = record {
                self.0.insert(topic.id, topic.name.to_string());
            }
        }
    }

    fn topic(&self, id: TopicId) -> String {
        match self.0.get(&id) {
            Some(name) => name.clone(),
            None if id == METADATA_TOPIC_ID => METADATA_TOPIC.to_owned(),
            None => id.to_string(),
        }
    }

    fn partition(&self, TopicPartition { topic, partition }: TopicPartition) -> String {
        format!("{}-{partition}", self.topic(topic))
    }
}
