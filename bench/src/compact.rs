//! A compacted topic: what it takes on disk and what compaction costs those who write
//! meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, mebibytes, quantile};
use crate::process::Meter;
use crate::steady::{self, Records};
use crate::{disk, topic};

/// The topic of the first record.
const FIRST: &str = "bench-first";
const RECORDS: u64 = 10_000_000;
const KEYS: u64 = 100_000;
const KEY_BYTES: u64 = 8;
const VALUE_BYTES: u32 = 100;
/// Records a second once those are there.
const RATE: u32 = 2_000;
/// So that next to nothing belongs to the segment that is never compacted, and
/// compaction begins early.
const COMPACTED: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.1"),
];
const QUIET: Duration = Duration::from_secs(15);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// Space and time are looked at once all records are written, while some still come;
/// memory is the peak from the first record on.
pub(crate) fn ten_million(load: &Load, broker: &mut Broker) -> Result<Figures> {
    if !broker.kind.keeps_data() || broker.pids.is_empty() {
        bail!("it keeps no data, or is not ours to look at");
    }
    broker.start_anew(FIRST)?;
    topic::set_on_broker(broker, "log.cleaner.backoff.ms", "1000")?;
    let topic = topic::create(broker, 1, &COMPACTED)?;
    let meter = Meter::start(&broker.pids)?;
    let records = Records {
        topic: &topic,
        value_bytes: VALUE_BYTES,
        keys: KEYS,
        linger_ms: "5",
    };
    steady::write(load, broker, &records, RECORDS)?;
    let is_over = AtomicBool::new(false);
    let load = load.with_rate(RATE);
    let (rest, latency) = thread::scope(|scope| {
        let steady = scope.spawn(|| steady::keep_the_rate(&load, broker, &records, &is_over));
        let rest = disk::await_rest(broker, QUIET, SETTLED_WITHIN);
        is_over.store(true, Ordering::Relaxed);
        (rest, steady.join().expect("a producer does not panic"))
    });
    let (rest, latency) = (rest?, latency?);
    let usage = meter.stop()?;
    topic::delete(broker, &topic)?;
    let live = KEYS * (KEY_BYTES + u64::from(VALUE_BYTES));
    let mut figures = Figures::from([
        (Figure::P50, quantile(&latency, 0.5)),
        (Figure::P99, quantile(&latency, 0.99)),
        (Figure::P999, quantile(&latency, 0.999)),
        (Figure::TimesLive, rest.most_bytes as f64 / live as f64),
        (Figure::Settled, rest.after.as_secs_f64()),
    ]);
    if let Some(broker) = usage.broker {
        figures.insert(Figure::PeakMemory, mebibytes(broker.peak_memory_bytes));
        figures.insert(Figure::BrokerCpu, broker.processor.as_secs_f64());
    }
    Ok(figures)
}
