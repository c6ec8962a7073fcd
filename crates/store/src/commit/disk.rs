//! What the commit log asks of a disk: a real one, or in tests one that breaks when
//! it is told to.
//!
//! Must not know what lies in the files.

mod real;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod simulated;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// Where files lie.
#[derive(Clone, Debug)]
pub(crate) enum Disk {
    Real,
    #[cfg(any(test, feature = "testing"))]
    Simulated(simulated::Disk),
}

/// An open file.
#[derive(Debug)]
pub(crate) enum Handle {
    Real(real::Handle),
    #[cfg(any(test, feature = "testing"))]
    Simulated(simulated::Handle),
}

/// Asks the handle that it is.
macro_rules! ask {
    ($handle:expr, $file:ident => $question:expr) => {
        match $handle {
            Handle::Real($file) => $question,
            #[cfg(any(test, feature = "testing"))]
            Handle::Simulated($file) => $question,
        }
    };
}

impl Disk {
    /// A new file, for reading and writing.
    pub(crate) fn create(&self, path: &Path) -> io::Result<Handle> {
        match self {
            Self::Real => real::Handle::create(path).map(Handle::Real),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.create(path).map(Handle::Simulated),
        }
    }

    /// A file that exists, for reading and writing.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Handle> {
        match self {
            Self::Real => real::Handle::open(path).map(Handle::Real),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.open(path).map(Handle::Simulated),
        }
    }

    pub(crate) fn open_read_only(&self, path: &Path) -> io::Result<Handle> {
        match self {
            Self::Real => real::Handle::open_read_only(path).map(Handle::Real),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.open(path).map(Handle::Simulated),
        }
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Real => std::fs::rename(from, to),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.rename(from, to),
        }
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Real => std::fs::remove_file(path),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.remove(path),
        }
    }

    /// What was created, renamed and removed in the directory stays so.
    pub(crate) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self {
            Self::Real => std::fs::File::open(dir)?.sync_all(),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.sync_dir(dir),
        }
    }

    /// The files of a directory.
    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Real => std::fs::read_dir(dir)?
                .map(|item| Ok(item?.path()))
                .collect(),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.list(dir),
        }
    }

    /// Bytes that are free where `dir` lies.
    pub(crate) fn free(&self, dir: &Path) -> io::Result<u64> {
        match self {
            Self::Real => {
                let stat = rustix::fs::statvfs(dir)?;
                Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
            }
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(disk) => disk.free(),
        }
    }
}

impl Handle {
    pub(crate) fn length(&self) -> io::Result<u64> {
        ask!(self, file => file.length())
    }

    /// Makes sure that writing to this part of the file needs no more space.
    pub(crate) fn allocate(&self, at: u64, length: u64) -> io::Result<()> {
        ask!(self, file => file.allocate(at, length))
    }

    /// Takes away what lies behind the first `length` bytes.
    pub(crate) fn shorten(&self, length: u64) -> io::Result<()> {
        ask!(self, file => file.shorten(length))
    }

    /// Empties this part of the file, which stays allocated.
    pub(crate) fn empty(&self, at: u64, length: u64) -> io::Result<()> {
        ask!(self, file => file.empty(at, length))
    }

    /// Writes some of the bytes, in order; returns how many.
    pub(crate) fn write(&self, bytes: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        ask!(self, file => file.write(bytes, at))
    }

    /// What was written is durable, and so is what it takes to find it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        ask!(self, file => file.sync())
    }

    /// Reads some bytes; returns how many, and 0 at the end of the file.
    pub(crate) fn read(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        ask!(self, file => file.read(into, at))
    }

    /// The same without a wait for the disk; none where it would take one.
    pub(crate) fn read_cached(&self, into: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        ask!(self, file => file.read_cached(into, at))
    }

    /// Up to where the file was ever written, looking from `at` on.
    pub(crate) fn written_end(&self, at: u64) -> io::Result<u64> {
        ask!(self, file => file.written_end(at))
    }
}
