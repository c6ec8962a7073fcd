//! What a broker can configure and Ottla honours. The rest of Kafka's broker
//! settings is in `broker_ignored`.

use crate::config::Check::*;
use crate::config::checks::{
    BOOTSTRAP_SERVERS, CLEANUP_POLICIES, CONNECTIONS_BY_ADDRESS, GZIP_LEVELS, LZ4_LEVELS, ROLES,
    SOME, VOTERS, ZSTD_LEVELS,
};
use crate::config::declare::{config_keys, plain_keys};
use crate::config::value::list;
use crate::config::{CleanupPolicy, CompressionType, SecurityProtocol, TimestampType};

config_keys! {
    /// The settings in force for one broker.
    pub struct BrokerConfig in BROKER_KEYS {
        /// What this process is: `broker`, `controller` or both. Unset, it is both.
        process_roles: Option<List> = null as "process.roles",
            High, ReadOnly, Applied, ROLES;
        /// The number of this node in the cluster. Unset, `broker.id` or else 1.
        node_id: Option<i32> = null as "node.id",
            High, ReadOnly, Applied, AtLeast(0);
        /// The older name of `node.id`; both must agree.
        broker_id: i32 = "-1" as "broker.id",
            High, ReadOnly, Applied, Any;
        /// The rack or zone of this broker, told to clients and used to spread replicas.
        broker_rack: Option<String> = null as "broker.rack",
            Medium, ReadOnly, Applied, Any;
        /// The controllers, as `id@host:port`.
        controller_quorum_voters: List = "" as "controller.quorum.voters",
            High, ReadOnly, Applied, VOTERS;
        /// Where nodes that are no voters look for the controllers, as `host:port`.
        controller_quorum_bootstrap_servers: List = "" as "controller.quorum.bootstrap.servers",
            High, ReadOnly, Applied, BOOTSTRAP_SERVERS;
        /// Listeners that controllers speak on.
        controller_listener_names: Option<List> = null as "controller.listener.names",
            High, ReadOnly, Applied, SOME;
        /// How often a broker reports to the controllers, at most; `ottla.liveness.timeout.ms` may
        /// make it more often.
        broker_heartbeat_interval_ms: i32 = "2000" as "broker.heartbeat.interval.ms",
            Medium, ReadOnly, Applied, Any;
        /// Silence after which the controllers fence a broker, at most.
        broker_session_timeout_ms: i32 = "9000" as "broker.session.timeout.ms",
            Medium, ReadOnly, Applied, Any;
        /// Whether a stopping broker hands over its leaderships first.
        controlled_shutdown_enable: bool = "true" as "controlled.shutdown.enable",
            Medium, ReadOnly, Applied, Any;
        /// Whether leadership moves back to preferred replicas by itself.
        auto_leader_rebalance_enable: bool = "true" as "auto.leader.rebalance.enable",
            High, ReadOnly, Applied, Any;
        /// How often that is looked at.
        leader_imbalance_check_interval_seconds: i64 = "300" as
            "leader.imbalance.check.interval.seconds",
            High, ReadOnly, Applied, AtLeast(1);
        /// How long a follower may be behind before it leaves the in-sync replicas.
        replica_lag_time_max_ms: i64 = "30000" as "replica.lag.time.max.ms",
            High, ReadOnly, Applied, Any;
        /// Most bytes per second sent for throttled replicas.
        leader_replication_throttled_rate: i64 = "9223372036854775807" as
            "leader.replication.throttled.rate",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Most bytes per second received for throttled replicas.
        follower_replication_throttled_rate: i64 = "9223372036854775807" as
            "follower.replication.throttled.rate",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Which replica a consumer reads. With `org.apache.kafka.common.replica.RackAwareReplicaSelector`
        /// it is one in the consumer's rack, else the leader.
        replica_selector_class: Option<String> = null as "replica.selector.class",
            Medium, ReadOnly, Applied, Any;
        /// Where this node listens, as `NAME://host:port`. No host means every interface, port 0
        /// any free port.
        listeners: List = "PLAINTEXT://:9092" as "listeners",
            High, PerBroker, Applied, SOME;
        /// The addresses that clients are told to use. Unset, those of `listeners`.
        advertised_listeners: Option<List> = null as "advertised.listeners",
            High, ReadOnly, Applied, SOME;
        /// The security protocol of each listener name, as `NAME:PROTOCOL`.
        listener_security_protocol_map: String =
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" as
            "listener.security.protocol.map",
            Low, PerBroker, Applied, Any;
        /// The protocol between brokers, where `inter.broker.listener.name` is unset.
        security_inter_broker_protocol: SecurityProtocol =
            "PLAINTEXT" as "security.inter.broker.protocol",
            Medium, ReadOnly, Applied, OneOf(SecurityProtocol::WORDS);
        /// The listener that other brokers use.
        inter_broker_listener_name: Option<String> = null as "inter.broker.listener.name",
            Medium, ReadOnly, Applied, Any;
        /// Send buffer of a connection's socket; -1 leaves the system's choice.
        socket_send_buffer_bytes: i32 = "102400" as "socket.send.buffer.bytes",
            High, ReadOnly, Applied, Any;
        /// Receive buffer of a connection's socket; -1 leaves the system's choice.
        socket_receive_buffer_bytes: i32 = "102400" as "socket.receive.buffer.bytes",
            High, ReadOnly, Applied, Any;
        /// Largest request that is read.
        socket_request_max_bytes: i32 = "104857600" as "socket.request.max.bytes",
            High, ReadOnly, Applied, AtLeast(1);
        /// Connections that may wait to be accepted.
        socket_listen_backlog_size: i32 = "50" as "socket.listen.backlog.size",
            Medium, ReadOnly, Applied, AtLeast(1);
        /// Connections allowed from one address.
        max_connections_per_ip: i32 = "2147483647" as "max.connections.per.ip",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Connections allowed from single addresses, as `address:count`.
        max_connections_per_ip_overrides: String = "" as "max.connections.per.ip.overrides",
            Medium, Dynamic, Applied, CONNECTIONS_BY_ADDRESS;
        /// Connections allowed in all.
        max_connections: i32 = "2147483647" as "max.connections",
            Medium, Dynamic, Applied, AtLeast(0);
        /// Time without a request after which a connection is closed.
        connections_max_idle_ms: i64 = "600000" as "connections.max.idle.ms",
            Medium, ReadOnly, Applied, Any;
        /// Request bytes held in memory before reading pauses; -1 for no limit.
        queued_max_request_bytes: i64 = "-1" as "queued.max.request.bytes",
            Medium, ReadOnly, Applied, Any;
        /// Longest wait for another broker before a request fails.
        request_timeout_ms: i32 = "30000" as "request.timeout.ms",
            High, ReadOnly, Applied, Any;
        /// Most bytes that one fetch response holds.
        fetch_max_bytes: i32 = "57671680" as "fetch.max.bytes",
            Medium, ReadOnly, Applied, AtLeast(1024);
        /// Incremental fetch sessions that are kept.
        max_incremental_fetch_session_cache_slots: i32 =
            "1000" as "max.incremental.fetch.session.cache.slots",
            Medium, ReadOnly, Applied, AtLeast(0);
        /// Most partitions that one DescribeTopicPartitions response holds.
        max_request_partition_size_limit: i32 = "2000" as "max.request.partition.size.limit",
            Medium, ReadOnly, Applied, AtLeast(1);
        /// Partitions of a topic that is created without a number.
        num_partitions: i32 = "1" as "num.partitions",
            Medium, ReadOnly, Applied, AtLeast(1);
        /// Replicas of a topic that is created without a number.
        default_replication_factor: i32 = "1" as "default.replication.factor",
            Medium, ReadOnly, Applied, Any;
        /// Whether asking for an unknown topic may create it.
        auto_create_topics_enable: bool = "true" as "auto.create.topics.enable",
            High, ReadOnly, Applied, Any;
        /// Whether topics may be deleted.
        delete_topic_enable: bool = "true" as "delete.topic.enable",
            High, ReadOnly, Applied, Any;
        /// Where data is kept, if `log.dirs` is unset.
        log_dir: List = "/tmp/kafka-logs" as "log.dir",
            High, ReadOnly, Applied, SOME;
        /// Where data is kept.
        log_dirs: Option<List> = null as "log.dirs",
            High, ReadOnly, Applied, SOME;
        /// Largest record batch that is accepted; the default of `max.message.bytes`.
        message_max_bytes: i32 = "1048588" as "message.max.bytes",
            High, Dynamic, Applied, AtLeast(0);
        /// The codec that batches are stored with; `producer` keeps what the producer chose.
        compression_type: CompressionType = "producer" as "compression.type",
            High, Dynamic, Applied, OneOf(CompressionType::WORDS);
        /// Level of gzip where `compression.type` is gzip.
        compression_gzip_level: i32 = "-1" as "compression.gzip.level",
            Medium, Dynamic, Applied, GZIP_LEVELS;
        /// Level of lz4 where `compression.type` is lz4.
        compression_lz4_level: i32 = "9" as "compression.lz4.level",
            Medium, Dynamic, Applied, LZ4_LEVELS;
        /// Level of zstd where `compression.type` is zstd.
        compression_zstd_level: i32 = "3" as "compression.zstd.level",
            Medium, Dynamic, Applied, ZSTD_LEVELS;
        /// The default of `message.timestamp.type`.
        log_message_timestamp_type: TimestampType = "CreateTime" as "log.message.timestamp.type",
            Medium, Dynamic, Applied, OneOf(TimestampType::WORDS);
        /// The default of `message.timestamp.before.max.ms`.
        log_message_timestamp_before_max_ms: i64 =
            "9223372036854775807" as "log.message.timestamp.before.max.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// The default of `message.timestamp.after.max.ms`.
        log_message_timestamp_after_max_ms: i64 = "3600000" as "log.message.timestamp.after.max.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// The default of `retention.ms`. Unset, `log.retention.minutes` or `log.retention.hours`.
        log_retention_ms: i64 = null as "log.retention.ms" or "log.retention.minutes" in Minutes
            or "log.retention.hours" in Hours,
            High, Dynamic, Applied, Any;
        /// The default of `retention.bytes`.
        log_retention_bytes: i64 = "-1" as "log.retention.bytes",
            High, Dynamic, Applied, Any;
        /// How often retention looks for records to drop.
        log_retention_check_interval_ms: i64 = "300000" as "log.retention.check.interval.ms",
            Medium, ReadOnly, Applied, AtLeast(1);
        /// The default of `cleanup.policy`.
        log_cleanup_policy: CleanupPolicy = "delete" as "log.cleanup.policy",
            Medium, Dynamic, Applied, CLEANUP_POLICIES;
        /// Most bytes per second that compaction, and whatever else rewrites files, reads and
        /// writes.
        log_cleaner_io_max_bytes_per_second: f64 =
            "1.7976931348623157E308" as "log.cleaner.io.max.bytes.per.second",
            Medium, Dynamic, Applied, Any;
        /// Memory for the keys seen by compaction.
        log_cleaner_dedupe_buffer_size: i64 = "134217728" as "log.cleaner.dedupe.buffer.size",
            Medium, Dynamic, Applied, Any;
        /// How long compaction sleeps when there is nothing to do.
        log_cleaner_backoff_ms: i64 = "15000" as "log.cleaner.backoff.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// The default of `min.cleanable.dirty.ratio`.
        log_cleaner_min_cleanable_ratio: f64 = "0.5" as "log.cleaner.min.cleanable.ratio",
            Medium, Dynamic, Applied, Between(0, 1);
        /// Whether logs are compacted at all. Deprecated in Kafka.
        log_cleaner_enable: bool = "true" as "log.cleaner.enable",
            Medium, ReadOnly, Applied, Any;
        /// The default of `delete.retention.ms`.
        log_cleaner_delete_retention_ms: i64 = "86400000" as "log.cleaner.delete.retention.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// The default of `min.compaction.lag.ms`.
        log_cleaner_min_compaction_lag_ms: i64 = "0" as "log.cleaner.min.compaction.lag.ms",
            Medium, Dynamic, Applied, AtLeast(0);
        /// The default of `max.compaction.lag.ms`.
        log_cleaner_max_compaction_lag_ms: i64 =
            "9223372036854775807" as "log.cleaner.max.compaction.lag.ms",
            Medium, Dynamic, Applied, AtLeast(1);
        /// The default of `segment.bytes`.
        log_segment_bytes: i32 = "1073741824" as "log.segment.bytes",
            High, Dynamic, Applied, AtLeast(1_048_576);
        /// The default of `segment.ms`. Unset, `log.roll.hours`.
        log_roll_ms: i64 = null as "log.roll.ms" or "log.roll.hours" in Hours,
            High, Dynamic, Applied, Any;
        /// The default of the topic setting of that name.
        min_insync_replicas: i32 = "1" as "min.insync.replicas",
            High, Dynamic, Applied, AtLeast(1);
        /// Longest wait for an offset commit to be replicated.
        offsets_commit_timeout_ms: i32 = "5000" as "offsets.commit.timeout.ms",
            High, ReadOnly, Applied, AtLeast(1);
        /// Largest metadata text of an offset commit.
        offset_metadata_max_bytes: i32 = "4096" as "offset.metadata.max.bytes",
            High, ReadOnly, Applied, Any;
        /// Partitions of the topic that holds group state.
        offsets_topic_num_partitions: i32 = "50" as "offsets.topic.num.partitions",
            High, ReadOnly, Applied, AtLeast(1);
        /// Replicas of the topic that holds group state.
        offsets_topic_replication_factor: i16 = "3" as "offsets.topic.replication.factor",
            High, ReadOnly, Applied, AtLeast(1);
        /// `segment.bytes` of the topic that holds group state.
        offsets_topic_segment_bytes: i32 = "104857600" as "offsets.topic.segment.bytes",
            High, ReadOnly, Applied, AtLeast(1);
        /// How long offsets are kept after their group has emptied.
        offsets_retention_minutes: i32 = "10080" as "offsets.retention.minutes",
            High, ReadOnly, Applied, AtLeast(1);
        /// How often expired offsets are looked for.
        offsets_retention_check_interval_ms: i64 =
            "600000" as "offsets.retention.check.interval.ms",
            High, ReadOnly, Applied, AtLeast(1);
        /// Shortest session timeout that a classic member may ask for.
        group_min_session_timeout_ms: i32 = "6000" as "group.min.session.timeout.ms",
            Medium, ReadOnly, Applied, Any;
        /// Longest session timeout that a classic member may ask for.
        group_max_session_timeout_ms: i32 = "1800000" as "group.max.session.timeout.ms",
            Medium, ReadOnly, Applied, Any;
        /// How long the first rebalance of an empty group waits for more members.
        group_initial_rebalance_delay_ms: i32 = "3000" as "group.initial.rebalance.delay.ms",
            Medium, ReadOnly, Applied, Any;
        /// Most members of one classic group.
        group_max_size: i32 = "2147483647" as "group.max.size",
            Medium, ReadOnly, Applied, AtLeast(1);
        /// How long an idle producer's sequence state is kept.
        producer_id_expiration_ms: i32 = "86400000" as "producer.id.expiration.ms",
            Low, Dynamic, Applied, AtLeast(1);
    }
}

