//! What one run of a case yields, and the figures that are made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::process::Usage;

const MEBIBYTE: f64 = 1_048_576.0;

/// What was sent or read, how long each took, and what it cost.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) records: u64,
    pub(crate) record_bytes: u32,
    /// Microseconds; what is timed differs by case. Empty where nothing is.
    pub(crate) latency: Histogram<u64>,
    pub(crate) usage: Usage,
}

/// One run's figures.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// Something that is measured, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    RecordsPerSecond,
    MebibytesPerSecond,
    MegabytesPerSecond,
    P50,
    P99,
    P999,
    /// Without what disturbs.
    UndisturbedP99,
    /// With what disturbs over without.
    RaisedP99,
    CpuPerRecord,
    BrokerCpu,
    PeakMemory,
    ClientCpu,
    BusiestThread,
    Deleted,
    FirstAcknowledged,
    IdleMemory,
    Filled,
    RestartAfterStop,
    RestartAfterKill,
    PartitionsCreated,
    PartitionsDeleted,
    TopicsCreated,
    TopicsDeleted,
    Descriptors,
    /// Bytes on disk over those of what is live.
    TimesLive,
    /// From the last record to where the background work is done.
    Settled,
    /// From the end of who led to the next acknowledgement.
    Failover,
}

/// How a figure is named and written.
#[derive(Debug)]
pub(crate) struct Description {
    /// In the file of results.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) digits: usize,
}

impl Figure {
    pub(crate) const ALL: [Self; 27] = [
        Self::RecordsPerSecond,
        Self::MebibytesPerSecond,
        Self::MegabytesPerSecond,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::UndisturbedP99,
        Self::RaisedP99,
        Self::CpuPerRecord,
        Self::BrokerCpu,
        Self::PeakMemory,
        Self::ClientCpu,
        Self::BusiestThread,
        Self::Deleted,
        Self::FirstAcknowledged,
        Self::IdleMemory,
        Self::Filled,
        Self::RestartAfterStop,
        Self::RestartAfterKill,
        Self::PartitionsCreated,
        Self::PartitionsDeleted,
        Self::TopicsCreated,
        Self::TopicsDeleted,
        Self::Descriptors,
        Self::TimesLive,
        Self::Settled,
        Self::Failover,
    ];

    pub(crate) const fn describe(self) -> Description {
        let (key, title, digits) = match self {
            Self::RecordsPerSecond => ("records-per-second", "records/s", 0),
            Self::MebibytesPerSecond => ("mebibytes-per-second", "MiB/s", 1),
            Self::MegabytesPerSecond => ("megabytes-per-second", "read, MB/s", 0),
            Self::P50 => ("p50-ms", "p50, ms", 3),
            Self::P99 => ("p99-ms", "p99, ms", 3),
            Self::P999 => ("p999-ms", "p99.9, ms", 3),
            Self::UndisturbedP99 => ("undisturbed-p99-ms", "p99 without the reader, ms", 3),
            Self::RaisedP99 => ("raised-p99", "p99 ÷ p99 without the reader", 2),
            Self::CpuPerRecord => ("cpu-us-per-record", "broker CPU, µs a record", 2),
            Self::BrokerCpu => ("broker-cpu-seconds", "broker CPU, s", 2),
            Self::PeakMemory => ("peak-memory-mebibytes", "broker memory, peak, MiB", 1),
            Self::ClientCpu => ("client-cpu-cores", "client CPU, cores", 2),
            Self::BusiestThread => (
                "busiest-client-thread",
                "busiest client thread, % of a core",
                0,
            ),
            Self::Deleted => ("deleted-percent", "deleted by retention, %", 0),
            Self::FirstAcknowledged => ("first-acknowledged-ms", "first acknowledged, ms", 1),
            Self::IdleMemory => ("idle-memory-mebibytes", "broker memory, idle, MiB", 1),
            Self::Filled => ("filled-mebibytes", "data, MiB", 0),
            Self::RestartAfterStop => ("restart-ms", "after a stop, ms", 0),
            Self::RestartAfterKill => ("restart-after-kill-ms", "after kill -9, ms", 0),
            Self::PartitionsCreated => ("partitions-created-ms", "partitions created, ms", 0),
            Self::PartitionsDeleted => ("partitions-deleted-ms", "partitions deleted, ms", 0),
            Self::TopicsCreated => ("topics-created-ms", "topics created, ms", 0),
            Self::TopicsDeleted => ("topics-deleted-ms", "topics deleted, ms", 0),
            Self::Descriptors => ("descriptors", "open descriptors", 0),
            Self::TimesLive => ("times-live", "bytes on disk ÷ live bytes", 2),
            Self::Settled => ("settled-seconds", "settled after, s", 1),
            Self::Failover => ("failover-ms", "kill -9 to the next acknowledgement, ms", 0),
        };
        Description { key, title, digits }
    }

    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|figure| figure.describe().key == key)
    }
}

