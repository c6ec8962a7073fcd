//! Many partitions in one broker: how long it takes to make them, to start with
//! them and to delete them, and what they cost when nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, mebibytes, millis};
use crate::{process, topic};

const PARTITIONS_OF_A_TOPIC: i32 = 1000;
const TOPICS: usize = 20;
/// As many topics of one partition as there are partitions, so many by a request.
const TOPICS_AT_ONCE: usize = 1000;

/// Memory and descriptors are looked at once the broker has been left alone for as
/// long as a run lasts. They go by the broker's process.
pub(crate) fn partitions(load: &Load, broker: &mut Broker) -> Result<Figures> {
    if !broker.kind.keeps_data() || broker.pids.is_empty() {
        bail!("it keeps no data, or is not ours to stop");
    }
    let large = names("large", TOPICS);
    let created = timed(|| {
        each(&large, 1, |some| {
            topic::create_all(broker, some, PARTITIONS_OF_A_TOPIC)
        })
    })?;
    thread::sleep(load.duration);
    let memory = process::resident_bytes(&broker.pids)?;
    let descriptors = process::descriptors(&broker.pids)?;
    let first = large.first().map_or("", String::as_str);
    broker.stop()?;
    let after_stop = broker.start(first)?;
    broker.kill()?;
    let after_kill = broker.start(first)?;
    let deleted = timed(|| each(&large, 1, |some| topic::delete_all(broker, some)))?;

    let small = names("small", TOPICS * TOPICS_AT_ONCE);
    let topics_created = timed(|| {
        each(&small, TOPICS_AT_ONCE, |some| {
            topic::create_all(broker, some, 1)
        })
    })?;
    let topics_deleted = timed(|| {
        each(&small, TOPICS_AT_ONCE, |some| {
            topic::delete_all(broker, some)
        })
    })?;
    Ok(Figures::from([
        (Figure::PartitionsCreated, millis(created)),
        (Figure::IdleMemory, mebibytes(memory)),
        (Figure::Descriptors, descriptors as f64),
        (Figure::RestartAfterStop, millis(after_stop)),
        (Figure::RestartAfterKill, millis(after_kill)),
        (Figure::PartitionsDeleted, millis(deleted)),
        (Figure::TopicsCreated, millis(topics_created)),
        (Figure::TopicsDeleted, millis(topics_deleted)),
    ]))
}

fn names(word: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("bench-{word}-{number}"))
        .collect()
}

fn each(names: &[String], at_once: usize, work: impl Fn(&[String]) -> Result<()>) -> Result<()> {
    names.chunks(at_once).try_for_each(work)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}
