//! Walks the entries of one commit file, and finds the way back to them behind
//! bytes that are none.

use std::io;

use bytes::Bytes;

use super::entry::{Entry, Found, Front, HEADER_SIZE, NoEntry, Position};
use super::file::CommitFile;

/// How much is read at a time, at least.
const WINDOW: usize = 1024 * 1024;

/// Owned by whoever walks.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    file: &'a CommitFile,
    length: u64,
    at: u32,
    window: Bytes,
    window_at: u32,
    /// Known once it was asked for.
    written_end: Option<u64>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(file: &'a CommitFile, at: u32) -> io::Result<Self> {
        Ok(Self {
            file,
            length: file.length()?,
            at,
            window: Bytes::new(),
            window_at: at,
            written_end: None,
        })
    }

    /// Where the next entry is looked for.
    pub(crate) const fn position(&self) -> Position {
        Position {
            file: self.file.number,
            at: self.at,
        }
    }

    /// The next entry; the scanner stays where it is when there is none.
    pub(crate) fn next(&mut self) -> io::Result<Result<Found, NoEntry>> {
        let found = self.look()?;
        if let Ok(found) = &found {
            self.at += found.size;
        }
        Ok(found)
    }

    /// Moves on to the next place behind this one where an entry begins; false if
    /// there is none.
    pub(crate) fn resync(&mut self) -> io::Result<bool> {
        // Most of a file that is not full was never written. What is read of that
        // counts as written from then on, so it is asked once.
        let end = match self.written_end {
            Some(end) => end,
            None => self.file.written_end(u64::from(self.at))?,
        };
        self.written_end = Some(end);
        while u64::from(self.at) + (HEADER_SIZE as u64) < end {
            self.at += 1;
            let window = self.bytes(HEADER_SIZE)?;
            let Some(ahead) = window.iter().position(|byte| *byte == b'O') else {
                self.at += u32::try_from(window.len().saturating_sub(1))
                    .expect("a window is not longer than a file");
                continue;
            };
            self.at += u32::try_from(ahead).expect("a window is not longer than a file");
            if self.look()?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the front at this place leads exactly to `end`, and whose entry it
    /// claims to be.
    pub(crate) fn claim_up_to(&mut self, end: u32) -> io::Result<Option<crate::LogId>> {
        let bytes = self.bytes(HEADER_SIZE)?;
        let front = Front::parse(&bytes, self.file.number).ok();
        let fitting = front.filter(|front| self.at.checked_add(front.size) == Some(end));
        Ok(fitting.map(|front| front.log))
    }

    pub(crate) const fn rewind(&mut self, at: u32) {
        self.at = at;
    }

    fn look(&mut self) -> io::Result<Result<Found, NoEntry>> {
        let bytes = self.bytes(HEADER_SIZE)?;
        let front = match Front::parse(&bytes, self.file.number) {
            Ok(front) => front,
            Err(none) => return Ok(Err(none)),
        };
        if u64::from(self.at) + u64::from(front.size) > self.length {
            return Ok(Err(NoEntry::Length));
        }
        let size = usize::try_from(front.size).expect("a file is not longer than memory");
        let bytes = self.bytes(size)?;
        if bytes.len() < size {
            return Ok(Err(NoEntry::Length));
        }
        Ok(front.verify(&bytes.slice(..size)))
    }

    /// At least `count` bytes from here on, or all up to the file's end.
    fn bytes(&mut self, count: usize) -> io::Result<Bytes> {
        let skip = self
            .at
            .checked_sub(self.window_at)
            .map(|skip| skip as usize);
        if let Some(skip) = skip
            && skip.saturating_add(count) <= self.window.len()
        {
            return Ok(self.window.slice(skip..));
        }
        self.window = self.file.read(self.at, count.max(WINDOW))?;
        self.window_at = self.at;
        Ok(self.window.clone())
    }
}

/// Whether the file ends as one that was followed by another.
pub(crate) fn is_seal(found: &Found) -> bool {
    found.entry == Entry::Seal
}
