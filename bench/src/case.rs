//! The cases, and what one run of a case yields.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use hdrhistogram::Histogram;

use crate::broker::Broker;
use crate::options::Options;
use crate::usage::Usage;
use crate::{consume, latency, produce, unpipelined};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Pipelined produce of 100-byte records, acks=1
    #[value(name = "produce-100-acks1")]
    Produce100Acks1,
    /// Pipelined produce of 100-byte records, acks=all, idempotent
    #[value(name = "produce-100-all")]
    Produce100All,
    /// Pipelined produce of 1 KiB records, acks=1
    #[value(name = "produce-1k-acks1")]
    Produce1kAcks1,
    /// Pipelined produce of 1 KiB records, acks=all, idempotent
    #[value(name = "produce-1k-all")]
    Produce1kAll,
    /// One 1 KiB record at a time, acks=all, idempotent
    Unpipelined,
    /// The same by bare frames, acks=all: no client library in between
    UnpipelinedBare,
    /// Reading 1 KiB records from the first to the last
    Consume,
    /// From send to poll at a fixed rate, 1 KiB records, acks=all
    EndToEnd,
}

/// What one run measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) records: u64,
    pub(crate) record_bytes: u32,
    pub(crate) took: Duration,
    /// Microseconds; what is timed differs by case.
    pub(crate) latency: Histogram<u64>,
    pub(crate) usage: Option<Usage>,
}

/// What acknowledgement a producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    Leader,
    AllIdempotent,
}

impl Case {
    pub(crate) const ALL: [Self; 8] = [
        Self::Produce100Acks1,
        Self::Produce100All,
        Self::Produce1kAcks1,
        Self::Produce1kAll,
        Self::Unpipelined,
        Self::UnpipelinedBare,
        Self::Consume,
        Self::EndToEnd,
    ];

    pub(crate) fn run(self, options: &Options, broker: &Broker) -> Result<Outcome> {
        match self {
            Self::Produce100Acks1 => produce::pipelined(options, broker, 100, Acks::Leader),
            Self::Produce100All => produce::pipelined(options, broker, 100, Acks::AllIdempotent),
            Self::Produce1kAcks1 => produce::pipelined(options, broker, 1024, Acks::Leader),
            Self::Produce1kAll => produce::pipelined(options, broker, 1024, Acks::AllIdempotent),
            Self::Unpipelined => produce::one_by_one(options, broker, 1024),
            Self::UnpipelinedBare => unpipelined::bare(options, broker, 1024),
            Self::Consume => consume::everything(options, broker, 1024),
            Self::EndToEnd => latency::end_to_end(options, broker, 1024),
        }
    }

    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Microseconds up to ten minutes, with three significant digits. Bounded from
/// the start: one that may grow takes nothing above 2 from `saturating_record`.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
