//! The job, step by step: what it does between two steps is nothing, so a test can
//! end the world there.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
#[cfg(any(test, feature = "testing"))]
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ottla_base::Offset;

use super::choice::{Choice, choose, should_rest};
use super::compacting::{Candidates, Due, Learned, Learning};
use super::copying::{Copied, CopyError, Copying, Parcel, Progress, parcels};
use super::target::Target;
use super::{JobCommand, Purpose, Survey};
use crate::LogId;
use crate::commit::disk::Disk;
use crate::commit::entry::{FileNumber, Position};
use crate::commit::file::is_full;
use crate::commit::space;
#[cfg(any(test, feature = "testing"))]
use crate::commit::writer::{Writer, locked};
use crate::compaction::Pass;
use crate::queue::Command;
use crate::rocks::index::IndexError;
use crate::rocks::shared::Shared;

/// What is written in less than [`JobOptions::idle_after`] without anybody being
/// said to write.
const IDLE_BYTES: u32 = 256 * 1024;

/// Files that a compacted log lies in, unless they would be smaller than the least or
/// larger than a whole one.
const COMPACTED_PARTS: u64 = 6;
const PART_BYTES_MIN: u32 = 1024 * 1024;
/// For so long the job waits for dead files to go.
const FREED_WITHIN: Duration = Duration::from_secs(5);

/// How the job works.
#[derive(Clone, Debug)]
pub(crate) struct JobOptions {
    pub(crate) disk: Disk,
    /// When so long next to nothing was written, unused space is given back.
    pub(crate) idle_after: Duration,
    /// Who answers where the writer has no thread of its own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) writer: Option<Arc<Mutex<Writer>>>,
}

/// Owned by whoever lets it work.
#[derive(Debug)]
pub(crate) struct Job {
    shared: Arc<Shared>,
    options: JobOptions,
    stage: Stage,
    /// Where the commit log ended when something was written last, and when.
    written: (Position, Instant),
    next_sorted: u32,
    /// Files that a rewrite did not empty, because a log in them is damaged or was
    /// cut meanwhile. They are left alone until the next start.
    stubborn: BTreeSet<FileNumber>,
    /// What the last round was to empty.
    tried: Vec<FileNumber>,
    candidates: Candidates,
    /// Whether the last round compacted a log.
    has_compacted: bool,
    /// Size of a whole file.
    file_bytes: u32,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Choosing,
    /// A log that is to be compacted: its keys are read.
    Learning(Learning),
    Copying(Round, Copying),
    Moving(Round, Copied),
    /// What was copied since then goes before more is copied.
    Freeing(Round, Instant),
}

/// What is being rewritten together.
#[derive(Debug)]
struct Round {
    purpose: Rewrite,
    /// What was not copied yet.
    parcels: VecDeque<Parcel>,
    bytes: u64,
    began: Instant,
}

#[derive(Debug)]
enum Rewrite {
    Files(Choice),
    Log(LogId, Box<Pass>),
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were read and written.
    Worked { bytes: u64 },
    /// Nothing is to be done, and soon nothing will be.
    Idle,
    /// Nothing can be done yet.
    Waiting,
}

/// Why the job does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("the store has ended")]
    Ended,
    #[error("{0}")]
    Copy(#[from] CopyError),
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::Copy(error.into())
    }
}

impl From<IndexError> for JobError {
    fn from(error: IndexError) -> Self {
        Self::Copy(error.into())
    }
}

impl Job {
    pub(crate) fn new(shared: Arc<Shared>, options: JobOptions) -> Self {
        Self {
            shared,
            options,
            stage: Stage::Choosing,
            written: (Position::START, Instant::now()),
            next_sorted: 1,
            stubborn: BTreeSet::new(),
            tried: Vec::new(),
            candidates: Candidates::default(),
            has_compacted: false,
            file_bytes: 0,
        }
    }

    /// Does a little. After an error it begins anew.
    pub(crate) fn step(&mut self) -> Result<Step, JobError> {
        match std::mem::take(&mut self.stage) {
            Stage::Choosing => self.begin(),
            Stage::Learning(learning) => self.learn(learning),
            Stage::Copying(round, copying) => self.copy(round, copying),
            Stage::Moving(round, copied) => self.change_index(round, copied),
            Stage::Freeing(round, since) => self.await_space(round, since),
        }
    }

