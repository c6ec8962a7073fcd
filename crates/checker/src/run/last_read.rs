//! What there is when the faults are over: the committed offsets, and every
//! record.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::group::Watcher;
use super::{Run, reading};
use crate::history::{Log, Offset, Process, What};

const ASK_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn read_everything(run: &Run) -> Result<()> {
    if run.options.members > 0 {
        ask_for_commits(run)?;
    }
    let process = run.recorder.process();
    let consumer: BaseConsumer = run
        .consumer(&format!("checker-{}-last", run.options.seed))
        .create()?;
    let mut bounds = BTreeMap::new();
    for log in run.topics.logs() {
        bounds.insert(log, watermarks(run, process, &consumer, log)?);
    }
    read(run, process, &consumer, &bounds)?;
    for (log, (start, end)) in bounds {
        let what = What::Final { log, start, end };
        run.recorder.event(process, what);
    }
    Ok(())
}

fn ask_for_commits(run: &Run) -> Result<()> {
    let watcher = Watcher::new(run)?;
    let deadline = Instant::now() + run.patience();
    while !watcher.ask()? {
        if Instant::now() > deadline {
            bail!("nobody says what the group has committed");
        }
    }
    Ok(())
}

/// Where a log begins and ends.
fn watermarks(
    run: &Run,
    process: Process,
    consumer: &BaseConsumer,
    log: Log,
) -> Result<(Offset, Offset)> {
    let (topic, partition) = run.topics.place(log);
    let deadline = Instant::now() + run.patience();
    loop {
        match consumer.fetch_watermarks(topic, partition, ASK_WITHIN) {
            Ok((start, end)) => return Ok((Offset(start), Offset(end))),
            Err(error) if Instant::now() < deadline => {
                run.recorder.note(process, &error.to_string());
                thread::sleep(LOOK_EVERY);
            }
            // Of a log that the broker does not know there is nothing.
            Err(error) if is_unknown(&error) => return Ok((Offset(0), Offset(0))),
            Err(error) => return Err(error).with_context(|| format!("where {log} ends")),
        }
    }
}

fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}

fn read(
    run: &Run,
    process: Process,
    consumer: &BaseConsumer,
    bounds: &BTreeMap<Log, (Offset, Offset)>,
) -> Result<()> {
    let starts = bounds.iter().map(|(log, (start, _))| (*log, *start));
    consumer.assign(&run.topics.list(starts.clone())?)?;
    let assigned = starts.clone().map(|(log, start)| (log, Some(start)));
    run.recorder
        .event(process, What::Assign(assigned.collect()));
    let mut next: BTreeMap<Log, Offset> = starts.collect();
    let mut deadline = Instant::now() + run.patience();
    loop {
        let unread = bounds.iter().find(|(log, (_, end))| next[log] < *end);
        let Some((log, (_, end))) = unread else {
            return Ok(());
        };
        if Instant::now() > deadline {
            let (next, end) = (next[log].0, end.0);
            bail!("nothing came any more: {log} is read up to {next}, and ends at {end}");
        }
        let polled = reading::poll(run, process, consumer);
        if !polled.is_empty() {
            deadline = Instant::now() + run.patience();
        }
        for record in &polled {
            next.insert(record.log, record.offset.next());
        }
        if !polled.is_empty() {
            run.recorder.event(process, What::Poll(polled));
        }
    }
}
