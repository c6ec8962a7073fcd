//! Files of the operating system.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

#[derive(Debug)]
pub(crate) struct Handle(File);

impl Handle {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Ok(Self::of(file))
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        Ok(Self::of(options.read(true).write(true).open(path)?))
    }

    /// Nothing is read ahead: the system would ask the disk for megabytes at a time, and a
    /// flush that comes in between waits for all of them.
    fn of(file: File) -> Self {
        // Where the system refuses, it is only slower.
        let _refused = rustix::fs::fadvise(&file, 0, None, Advice::Random);
        Self(file)
    }

    pub(super) fn open_read_only(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    pub(super) fn allocate(&self, at: u64, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), at, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(at, length),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn shorten(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    pub(super) fn empty(&self, at: u64, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::ZERO_RANGE, at, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.0.set_len(at)?;
                self.allocate(at, length)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_zeros(&self, at: u64, length: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = at;
        let mut left = length;
        while left > 0 {
            let part = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            self.0.write_all_at(&ZEROS[..part], at)?;
            at += part as u64;
            left -= part as u64;
        }
        Ok(())
    }

    pub(super) fn write(&self, bytes: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, bytes, at)?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    pub(super) fn read(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(into, at)
    }

    pub(super) fn read_cached(&self, into: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        let mut slices = [IoSliceMut::new(into)];
        match rustix::io::preadv2(&self.0, &mut slices, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            // What is missing lies on disk, or the file system cannot tell.
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn written_end(&self, at: u64) -> io::Result<u64> {
        let mut end = at;
        loop {
            let hole = rustix::fs::seek(&self.0, SeekFrom::Data(end))
                .and_then(|data| rustix::fs::seek(&self.0, SeekFrom::Hole(data)));
            match hole {
                Ok(hole) => end = hole,
                Err(Errno::NXIO) => return Ok(end),
                // The file system cannot tell.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return self.length(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