    fn begin(&mut self) -> Result<Step, JobError> {
        if self.shared.index.is_damaged() {
            // Where batches were moved to would be forgotten at the next start.
            return Ok(Step::Idle);
        }
        let survey = self.ask(JobCommand::Survey)?;
        self.next_sorted = self.next_sorted.max(survey.next_sorted);
        self.file_bytes = survey.file_bytes;
        self.forget_unused(&survey)?;
        let is_left = |number: &FileNumber| {
            let row = survey.files.get(number);
            row.is_some_and(|row| row.live_pieces > 0)
        };
        self.stubborn.extend(self.tried.drain(..).filter(is_left));
        let due = self.candidates.dirtiest(&self.shared)?;
        let last_file = match &due {
            Some(due) => due.last_file(&self.shared)?,
            None => None,
        };
        let is_ready = last_file.is_some_and(|file| file < survey.flushed);
        let choice = choose(&survey, &self.stubborn);
        // Compaction makes garbage, so the two take turns.
        let compacts = is_ready && (choice.is_none() || !self.has_compacted);
        self.has_compacted = compacts;
        match (due, choice) {
            (Some(due), _) if compacts => Ok(self.begin_learning(due)),
            (_, Some(choice)) => self.begin_files(choice),
            (Some(_), None) => {
                // What is to be compacted lies in the file that is being written, or in
                // one that a replay may read for a little while.
                if last_file.is_some_and(|file| file == survey.end.file) {
                    self.ask(JobCommand::Seal)?;
                }
                Ok(Step::Waiting)
            }
            (None, None) => self.rest_if_idle(&survey),
        }
    }

    fn begin_files(&mut self, choice: Choice) -> Result<Step, JobError> {
        self.tried.clone_from(&choice.files);
        let files: BTreeSet<FileNumber> = choice.files.iter().copied().collect();
        let parcels = parcels(&self.shared, &files)?;
        self.next_target(Round {
            purpose: Rewrite::Files(choice),
            parcels,
            bytes: 0,
            began: Instant::now(),
        })
    }

    fn begin_learning(&mut self, due: Due) -> Step {
        let memory = self.shared.rewriting().keys_memory.0;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        self.stage = Stage::Learning(Learning::new(due, memory));
        Step::Worked { bytes: 0 }
    }

    fn learn(&mut self, mut learning: Learning) -> Result<Step, JobError> {
        let log = learning.due.log;
        match learning.step(&self.shared) {
            Ok(Learned::Some(bytes)) => {
                self.stage = Stage::Learning(learning);
                Ok(Step::Worked { bytes })
            }
            Ok(Learned::All) => match learning.finish(&self.shared)? {
                Some(pass) => self.begin_compacting(log, pass),
                None => {
                    tracing::warn!(
                        log = log.0,
                        "a batch has more keys than log.cleaner.dedupe.buffer.size has room for, so its log is not compacted"
                    );
                    self.candidates.give_up(log);
                    Ok(Step::Worked { bytes: 0 })
                }
            },
            Ok(Learned::Failed) => Ok(Step::Worked { bytes: 0 }),
            Err(error) => Err(self.on_copy_error(Some(log), error)),
        }
    }

    fn begin_compacting(&mut self, log: LogId, pass: Pass) -> Result<Step, JobError> {
        let parcel = Parcel {
            log,
            first: Offset::ZERO,
            last: pass.latest.end().plus(-1),
        };
        self.next_target(Round {
            purpose: Rewrite::Log(log, Box::new(pass)),
            parcels: VecDeque::from([parcel]),
            bytes: 0,
            began: Instant::now(),
        })
    }

    /// A log whose batches cannot be understood is left alone, and the others go on.
    fn on_copy_error(&mut self, log: Option<LogId>, error: CopyError) -> JobError {
        match (&error, log) {
            (CopyError::Batch(_), Some(log)) => self.candidates.give_up(log),
            (CopyError::Batch(_) | CopyError::Io(_) | CopyError::Index(_), _) => {}
        }
        error.into()
    }

    /// Targets that no batch came to rest in.
    fn forget_unused(&self, survey: &Survey) -> Result<(), JobError> {
        for number in self.shared.sorted_files() {
            if !survey.files.contains_key(&number)
                && let Some(file) = self.shared.remove_file(number)
            {
                file.retire(&self.options.disk, false)?;
            }
        }
        Ok(())
    }

    fn rest_if_idle(&mut self, survey: &Survey) -> Result<Step, JobError> {
        let (seen, since) = self.written;
        let is_quiet = survey.end.file == seen.file && survey.end.at - seen.at < IDLE_BYTES;
        if !is_quiet {
            self.written = (survey.end, Instant::now());
        }
        let has_sealed = survey.flushed < survey.end.file;
        if !should_rest(survey) {
            return Ok(if has_sealed {
                Step::Waiting
            } else {
                Step::Idle
            });
        }
        if is_quiet && since.elapsed() >= self.options.idle_after {
            self.ask(JobCommand::Rest)?;
            tracing::debug!(
                "nothing is written, and unused space of the commit log was given back"
            );
        }
        Ok(Step::Waiting)
    }

