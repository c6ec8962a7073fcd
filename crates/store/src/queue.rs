//! What was submitted and not yet carried out, in order; and who carries it out:
//! one thread at a time, the writer's own or one that has just submitted.
//!
//! Must not know how an operation is carried out.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use ottla_base::TopicPartition;

#[cfg(feature = "rocksdb")]
use crate::rewrite::JobCommand;
use crate::{LogId, Op};

/// How often a thread that has just submitted something goes on with what others
/// submitted meanwhile, before it leaves that to the writer's.
const ROUNDS_MAX: u32 = 8;

/// What travels to the writer.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Create {
        log: LogId,
        tp: TopicPartition,
    },
    Op(Op),
    /// The log was found damaged.
    #[cfg(feature = "rocksdb")]
    SetApart(LogId),
    /// What the rewrite job asks for.
    #[cfg(feature = "rocksdb")]
    Job(JobCommand),
}

impl Command {
    /// Bytes that it adds to a commit log at most, if that is all there is to it.
    /// None for what must be durable at once or reads before it writes.
    fn light_bytes(&self) -> Option<u64> {
        /// The entry's own header, and the entry that creates its log.
        const OVERHEAD: u64 = 128;
        match self {
            Self::Create { .. } => Some(OVERHEAD),
            Self::Op(Op::Append {
                batch, sync: false, ..
            }) => Some(OVERHEAD + batch.size().0),
            Self::Op(Op::Flush { .. }) => Some(0),
            Self::Op(Op::State { key, value, .. }) => {
                Some(OVERHEAD + key.len() as u64 + value.len() as u64)
            }
            Self::Op(
                Op::Append { sync: true, .. }
                | Op::Truncate { .. }
                | Op::StartOffset { .. }
                | Op::Drop { .. },
            ) => None,
            #[cfg(feature = "rocksdb")]
            Self::Job(_) | Self::SetApart(_) => None,
        }
    }
}

/// Shared by everyone who submits and the one who carries out.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    work: Condvar,
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Command>,
    /// What `waiting` adds to the commit log at most; none if something in it is
    /// for the writer's thread.
    light: Light,
    /// Somebody carries out what was taken. Nobody else may take anything.
    in_hand: bool,
    outlook: Outlook,
    /// How many commands were ever pushed, how many of them were taken, and how many
    /// are done for good.
    pushed: u64,
    taken: u64,
    durable: u64,
    /// Everything below this count is wanted durable, whatever the policy.
    wanted: u64,
    /// The writer's thread sleeps, and until when if nobody wakes it.
    sleeps: Option<Option<Instant>>,
    closing: bool,
    abandoned: bool,
}

/// How things stand when something was carried out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outlook {
    /// How much of what comes next anyone may carry out. The rest waits for the
    /// writer's thread.
    pub(crate) here_bytes_max: u64,
    /// When the writer's thread has something to do though nothing is submitted.
    pub(crate) deadline: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Light {
    Bytes(u64),
    No,
}

impl Default for Light {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

/// Why the writer woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There are commands, or somebody waits for durability, or both.
    Work {
        sync: bool,
    },
    Deadline,
    /// Nothing more will come.
    Closed,
    /// The store is gone: leave everything as it is.
    Abandoned,
}

impl Queue {
    /// False when the queue is closed. Nothing happens before [`Queue::work_here`].
    pub(crate) fn push(&self, command: Command) -> bool {
        let mut inner = self.lock();
        if inner.closing || inner.abandoned {
            return false;
        }
        inner.light = match (inner.light, command.light_bytes()) {
            (Light::Bytes(waiting), Some(more)) => Light::Bytes(waiting + more),
            (Light::No, _) | (_, None) => Light::No,
        };
        inner.waiting.push(command);
        inner.pushed += 1;
        true
    }

    /// Carries out what waits on the caller's thread, where that may be. If not, or
    /// not all of it, somebody else does it, and was woken if need be.
    pub(crate) fn work_here(&self, mut carry_out: impl FnMut(&mut Vec<Command>) -> Outlook) {
        let mut commands = Vec::new();
        for _ in 0..ROUNDS_MAX {
            if !self.take_here(&mut commands) {
                return;
            }
            let outlook = carry_out(&mut commands);
            commands.clear();
            self.put_down(outlook);
        }
        self.wake();
    }

    fn take_here(&self, into: &mut Vec<Command>) -> bool {
        let mut inner = self.lock();
        // Whoever has something in hand looks again before it lets go.
        if inner.waiting.is_empty() || inner.in_hand {
            return false;
        }
        if !inner.is_for_anyone() {
            self.wake_thread(inner);
            return false;
        }
        inner.take(into);
        true
    }

    /// What waits is carried out by the writer's thread, or by whoever is at it.
    pub(crate) fn wake(&self) {
        let inner = self.lock();
        if !inner.waiting.is_empty() && !inner.in_hand {
            self.wake_thread(inner);
        }
    }

