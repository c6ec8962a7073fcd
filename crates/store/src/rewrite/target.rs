//! A sorted file in the making.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::records::RecordBatch;

use crate::LogId;
use crate::commit::disk::Disk;
use crate::commit::entry::{Entry, FileNumber, HEADER_SIZE, Outgoing, Position};
use crate::commit::file::CommitFile;

/// What is collected before it is written.
const WRITE_BYTES: usize = 1024 * 1024;
/// What is written before it is made durable: the disk should not get more at once
/// than it takes while somebody's append waits for it.
const SYNC_BYTES: u32 = 8 * 1024 * 1024;

/// Owned by the job until it is sealed.
#[derive(Debug)]
pub(crate) struct Target {
    file: Arc<CommitFile>,
    disk: Disk,
    /// Entries that are not written yet; they go to `written`.
    outgoing: Outgoing,
    written: u32,
    synced: u32,
}

impl Target {
    pub(crate) fn create(disk: &Disk, dir: &Path, number: FileNumber) -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(CommitFile::create_growing(disk, dir, number)?),
            disk: disk.clone(),
            outgoing: Outgoing::default(),
            written: 0,
            synced: 0,
        })
    }

    pub(crate) fn number(&self) -> FileNumber {
        self.file.number
    }

    /// How long the file will be.
    pub(crate) fn length(&self) -> u64 {
        u64::from(self.written) + self.outgoing.size() as u64
    }

    /// Adds a batch, and says where its entry will lie.
    pub(crate) fn push(&mut self, log: LogId, batch: RecordBatch) -> io::Result<u32> {
        let at = self.next()?;
        self.add(log, &Entry::Batch(batch));
        if self.outgoing.size() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(at)
    }

    /// Ends the file; all of it is durable when this returns.
    pub(crate) fn seal(mut self) -> io::Result<(Arc<CommitFile>, u32)> {
        self.add(LogId(0), &Entry::Seal);
        self.write()?;
        self.file.sync()?;
        Ok((self.file, self.written))
    }

    /// Takes the file back. Nobody knows of it.
    pub(crate) fn discard(self) -> io::Result<()> {
        self.file.retire(&self.disk, false).map(|_| ())
    }

    fn add(&mut self, log: LogId, entry: &Entry) {
        // Everything in here is durable before anybody looks for it.
        let number = self.file.number;
        self.outgoing.push(log, entry, number, Position::START);
    }

    fn next(&self) -> io::Result<u32> {
        u32::try_from(self.length()).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    fn write(&mut self) -> io::Result<()> {
        let end = self.next()?;
        self.file.write(self.outgoing.segments(), self.written)?;
        self.outgoing.clear();
        self.written = end;
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }
}

/// What a batch takes in a sorted file.
pub(crate) fn entry_bytes(batch: &RecordBatch) -> u64 {
    batch.size().0 + HEADER_SIZE as u64
}
