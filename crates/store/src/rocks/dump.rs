//! The commit log as rows to print.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ottla_base::TopicPartition;

use super::OpenError;
use super::inspect::Inspected;
use crate::LogId;
use crate::commit::disk::Disk;
use crate::commit::entry::{Entry, Found, NoEntry, Position};
use crate::commit::file::CommitFile;
use crate::commit::scan::Scanner;

/// One entry of the commit log, or a place that holds none.
#[derive(Clone, Debug)]
pub struct DumpRow {
    pub position: Position,
    pub log: LogId,
    /// None where the entry that names it is gone with its file.
    pub partition: Option<TopicPartition>,
    pub entry: Result<Entry, NoEntry>,
}

impl fmt::Display for DumpRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.position)?;
        match self.partition {
            Some(partition) => write!(f, "{partition} ")?,
            None => write!(f, "{} ", self.log)?,
        }
        self.what().fmt(f)
    }
}

impl DumpRow {
    /// What lies there, without the place and whose it is.
    pub fn what(&self) -> impl fmt::Display {
        What(&self.entry)
    }
}

struct What<'a>(&'a Result<Entry, NoEntry>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(Entry::Create(_)) => write!(f, "create"),
            Ok(Entry::Batch(batch)) => {
                let header = batch.header();
                write!(
                    f,
                    "batch offsets {}..{} records {} bytes {} epoch {} time {} attributes {:#06x}",
                    header.base_offset,
                    header.next_offset(),
                    header.record_count,
                    header.size.0,
                    header.leader_epoch,
                    header.max_timestamp,
                    header.attributes.0,
                )?;
                if header.has_producer() {
                    write!(
                        f,
                        " producer {} epoch {} sequence {}",
                        header.producer_id, header.producer_epoch, header.base_sequence
                    )?;
                }
                Ok(())
            }
            Ok(Entry::Truncate(to)) => write!(f, "truncate to {to}"),
            Ok(Entry::StartOffset(to)) => write!(f, "start at {to}"),
            Ok(Entry::Drop) => write!(f, "drop"),
            Ok(Entry::State { key, value }) => {
                write!(f, "state \"{}\" bytes {}", key.escape_ascii(), value.len())
            }
            Ok(Entry::Seal) => write!(f, "seal"),
            Err(none) => write!(f, "DAMAGED: {none}"),
        }
    }
}

/// Every entry, in the order in which they were written.
pub fn dump(dir: &Path) -> Result<Dump, OpenError> {
    let Inspected { files, known, .. } = Inspected::open(&Disk::Real, dir)?;
    let logs = known.logs.iter();
    Ok(Dump {
        partitions: logs.map(|(id, row)| (*id, row.tp)).collect(),
        files: files.into_values().collect(),
        at: 0,
        ready: VecDeque::new(),
    })
}

/// Walks a store's entries. Owned by whoever prints them.
#[derive(Debug)]
pub struct Dump {
    partitions: BTreeMap<LogId, TopicPartition>,
    /// What is still to be walked.
    files: VecDeque<Arc<CommitFile>>,
    at: u32,
    ready: VecDeque<DumpRow>,
}

/// Entries that are read at a time.
const STEP_ENTRIES: usize = 256;

impl Iterator for Dump {
    type Item = std::io::Result<DumpRow>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let file = self.files.front()?.clone();
            if let Err(error) = self.read_some(&file) {
                self.files.clear();
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

impl Dump {
    fn read_some(&mut self, file: &CommitFile) -> std::io::Result<()> {
        let mut scanner = Scanner::new(file, self.at)?;
        for _ in 0..STEP_ENTRIES {
            let position = scanner.position();
            let none = match scanner.next()? {
                Ok(found) => {
                    self.take(position, found);
                    continue;
                }
                Err(none) => none,
            };
            if none != NoEntry::Nothing {
                self.ready.push_back(DumpRow {
                    position,
                    log: LogId(0),
                    partition: None,
                    entry: Err(none),
                });
            }
            if !scanner.resync()? {
                self.files.pop_front();
                self.at = 0;
                return Ok(());
            }
        }
        self.at = scanner.position().at;
        Ok(())
    }

    fn take(&mut self, position: Position, found: Found) {
        if let Entry::Create(tp) = found.entry {
            self.partitions.insert(found.log, tp);
        }
        self.ready.push_back(DumpRow {
            position,
            log: found.log,
            partition: self.partitions.get(&found.log).copied(),
            entry: Ok(found.entry),
        });
    }
}