    /// What was taken is carried out.
    pub(crate) fn put_down(&self, outlook: Outlook) {
        let mut inner = self.lock();
        inner.in_hand = false;
        inner.outlook = outlook;
        let is_due = inner.wanted > inner.durable || inner.closing || inner.abandoned;
        let sleeps_on = |until| !is_sooner(outlook.deadline, until);
        if is_due || !inner.sleeps.is_none_or(sleeps_on) {
            self.wake_thread(inner);
        }
    }

    /// For the writer's thread: moves everything that waits to the end of `into`,
    /// to be carried out before [`Queue::put_down`]. Sleeps until there is
    /// something.
    pub(crate) fn take(&self, into: &mut Vec<Command>) -> Wake {
        let mut inner = self.lock();
        loop {
            if let Some(wake) = inner.reason_to_wake() {
                inner.take(into);
                return wake;
            }
            // Whoever has something in hand says until when when it is done.
            let until = inner.outlook.deadline.filter(|_| !inner.in_hand);
            inner.sleeps = Some(until);
            inner = match until {
                None => self.work.wait(inner).expect("no holder panics"),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let waited = self.work.wait_timeout(inner, left);
                    waited.expect("no holder panics").0
                }
            };
            inner.sleeps = None;
        }
    }

    /// Takes at most `count` of what waits, without sleeping.
    pub(crate) fn take_some(&self, count: usize) -> Vec<Command> {
        let mut inner = self.lock();
        let count = count.min(inner.waiting.len());
        inner.waiting.drain(..count).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Everything that was ever taken is durable.
    pub(crate) fn mark_durable(&self) {
        let mut inner = self.lock();
        inner.durable = inner.taken;
        self.progress.notify_all();
    }

    /// Everything that was pushed is wanted durable by the next turn.
    #[cfg(any(test, feature = "testing"))]
    #[cfg(feature = "rocksdb")]
    pub(crate) fn want_durable(&self) {
        let mut inner = self.lock();
        inner.wanted = inner.pushed;
    }

    /// What there is to do, without sleeping.
    #[cfg(any(test, feature = "testing"))]
    #[cfg(feature = "rocksdb")]
    pub(crate) fn take_now(&self, into: &mut Vec<Command>) -> Option<Wake> {
        let mut inner = self.lock();
        let wake = inner.reason_to_wake()?;
        inner.take(into);
        Some(wake)
    }

    /// Returns once everything that was pushed is durable, or never will be.
    pub(crate) fn wait_durable(&self) {
        let mut inner = self.lock();
        let goal = inner.pushed;
        inner.wanted = inner.wanted.max(goal);
        if inner.sleeps.is_some() {
            self.work.notify_one();
        }
        while inner.durable < goal && !inner.abandoned {
            inner = self.progress.wait(inner).expect("no holder panics");
        }
    }

    /// Refuses new commands; the writer ends when the old ones are done.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closing = true;
        inner.wanted = inner.pushed;
        self.wake_thread(inner);
    }

    /// Whatever waits is forgotten, and nobody waits any longer.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.waiting.clear();
        self.progress.notify_all();
        self.wake_thread(inner);
    }

    /// Whether nothing more will come.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn is_ending(&self) -> bool {
        let inner = self.lock();
        inner.abandoned || inner.closing
    }

    #[cfg(test)]
    pub(crate) fn thread_sleeps(&self) -> bool {
        self.lock().sleeps.is_some()
    }

    fn wake_thread(&self, inner: MutexGuard<'_, Inner>) {
        let sleeps = inner.sleeps.is_some();
        drop(inner);
        if sleeps {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

impl Inner {
    fn take(&mut self, into: &mut Vec<Command>) {
        self.in_hand = true;
        self.light = Light::default();
        self.taken += self.waiting.len() as u64;
        into.append(&mut self.waiting);
    }

    /// What the writer's thread has to do at the moment, if anything.
    fn reason_to_wake(&self) -> Option<Wake> {
        let sync = self.wanted > self.durable;
        if self.in_hand {
            None
        } else if self.abandoned {
            Some(Wake::Abandoned)
        } else if !self.waiting.is_empty() || sync {
            Some(Wake::Work { sync })
        } else if self.closing {
            Some(Wake::Closed)
        } else {
            let is_due = |deadline| deadline <= Instant::now();
            self.outlook
                .deadline
                .is_some_and(is_due)
                .then_some(Wake::Deadline)
        }
    }

    /// Whether whoever comes first may carry out all that waits.
    fn is_for_anyone(&self) -> bool {
        let fits = match self.light {
            Light::Bytes(bytes) => bytes <= self.outlook.here_bytes_max,
            Light::No => false,
        };
        fits && self.wanted <= self.durable && !self.closing && !self.abandoned
    }
}

/// Whether somebody who sleeps until `until` wakes too late for `deadline`.
fn is_sooner(deadline: Option<Instant>, until: Option<Instant>) -> bool {
    match (deadline, until) {
        (Some(deadline), Some(until)) => deadline < until,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
