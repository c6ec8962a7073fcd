//! What is said about a history.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use crate::analysis::{Anomaly, analyse};
use crate::history::{Event, What};

/// So many of each kind of anomaly are told one by one.
const TOLD: usize = 5;

#[derive(Debug)]
pub(crate) struct Verdict {
    counts: Counts,
    anomalies: Vec<Anomaly>,
}

#[derive(Debug, Default)]
struct Counts {
    seed: u64,
    sent: u64,
    acked: u64,
    failed: u64,
    polled: usize,
    commits: u64,
}

impl Verdict {
    pub(crate) fn of(history: &[Event]) -> Self {
        Self {
            counts: Counts::of(history),
            anomalies: analyse(history),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.anomalies.is_empty()
    }
}

impl Counts {
    fn of(history: &[Event]) -> Self {
        let mut counts = Self::default();
        for event in history {
            match &event.what {
                What::Run { seed, .. } => counts.seed = *seed,
                What::Send { .. } => counts.sent += 1,
                What::Acked { .. } => counts.acked += 1,
                What::Failed { .. } | What::Aborted { .. } => counts.failed += 1,
                What::Poll(records) => counts.polled += records.len(),
                What::Committed => counts.commits += 1,
                What::Note(_)
                | What::Producer(_)
                | What::Unknown { .. }
                | What::Member(_)
                | What::Assign(_)
                | What::Revoke(_)
                | What::Commit(_)
                | What::Uncommitted
                | What::Ask(_)
                | What::Answer(_)
                | What::Final { .. } => {}
            }
        }
        counts
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(
            f,
            "verdict seed={} sent={} acked={} failed={} polled={} commits={} anomalies={}",
            counts.seed,
            counts.sent,
            counts.acked,
            counts.failed,
            counts.polled,
            counts.commits,
            self.anomalies.len()
        )?;
        let mut kinds: BTreeMap<&str, Vec<&Anomaly>> = BTreeMap::new();
        for anomaly in &self.anomalies {
            kinds.entry(anomaly.name()).or_default().push(anomaly);
        }
        for (name, of_kind) in kinds {
            writeln!(f, "anomaly {name} {}", of_kind.len())?;
            for anomaly in of_kind.iter().take(TOLD) {
                writeln!(f, "    {anomaly}")?;
            }
        }
        Ok(())
    }
}

pub(crate) fn say(verdict: &Verdict) {
    // Whoever reads has seen enough.
    let _ = write!(io::stdout(), "{verdict}");
}

pub(crate) fn complain(error: &anyhow::Error) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "ottla-checker: {error:#}");
}
