//! The cases: what each does, in words and in code.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::broker::Broker;
use crate::kind::Kind;
use crate::load::Load;
use crate::outcome::{Figure, Figures};
use crate::produce::{self, Acks};
use crate::{bare, cold, compact, consume, failover, latency, life, many, perf_test};

const MANY_PARTITIONS: i32 = 1000;
const FIVE_GIBIBYTES: u32 = 5 * 1024;
pub(crate) const NODES_OF_A_CLUSTER: usize = 3;

/// In the order in which one broker is given them: its memory when idle is
/// looked at before any load, its memory under load in the first load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// From the start in an empty directory to the first acknowledged record, and the memory of a broker left alone
    Start,
    /// Pipelined produce of 1 KiB records, acks=all, idempotent
    #[value(name = "produce-1k-all")]
    Produce1kAll,
    /// Pipelined produce of 1 KiB records, acks=1
    #[value(name = "produce-1k-acks1")]
    Produce1kAcks1,
    /// Pipelined produce of 100-byte records, acks=1
    #[value(name = "produce-100-acks1")]
    Produce100Acks1,
    /// Pipelined produce of 100-byte records by bare frames, acks=1: batches encoded once, so that the client is not what limits it
    #[value(name = "produce-100-bare")]
    Produce100Bare,
    /// Pipelined produce of 100-byte records, acks=all, idempotent
    #[value(name = "produce-100-all")]
    Produce100All,
    /// Pipelined produce of 1 KiB records to 1,000 partitions, acks=all, idempotent
    #[value(name = "partitions-1000")]
    Partitions1000,
    /// One 1 KiB record at a time, acks=all, idempotent, no linger
    Unpipelined,
    /// One 1 KiB record at a time by bare frames, acks=all: no client library in between
    UnpipelinedBare,
    /// Reading 1 KiB records from the first to the last
    Consume,
    /// From send to poll at a fixed rate: 1 KiB records, acks=all, idempotent, no linger, retention deleting all the while
    EndToEnd,
    /// A producer at a fixed rate and one consumer of all of it: 1 KiB records, acks=all, idempotent
    #[value(name = "fan-out-1")]
    FanOut1,
    /// The same with eight consumers, each of all of it
    #[value(name = "fan-out-8")]
    FanOut8,
    /// Kafka's own kafka-producer-perf-test: 1 KiB records, acks=all, idempotent
    ProducerPerfTest,
    /// Kafka's own kafka-consumer-perf-test: 1 KiB records
    ConsumerPerfTest,
    /// From the start to the first acknowledged record with data there, after a stop and after kill -9
    Restart,
    /// The same with 5 GiB, in records of 1 KiB
    #[value(name = "restart-5gib")]
    Restart5Gib,
    /// 20,000 partitions: created, started with, and deleted; then 20,000 topics of one partition
    #[value(name = "partitions-20000")]
    Partitions20000,
    /// A compacted topic that gets 10 million records with 100,000 keys, and 2,000 a second until it has settled; to be reached: twice the live bytes at most on disk, 200 MB of memory, a p99.9 of 100 ms
    Compaction,
    /// 2 GiB in 1,000 partitions, batches of 16 KiB in turn; when the broker has sorted them, a client of bare frames reads every 40th partition, one after the other, none of it from memory; to be reached: 300 MB/s
    ColdRead,
    /// 1,000 records of 1 KiB a second, acks=all, idempotent, no linger, with and without a client of bare frames that reads 2 GiB of other partitions again and again, none of it from memory; to be reached: half as much again at most in the p99
    OldReader,
    /// Pipelined produce of 1 KiB records to three nodes, three replicas of which two must be in sync, acks=all, idempotent; processor and memory of all three
    #[value(name = "cluster-1kib-acks-all")]
    Cluster1kAll,
    /// One 1 KiB record at a time to the same three nodes, acks=all, idempotent, no linger
    ClusterAck,
    /// One 1 KiB record at a time to one partition of the same three nodes, acks=all, idempotent, no linger, and kill -9 of its leader
    ClusterFailover,
}

impl Case {
    /// Runs once, on a broker that has been started and took `first` until the
    /// first acknowledged record.
    pub(crate) fn run(self, load: &Load, broker: &mut Broker, first: Duration) -> Result<Figures> {
        let pipelined = |load: &Load, broker: &Broker, record_bytes, acks| {
            Ok(produce::pipelined(load, broker, record_bytes, acks)?.figures())
        };
        match self {
            Self::Start => life::idle(load, broker, first),
            Self::Produce1kAll => pipelined(load, broker, 1024, Acks::AllIdempotent),
            Self::Produce1kAcks1 => pipelined(load, broker, 1024, Acks::Leader),
            Self::Produce100Acks1 => pipelined(load, broker, 100, Acks::Leader),
            Self::Produce100Bare => Ok(bare::pipelined(load, broker, 100)?.figures()),
            Self::Produce100All => pipelined(load, broker, 100, Acks::AllIdempotent),
            Self::Partitions1000 => {
                let load = load.with_partitions(MANY_PARTITIONS);
                pipelined(&load, broker, 1024, Acks::AllIdempotent)
            }
            Self::Unpipelined => Ok(produce::one_by_one(load, broker, 1024)?.figures()),
            Self::UnpipelinedBare => Ok(bare::one_by_one(load, broker, 1024)?.figures()),
            Self::Consume => Ok(consume::everything(load, broker, 1024)?.figures()),
            Self::EndToEnd => latency::end_to_end(load, broker, 1024),
            Self::FanOut1 => latency::fan_out(load, broker, 1024, 1),
            Self::FanOut8 => latency::fan_out(load, broker, 1024, 8),
            Self::ProducerPerfTest => perf_test::producer(load, broker, 1024),
            Self::ConsumerPerfTest => perf_test::consumer(load, broker, 1024),
            Self::Restart => life::restart(load, broker),
            Self::Restart5Gib => life::restart(&load.with_mebibytes(FIVE_GIBIBYTES), broker),
            Self::Partitions20000 => many::partitions(load, broker),
            Self::Compaction => compact::ten_million(load, broker),
            Self::ColdRead => cold::one_of_a_thousand(broker),
            Self::OldReader => cold::beside_a_producer(load, broker),
            Self::Cluster1kAll => pipelined(load, broker, 1024, Acks::AllIdempotent),
            Self::ClusterAck => Ok(produce::one_by_one(load, broker, 1024)?.figures()),
            Self::ClusterFailover => failover::leader_killed(load, broker, 1024),
        }
    }

