//! What the broker of a test logs that an operator would look at.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Takes the WARN and ERROR lines of this thread, on which a test's broker runs,
/// and fails the test at its end if one was not expected.
pub(crate) struct LogWatch {
    lines: Arc<Mutex<Vec<String>>>,
    expected: Mutex<Vec<&'static str>>,
    _guard: DefaultGuard,
}

impl LogWatch {
    pub(crate) fn start() -> Self {
        let lines = Arc::default();
        let collector = Collector(Arc::clone(&lines));
        let subscriber = tracing_subscriber::registry().with(collector);
        Self {
            lines,
            expected: Mutex::default(),
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn expect(&self, text: &'static str) {
        lock(&self.expected).push(text);
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let expected = lock(&self.expected);
        let mut lines = std::mem::take(&mut *lock(&self.lines));
        lines.retain(|line| !expected.iter().any(|text| line.contains(text)));
        let is_quiet = lines.is_empty() || std::thread::panicking();
        assert!(is_quiet, "the broker logged {lines:#?}");
    }
}

struct Collector(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            lock(&self.0).push(line.0);
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _written = write!(self.0, " {}={value:?}", field.name());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
