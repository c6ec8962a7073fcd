//! A consumer that chooses what it reads, from where, and changes its mind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Message};

use super::{Run, payload};
use crate::chance::Chance;
use crate::history::{Log, Offset, Polled, Process, What};

/// How long a poll waits for its first record.
const WAIT: Duration = Duration::from_millis(50);
const POLLED_MOST: usize = 300;

pub(super) fn read(run: &Run, mut chance: Chance) -> Result<()> {
    let process = run.recorder.process();
    let consumer: BaseConsumer = run
        .consumer(&format!("checker-{}-none", run.options.seed))
        .create()?;
    let mut ends = BTreeMap::new();
    while !run.is_over() {
        choose(run, process, &consumer, &mut chance, &ends)?;
        for _ in 0..10 + chance.below(50) {
            if run.is_over() {
                break;
            }
            let polled = poll(run, process, &consumer);
            for record in &polled {
                ends.insert(record.log, record.offset.next());
            }
            if !polled.is_empty() {
                run.recorder.event(process, What::Poll(polled));
            }
        }
    }
    Ok(())
}

/// Some of the logs, each from its beginning, from where this consumer was, or
/// from somewhere between.
fn choose(
    run: &Run,
    process: Process,
    consumer: &BaseConsumer,
    chance: &mut Chance,
    ends: &BTreeMap<Log, Offset>,
) -> Result<()> {
    let logs = run.topics.logs();
    let mut chosen: Vec<(Log, Offset)> = Vec::new();
    for log in logs.iter().copied() {
        let end = ends.get(&log).copied().unwrap_or(Offset(0));
        let between = Offset(i64::try_from(chance.below(u64::try_from(end.0 + 1)?))?);
        let start = chance.pick(&[Offset(0), end, end, between]);
        if !chance.one_in(3) {
            chosen.push((log, start));
        }
    }
    consumer.assign(&run.topics.list(chosen.iter().copied())?)?;
    run.recorder.event(process, What::Revoke(logs));
    let starts = chosen.iter().map(|(log, start)| (*log, Some(*start)));
    run.recorder.event(process, What::Assign(starts.collect()));
    Ok(())
}

/// What arrives at once, after a little wait for the first of it.
pub(super) fn poll<C: ConsumerContext>(
    run: &Run,
    process: Process,
    consumer: &BaseConsumer<C>,
) -> Vec<Polled> {
    let mut polled = Vec::new();
    let mut wait = WAIT;
    let begun = Instant::now();
    while polled.len() < POLLED_MOST && begun.elapsed() < WAIT * 2 {
        match consumer.poll(wait) {
            Some(Ok(message)) => polled.extend(record(run, &message)),
            Some(Err(error)) => run.recorder.note(process, &error.to_string()),
            None => break,
        }
        wait = Duration::ZERO;
    }
    polled
}

pub(super) fn record(run: &Run, message: &BorrowedMessage<'_>) -> Option<Polled> {
    Some(Polled {
        log: run.topics.log(message.topic(), message.partition())?,
        offset: Offset(message.offset()),
        value: message.payload().and_then(payload::value),
    })
}
