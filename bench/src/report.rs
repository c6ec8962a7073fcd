//! What is printed: one block per case, median and extremes over the runs.

use std::fmt;

use anyhow::Error;

use crate::broker::Broker;
use crate::case::{Case, Outcome};
use crate::options::Options;

#[derive(Debug)]
pub(crate) struct Report {
    case: Case,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) const fn new(case: Case) -> Self {
        Self {
            case,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    #[expect(clippy::print_stdout, reason = "the result is what the program is for")]
    pub(crate) fn print(&self) {
        let rate = |o: &Outcome| o.records as f64 / o.took.as_secs_f64();
        let mebibytes = |o: &Outcome| rate(o) * f64::from(o.record_bytes) / f64::from(1 << 20);
        let quantile = |q: f64| self.spread(|o| o.latency.value_at_quantile(q) as f64 / 1000.0);
        println!("{}", self.case.name());
        println!("  records/s      {:.0}", self.spread(rate));
        println!("  MiB/s          {:.1}", self.spread(mebibytes));
        println!("  latency p50    {:.3} ms", quantile(0.5));
        println!("          p99    {:.3} ms", quantile(0.99));
        println!("          p99.9  {:.3} ms", quantile(0.999));
        if self.outcomes.iter().all(|outcome| outcome.usage.is_some()) {
            let seconds = |o: &Outcome| o.usage.map_or(0.0, |u| u.processor.as_secs_f64());
            let each = |o: &Outcome| seconds(o) * 1e6 / o.records as f64;
            let memory = |o: &Outcome| o.usage.map_or(0, |u| u.peak_memory_bytes) as f64;
            let memory = self.spread(|o| memory(o) / f64::from(1 << 20));
            println!("  broker CPU     {:.2} s", self.spread(seconds));
            println!("                 {:.2} us a record", self.spread(each));
            println!("  broker memory  {memory:.1} MiB at most");
        }
    }

    fn spread(&self, value: impl Fn(&Outcome) -> f64) -> Spread {
        let mut values: Vec<f64> = self.outcomes.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        Spread { values }
    }
}

/// The median of sorted values, with the extremes when there are several.
struct Spread {
    values: Vec<f64>,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let (Some(least), Some(most)) = (self.values.first(), self.values.last()) else {
            return write!(f, "nothing was measured");
        };
        let median = self.values[self.values.len() / 2];
        write!(f, "{median:.digits$}")?;
        if self.values.len() > 1 {
            write!(f, " ({least:.digits$} to {most:.digits$})")?;
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
pub(crate) fn introduce(options: &Options, broker: &Broker) {
    println!(
        "broker {}, {} partitions, {} runs of {} s: median (least to most)",
        broker.address, options.partitions, options.runs, options.seconds
    );
    if broker.is_spawned() {
        let policy = options
            .settings
            .iter()
            .find_map(|setting| setting.strip_prefix("ottla.flush.policy="));
        println!("flush policy {}", policy.unwrap_or("fsync"));
    }
}

#[expect(clippy::print_stderr, reason = "the last word of the program")]
pub(crate) fn complain(error: &Error) {
    eprintln!("ottla-bench: {error:#}");
}
