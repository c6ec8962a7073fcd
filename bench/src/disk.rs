//! What a broker takes on disk, and when that comes to rest.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::broker::Broker;

/// `st_blocks` counts in these, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A size has come to rest when it fell by no more than this part for a while.
const STEADY_WITHIN: f64 = 0.98;

/// A size that does not shrink any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rest {
    /// From the first look to the last fall.
    pub(crate) after: Duration,
    /// The most since then.
    pub(crate) most_bytes: u64,
}

/// What the blocks of all files below a directory take.
pub(crate) fn bytes_below(directory: &Path) -> Result<u64> {
    let sizes = files_below(directory)?.into_iter();
    // A file may be removed in between.
    let sizes = sizes.filter_map(|file| fs::metadata(file).ok());
    Ok(sizes.map(|file| file.blocks() * BLOCK_BYTES).sum())
}

/// Waits until what a broker takes on disk has fallen, and not any more for `quiet`, or
/// `within` is over.
pub(crate) fn await_rest(broker: &Broker, quiet: Duration, within: Duration) -> Result<Rest> {
    let begun = Instant::now();
    let mut looks = Vec::new();
    loop {
        looks.push((begun.elapsed(), bytes_below(broker.directory())?));
        let rest = rest(&looks);
        let is_at_rest = !rest.after.is_zero() && begun.elapsed() >= rest.after + quiet;
        if is_at_rest || begun.elapsed() >= within {
            return Ok(rest);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Looks are times and sizes.
fn rest(looks: &[(Duration, u64)]) -> Rest {
    let mut rest = Rest {
        after: Duration::ZERO,
        most_bytes: 0,
    };
    let mut least = f64::INFINITY;
    for (at, bytes) in looks {
        if (*bytes as f64) < least * STEADY_WITHIN {
            least = *bytes as f64;
            rest = Rest {
                after: *at,
                most_bytes: *bytes,
            };
        }
        rest.most_bytes = rest.most_bytes.max(*bytes);
    }
    rest
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        // A directory may be removed in between.
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_rests_from_its_last_fall_on() {
        let looks = [100, 90, 50, 55, 49, 60].map(|bytes| bytes * 1000);
        let looks: Vec<_> = (0..).map(Duration::from_secs).zip(looks).collect();
        // 49 is no fall to speak of.
        let expected = Rest {
            after: Duration::from_secs(2),
            most_bytes: 60_000,
        };
        assert_eq!(rest(&looks), expected);
    }

    #[test]
    fn everything_below_a_directory_is_counted_in_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(directory.path().join("one"), [1; 5000]).unwrap();
        fs::write(below.join("two"), [1; 100_000]).unwrap();
        rustix::fs::sync();
        let bytes = bytes_below(directory.path()).unwrap();
        assert!((105_000..130_000).contains(&bytes), "{bytes} bytes");
    }
}
