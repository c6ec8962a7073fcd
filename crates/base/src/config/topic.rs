//! What a topic can configure: every topic setting of Kafka 4.3.

use crate::config::Check::*;
use crate::config::checks::{
    CLEANUP_POLICIES, GZIP_LEVELS, LZ4_LEVELS, THROTTLED_REPLICAS, ZSTD_LEVELS,
};
use crate::config::declare::config_keys;

config_keys! {
    /// The settings in force for one topic.
    pub struct TopicConfig in TOPIC_KEYS {
        /// What happens to old records: `delete` drops them by age and size, `compact` keeps the
        /// last record of each key. An empty list keeps everything.
        cleanup_policy: CleanupPolicy = "delete" as "cleanup.policy" or "log.cleanup.policy",
            Medium, Dynamic, Applied, CLEANUP_POLICIES;
        /// Level of gzip where `compression.type` is gzip.
        compression_gzip_level: i32 = "-1" as "compression.gzip.level" or "compression.gzip.level",
            Medium, Dynamic, Applied, GZIP_LEVELS;
        /// Level of lz4 where `compression.type` is lz4.
        compression_lz4_level: i32 = "9" as "compression.lz4.level" or "compression.lz4.level",
            Medium, Dynamic, Applied, LZ4_LEVELS;
        /// The codec that batches are stored with; `producer` keeps what the producer chose.
        compression_type: CompressionType = "producer" as "compression.type" or "compression.type",
            Medium, Dynamic, Applied, OneOf(CompressionType::WORDS);
        /// Level of zstd where `compression.type` is zstd.
        compression_zstd_level: i32 = "3" as "compression.zstd.level" or "compression.zstd.level",
            Medium, Dynamic, Applied, ZSTD_LEVELS;
        /// How long a compacted topic keeps the marker that a key was deleted.
        delete_retention_ms: i64 = "86400000" as "delete.retention.ms"
            or "log.cleaner.delete.retention.ms", Medium, Dynamic, Applied, AtLeast(0);
        /// How long a removed segment file stays on disk. Ottla has no segment files.
        file_delete_delay_ms: i64 = "60000" as "file.delete.delay.ms"
            or "log.segment.delete.delay.ms", Medium, Dynamic, Ignored, AtLeast(0);
        /// Records of a partition after which it is flushed to disk before the last of them is
        /// acknowledged; 1 for each. Where `ottla.flush.policy` is `fsync` that is so anyway.
        flush_messages: i64 = "9223372036854775807" as "flush.messages"
            or "log.flush.interval.messages", Medium, Dynamic, Applied, AtLeast(1);
        /// Longest time that a record waits for its flush to disk, where `ottla.flush.policy` is
        /// `page-cache`; five seconds are the most.
        flush_ms: i64 = "9223372036854775807" as "flush.ms" or "log.flush.interval.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Replicas, as `partition:broker`, whose incoming replication is throttled; `*` for all.
        follower_replication_throttled_replicas: List = "" as
            "follower.replication.throttled.replicas", Medium, Dynamic, Applied, THROTTLED_REPLICAS;
        /// Bytes between two entries of Kafka's offset index. Ottla indexes every batch.
        index_interval_bytes: i32 = "4096" as "index.interval.bytes"
            or "log.index.interval.bytes", Medium, Dynamic, Ignored, AtLeast(0);
        /// Segment size of Kafka's own tests.
        internal_segment_bytes: Option<i32> = null as "internal.segment.bytes",
            Medium, Dynamic, Internal, Any;
        /// Replicas, as `partition:broker`, whose outgoing replication is throttled; `*` for all.
        leader_replication_throttled_replicas: List = "" as
            "leader.replication.throttled.replicas", Medium, Dynamic, Applied, THROTTLED_REPLICAS;
        /// Local part of `retention.bytes` under tiered storage; -2 takes `retention.bytes`.
        local_retention_bytes: i64 = "-2" as "local.retention.bytes"
            or "log.local.retention.bytes", Medium, Dynamic, Ignored, AtLeast(-2);
        /// Local part of `retention.ms` under tiered storage; -2 takes `retention.ms`.
        local_retention_ms: i64 = "-2" as "local.retention.ms"
            or "log.local.retention.ms", Medium, Dynamic, Ignored, AtLeast(-2);
        /// Longest time that a record may wait for compaction.
        max_compaction_lag_ms: i64 = "9223372036854775807" as "max.compaction.lag.ms"
            or "log.cleaner.max.compaction.lag.ms", Medium, Dynamic, Applied, AtLeast(1);
        /// Largest record batch that is accepted, as it is stored.
        max_message_bytes: i32 = "1048588" as "max.message.bytes"
            or "message.max.bytes", Medium, Dynamic, Applied, AtLeast(0);
        /// How far a record's timestamp may lie ahead of the broker's clock.
        message_timestamp_after_max_ms: i64 = "3600000" as "message.timestamp.after.max.ms"
            or "log.message.timestamp.after.max.ms", Medium, Dynamic, Applied, AtLeast(0);
        /// How far a record's timestamp may lie behind the broker's clock.
        message_timestamp_before_max_ms: i64 = "9223372036854775807" as
            "message.timestamp.before.max.ms" or "log.message.timestamp.before.max.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Whether a record keeps its producer's timestamp or gets the time of its append.
        message_timestamp_type: TimestampType = "CreateTime" as "message.timestamp.type"
            or "log.message.timestamp.type", Medium, Dynamic, Applied, OneOf(TimestampType::WORDS);
        /// Share of a compacted log that must be uncompacted before it is compacted again.
        min_cleanable_dirty_ratio: f64 = "0.5" as "min.cleanable.dirty.ratio"
            or "log.cleaner.min.cleanable.ratio", Medium, Dynamic, Applied, Between(0, 1);
        /// Shortest time that a record stays uncompacted.
        min_compaction_lag_ms: i64 = "0" as "min.compaction.lag.ms"
            or "log.cleaner.min.compaction.lag.ms", Medium, Dynamic, Applied, AtLeast(0);
        /// Fewest in-sync replicas that an append with acks=all needs.
        min_insync_replicas: i32 = "1" as "min.insync.replicas" or "min.insync.replicas",
            Medium, Dynamic, Applied, AtLeast(1);
        /// Whether Kafka allocates segment files in full beforehand.
        preallocate: bool = "false" as "preallocate" or "log.preallocate",
            Medium, Dynamic, Ignored, Any;
        /// Whether tiered storage stops copying this topic.
        remote_log_copy_disable: bool = "false" as "remote.log.copy.disable",
            Medium, Dynamic, Ignored, Any;
        /// Whether turning tiered storage off also deletes what was tiered.
        remote_log_delete_on_disable: bool = "false" as "remote.log.delete.on.disable",
            Medium, Dynamic, Ignored, Any;
        /// Whether the topic uses tiered storage. Refused unless the cluster has it.
        remote_storage_enable: bool = "false" as "remote.storage.enable",
            Medium, Dynamic, Ignored, Any;
        /// Bytes that a partition may hold before its oldest batches are dropped; -1 for no limit.
        retention_bytes: i64 = "-1" as "retention.bytes" or "log.retention.bytes",
            Medium, Dynamic, Applied, Any;
        /// How long a record is kept at least; -1 for ever. The oldest batch goes when its latest
        /// record is older, where Kafka waits until a whole segment is.
        retention_ms: i64 = "604800000" as "retention.ms" or "log.retention.ms",
            Medium, Dynamic, Applied, AtLeast(-1);
        /// Size of a segment. Ottla has no segment files; compaction leaves the records alone that
        /// would be in Kafka's last one, and a batch is not larger.
        segment_bytes: i32 = "1073741824" as "segment.bytes" or "log.segment.bytes",
            Medium, Dynamic, Applied, AtLeast(1_048_576);
        /// Size of a segment's offset index. Ottla has no segment files.
        segment_index_bytes: i32 = "10485760" as "segment.index.bytes"
            or "log.index.size.max.bytes", Medium, Dynamic, Ignored, AtLeast(4);
        /// Spread of the times at which segments are rolled. Ottla has no segment files.
        segment_jitter_ms: i64 = "0" as "segment.jitter.ms" or "log.roll.jitter.ms",
            Medium, Dynamic, Ignored, AtLeast(0);
        /// Age, by the records' own time, at which a segment ends. Ottla has no segment files; see
        /// `segment.bytes`.
        segment_ms: i64 = "604800000" as "segment.ms" or "log.roll.ms",
            Medium, Dynamic, Applied, AtLeast(1);
        /// Whether a replica outside the in-sync set may become leader when no other is left.
        unclean_leader_election_enable: bool = "false" as "unclean.leader.election.enable"
            or "unclean.leader.election.enable", Medium, Dynamic, Applied, Any;
    }
}

/// `cleanup.policy`: neither, either or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub compact: bool,
    pub delete: bool,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    Uncompressed,
    Zstd,
    Lz4,
    Snappy,
    Gzip,
    Producer,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

type List = Vec<String>;
