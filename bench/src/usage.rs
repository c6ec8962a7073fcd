//! Processor time and memory of a process, as Linux counts them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What a process used between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) processor: Duration,
    pub(crate) peak_memory_bytes: u64,
}

/// Watches a process from now on.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: u32,
    before: Duration,
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Result<Self> {
        // Starts the peak anew; without the right to do so it stays the peak
        // of the whole life of the process.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        let before = processor_time(pid)?;
        Ok(Self { pid, before })
    }

    pub(crate) fn stop(self) -> Result<Usage> {
        Ok(Usage {
            processor: processor_time(self.pid)?.saturating_sub(self.before),
            peak_memory_bytes: peak_memory(self.pid)?,
        })
    }
}

fn processor_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The second field is a name in parentheses that may itself hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let ticks = |index: usize| -> Result<u64> {
        let field = fields.split_whitespace().nth(index);
        Ok(field.context("too few fields")?.parse()?)
    };
    let hertz = rustix::param::clock_ticks_per_second();
    // utime and stime are fields 14 and 15 of the line.
    let millis = (ticks(11)? + ticks(12)?) * 1000 / hertz;
    Ok(Duration::from_millis(millis))
}

fn peak_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kibibytes.context("no VmHWM")?.parse::<u64>()? * 1024)
}
