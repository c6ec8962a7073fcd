//! The few settings that are Ottla's own. Kafka ignores them in a file.

use crate::config::Check::*;
use crate::config::declare::{config_keys, word_setting};

config_keys! {
    /// Settings that Kafka does not have.
    pub struct OttlaConfig in OTTLA_KEYS {
        /// What an acknowledgement promises: `fsync` means on disk, `page-cache` means handed to
        /// the operating system, so that a crash of the machine may lose it.
        flush_policy: FlushPolicy = "fsync" as "ottla.flush.policy",
            High, ReadOnly, Applied, OneOf(FlushPolicy::WORDS);
        /// Memory for the newest records of all partitions together.
        tail_cache_bytes: i64 = "16777216" as "ottla.tail.cache.bytes",
            Medium, ReadOnly, Applied, AtLeast(0);
        /// Size at which a commit file is closed and the next one begun.
        commit_file_bytes: i64 = "268435456" as "ottla.commit.file.bytes",
            Medium, ReadOnly, Applied, AtLeast(1_048_576);
        /// A broker that was silent for so long is fenced, if `broker.session.timeout.ms` is not
        /// shorter: leaders of what it led are elected elsewhere.
        liveness_timeout_ms: i64 = "1500" as "ottla.liveness.timeout.ms",
            Medium, ReadOnly, Applied, AtLeast(100);
        /// How log lines are written: for people, or as JSON.
        log_format: LogFormat = "human" as "ottla.log.format",
            Low, ReadOnly, Applied, OneOf(LogFormat::WORDS);
    }
}

/// `ottla.flush.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    Fsync,
    PageCache,
}

/// `ottla.log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

word_setting! {
    FlushPolicy { Fsync = "fsync", PageCache = "page-cache" }
    LogFormat { Human = "human", Json = "json" }
}
