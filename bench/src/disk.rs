//! What a broker has on disk, what it reads and writes there, and when that comes to
//! rest.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{Advice, fadvise};

use crate::broker::Broker;

/// `st_blocks` counts in these, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Who writes less a second works on nothing.
const IDLE_BYTES_PER_SECOND: f64 = 256.0 * 1024.0;
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

/// Waits until what a broker takes on disk has fallen, and not any more for `quiet`. What
/// never falls, or still does when `within` is over, has not come to rest.
pub(crate) fn await_rest(broker: &Broker, quiet: Duration, within: Duration) -> Result<Rest> {
    let begun = Instant::now();
    let mut looks = Vec::new();
    loop {
        let now = begun.elapsed();
        looks.push((now, bytes_below(broker.directory())?));
        let rest = rest(&looks);
        if let Some(rest) = rest.filter(|rest| now >= rest.after + quiet) {
            return Ok(rest);
        }
        if now >= within {
            let waited = within.as_secs();
            match rest {
                Some(_) => bail!("what it takes on disk still fell after {waited} s"),
                None => bail!("what it takes on disk did not fall in {waited} s"),
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What has been since the last fall; none without a fall. Looks are times and sizes.
fn rest(looks: &[(Duration, u64)]) -> Option<Rest> {
    let (_, mut least) = *looks.first()?;
    let mut rest: Option<Rest> = None;
    for (at, bytes) in looks {
        if (*bytes as f64) < least as f64 * STEADY_WITHIN {
            least = *bytes;
            rest = Some(Rest {
                after: *at,
                most_bytes: *bytes,
            });
        }
        if let Some(rest) = &mut rest {
            rest.most_bytes = rest.most_bytes.max(*bytes);
        }
    }
    rest
}

/// Waits until a broker has written next to nothing for `quiet`.
pub(crate) fn await_idle(broker: &Broker, quiet: Duration, within: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut idle_since = begun;
    let mut before = written(&broker.pids)?;
    while idle_since.elapsed() < quiet {
        if begun.elapsed() > within {
            bail!("it still wrote after {} s", within.as_secs());
        }
        thread::sleep(LOOK_EVERY);
        let now = written(&broker.pids)?;
        if now.saturating_sub(before) as f64 > IDLE_BYTES_PER_SECOND * LOOK_EVERY.as_secs_f64() {
            idle_since = Instant::now();
        }
        before = now;
    }
    Ok(())
}

/// Takes files out of the page cache, as though they had not been read or written for
/// long. What is not on disk yet stays. That needs no rights beyond those to the files.
pub(crate) fn forget(files: &[PathBuf]) -> Result<()> {
    for path in files {
        // A file may be removed in between.
        if let Ok(file) = File::open(path) {
            let forgotten = fadvise(&file, 0, None, Advice::DontNeed);
            forgotten.with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// What processes have read from the disk itself, not from the page cache.
pub(crate) fn read(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| counter(*pid, "read_bytes:")).sum()
}

fn written(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| counter(*pid, "write_bytes:")).sum()
}

fn counter(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/io");
    let counters = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = counters.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.context("no such counter")?.trim().parse()?)
}

pub(crate) fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
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

    fn rest_of<const N: usize>(sizes: [u64; N]) -> Option<Rest> {
        let looks = sizes.map(|bytes| bytes * 1000);
        let looks: Vec<_> = (0..).map(Duration::from_secs).zip(looks).collect();
        rest(&looks)
    }

    #[test]
    fn a_size_rests_from_its_last_fall_on() {
        // 49 is no fall to speak of.
        let expected = Rest {
            after: Duration::from_secs(2),
            most_bytes: 60_000,
        };
        assert_eq!(rest_of([100, 90, 50, 55, 49, 60]), Some(expected));
    }

    #[test]
    fn a_size_that_never_fell_does_not_rest() {
        assert_eq!(rest_of([]), None);
        assert_eq!(rest_of([100, 110, 99, 120]), None);
    }

    #[test]
    fn everything_below_a_directory_is_counted_in_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(directory.path().join("one"), [1; 5000]).unwrap();
        fs::write(below.join("two"), [1; 100_000]).unwrap();
        let hollow = File::create(below.join("three")).unwrap();
        hollow.set_len(10_000_000).unwrap();
        rustix::fs::sync();
        let bytes = bytes_below(directory.path()).unwrap();
        assert!((105_000..130_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn what_was_forgotten_is_read_from_the_disk() {
        // Where this program was built: the system's temporary directory may be memory.
        let program = std::env::current_exe().unwrap();
        let directory = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let path = directory.path().join("old");
        fs::write(&path, [1; 1_000_000]).unwrap();
        rustix::fs::sync();
        let read_again = || {
            let before = read(&[std::process::id()]).unwrap();
            fs::read(&path).unwrap();
            read(&[std::process::id()]).unwrap() - before
        };
        assert!(read_again() < 1_000_000);
        forget(&files_below(directory.path()).unwrap()).unwrap();
        assert!(read_again() >= 1_000_000);
    }
}
