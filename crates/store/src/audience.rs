//! Who hears about the operations on a log, and which appends are still welcome.

use std::fmt;
use std::sync::Arc;

use ottla_base::Offset;

use crate::{LogListener, StoreFailure};

/// Owned by the log that it belongs to.
#[derive(Clone, Default)]
pub(crate) struct Audience {
    /// Appends of a lower one come from a machine that was thrown away.
    incarnation: u64,
    /// An append of this incarnation failed, so a later one would leave a gap.
    failed: Option<u64>,
    listener: Option<Arc<dyn LogListener>>,
}

impl Audience {
    #[cfg(feature = "rocksdb")]
    pub(crate) const NOBODY: Self = Self {
        incarnation: 0,
        failed: None,
        listener: None,
    };

    pub(crate) fn attach(&mut self, incarnation: u64, listener: Arc<dyn LogListener>) {
        self.incarnation = incarnation;
        self.listener = Some(listener);
    }

    pub(crate) fn admits(&self, incarnation: u64) -> bool {
        incarnation >= self.incarnation && self.failed.is_none_or(|failed| incarnation > failed)
    }

    /// Appends of `incarnation` up to `end` are done: what to call once no lock is
    /// held.
    pub(crate) fn flushed(&self, incarnation: u64, end: Offset) -> Option<Call> {
        self.call(incarnation, Verdict::Flushed(end))
    }

    /// The log starts at `start` now.
    pub(crate) fn start_moved(&self, start: Offset) -> Option<Call> {
        self.call(self.incarnation, Verdict::StartMoved(start))
    }

    /// An append of `incarnation` failed, and none of it is admitted any more.
    pub(crate) fn fail(&mut self, incarnation: u64, failure: StoreFailure) -> Option<Call> {
        self.failed = self.failed.max(Some(incarnation));
        self.call(incarnation, Verdict::Failed(failure))
    }

    /// The log is of no use any more, or the whole store.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn fail_now(&mut self, failure: StoreFailure) -> Option<Call> {
        self.fail(self.incarnation, failure)
    }

    fn call(&self, incarnation: u64, verdict: Verdict) -> Option<Call> {
        let listener = self.listener.clone()?;
        Some(Call {
            listener,
            incarnation,
            verdict,
        })
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience")
            .field("incarnation", &self.incarnation)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// A call that a listener is owed.
pub(crate) struct Call {
    listener: Arc<dyn LogListener>,
    incarnation: u64,
    verdict: Verdict,
}

enum Verdict {
    Flushed(Offset),
    StartMoved(Offset),
    Failed(StoreFailure),
}

impl Call {
    pub(crate) fn make(self) {
        match self.verdict {
            Verdict::Flushed(end) => self.listener.on_flushed(self.incarnation, end),
            Verdict::StartMoved(start) => self.listener.on_start_moved(start),
            Verdict::Failed(failure) => self.listener.on_failed(self.incarnation, failure),
        }
    }
}
