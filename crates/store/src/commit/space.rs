//! Whether a new commit file may be allocated.

use std::io;
use std::path::PathBuf;

use ottla_base::ByteSize;

/// What is left for the index when the commit log takes no more.
const MARGIN: u64 = 64 * 1024 * 1024;

/// Who says how much space is free.
#[derive(Clone, Debug)]
pub(crate) enum Space {
    /// The file system of this directory.
    Disk(PathBuf),
    /// A test.
    #[cfg(test)]
    Told(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl Space {
    /// The size of a new commit file: `wanted` bytes, or the largest half, quarter
    /// and so on of it that there is space for. None if not even `least` fit.
    pub(crate) fn fitting(&self, wanted: u32, least: u32) -> io::Result<Option<u32>> {
        let mut size = wanted;
        while !self.has(ByteSize(size.into()))? {
            if size <= least {
                return Ok(None);
            }
            size = (size / 2).max(least);
        }
        Ok(Some(size))
    }

    fn has(&self, wanted: ByteSize) -> io::Result<bool> {
        match self {
            Self::Disk(dir) => {
                let stat = rustix::fs::statvfs(dir)?;
                let free = stat.f_bavail.saturating_mul(stat.f_frsize);
                Ok(free >= wanted.0.saturating_add(MARGIN))
            }
            #[cfg(test)]
            Self::Told(free) => {
                let free = free.load(std::sync::atomic::Ordering::Relaxed);
                Ok(free >= wanted.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_small_disk_gets_a_smaller_file() {
        let space = |free: u64| Space::Told(Arc::new(free.into()));
        assert_eq!(space(1_000).fitting(800, 100).unwrap(), Some(800));
        assert_eq!(space(500).fitting(800, 100).unwrap(), Some(400));
        assert_eq!(space(100).fitting(800, 100).unwrap(), Some(100));
        assert_eq!(space(99).fitting(800, 100).unwrap(), None);
    }
}