    fn next_target(&mut self, round: Round) -> Result<Step, JobError> {
        let size = match &round.purpose {
            Rewrite::Files(_) => self.file_bytes,
            Rewrite::Log(log, _) => self.part_of(*log),
        };
        let (disk, dir) = (&self.options.disk, &self.shared.commit_dir);
        if space::fitting(disk, dir, size, size)?.is_none() {
            tracing::debug!("the disk has no room for a copy of what is live");
            return Ok(Step::Waiting);
        }
        let number = FileNumber::sorted(self.next_sorted);
        self.next_sorted += 1;
        let target = Target::create(disk, dir, number)?;
        let copying = Copying::new(target, size.into(), round.purpose());
        self.stage = Stage::Copying(round, copying);
        Ok(Step::Worked { bytes: 0 })
    }

    fn copy(&mut self, mut round: Round, mut copying: Copying) -> Result<Step, JobError> {
        let pass = match &round.purpose {
            Rewrite::Log(_, pass) => Some(&**pass),
            Rewrite::Files(_) => None,
        };
        match copying.step(&self.shared, &mut round.parcels, pass) {
            Ok(Progress::Copied(bytes)) => {
                round.bytes += bytes;
                self.stage = Stage::Copying(round, copying);
                Ok(Step::Worked { bytes })
            }
            Ok(Progress::Full) => {
                let copied = copying.seal(&self.shared)?;
                self.stage = Stage::Moving(round, copied);
                Ok(Step::Worked { bytes: 0 })
            }
            Err(CopyError::Io(error)) if is_full(&error) => {
                copying.discard()?;
                Ok(Step::Waiting)
            }
            Err(error) => {
                copying.discard()?;
                Err(self.on_copy_error(round.log(), error))
            }
        }
    }

    fn change_index(&mut self, round: Round, mut copied: Copied) -> Result<Step, JobError> {
        if let Some(moves) = copied.chunks.pop_front() {
            self.ask(|answer| JobCommand::Move(moves, answer))?;
            self.stage = Stage::Moving(round, copied);
        } else if round.parcels.is_empty() {
            round.report(&self.shared);
        } else {
            self.stage = Stage::Freeing(round, Instant::now());
        }
        Ok(Step::Worked { bytes: 0 })
    }

    /// A compacted log lies in a few files, so that a later pass takes the space of one of
    /// them beside that of the log, and not that of the whole log once more.
    fn part_of(&self, log: LogId) -> u32 {
        let log = self.shared.logs.get(log);
        let bytes = log.map_or(0, |log| log.state().row.size().0);
        let part = u32::try_from(bytes / COMPACTED_PARTS).unwrap_or(u32::MAX);
        part.max(PART_BYTES_MIN).min(self.file_bytes)
    }

    /// Goes on with the next target when no file is dead any more, or does not get there.
    fn await_space(&mut self, round: Round, since: Instant) -> Result<Step, JobError> {
        let survey = self.ask(JobCommand::Survey)?;
        let mut sealed = survey.files.range(..survey.end.file);
        let waits = sealed.any(|(_, row)| row.live_pieces == 0);
        if waits && since.elapsed() < FREED_WITHIN {
            self.stage = Stage::Freeing(round, since);
            return Ok(Step::Waiting);
        }
        self.next_target(round)
    }

    /// Waits for the writer's answer.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> JobCommand) -> Result<T, JobError> {
        let (answer, answered) = channel();
        if !self.shared.queue.push(Command::Job(command(answer))) {
            return Err(JobError::Ended);
        }
        self.shared.queue.wake();
        #[cfg(any(test, feature = "testing"))]
        if let Some(writer) = &self.options.writer {
            locked(writer).step();
        }
        answered.recv().map_err(|_| JobError::Ended)
    }
}

impl Round {
    const fn log(&self) -> Option<LogId> {
        match &self.purpose {
            Rewrite::Log(log, _) => Some(*log),
            Rewrite::Files(_) => None,
        }
    }

    const fn purpose(&self) -> Purpose {
        match &self.purpose {
            Rewrite::Log(..) => Purpose::Compact,
            Rewrite::Files(_) => Purpose::Copy,
        }
    }

    fn report(&self, shared: &Shared) {
        let (bytes, took_ms) = (self.bytes, self.began.elapsed().as_millis());
        match &self.purpose {
            Rewrite::Files(choice) => tracing::info!(
                reason = choice.reason.name(),
                files = choice.files.len(),
                bytes,
                took_ms,
                "files of the log were rewritten"
            ),
            Rewrite::Log(id, pass) => {
                let row = shared.logs.get(*id).map(|log| log.state().row);
                tracing::info!(
                    log = id.0,
                    partition = row.map(|row| row.tp.to_string()),
                    up_to = pass.latest.end().0,
                    bytes,
                    left = row.map(|row| row.size().0),
                    took_ms,
                    "a log was compacted"
                );
            }
        }
    }
}