impl Outcome {
    pub(crate) fn figures(&self) -> Figures {
        let seconds = self.usage.took.as_secs_f64();
        let rate = self.records as f64 / seconds;
        let client = self.usage.client_processor.as_secs_f64() / seconds;
        let busiest = self.usage.busiest_thread.as_secs_f64() / seconds;
        let mut figures = Figures::from([
            (Figure::RecordsPerSecond, rate),
            (
                Figure::MebibytesPerSecond,
                rate * f64::from(self.record_bytes) / MEBIBYTE,
            ),
            (Figure::ClientCpu, client),
            (Figure::BusiestThread, busiest * 100.0),
        ]);
        if !self.latency.is_empty() {
            figures.extend([
                (Figure::P50, quantile(&self.latency, 0.5)),
                (Figure::P99, quantile(&self.latency, 0.99)),
                (Figure::P999, quantile(&self.latency, 0.999)),
            ]);
        }
        if let Some(broker) = self.usage.broker {
            let processor = broker.processor.as_secs_f64();
            let each = processor * 1e6 / self.records as f64;
            let memory = mebibytes(broker.peak_memory_bytes);
            figures.extend([
                (Figure::BrokerCpu, processor),
                (Figure::CpuPerRecord, each),
                (Figure::PeakMemory, memory),
            ]);
        }
        figures
    }
}

/// Of microseconds, in milliseconds.
pub(crate) fn quantile(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1000.0
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBIBYTE
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Microseconds up to ten minutes, with three significant digits. Bounded from
/// the start: one that may grow takes nothing above 2 from `saturating_record`.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::BrokerUsage;

    #[test]
    fn figures_are_per_second_and_per_record() {
        let mut latency = histogram();
        latency.record_n(2_000, 98).unwrap();
        latency.record_n(40_000, 2).unwrap();
        let usage = Usage {
            took: Duration::from_secs(4),
            broker: Some(BrokerUsage {
                processor: Duration::from_secs(2),
                peak_memory_bytes: 3 << 20,
            }),
            client_processor: Duration::from_secs(6),
            busiest_thread: Duration::from_secs(3),
        };
        let outcome = Outcome {
            records: 4_096,
            record_bytes: 2_048,
            latency,
            usage,
        };
        let expected = [
            (Figure::RecordsPerSecond, "1024"),
            (Figure::MebibytesPerSecond, "2.0"),
            (Figure::P50, "2.000"),
            (Figure::P99, "40.031"),
            (Figure::P999, "40.031"),
            (Figure::CpuPerRecord, "488.28"),
            (Figure::BrokerCpu, "2.00"),
            (Figure::PeakMemory, "3.0"),
            (Figure::ClientCpu, "1.50"),
            (Figure::BusiestThread, "75"),
        ];
        let figures = outcome.figures();
        let written: Vec<_> = figures
            .iter()
            .map(|(figure, value)| {
                let digits = figure.describe().digits;
                (*figure, format!("{value:.digits$}"))
            })
            .collect();
        let expected = expected.map(|(figure, value)| (figure, value.to_owned()));
        assert_eq!(written, expected);
    }

    #[test]
    fn every_figure_is_found_by_its_key() {
        for figure in Figure::ALL {
            assert_eq!(Figure::of_key(figure.describe().key), Some(figure));
        }
    }
}
