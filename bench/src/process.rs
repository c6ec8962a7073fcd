//! Processor time, memory and age of processes, as Linux counts them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What broker and client used between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) took: Duration,
    /// None when the broker's process is not known.
    pub(crate) broker: Option<BrokerUsage>,
    pub(crate) client_processor: Duration,
    /// That of the client's thread that worked most.
    pub(crate) busiest_thread: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct BrokerUsage {
    pub(crate) processor: Duration,
    pub(crate) peak_memory_bytes: u64,
}

/// Watches a broker's processes and this one from now on.
#[derive(Debug)]
pub(crate) struct Meter {
    begun: Instant,
    pids: Vec<u32>,
    broker_before: Duration,
    client_before: Duration,
    threads_before: BTreeMap<String, Duration>,
}

impl Meter {
    pub(crate) fn start(pids: &[u32]) -> Result<Self> {
        for pid in pids {
            // Starts the peak anew; without the right to do so it stays the
            // peak of the whole life of the process.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        Ok(Self {
            pids: pids.to_vec(),
            broker_before: processor_of_all(pids)?,
            client_before: own_processor()?,
            threads_before: own_threads()?,
            begun: Instant::now(),
        })
    }

    pub(crate) fn stop(self) -> Result<Usage> {
        let took = self.begun.elapsed();
        let threads = own_threads()?.into_iter().map(|(thread, now)| {
            let before = self.threads_before.get(&thread).copied();
            now.saturating_sub(before.unwrap_or_default())
        });
        let broker = match self.pids[..] {
            [] => None,
            _ => Some(BrokerUsage {
                processor: processor_of_all(&self.pids)?.saturating_sub(self.broker_before),
                peak_memory_bytes: sum(&self.pids, |pid| memory(pid, "VmHWM:"))?,
            }),
        };
        Ok(Usage {
            took,
            broker,
            client_processor: own_processor()?.saturating_sub(self.client_before),
            busiest_thread: threads.max().unwrap_or_default(),
        })
    }
}

/// What is resident now.
pub(crate) fn resident_bytes(pids: &[u32]) -> Result<u64> {
    sum(pids, |pid| memory(pid, "VmRSS:"))
}

/// Files and sockets that are open now.
pub(crate) fn descriptors(pids: &[u32]) -> Result<u64> {
    sum(pids, |pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))?;
        Ok(open.count() as u64)
    })
}

/// How long ago a process was started, to a hundredth of a second.
pub(crate) fn age(pid: u32) -> Result<Duration> {
    let uptime = fs::read_to_string("/proc/uptime")?;
    let seconds = uptime.split_whitespace().next().context("no uptime")?;
    let now = Duration::from_secs_f64(seconds.parse()?);
    Ok(now.saturating_sub(Stat::read(process(pid))?.started))
}

fn processor_of_all(pids: &[u32]) -> Result<Duration> {
    sum(pids, |pid| Ok(Stat::read(process(pid))?.processor))
}

/// Children that have ended are counted in: they are clients that were run.
fn own_processor() -> Result<Duration> {
    let stat = Stat::read("/proc/self/stat")?;
    Ok(stat.processor + stat.processor_of_children)
}

fn own_threads() -> Result<BTreeMap<String, Duration>> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        // A thread may end in between.
        if let Ok(stat) = Stat::read(task.path().join("stat")) {
            let name = task.file_name().to_string_lossy().into_owned();
            threads.insert(name, stat.processor);
        }
    }
    Ok(threads)
}

fn process(pid: u32) -> String {
    format!("/proc/{pid}/stat")
}

/// A line of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    processor: Duration,
    processor_of_children: Duration,
    /// Since the system started.
    started: Duration,
}

impl Stat {
    fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text, rustix::param::clock_ticks_per_second())
    }

    fn parse(text: &str, hertz: u64) -> Result<Self> {
        // The second field is a name in parentheses that may itself hold spaces.
        let (_, fields) = text.rsplit_once(')').context("no process name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Numbered as in proc(5); the third is the first after the name.
        let time = |number: usize| -> Result<Duration> {
            let ticks: u64 = fields.get(number - 3).context("too few fields")?.parse()?;
            Ok(Duration::from_millis(ticks * 1000 / hertz))
        };
        Ok(Self {
            processor: time(14)? + time(15)?,
            processor_of_children: time(16)? + time(17)?,
            started: time(22)?,
        })
    }
}

fn memory(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kibibytes.context("no such field")?.parse::<u64>()? * 1024)
}

fn sum<T: std::iter::Sum>(pids: &[u32], of: impl Fn(u32) -> Result<T>) -> Result<T> {
    pids.iter().map(|pid| of(*pid)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let line = "7 (a (b) c) S 1 7 7 0 -1 0 1 2 3 4 250 50 30 20 20 0 9 0 12345 99 88";
        let expected = Stat {
            processor: Duration::from_secs(3),
            processor_of_children: Duration::from_millis(500),
            started: Duration::from_millis(123_450),
        };
        assert_eq!(Stat::parse(line, 100).unwrap(), expected);
    }

    #[test]
    fn what_this_process_does_is_counted() {
        let meter = Meter::start(&[std::process::id()]).unwrap();
        // Until the kernel has counted it, however long others hold the processor.
        let of_this_thread = || Stat::read("/proc/thread-self/stat");
        let spent = || of_this_thread().unwrap().processor;
        let wanted = spent() + Duration::from_millis(50);
        while spent() < wanted {
            std::hint::spin_loop();
        }
        let usage = meter.stop().unwrap();
        assert!(usage.busiest_thread >= Duration::from_millis(20));
        assert!(usage.client_processor >= usage.busiest_thread);
        assert!(usage.broker.unwrap().peak_memory_bytes > 1 << 20);
    }
}
