//! A few threads for reads that the page cache cannot answer.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use crate::limits;

type Job = Box<dyn FnOnce() + Send>;

/// Runs blocking reads off the async threads. Bounded in threads and in jobs.
#[derive(Debug)]
pub(crate) struct ReadPool {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
}

impl ReadPool {
    /// Starts the threads; they end when the pool is dropped.
    pub(crate) fn start() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..limits::READ_POOL_THREADS {
            let queue = queue.clone();
            let run = move || {
                while let Some(job) = next(&queue) {
                    job();
                }
            };
            thread::Builder::new()
                .name(format!("read-{n}"))
                .spawn(run)
                .expect("the system has a thread to spare at start-up");
        }
        Self {
            jobs,
            places: Arc::new(Semaphore::new(limits::READ_POOL_QUEUE_MAX)),
        }
    }

    /// Runs `read` on a thread of the pool and waits for its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let place = self.places.acquire().await;
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            // The fetch may have gone: then nobody wants the result.
            let _gone = done.send(read());
        });
        self.jobs
            .send(job)
            .expect("the threads run as long as the pool is there");
        let result = result.await.expect("a thread of the pool runs every job");
        drop(place);
        result
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.recv().ok()
}
