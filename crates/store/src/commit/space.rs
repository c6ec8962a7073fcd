//! Whether a new commit file may be allocated.

use std::io;
use std::path::Path;

use super::disk::Disk;

/// What is left for the index when the commit log takes no more.
const MARGIN: u64 = 64 * 1024 * 1024;

/// The size of a new commit file in `dir`: `wanted` bytes, or the largest half,
/// quarter and so on of it that there is space for. None if not even `least` fit.
pub(crate) fn fitting(disk: &Disk, dir: &Path, wanted: u32, least: u32) -> io::Result<Option<u32>> {
    let free = disk.free(dir)?.saturating_sub(MARGIN);
    let mut size = wanted;
    while u64::from(size) > free {
        if size <= least {
            return Ok(None);
        }
        size = (size / 2).max(least);
    }
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::super::disk::simulated;
    use super::*;

    #[test]
    fn a_small_disk_gets_a_smaller_file() {
        let fitting_in = |free: u64| {
            let disk = simulated::Disk::new(1);
            disk.set_free(free + MARGIN);
            fitting(&Disk::Simulated(disk), Path::new("/"), 800, 100).unwrap()
        };
        assert_eq!(fitting_in(1_000), Some(800));
        assert_eq!(fitting_in(500), Some(400));
        assert_eq!(fitting_in(100), Some(100));
        assert_eq!(fitting_in(99), None);
    }
}
