//! One file of the commit log: allocated before it is used, written in place,
//! read by many.
//!
//! Must not know what an entry is.

use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::disk::{Disk, Handle};
use super::entry::FileNumber;
use super::flush_first::FlushFirst;

/// Most segments that one call takes.
const SEGMENTS_MAX: usize = 1024;
/// What is asked of the disk at once where somebody's append may wait for it: a flush
/// takes its turn behind it.
const CALM_BYTES: usize = 128 * 1024;

#[derive(Debug)]
pub(crate) struct CommitFile {
    pub(crate) number: FileNumber,
    handle: Handle,
    path: PathBuf,
}

impl CommitFile {
    /// A new file of `size` bytes that exist on disk; made of `spare`, if there is
    /// one. Entries of the spare's former life have another number.
    pub(crate) fn create(
        disk: &Disk,
        dir: &Path,
        number: FileNumber,
        size: u32,
        spare: Option<&Path>,
    ) -> io::Result<Self> {
        let path = path_of(dir, number);
        let handle = match spare {
            Some(spare) => {
                disk.rename(spare, &path)?;
                disk.open(&path)?
            }
            None => disk.create(&path)?,
        };
        if let Err(error) = handle.allocate(0, u64::from(size)) {
            disk.remove(&path)?;
            return Err(error);
        }
        disk.sync_dir(dir)?;
        Ok(Self {
            number,
            handle,
            path,
        })
    }

    /// A new file that grows as it is written.
    pub(crate) fn create_growing(disk: &Disk, dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        let handle = disk.create(&path)?;
        disk.sync_dir(dir)?;
        Ok(Self {
            number,
            handle,
            path,
        })
    }

    /// What lies between these places exists on disk from now on.
    pub(crate) fn extend(&self, from: u32, to: u32) -> io::Result<()> {
        self.handle.allocate(u64::from(from), u64::from(to - from))
    }

    /// Gives back what was allocated behind `end`.
    pub(crate) fn shorten(&self, end: u32) -> io::Result<()> {
        self.handle.shorten(u64::from(end))
    }

    pub(crate) fn open(disk: &Disk, dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        Ok(Self {
            number,
            handle: disk.open(&path)?,
            path,
        })
    }

    pub(crate) fn open_read_only(disk: &Disk, dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        Ok(Self {
            number,
            handle: disk.open_read_only(&path)?,
            path,
        })
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        self.handle.length()
    }

    /// Empties everything from `end` on and makes the file at least `size` long, so
    /// that nothing that a crash left behind is ever taken for an entry.
    pub(crate) fn wipe_from(&self, end: u32, size: u32) -> io::Result<()> {
        let length = self.length()?.max(u64::from(size));
        let rest = length.saturating_sub(u64::from(end));
        if rest == 0 {
            return Ok(());
        }
        self.handle.empty(u64::from(end), rest)
    }

    /// Writes what can be read between `at` and `end` once more, so that the next sync
    /// saves it. It may have been written by a process whose sync failed: the system
    /// then takes for saved what is in memory only.
    pub(crate) fn write_again(&self, at: u32, end: u64) -> io::Result<()> {
        const STEP: u64 = 1024 * 1024;
        let mut at = at;
        while u64::from(at) < end {
            let length = (end - u64::from(at)).min(STEP);
            let bytes = self.read(at, usize::try_from(length).unwrap_or(usize::MAX))?;
            if bytes.is_empty() {
                return Ok(());
            }
            self.write(std::iter::once(&bytes[..]), at)?;
            at += u32::try_from(bytes.len()).expect("a step is short");
        }
        Ok(())
    }

