//! Lets the job work on a thread of its own, no faster than it may.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::job::{Job, JobError, Step};
use crate::rocks::shared::Shared;

/// Between two looks while something is not ready yet.
const SOON: Duration = Duration::from_secs(1);
/// After an error.
const LATER: Duration = Duration::from_secs(60);
/// The job works at most one part in so many of the time, beside who serves. It is not given
/// a lower priority for that: a process that is killed lets go of its connections when the last
/// of its threads has ended, which one of low priority did up to a second later on a busy
/// machine.
const SHARE: u32 = 2;

/// Stops the job's thread when it is told to, or dropped.
#[derive(Debug)]
pub(crate) struct Runner {
    control: Arc<Control>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Control {
    shared: Arc<Shared>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    /// There is news: no reason to sleep on.
    is_nudged: bool,
}

impl Runner {
    pub(crate) fn start(job: Job, shared: Arc<Shared>) -> std::io::Result<Self> {
        let control = Arc::new(Control {
            shared,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("ottla-rewrite".into());
        let thread = {
            let control = control.clone();
            thread.spawn(move || run(job, &control))?
        };
        Ok(Self {
            control,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The job looks at once whether there is something to do.
    pub(crate) fn nudge(&self) {
        self.control.state().is_nudged = true;
        self.control.changed.notify_all();
    }

    /// The job ends after the step that it is in. Whoever serves it must still do
    /// so.
    pub(crate) fn stop(&self) {
        self.control.state().is_stopping = true;
        self.control.changed.notify_all();
        let thread = self.thread.lock().expect("no holder panics").take();
        if let Some(thread) = thread {
            // The thread's own panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn run(mut job: Job, control: &Control) {
    loop {
        let began = Instant::now();
        let until = match job.step() {
            Ok(Step::Worked { bytes }) => Until::Paid(bytes),
            Ok(Step::Waiting) => Until::After(SOON),
            Ok(Step::Idle) => Until::Pause,
            Err(JobError::Ended) => return,
            Err(JobError::Copy(error)) => {
                tracing::error!(%error, "rewriting files of the log failed, and is tried again");
                Until::After(LATER)
            }
        };
        if control.wait(began, until) == Wish::Stop {
            return;
        }
    }
}

/// When the job goes on.
#[derive(Clone, Copy)]
enum Until {
    /// When so many bytes are allowed again.
    Paid(u64),
    After(Duration),
    Pause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    GoOn,
    Stop,
}

impl Control {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn wait(&self, began: Instant, until: Until) -> Wish {
        let work_and_rest = began.elapsed().saturating_mul(SHARE);
        let mut state = self.state();
        loop {
            if state.is_stopping {
                return Wish::Stop;
            }
            let pace = self.shared.rewriting();
            let sleeps = match until {
                Until::Paid(_) => false,
                Until::After(_) | Until::Pause => true,
            };
            if sleeps && std::mem::take(&mut state.is_nudged) {
                return Wish::GoOn;
            }
            let length = match until {
                Until::Paid(bytes) => time_for(bytes, pace.bytes_per_second).max(work_and_rest),
                Until::After(length) => length.min(pace.pause),
                Until::Pause => pace.pause,
            };
            let left = length.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Wish::GoOn;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.expect("no holder panics").0;
        }
    }
}

fn time_for(bytes: u64, bytes_per_second: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a pace is no account")]
    let seconds = bytes as f64 / bytes_per_second.max(1.0);
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(LATER)
        .min(LATER)
}
