//! What the writer does for the rewrite job: it alone knows the files, and it alone
//! changes the index.

use std::sync::Arc;

use super::{Fatal, Room, SEAL_BYTES, Writer};
use crate::commit::remover::Dead;
use crate::rewrite::{JobCommand, Moves, Survey};

/// The file that is begun when little is written.
const FILE_BYTES_RESTED: u32 = 1024 * 1024;

impl Writer {
    pub(super) fn serve(&mut self, command: JobCommand) -> Result<(), Fatal> {
        match command {
            JobCommand::Survey(answer) => {
                self.finish_group()?;
                let survey = self.survey()?;
                let _gone = answer.send(survey);
            }
            JobCommand::Move(moves, answer) => {
                self.relocate(&moves)?;
                let _gone = answer.send(());
            }
            JobCommand::Seal(answer) => {
                self.seal()?;
                let _gone = answer.send(());
            }
            JobCommand::Rest(answer) => {
                self.rest()?;
                let _gone = answer.send(());
            }
        }
        Ok(())
    }

    /// How things stand. What is sealed becomes ready for rewriting by a flush of the
    /// index, which is begun here if need be.
    fn survey(&mut self) -> Result<Survey, Fatal> {
        if self.synced.file < self.active.file.number {
            self.begin_sync()?;
        }
        if self.flushed.file < self.synced.file && self.flushing.is_none() {
            self.begin_flush()?;
        }
        Ok(Survey {
            files: self.fold.files().clone(),
            end: self.end(),
            capacity: self.active.capacity,
            flushed: self.flushed.file,
            file_bytes: self.options.file_bytes,
            spares: self.spares.len(),
            next_sorted: self.fold.next_sorted(),
        })
    }

    fn relocate(&mut self, moves: &Arc<Moves>) -> Result<(), Fatal> {
        let Some(log) = self.shared.logs.get(moves.log) else {
            return Ok(());
        };
        if self.shared.file(moves.target).is_none() {
            return Ok(());
        }
        if self.fold.conflicts(log.id, true) {
            self.finish_group()?;
        }
        // A copy is durable, and must not outlive what was written before it.
        if moves.rows.iter().any(|row| row.from >= self.synced) {
            self.finish_group()?;
            self.sync_all()?;
        }
        if let Err(error) = self.fold.relocate(&self.shared.index, &log, moves) {
            self.do_without(&log, error)?;
        }
        Ok(())
    }

    /// Gives back the space that is kept for what may never be written: spare files,
    /// and the rest of the active file, which is sealed and followed by a small one.
    fn rest(&mut self) -> Result<(), Fatal> {
        self.remove_spares()?;
        let small = FILE_BYTES_RESTED.min(self.options.file_bytes);
        if self.active.at == 0 || self.active.capacity <= small {
            return Ok(());
        }
        self.seal()
    }

    fn remove_spares(&mut self) -> Result<(), Fatal> {
        for spare in std::mem::take(&mut self.spares) {
            self.discard(Dead::Spare(spare))?;
        }
        Ok(())
    }

    /// Ends a file before it is full. The next one may end as early, so it is no larger
    /// than it must be.
    fn seal(&mut self) -> Result<(), Fatal> {
        if u64::from(self.options.file_bytes) > self.fold.live_bytes() {
            self.remove_spares()?;
        }
        self.first_bytes = FILE_BYTES_RESTED;
        self.finish_group()?;
        let sealed = self.active.file.clone();
        let end = self.active.at + SEAL_BYTES;
        if self.roll(SEAL_BYTES)? == Room::Found {
            sealed.shorten(end)?;
        }
        Ok(())
    }
}