impl BrokerConfig {
    /// Where data is kept: `log.dirs`, or else `log.dir`.
    pub fn data_dirs(&self) -> &[String] {
        self.log_dirs.as_ref().unwrap_or(&self.log_dir)
    }

    /// How many connections an address may have, where that was set for it alone.
    pub fn connections_for(&self, address: &str) -> Option<i32> {
        list(&self.max_connections_per_ip_overrides)
            .iter()
            .filter_map(|item| item.rsplit_once(':'))
            .find(|(named, _)| named.trim().trim_matches(['[', ']']) == address)
            .and_then(|(_, count)| count.trim().parse().ok())
    }
}

plain_keys! {
    BROKER_UNIT_KEYS {
        "log.retention.minutes": Int = null, High, ReadOnly, Applied, Any,
            "As `log.retention.ms`, in minutes.";
        "log.retention.hours": Int = "168", High, ReadOnly, Applied, Any,
            "As `log.retention.ms`, in hours.";
        "log.flush.interval.messages": Long = "9223372036854775807", High, Dynamic, Applied,
            AtLeast(1),
            "The default of `flush.messages`.";
        "log.flush.interval.ms": Long = null or "log.flush.scheduler.interval.ms", High, Dynamic,
            Applied, Any,
            "The default of `flush.ms`. Unset, `log.flush.scheduler.interval.ms`.";
        "log.flush.scheduler.interval.ms": Long = "9223372036854775807", High, ReadOnly, Applied,
            Any,
            "Stands in for `log.flush.interval.ms`. Ottla needs no schedule to flush in time.";
        "log.roll.hours": Int = "168", High, ReadOnly, Applied, AtLeast(1),
            "As `log.roll.ms`, in hours.";
    }
}

type List = Vec<String>;
