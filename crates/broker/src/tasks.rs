//! Every long-lived task of the broker has a name and is waited for at the end.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::Instrument as _;

/// Tells everybody that the broker is stopping, and lets it wait until the tasks
/// that were spawned through it have ended.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    stop: Arc<watch::Sender<bool>>,
    /// Every task holds a receiver of this: it is closed when all have ended.
    alive: Arc<watch::Sender<()>>,
}

/// The moment at which to stop, to be awaited beside other work.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Default for Tasks {
    fn default() -> Self {
        Self {
            stop: Arc::new(watch::Sender::new(false)),
            alive: Arc::new(watch::Sender::new(())),
        }
    }
}

impl Tasks {
    /// Runs `task` under `name` until it ends by itself, which it must do soon
    /// after [`Stop::requested`].
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that spawns: tasks get a name and are waited for"
    )]
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let alive = self.alive.subscribe();
        let named = async move {
            task.await;
            drop(alive);
        };
        tokio::spawn(named.instrument(tracing::debug_span!("task", name)));
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Returns when every task has ended.
    pub(crate) async fn ended(&self) {
        self.alive.closed().await;
    }
}

impl Stop {
    pub(crate) async fn requested(&mut self) {
        // An error means that the broker itself is gone, which is a stop too.
        let _gone = self.0.wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ended_waits_for_every_task() {
        let tasks = Tasks::default();
        for _ in 0..3 {
            let mut stop = tasks.stopping();
            tasks.spawn("waiter", async move { stop.requested().await });
        }
        assert!(futures::poll!(Box::pin(tasks.ended())).is_pending());
        tasks.stop();
        tasks.ended().await;
        assert!(tasks.stopping().is_requested());
    }
}
