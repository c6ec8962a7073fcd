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
    pub(crate) fn has(&self, wanted: ByteSize) -> io::Result<bool> {
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
