//! One file of the commit log: allocated before it is used, written in place,
//! read by many.
//!
//! Must not know what an entry is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::entry::FileNumber;

/// Most segments that one call takes.
const SEGMENTS_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct CommitFile {
    pub(crate) number: FileNumber,
    file: File,
    path: PathBuf,
    #[cfg(test)]
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

impl CommitFile {
    /// A new file of `size` bytes that exist on disk; made of `spare`, if there is
    /// one. Entries of the spare's former life have another number.
    pub(crate) fn create(
        dir: &Path,
        number: FileNumber,
        size: u32,
        spare: Option<&Path>,
    ) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = match spare {
            Some(spare) => {
                fs::rename(spare, &path)?;
                options().open(&path)?
            }
            None => options().create_new(true).open(&path)?,
        };
        if let Err(error) = allocate(&file, 0, u64::from(size)) {
            fs::remove_file(&path)?;
            return Err(error);
        }
        File::open(dir)?.sync_all()?;
        Ok(Self::of(number, file, path))
    }

    /// A new file that grows as it is written.
    pub(crate) fn create_growing(dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = options().create_new(true).open(&path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self::of(number, file, path))
    }

    /// What lies between these places exists on disk from now on.
    pub(crate) fn extend(&self, from: u32, to: u32) -> io::Result<()> {
        allocate(&self.file, u64::from(from), u64::from(to - from))
    }

    /// Gives back what was allocated behind `end`.
    pub(crate) fn shorten(&self, end: u32) -> io::Result<()> {
        self.file.set_len(u64::from(end))
    }

    pub(crate) fn open(dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = options().open(&path)?;
        Ok(Self::of(number, file, path))
    }

    pub(crate) fn open_read_only(dir: &Path, number: FileNumber) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = File::open(&path)?;
        Ok(Self::of(number, file, path))
    }

    fn of(number: FileNumber, file: File, path: PathBuf) -> Self {
        Self {
            number,
            file,
            path,
            #[cfg(test)]
            broken: false.into(),
        }
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Empties everything from `end` on and makes the file at least `size` long, so
    /// that nothing that a crash left behind is ever taken for an entry.
    pub(crate) fn wipe_from(&self, end: u32, size: u32) -> io::Result<()> {
        let length = self.length()?.max(u64::from(size));
        let rest = length.saturating_sub(u64::from(end));
        if rest == 0 {
            return Ok(());
        }
        let zero = FallocateFlags::ZERO_RANGE;
        match rustix::fs::fallocate(&self.file, zero, u64::from(end), rest) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.file.set_len(u64::from(end))?;
                allocate(&self.file, u64::from(end), rest)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the segments one behind the other, from `at` on.
    pub(crate) fn write<'a>(
        &self,
        segments: impl Iterator<Item = &'a [u8]>,
        at: u32,
    ) -> io::Result<()> {
        self.fail_if_broken()?;
        let mut at = u64::from(at);
        let mut slices: Vec<IoSlice<'_>> = segments.map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let count = left.len().min(SEGMENTS_MAX);
            let written = match rustix::io::pwritev(&self.file, &left[..count], at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            at += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.fail_if_broken()?;
        self.file.sync_data()
    }

    /// `length` bytes from `at` on; fewer where the file ends.
    pub(crate) fn read(&self, at: u32, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let from = u64::from(at) + filled as u64;
            match self.file.read_at(&mut bytes[filled..], from) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    /// `length` bytes from `at` on, if all of them are in memory.
    pub(crate) fn read_cached(&self, at: u32, length: usize) -> io::Result<Option<Bytes>> {
        let mut bytes = vec![0; length];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let nowait = ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(&self.file, &mut slices, u64::from(at), nowait) {
            Ok(read) if read == length => Ok(Some(bytes.into())),
            // What is missing lies on disk, or the file system cannot tell.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Up to where the file was ever written, looking from `at` on.
    pub(crate) fn written_end(&self, at: u64) -> io::Result<u64> {
        let mut end = at;
        loop {
            let hole = rustix::fs::seek(&self.file, SeekFrom::Data(end))
                .and_then(|data| rustix::fs::seek(&self.file, SeekFrom::Hole(data)));
            match hole {
                Ok(hole) => end = hole,
                Err(Errno::NXIO) => return Ok(end),
                // The file system cannot tell.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return self.length(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the file out of the log. With `keep` its blocks stay for a later
    /// [`CommitFile::create`].
    pub(crate) fn retire(&self, keep: bool) -> io::Result<Option<PathBuf>> {
        if !keep {
            fs::remove_file(&self.path)?;
            return Ok(None);
        }
        let spare = self.path.with_extension("spare");
        fs::rename(&self.path, &spare)?;
        Ok(Some(spare))
    }

    #[cfg(test)]
    fn fail_if_broken(&self) -> io::Result<()> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the disk of a test breaks here")]
    #[expect(clippy::unnecessary_wraps, reason = "the disk of a test breaks here")]
    const fn fail_if_broken(&self) -> io::Result<()> {
        Ok(())
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
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for item in fs::read_dir(dir)? {
            let path = item?.path();
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
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn path_of(dir: &Path, number: FileNumber) -> PathBuf {
    dir.join(number.file_name())
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Makes sure that writing to this part of the file needs no more space.
fn allocate(file: &File, at: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), at, length) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, at, length),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, at: u64, length: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = at;
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
        left -= part as u64;
    }
    Ok(())
}
