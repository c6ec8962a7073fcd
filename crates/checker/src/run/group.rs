//! Members of a group, which share the logs and commit, and one who looks on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Run, reading};
use crate::chance::Chance;
use crate::history::{Group, Log, Offset, Polled, Process, What};

const GROUP: Group = Group(0);
/// How long a poll waits for its first record.
const WAIT: Duration = Duration::from_millis(50);
const POLLED_MOST: usize = 200;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const ASK_WITHIN: Duration = Duration::from_secs(2);

fn name(run: &Run) -> String {
    format!("checker-{}", run.options.seed)
}

/// Joins, reads, commits, and now and then leaves and comes again.
pub(super) fn take_part(run: &Run, mut chance: Chance) -> Result<()> {
    while !run.is_over() {
        let mut member = Member::join(run)?;
        let polls = 100 + chance.below(300);
        for _ in 0..polls {
            if run.is_over() {
                break;
            }
            member.poll();
            if chance.one_in(2) {
                member.commit()?;
            }
        }
    }
    Ok(())
}

struct Member<'a> {
    run: &'a Run,
    process: Process,
    consumer: BaseConsumer<Rebalances>,
    /// What the next commit says.
    next: BTreeMap<Log, Offset>,
}

impl<'a> Member<'a> {
    fn join(run: &'a Run) -> Result<Self> {
        let process = run.recorder.process();
        let mut config = run.consumer(&name(run));
        // One group has one way to share.
        let cooperates = run.options.seed.is_multiple_of(2);
        let strategy = if cooperates {
            "cooperative-sticky"
        } else {
            "range,roundrobin"
        };
        config.set("partition.assignment.strategy", strategy);
        let consumer = config.create_with_context(Rebalances::default())?;
        run.recorder.event(process, What::Member(GROUP));
        let member = Self {
            run,
            process,
            consumer,
            next: BTreeMap::new(),
        };
        member.consumer.subscribe(&run.topics.names())?;
        Ok(member)
    }

    fn poll(&mut self) {
        let mut polled: Vec<Polled> = Vec::new();
        let mut wait = WAIT;
        while polled.len() < POLLED_MOST {
            let message = self.consumer.poll(wait);
            let changes = self.consumer.context().take();
            let message =
                message.map(|message| message.map(|message| reading::record(self.run, &message)));
            if !changes.is_empty() {
                // What was received before the change belongs before it.
                self.received(std::mem::take(&mut polled));
                self.changed(changes);
            }
            match message {
                Some(Ok(record)) => polled.extend(record),
                Some(Err(error)) => self.run.recorder.note(self.process, &error.to_string()),
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.received(polled);
    }

    fn received(&mut self, polled: Vec<Polled>) {
        for record in &polled {
            self.next.insert(record.log, record.offset.next());
        }
        if !polled.is_empty() {
            self.run.recorder.event(self.process, What::Poll(polled));
        }
    }

    fn changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            let (Change::Given(places) | Change::Taken(places)) = &change;
            let logs: Vec<Log> = places
                .iter()
                .filter_map(|(topic, partition)| self.run.topics.log(topic, *partition))
                .collect();
            for log in &logs {
                self.next.remove(log);
            }
            let what = match change {
                Change::Given(_) => What::Assign(logs.iter().map(|log| (*log, None)).collect()),
                Change::Taken(_) => What::Revoke(logs),
            };
            self.run.recorder.event(self.process, what);
        }
    }

    fn commit(&mut self) -> Result<()> {
        let offsets: Vec<(Log, Offset)> = std::mem::take(&mut self.next).into_iter().collect();
        if offsets.is_empty() {
            return Ok(());
        }
        let list = self.run.topics.list(offsets.iter().copied())?;
        let recorder = &self.run.recorder;
        recorder.event(self.process, What::Commit(offsets));
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => recorder.event(self.process, What::Committed),
            Err(error) => {
                recorder.event(self.process, What::Uncommitted);
                recorder.note(self.process, &error.to_string());
            }
        }
        Ok(())
    }
}

/// What a group's coordinator told a member, since it was asked last. Only the
/// member's own thread is told and asks.
#[derive(Debug, Default)]
struct Rebalances(Mutex<Vec<Change>>);

#[derive(Debug)]
enum Change {
    Given(Vec<(String, i32)>),
    Taken(Vec<(String, i32)>),
}

impl Rebalances {
    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let change = match rebalance {
            Rebalance::Assign(list) => Change::Given(places(list)),
            Rebalance::Revoke(list) => Change::Taken(places(list)),
            Rebalance::Error(_) => return,
        };
        self.0.lock().expect("no holder panics").push(change);
    }
}

fn places(list: &TopicPartitionList) -> Vec<(String, i32)> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// Asks again and again what the group has committed.
pub(super) fn watch(run: &Run, _: Chance) -> Result<()> {
    let watcher = Watcher::new(run)?;
    while !run.is_over() {
        watcher.ask()?;
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

pub(super) struct Watcher<'a> {
    run: &'a Run,
    process: Process,
    consumer: BaseConsumer,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(run: &'a Run) -> Result<Self> {
        Ok(Self {
            run,
            process: run.recorder.process(),
            consumer: run.consumer(&name(run)).create()?,
        })
    }

    /// Whether there was an answer.
    pub(super) fn ask(&self) -> Result<bool> {
        let logs = self.run.topics.logs();
        let list = self
            .run
            .topics
            .list(logs.into_iter().map(|log| (log, Offset(0))))?;
        self.run.recorder.event(self.process, What::Ask(GROUP));
        match self.consumer.committed_offsets(list, ASK_WITHIN) {
            Ok(answer) => {
                let offsets = self.offsets(&answer);
                self.run.recorder.event(self.process, What::Answer(offsets));
                Ok(true)
            }
            Err(error) => {
                self.run.recorder.note(self.process, &error.to_string());
                Ok(false)
            }
        }
    }

    fn offsets(&self, answer: &TopicPartitionList) -> Vec<(Log, Option<Offset>)> {
        let elements = answer.elements();
        let answered = elements.iter().filter(|element| element.error().is_ok());
        answered
            .filter_map(|element| {
                let log = self.run.topics.log(element.topic(), element.partition())?;
                let offset = element.offset().to_raw().filter(|offset| *offset >= 0);
                Some((log, offset.map(Offset)))
            })
            .collect()
    }
}