    /// How many brokers there are, as one cluster.
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::Cluster1kAll | Self::ClusterAck | Self::ClusterFailover => NODES_OF_A_CLUSTER,
            Self::Start
            | Self::Produce1kAll
            | Self::Produce1kAcks1
            | Self::Produce100Acks1
            | Self::Produce100Bare
            | Self::Produce100All
            | Self::Partitions1000
            | Self::Unpipelined
            | Self::UnpipelinedBare
            | Self::Consume
            | Self::EndToEnd
            | Self::FanOut1
            | Self::FanOut8
            | Self::ProducerPerfTest
            | Self::ConsumerPerfTest
            | Self::Restart
            | Self::Restart5Gib
            | Self::Partitions20000
            | Self::Compaction
            | Self::ColdRead
            | Self::OldReader => 1,
        }
    }

    /// Whether a broker must have worked before it is measured: a JVM compiles
    /// what is used often only then.
    pub(crate) const fn wants_a_warm_broker(self) -> bool {
        !matches!(
            self,
            Self::Start
                | Self::Restart
                | Self::Restart5Gib
                | Self::Partitions20000
                | Self::Compaction
                | Self::ColdRead
                | Self::OldReader
                | Self::ClusterFailover
        )
    }

    /// Whether so much is written that it matters how fast the machine hands out
    /// memory for it.
    pub(crate) const fn fills_memory(self) -> bool {
        matches!(
            self,
            Self::Produce1kAll
                | Self::Produce1kAcks1
                | Self::Produce100Acks1
                | Self::Produce100All
                | Self::Produce100Bare
                | Self::Partitions1000
                | Self::Cluster1kAll
        )
    }

    /// Which brokers it is for, where nobody says otherwise.
    pub(crate) fn brokers(self) -> Vec<Kind> {
        match self {
            Self::Produce1kAll | Self::Produce100Acks1 | Self::Produce100Bare | Self::EndToEnd => {
                vec![Kind::OTTLA, Kind::OTTLA_PAGE_CACHE, Kind::KAFKA]
            }
            Self::Unpipelined => vec![Kind::OTTLA_PAGE_CACHE, Kind::KAFKA],
            Self::UnpipelinedBare => vec![
                Kind::OTTLA,
                Kind::OTTLA_PAGE_CACHE,
                Kind::KAFKA,
                Kind::Tansu,
                Kind::Noida,
            ],
            Self::Start
            | Self::Produce1kAcks1
            | Self::Produce100All
            | Self::Partitions1000
            | Self::Consume
            | Self::FanOut1
            | Self::FanOut8
            | Self::ProducerPerfTest
            | Self::ConsumerPerfTest
            | Self::Restart
            | Self::Restart5Gib
            | Self::Compaction
            | Self::ColdRead
            | Self::OldReader
            | Self::ClusterAck
            | Self::ClusterFailover
            | Self::Cluster1kAll => vec![Kind::OTTLA, Kind::KAFKA],
            // Apache Kafka opens files for each partition, and more than a system allows.
            Self::Partitions20000 => vec![Kind::OTTLA],
        }
    }

    /// What the plot shows of it.
    pub(crate) const fn headline(self) -> Figure {
        match self {
            Self::Produce1kAll
            | Self::Produce1kAcks1
            | Self::Produce100Acks1
            | Self::Produce100Bare
            | Self::Produce100All
            | Self::Partitions1000
            | Self::Consume
            | Self::ProducerPerfTest
            | Self::ConsumerPerfTest
            | Self::Cluster1kAll => Figure::RecordsPerSecond,
            Self::Unpipelined | Self::UnpipelinedBare | Self::EndToEnd => Figure::P99,
            Self::ClusterAck => Figure::P50,
            Self::ClusterFailover => Figure::Failover,
            Self::FanOut1 | Self::FanOut8 => Figure::BrokerCpu,
            Self::Start => Figure::FirstAcknowledged,
            Self::Restart | Self::Restart5Gib => Figure::RestartAfterKill,
            Self::Partitions20000 => Figure::PartitionsCreated,
            Self::Compaction => Figure::TimesLive,
            Self::ColdRead => Figure::MegabytesPerSecond,
            Self::OldReader => Figure::RaisedP99,
        }
    }

    /// What is done, as a sentence without its full stop.
    pub(crate) fn description(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map_or_else(String::new, ToString::to_string)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_described_and_found_by_its_name() {
        for case in Case::value_variants() {
            assert_eq!(FromStr::from_str(&case.to_string()), Ok(*case));
            assert!(!case.description().is_empty(), "{case} has no description");
        }
    }
}
