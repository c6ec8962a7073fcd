//! What happened in a run: one event a line, fields parted by tabs.
//!
//! It must not know librdkafka, nor what is wrong about a history.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// One partition of the run's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Log(pub(crate) u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Offset(pub(crate) i64);

impl Offset {
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a record says. No two sends of a run have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Value(pub(crate) u64);

/// One client, which does one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process(pub(crate) u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group(pub(crate) u32);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Microseconds since the run began.
    pub(crate) at: u64,
    pub(crate) process: Process,
    pub(crate) what: What,
}

/// What a log's offsets look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offsets {
    /// Every offset has a record.
    Dense,
    /// Some have none: control records, or records that compaction took.
    Sparse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Producer {
    Idempotent,
    Plain,
}

/// A record as a consumer received it; no value if it is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) log: Log,
    pub(crate) offset: Offset,
    pub(crate) value: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Run {
        seed: u64,
        offsets: Offsets,
    },
    /// For people: a fault, an error that a client met.
    Note(String),
    /// The process is a producer.
    Producer(Producer),
    Send {
        log: Log,
        value: Value,
    },
    /// The broker said that it has the record. A duplicate's acknowledgement
    /// has no offset.
    Acked {
        log: Log,
        offset: Option<Offset>,
        value: Value,
    },
    /// The record is certainly not in the log.
    Failed {
        value: Value,
    },
    /// The transaction of the record was aborted.
    Aborted {
        value: Value,
    },
    /// The record may be in the log.
    Unknown {
        value: Value,
    },
    /// The process is a consumer that belongs to the group.
    Member(Group),
    /// The process reads these logs from now on, from the offset if it is known.
    Assign(Vec<(Log, Option<Offset>)>),
    /// And these no longer.
    Revoke(Vec<Log>),
    Poll(Vec<Polled>),
    /// The process asks to commit.
    Commit(Vec<(Log, Offset)>),
    /// What it asked for last is committed.
    Committed,
    /// What it asked for last may be committed.
    Uncommitted,
    /// The process asks what is committed.
    Ask(Group),
    /// The answer.
    Answer(Vec<(Log, Option<Offset>)>),
    /// All polls of the process together are the whole log, at the end.
    Final {
        log: Log,
        start: Offset,
        end: Offset,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t", self.at, self.process.0)?;
        match &self.what {
            What::Run { seed, offsets } => write!(f, "run\t{seed}\t{}", offsets.word()),
            What::Note(text) => write!(f, "note\t{}", text.replace(['\t', '\n'], " ")),
            What::Producer(producer) => write!(f, "producer\t{}", producer.word()),
            What::Send { log, value } => write!(f, "send\t{}\t{}", log.0, value.0),
            What::Acked { log, offset, value } => {
                write!(f, "acked\t{}\t{}\t{}", log.0, or_dash(*offset), value.0)
            }
            What::Failed { value } => write!(f, "failed\t{}", value.0),
            What::Aborted { value } => write!(f, "aborted\t{}", value.0),
            What::Unknown { value } => write!(f, "unknown\t{}", value.0),
            What::Member(group) => write!(f, "member\t{}", group.0),
            What::Assign(starts) => write_all(f, "assign", starts, write_start),
            What::Revoke(logs) => write_all(f, "revoke", logs, |f, log| write!(f, "{}", log.0)),
            What::Poll(records) => write_all(f, "poll", records, |f, record| {
                let value = record.value.map(|value| value.0.to_string());
                let value = value.as_deref().unwrap_or("?");
                write!(f, "{}@{}={value}", record.log.0, record.offset.0)
            }),
            What::Commit(offsets) => write_all(f, "commit", offsets, |f, (log, offset)| {
                write!(f, "{}@{}", log.0, offset.0)
            }),
            What::Committed => write!(f, "committed"),
            What::Uncommitted => write!(f, "uncommitted"),
            What::Ask(group) => write!(f, "ask\t{}", group.0),
            What::Answer(offsets) => write_all(f, "answer", offsets, write_start),
            What::Final { log, start, end } => {
                write!(f, "final\t{}\t{}\t{}", log.0, start.0, end.0)
            }
        }
    }
}

impl FromStr for Event {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().context("a field is missing");
        let at = next()?.parse()?;
        let process = Process(next()?.parse()?);
        let verb = next()?;
        let rest: Vec<&str> = fields.collect();
        let what = what(verb, &rest).with_context(|| format!("in the line {line:?}"))?;
        Ok(Self { at, process, what })
    }
}

