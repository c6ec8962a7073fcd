//! The history while it grows: in memory and in its file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::history::{Event, Process, What};

/// What the run itself says is said by this process.
const RUN: Process = Process(0);

/// Shared by all clients, which take the lock for one event at a time.
#[derive(Debug)]
pub(super) struct Recorder {
    begun: Instant,
    next: AtomicU32,
    acked: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    events: Vec<Event>,
    file: BufWriter<File>,
    /// Why the file is not complete.
    failure: Option<io::Error>,
}

impl Record {
    /// A run that is killed because it does not end leaves what was noted last.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        writeln!(self.file, "{event}")?;
        if matches!(event.what, What::Note(_)) {
            self.file.flush()?;
        }
        Ok(())
    }
}

impl Recorder {
    pub(super) fn create(file: &Path) -> Result<Self> {
        let created = File::create(file).with_context(|| format!("creating {}", file.display()))?;
        Ok(Self {
            begun: Instant::now(),
            next: AtomicU32::new(RUN.0 + 1),
            acked: AtomicU64::new(0),
            record: Mutex::new(Record {
                events: Vec::new(),
                file: BufWriter::new(created),
                failure: None,
            }),
        })
    }

    /// Another client.
    pub(super) fn process(&self) -> Process {
        Process(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn run(&self, what: What) {
        self.event(RUN, what);
    }

    pub(super) fn note(&self, process: Process, text: &str) {
        self.event(process, What::Note(text.to_owned()));
    }

    pub(super) fn event(&self, process: Process, what: What) {
        if matches!(what, What::Acked { .. }) {
            self.acked.fetch_add(1, Ordering::Relaxed);
        }
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the order of lines is the order of times.
        let at = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = Event { at, process, what };
        if let Err(error) = record.write(&event) {
            record.failure.get_or_insert(error);
        }
        record.events.push(event);
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// The whole history; what happens later is in none.
    pub(super) fn finish(&self) -> Result<Vec<Event>> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = record.failure.take() {
            return Err(failure).context("writing the history");
        }
        record.file.flush().context("writing the history")?;
        Ok(std::mem::take(&mut record.events))
    }
}
