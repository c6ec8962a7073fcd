//! The job, step by step: what it does between two steps is nothing, so a test can
//! end the world there.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::choice::{Choice, choose, should_rest};
use super::copying::{Copied, CopyError, Copying, Parcel, Progress, parcels};
use super::target::Target;
use super::{JobCommand, Survey};
use crate::commit::entry::{FileNumber, Position};
use crate::commit::file::is_full;
use crate::commit::space::Space;
use crate::queue::Command;
use crate::rocks::index::IndexError;
use crate::rocks::shared::Shared;

/// What is written in less than [`JobOptions::idle_after`] without anybody being
/// said to write.
const IDLE_BYTES: u32 = 256 * 1024;

/// How the job works.
#[derive(Clone, Debug)]
pub(crate) struct JobOptions {
    pub(crate) space: Space,
    /// When so long next to nothing was written, unused space is given back.
    pub(crate) idle_after: Duration,
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
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Choosing,
    Copying(Round, Copying),
    Moving(Round, Copied),
}

/// What is being rewritten together.
#[derive(Debug)]
struct Round {
    choice: Choice,
    /// What was not copied yet.
    parcels: VecDeque<Parcel>,
    file_bytes: u32,
    bytes: u64,
    began: Instant,
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
        }
    }

    /// Does a little. After an error it begins anew.
    pub(crate) fn step(&mut self) -> Result<Step, JobError> {
        match std::mem::take(&mut self.stage) {
            Stage::Choosing => self.begin(),
            Stage::Copying(round, copying) => self.copy(round, copying),
            Stage::Moving(round, copied) => self.change_index(round, copied),
        }
    }

    fn begin(&mut self) -> Result<Step, JobError> {
        let survey = self.ask(JobCommand::Survey)?;
        self.next_sorted = self.next_sorted.max(survey.next_sorted);
        self.forget_unused(&survey)?;
        let is_left = |number: &FileNumber| {
            let row = survey.files.get(number);
            row.is_some_and(|row| row.live_pieces > 0)
        };
        self.stubborn.extend(self.tried.drain(..).filter(is_left));
        if let Some(choice) = choose(&survey, &self.stubborn) {
            self.tried.clone_from(&choice.files);
            let files: BTreeSet<FileNumber> = choice.files.iter().copied().collect();
            let round = Round {
                parcels: parcels(&self.shared, &files)?,
                choice,
                file_bytes: survey.file_bytes,
                bytes: 0,
                began: Instant::now(),
            };
            return self.next_target(round);
        }
        self.rest_if_idle(&survey)
    }

    /// Targets that no batch came to rest in.
    fn forget_unused(&self, survey: &Survey) -> Result<(), JobError> {
        for number in self.shared.sorted_files() {
            if !survey.files.contains_key(&number)
                && let Some(file) = self.shared.remove_file(number)
            {
                file.retire(false)?;
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
        let size = round.file_bytes;
        if self.options.space.fitting(size, size)?.is_none() {
            tracing::debug!("the disk has no room for a copy of what is live");
            return Ok(Step::Waiting);
        }
        let number = FileNumber::sorted(self.next_sorted);
        self.next_sorted += 1;
        let target = Target::create(&self.shared.commit_dir, number)?;
        let copying = Copying::new(target, size.into());
        self.stage = Stage::Copying(round, copying);
        Ok(Step::Worked { bytes: 0 })
    }

    fn copy(&mut self, mut round: Round, mut copying: Copying) -> Result<Step, JobError> {
        match copying.step(&self.shared, &mut round.parcels) {
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
                Err(error.into())
            }
        }
    }

    fn change_index(&mut self, round: Round, mut copied: Copied) -> Result<Step, JobError> {
        if let Some(moves) = copied.chunks.pop_front() {
            self.ask(|answer| JobCommand::Move(moves, answer))?;
            self.stage = Stage::Moving(round, copied);
        } else if round.parcels.is_empty() {
            round.report();
        } else {
            return self.next_target(round);
        }
        Ok(Step::Worked { bytes: 0 })
    }

    /// Waits for the writer's answer.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> JobCommand) -> Result<T, JobError> {
        let (answer, answered) = channel();
        if !self.shared.queue.push(Command::Job(command(answer))) {
            return Err(JobError::Ended);
        }
        self.shared.queue.wake();
        answered.recv().map_err(|_| JobError::Ended)
    }
}

impl Round {
    fn report(&self) {
        tracing::info!(
            reason = self.choice.reason.name(),
            files = self.choice.files.len(),
            bytes = self.bytes,
            took_ms = self.began.elapsed().as_millis(),
            "files of the log were rewritten"
        );
    }
}