fn what(verb: &str, rest: &[&str]) -> Result<What> {
    Ok(match (verb, rest) {
        ("run", [seed, offsets]) => What::Run {
            seed: seed.parse()?,
            offsets: Offsets::of_word(offsets)?,
        },
        ("note", text) => What::Note(text.join("\t")),
        ("producer", [word]) => What::Producer(Producer::of_word(word)?),
        ("send", [log, value]) => What::Send {
            log: Log(log.parse()?),
            value: Value(value.parse()?),
        },
        ("acked", [log, offset, value]) => What::Acked {
            log: Log(log.parse()?),
            offset: dash_or(offset)?,
            value: Value(value.parse()?),
        },
        ("failed", [value]) => What::Failed {
            value: Value(value.parse()?),
        },
        ("aborted", [value]) => What::Aborted {
            value: Value(value.parse()?),
        },
        ("unknown", [value]) => What::Unknown {
            value: Value(value.parse()?),
        },
        ("member", [group]) => What::Member(Group(group.parse()?)),
        ("assign", starts) => What::Assign(parse_all(starts, parse_start)?),
        ("revoke", logs) => What::Revoke(parse_all(logs, |log| Ok(Log(log.parse()?)))?),
        ("poll", records) => What::Poll(parse_all(records, parse_polled)?),
        ("commit", offsets) => What::Commit(parse_all(offsets, |word| {
            let (log, offset) = parse_start(word)?;
            Ok((log, offset.context("a commit has an offset")?))
        })?),
        ("committed", []) => What::Committed,
        ("uncommitted", []) => What::Uncommitted,
        ("ask", [group]) => What::Ask(Group(group.parse()?)),
        ("answer", offsets) => What::Answer(parse_all(offsets, parse_start)?),
        ("final", [log, start, end]) => What::Final {
            log: Log(log.parse()?),
            start: Offset(start.parse()?),
            end: Offset(end.parse()?),
        },
        _ => bail!("no event is called {verb:?} and has {} fields", rest.len()),
    })
}

impl Offsets {
    fn word(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }

    fn of_word(word: &str) -> Result<Self> {
        Ok(match word {
            "dense" => Self::Dense,
            "sparse" => Self::Sparse,
            _ => bail!("offsets are dense or sparse, not {word:?}"),
        })
    }
}

impl Producer {
    fn word(self) -> &'static str {
        match self {
            Self::Idempotent => "idempotent",
            Self::Plain => "plain",
        }
    }

    fn of_word(word: &str) -> Result<Self> {
        Ok(match word {
            "idempotent" => Self::Idempotent,
            "plain" => Self::Plain,
            _ => bail!("a producer is idempotent or plain, not {word:?}"),
        })
    }
}

fn write_all<T>(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    items: &[T],
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(verb)?;
    for item in items {
        f.write_str("\t")?;
        one(f, item)?;
    }
    Ok(())
}

fn write_start(f: &mut fmt::Formatter<'_>, (log, offset): &(Log, Option<Offset>)) -> fmt::Result {
    write!(f, "{}@{}", log.0, or_dash(*offset))
}

fn or_dash(offset: Option<Offset>) -> String {
    offset.map_or_else(|| "-".to_owned(), |offset| offset.0.to_string())
}

fn parse_all<T>(words: &[&str], one: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    words.iter().map(|word| one(word)).collect()
}

fn parse_start(word: &str) -> Result<(Log, Option<Offset>)> {
    let (log, offset) = word.split_once('@').context("LOG@OFFSET is meant")?;
    Ok((Log(log.parse()?), dash_or(offset)?))
}

fn parse_polled(word: &str) -> Result<Polled> {
    let (place, value) = word.split_once('=').context("LOG@OFFSET=VALUE is meant")?;
    let (log, offset) = place.split_once('@').context("LOG@OFFSET=VALUE is meant")?;
    Ok(Polled {
        log: Log(log.parse()?),
        offset: Offset(offset.parse()?),
        value: match value {
            "?" => None,
            value => Some(Value(value.parse()?)),
        },
    })
}

fn dash_or(word: &str) -> Result<Option<Offset>> {
    match word {
        "-" => Ok(None),
        offset => Ok(Some(Offset(offset.parse()?))),
    }
}

/// A history from its file.
pub(crate) fn parse(text: &str) -> Result<Vec<Event>> {
    let lines = text.lines().zip(1_usize..);
    lines
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| line.parse().with_context(|| format!("line {number}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_as_it_was_written() {
        let text = "\
0\t0\trun\t7\tdense
1\t0\tnote\tthe power is gone
2\t1\tproducer\tidempotent
2\t2\tproducer\tplain
3\t1\tsend\t0\t4294967296
4\t1\tacked\t0\t12\t4294967296
4\t1\tacked\t0\t-\t4294967297
5\t1\tfailed\t8
5\t1\taborted\t9
5\t1\tunknown\t10
6\t3\tmember\t1
7\t3\tassign\t0@12\t1@-
8\t3\tpoll\t0@12=4294967296\t0@13=?
9\t3\tcommit\t0@14
10\t3\tcommitted
10\t3\tuncommitted
11\t3\trevoke\t0\t1
12\t4\task\t1
13\t4\tanswer\t0@14\t1@-
14\t5\tfinal\t0\t0\t14
15\t5\tpoll";
        let written: Vec<String> = parse(text).unwrap().iter().map(Event::to_string).collect();
        assert_eq!(written.join("\n"), text);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let error = parse("0\t0\trun\t7\tdense\n1\t0\tsing").unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2: in the line"));
    }
}