    /// Writes the segments one behind the other, from `at` on.
    pub(crate) fn write<'a>(
        &self,
        segments: impl Iterator<Item = &'a [u8]>,
        at: u32,
    ) -> io::Result<()> {
        let mut at = u64::from(at);
        let mut slices: Vec<IoSlice<'_>> = segments.map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let count = left.len().min(SEGMENTS_MAX);
            let written = match self.handle.write(&left[..count], at) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            at += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.handle.sync()
    }

    /// `length` bytes from `at` on; fewer where the file ends.
    pub(crate) fn read(&self, at: u32, length: usize) -> io::Result<Bytes> {
        self.read_by(length, at, length, || ())
    }

    /// The same a little at a time, and each behind a flush that is under way.
    pub(crate) fn read_calmly(
        &self,
        flushes: &FlushFirst,
        at: u32,
        length: usize,
    ) -> io::Result<Bytes> {
        self.read_by(CALM_BYTES, at, length, || flushes.give_way())
    }

    fn read_by(
        &self,
        at_once: usize,
        at: u32,
        length: usize,
        await_turn: impl Fn(),
    ) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            await_turn();
            let end = length.min(filled + at_once);
            let from = u64::from(at) + filled as u64;
            match self.handle.read(&mut bytes[filled..end], from) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    /// `length` bytes from `at` on, if all of them are in memory. The system begins to
    /// read the first that are not.
    pub(crate) fn read_cached(&self, at: u32, length: usize) -> io::Result<Option<Bytes>> {
        let mut from = u64::from(at);
        // Old data is missing from its first byte on, and nothing is reserved for it.
        if self.handle.read_cached(&mut [0], from)? != Some(1) {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        for piece in bytes.chunks_mut(CALM_BYTES) {
            if self.handle.read_cached(piece, from)? != Some(piece.len()) {
                return Ok(None);
            }
            from += piece.len() as u64;
        }
        Ok(Some(bytes.into()))
    }

    /// Up to where the file was ever written, looking from `at` on.
    pub(crate) fn written_end(&self, at: u64) -> io::Result<u64> {
        self.handle.written_end(at)
    }

    /// Takes the file out of the log. With `keep` its blocks stay for a later
    /// [`CommitFile::create`].
    pub(crate) fn retire(&self, disk: &Disk, keep: bool) -> io::Result<Option<PathBuf>> {
        if !keep {
            disk.remove(&self.path)?;
            return Ok(None);
        }
        let spare = self.path.with_extension("spare");
        disk.rename(&self.path, &spare)?;
        Ok(Some(spare))
    }
}

/// What the directory of the commit log holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// In order.
    pub(crate) files: Vec<FileNumber>,
    pub(crate) spares: Vec<PathBuf>,
}

impl Listing {
    pub(crate) fn of(disk: &Disk, dir: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for path in disk.list(dir)? {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            match (extension, stem.and_then(|stem| stem.parse().ok())) {
                (Some("log"), Some(number)) => listing.files.push(FileNumber(number)),
                (Some("sorted"), Some(number)) => listing.files.push(FileNumber::sorted(number)),
                (Some("spare"), _) => listing.spares.push(path),
                _ => {}
            }
        }
        listing.files.sort_unstable();
        Ok(listing)
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

fn path_of(dir: &Path, number: FileNumber) -> PathBuf {
    dir.join(number.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_pieces_is_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = CommitFile::create_growing(&Disk::Real, dir.path(), FileNumber(1)).unwrap();
        let flushes = FlushFirst::default();
        let length = 2 * CALM_BYTES + 1000;
        let written: Vec<u8> = (0..=250).cycle().take(length).collect();
        file.write(std::iter::once(&written[..]), 0).unwrap();
        for at in [0, 1000] {
            let expected = &written[at..];
            let from = u32::try_from(at).unwrap();
            assert_eq!(file.read(from, length).unwrap(), expected);
            assert_eq!(file.read_calmly(&flushes, from, length).unwrap(), expected);
            let cached = file.read_cached(from, expected.len()).unwrap();
            assert_eq!(cached.as_deref(), Some(expected));
        }
        assert_eq!(file.read_cached(1, length).unwrap(), None);
    }
}
