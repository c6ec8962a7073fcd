//! Broker settings of Kafka 4.3 that change nothing in Ottla: they are read,
//! checked, stored and shown. One that starts to count moves to `broker`.

use crate::config::Check::*;
use crate::config::checks::{DISTINCT, GROUP_TYPES, HALF, SOME};
use crate::config::declare::plain_keys;

plain_keys! {
    BROKER_IGNORED_KEYS {
        "remote.log.storage.system.enable": Boolean = "false", Medium, ReadOnly, Ignored, Any,
            "Whether tiered storage is on.";
        "remote.log.storage.manager.impl.prefix": String = "rsm.config.", Medium, ReadOnly, Ignored,
            NonEmpty,
            "Prefix of the settings handed to the remote storage plug-in.";
        "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", Medium, ReadOnly,
            Ignored, NonEmpty,
            "Prefix of the settings handed to the remote metadata plug-in.";
        "remote.log.storage.manager.class.name": String = null, Medium, ReadOnly, Ignored, NonEmpty,
            "Class of the remote storage plug-in.";
        "remote.log.storage.manager.class.path": String = null, Medium, ReadOnly, Ignored, Any,
            "Where the remote storage plug-in is loaded from.";
        "remote.log.metadata.manager.class.name": String =
            "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
            Medium, ReadOnly, Ignored, NonEmpty,
            "Class of the remote metadata plug-in.";
        "remote.log.metadata.manager.class.path": String = null, Medium, ReadOnly, Ignored, Any,
            "Where the remote metadata plug-in is loaded from.";
        "remote.log.metadata.manager.listener.name": String = null, Medium, ReadOnly, Ignored,
            NonEmpty,
            "Listener that the remote metadata plug-in connects to.";
        "remote.log.metadata.custom.metadata.max.bytes": Int = "128", Low, ReadOnly, Ignored,
            AtLeast(0),
            "Most custom metadata of a tiered segment.";
        "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", Low, Dynamic, Ignored,
            AtLeast(1),
            "Disk space for indexes of tiered segments.";
        "remote.log.index.file.cache.ttl.ms": Long = "900000", Low, ReadOnly, Internal, AtLeast(-1),
            "How long an index of a tiered segment stays cached.";
        "remote.log.manager.thread.pool.size": Int = "2", Medium, ReadOnly, Ignored, AtLeast(1),
            "Threads of the remote log manager.";
        "remote.log.manager.copier.thread.pool.size": Int = "10", Medium, Dynamic, Ignored,
            AtLeast(1),
            "Threads that copy segments to remote storage.";
        "remote.log.manager.expiration.thread.pool.size": Int = "10", Medium, Dynamic, Ignored,
            AtLeast(1),
            "Threads that delete expired tiered segments.";
        "remote.log.manager.follower.thread.pool.size": Int = "2", Medium, Dynamic, Ignored,
            AtLeast(1),
            "Threads that keep followers informed of tiered segments.";
        "remote.log.manager.task.interval.ms": Long = "30000", Low, ReadOnly, Ignored, AtLeast(1),
            "How often remote log tasks run.";
        "remote.log.manager.task.retry.backoff.ms": Long = "500", Low, ReadOnly, Internal,
            AtLeast(1),
            "First wait before a failed remote log task is repeated.";
        "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", Low, ReadOnly, Internal,
            AtLeast(1),
            "Longest wait before a failed remote log task is repeated.";
        "remote.log.manager.task.retry.jitter": Double = "0.2", Low, ReadOnly, Internal, HALF,
            "Random part of that wait.";
        "remote.log.reader.threads": Int = "10", Medium, Dynamic, Ignored, AtLeast(1),
            "Threads that read from remote storage.";
        "remote.log.reader.max.pending.tasks": Int = "100", Medium, ReadOnly, Ignored, AtLeast(1),
            "Remote reads that may wait.";
        "log.local.retention.ms": Long = "-2", Medium, Dynamic, Ignored, AtLeast(-2),
            "The default of `local.retention.ms`.";
        "log.local.retention.bytes": Long = "-2", Medium, Dynamic, Ignored, AtLeast(-2),
            "The default of `local.retention.bytes`.";
        "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", Medium,
            Dynamic, Ignored, AtLeast(1),
            "Most bytes per second copied to remote storage.";
        "remote.log.manager.copy.quota.window.num": Int = "11", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Samples of the quota on copying to remote storage.";
        "remote.log.manager.copy.quota.window.size.seconds": Int = "1", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Length of such a sample.";
        "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807", Medium,
            Dynamic, Ignored, AtLeast(1),
            "Most bytes per second read from remote storage.";
        "remote.log.manager.fetch.quota.window.num": Int = "11", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Samples of the quota on reading from remote storage.";
        "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Length of such a sample.";
        "remote.fetch.max.wait.ms": Int = "500", Medium, Dynamic, Ignored, AtLeast(1),
            "Longest wait of a fetch for remote storage.";
        "remote.list.offsets.request.timeout.ms": Long = "30000", Medium, Dynamic, Ignored,
            AtLeast(1),
            "Longest wait of ListOffsets for remote storage.";
        "num.io.threads": Int = "8", High, Dynamic, Ignored, AtLeast(1),
            "Threads that handle requests. Ottla uses every core.";
        "num.replica.alter.log.dirs.threads": Int = null, High, ReadOnly, Ignored, Any,
            "Threads that move replicas between directories.";
        "background.threads": Int = "10", High, Dynamic, Ignored, AtLeast(1),
            "Threads for background work.";
        "socket.connection.setup.timeout.ms": Long = "10000", Medium, ReadOnly, Ignored, Any,
            "First limit on setting up a connection to another node.";
        "socket.connection.setup.timeout.max.ms": Long = "30000", Medium, ReadOnly, Ignored, Any,
            "Last limit on setting up a connection to another node.";
        "config.providers": List = "", Low, Dynamic, Ignored, DISTINCT,
            "Names of plug-ins that supply values written as `${provider:path:key}`.";
        "authorizer.class.name": String = "", Low, ReadOnly, Ignored, Any,
            "Class that decides what a principal may do.";
        "early.start.listeners": List = null, High, ReadOnly, Ignored, DISTINCT,
            "Listeners that open before authorisation is ready.";
        "unstable.api.versions.enable": Boolean = "false", High, ReadOnly, Internal, Any,
            "Whether unreleased API versions are served.";
        "unstable.feature.versions.enable": Boolean = "false", High, ReadOnly, Internal, Any,
            "Whether unreleased feature levels may be used.";
        "initial.broker.registration.timeout.ms": Int = "60000", Medium, ReadOnly, Ignored, Any,
            "Longest wait for the first registration with the controllers.";
        "sasl.mechanism.controller.protocol": String = "GSSAPI", High, ReadOnly, Ignored, Any,
            "SASL mechanism towards controllers.";
        "controller.performance.sample.period.ms": Long = "60000", Medium, ReadOnly, Internal,
            AtLeast(100),
            "How often the controller logs its event times.";
        "controller.performance.always.log.threshold.ms": Long = "2000", Medium, ReadOnly, Internal,
            AtLeast(0),
            "Event time that the controller always logs.";
        "server.max.startup.time.ms": Long = "9223372036854775807", Medium, ReadOnly, Internal,
            AtLeast(0),
            "Longest time that a start may take.";
        "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", High, ReadOnly,
            Ignored, AtLeast(1),
            "Metadata log bytes between two snapshots.";
        "metadata.log.max.snapshot.interval.ms": Long = "3600000", High, ReadOnly, Ignored,
            AtLeast(0),
            "Longest time between two metadata snapshots.";
        "metadata.log.dir": String = null, High, ReadOnly, Ignored, Any,
            "Where the metadata log is kept, if not in the first data directory.";
        "metadata.log.segment.bytes": Int = "1073741824", High, ReadOnly, Ignored,
            AtLeast(8_388_608),
            "Segment size of the metadata log.";
        "metadata.log.segment.ms": Long = "604800000", High, ReadOnly, Ignored, Any,
            "Segment age of the metadata log.";
        "metadata.max.retention.bytes": Long = "104857600", High, ReadOnly, Ignored, Any,
            "Size of metadata log and snapshots before old ones go.";
        "metadata.max.retention.ms": Long = "604800000", High, ReadOnly, Ignored, Any,
            "Age of metadata log and snapshots before old ones go.";
        "metadata.max.idle.interval.ms": Int = "500", Low, ReadOnly, Ignored, AtLeast(0),
            "Longest time without a record in the metadata log.";
        "internal.metadata.log.segment.bytes": Int = null, Low, ReadOnly, Internal, Any,
            "Segment size of the metadata log in Kafka's own tests.";
        "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Low, ReadOnly, Internal, Any,
            "Largest batch of the metadata log.";
        "internal.metadata.delete.delay.millis": Long = "60000", Low, ReadOnly, Internal, Any,
            "How long a dropped metadata file stays on disk.";
        "max.connection.creation.rate": Int = "2147483647", Medium, Dynamic, Ignored, AtLeast(0),
            "New connections allowed per second.";
        "connection.failed.authentication.delay.ms": Int = "100", Low, ReadOnly, Ignored,
            AtLeast(0),
            "How long the answer to a failed authentication is held back.";
        "queued.max.requests": Int = "500", High, ReadOnly, Ignored, AtLeast(1),
            "Requests that may wait for a handler.";
        "num.network.threads": Int = "3", High, Dynamic, Ignored, AtLeast(1),
            "Threads that serve connections. Ottla uses every core.";
        "controller.socket.timeout.ms": Int = "30000", Medium, ReadOnly, Ignored, Any,
            "Longest wait for the controller.";
        "replica.socket.timeout.ms": Int = "30000", High, ReadOnly, Ignored, Any,
            "Longest wait of a follower for its leader.";
        "replica.socket.receive.buffer.bytes": Int = "65536", High, ReadOnly, Ignored, Any,
            "Receive buffer of a follower's socket.";
        "replica.fetch.max.bytes": Int = "1048576", Medium, ReadOnly, Ignored, AtLeast(0),
            "Bytes that a follower asks for per partition.";
        "replica.fetch.wait.max.ms": Int = "500", High, ReadOnly, Ignored, Any,
            "Longest wait of a follower's fetch.";
        "replica.fetch.backoff.ms": Int = "1000", Medium, ReadOnly, Ignored, AtLeast(0),
            "How long a follower waits after a failed fetch.";
        "replica.fetch.min.bytes": Int = "1", High, ReadOnly, Ignored, Any,
            "Fewest bytes that a follower's fetch waits for.";
        "replica.fetch.response.max.bytes": Int = "10485760", Medium, ReadOnly, Ignored, AtLeast(0),
            "Most bytes of one answer to a follower.";
        "num.replica.fetchers": Int = "1", High, Dynamic, Ignored, AtLeast(1),
            "Threads that replicate from each broker.";
        "replica.high.watermark.checkpoint.interval.ms": Long = "5000", High, ReadOnly, Ignored,
            Any,
            "How often high watermarks are written to disk.";
        "fetch.purgatory.purge.interval.requests": Int = "1000", Medium, ReadOnly, Ignored, Any,
            "Finished fetches kept before they are swept.";
        "producer.purgatory.purge.interval.requests": Int = "1000", Medium, ReadOnly, Ignored, Any,
            "Finished produce requests kept before they are swept.";
        "delete.records.purgatory.purge.interval.requests": Int = "1", Medium, ReadOnly, Ignored,
            Any,
            "Finished deletions kept before they are swept.";
        "unclean.leader.election.interval.ms": Long = "300000", Medium, ReadOnly, Internal,
            AtLeast(1),
            "How often partitions without a leader are looked at.";
        "unclean.leader.election.enable": Boolean = "false", High, Dynamic, Ignored, Any,
            "The default of the topic setting of that name.";
        "follower.fetch.last.tiered.offset.enable": Boolean = "false", Medium, Dynamic, Ignored,
            Any,
            "Whether a new follower starts after what is tiered.";
        "group.coordinator.rebalance.protocols": List = "classic,consumer,streams", Medium,
            ReadOnly, Ignored, GROUP_TYPES,
            "Group protocols that are served.";
        "group.coordinator.threads": Int = "4", High, ReadOnly, Ignored, AtLeast(1),
            "Threads of the group coordinator.";
        "group.coordinator.background.threads": Int = "2", High, ReadOnly, Ignored, AtLeast(1),
            "Threads for long work of the group coordinator.";
        "group.coordinator.append.linger.ms": Int = "-1", Medium, ReadOnly, Ignored, AtLeast(-1),
            "How long group records wait for company; -1 adapts.";
        "offsets.load.buffer.size": Int = "5242880", High, ReadOnly, Ignored, AtLeast(1),
            "Read size when group state is loaded.";
        "offsets.topic.compression.codec": Int = "0", High, ReadOnly, Ignored, Any,
            "Codec of the topic that holds group state, by number.";
        "group.coordinator.cached.buffer.max.bytes": Int = "1048588", Medium, Dynamic, Ignored,
            AtLeast(524_288),
            "Largest buffer that the group coordinator keeps.";
        "group.consumer.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Session timeout of consumer groups.";
        "group.consumer.min.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Least value of the group setting `consumer.session.timeout.ms`.";
        "group.consumer.max.session.timeout.ms": Int = "60000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Greatest value of the group setting `consumer.session.timeout.ms`.";
        "group.consumer.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Heartbeat interval of consumer groups.";
        "group.consumer.min.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Least value of the group setting `consumer.heartbeat.interval.ms`.";
        "group.consumer.max.heartbeat.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Greatest value of the group setting `consumer.heartbeat.interval.ms`.";
        "group.consumer.max.size": Int = "2147483647", Medium, ReadOnly, Ignored, AtLeast(1),
            "Most members of one consumer group.";
        "group.consumer.assignors": List = "uniform,range", Medium, ReadOnly, Ignored, SOME,
            "Assignors of consumer groups; the first is the default.";
        "group.consumer.migration.policy": String = "bidirectional", Medium, ReadOnly, Ignored,
            OneOfIgnoringCase(&["disabled", "downgrade", "upgrade", "bidirectional"]),
            "Which way groups may change between the classic and the consumer protocol.";
        "group.consumer.assignment.interval.ms": Int = "1000", Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a consumer group.";
        "group.consumer.min.assignment.interval.ms": Int = "0", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "Least value of the group setting `consumer.assignment.interval.ms`.";
        "group.consumer.max.assignment.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "Greatest value of the group setting `consumer.assignment.interval.ms`.";
        "group.consumer.regex.refresh.interval.ms": Int = "600000", Medium, ReadOnly, Internal,
            AtLeast(10_000),
            "How often subscribed patterns are matched again.";
        "group.share.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Session timeout of share groups.";
        "group.share.min.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Least value of the group setting `share.session.timeout.ms`.";
        "group.share.max.session.timeout.ms": Int = "60000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Greatest value of the group setting `share.session.timeout.ms`.";
        "group.share.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Heartbeat interval of share groups.";
        "group.share.min.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Least value of the group setting `share.heartbeat.interval.ms`.";
        "group.share.max.heartbeat.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Greatest value of the group setting `share.heartbeat.interval.ms`.";
        "group.share.max.size": Int = "200", Medium, ReadOnly, Ignored, Between(1, 1000),
            "Most members of one share group.";
        "group.share.assignors": List = "simple", Medium, ReadOnly, Ignored, SOME,
            "Assignors of share groups; the first is the default.";
        "group.share.assignment.interval.ms": Int = "1000", Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a share group.";
        "group.share.min.assignment.interval.ms": Int = "0", Medium, ReadOnly, Ignored, AtLeast(0),
            "Least value of the group setting `share.assignment.interval.ms`.";
        "group.share.max.assignment.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "Greatest value of the group setting `share.assignment.interval.ms`.";
        "group.share.initialize.retry.interval.ms": Int = "30000", Low, ReadOnly, Internal,
            AtLeast(1),
            "How often setting up share state is tried again.";
        "group.streams.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Session timeout of streams groups.";
        "group.streams.min.session.timeout.ms": Int = "45000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Least value of the group setting `streams.session.timeout.ms`.";
        "group.streams.max.session.timeout.ms": Int = "60000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Greatest value of the group setting `streams.session.timeout.ms`.";
        "group.streams.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Heartbeat interval of streams groups.";
        "group.streams.min.heartbeat.interval.ms": Int = "5000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Least value of the group setting `streams.heartbeat.interval.ms`.";
        "group.streams.max.heartbeat.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Greatest value of the group setting `streams.heartbeat.interval.ms`.";
        "group.streams.max.size": Int = "2147483647", Medium, ReadOnly, Ignored, AtLeast(1),
            "Most members of one streams group.";
        "group.streams.num.standby.replicas": Int = "0", Medium, ReadOnly, Ignored, AtLeast(0),
            "Standby replicas of each streams task.";
        "group.streams.max.standby.replicas": Int = "2", Medium, ReadOnly, Ignored, AtLeast(0),
            "Greatest value of the group setting `streams.num.standby.replicas`.";
        "group.streams.initial.rebalance.delay.ms": Int = "3000", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "How long the first rebalance of a streams group waits for more members.";
        "group.streams.assignment.interval.ms": Int = "1000", Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a streams group.";
        "group.streams.min.assignment.interval.ms": Int = "0", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "Least value of the group setting `streams.assignment.interval.ms`.";
        "group.streams.max.assignment.interval.ms": Int = "15000", Medium, ReadOnly, Ignored,
            AtLeast(0),
            "Greatest value of the group setting `streams.assignment.interval.ms`.";
        "log.cleaner.threads": Int = "1", Medium, Dynamic, Ignored, AtLeast(0),
            "Threads that compact. Ottla has one.";
        "log.cleaner.io.buffer.size": Int = "524288", Medium, Dynamic, Ignored, AtLeast(0),
            "Memory for the records moved by compaction.";
        "log.cleaner.io.buffer.load.factor": Double = "0.9", Medium, Dynamic, Ignored, Any,
            "How full the memory for keys may get.";
        "cordoned.log.dirs": List = "", Medium, PerBroker, Ignored, DISTINCT,
            "Data directories that get no new replicas; `*` for all.";
        "log.roll.jitter.ms": Long = null or "log.roll.jitter.hours" in Hours, High, Dynamic,
            Ignored, Any,
            "The default of `segment.jitter.ms`. Unset, `log.roll.jitter.hours`.";
        "log.roll.jitter.hours": Int = "0", High, ReadOnly, Ignored, AtLeast(0),
            "As `log.roll.jitter.ms`, in hours.";
        "log.index.size.max.bytes": Int = "10485760", Medium, Dynamic, Ignored, AtLeast(4),
            "The default of `segment.index.bytes`.";
        "log.index.interval.bytes": Int = "4096", Medium, Dynamic, Ignored, AtLeast(0),
            "The default of `index.interval.bytes`.";
        "log.segment.delete.delay.ms": Long = "60000", High, Dynamic, Ignored, AtLeast(0),
            "The default of `file.delete.delay.ms`.";
        "log.flush.offset.checkpoint.interval.ms": Int = "60000", High, ReadOnly, Ignored,
            AtLeast(0),
            "How often flushed offsets are written to disk.";
        "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", High, ReadOnly, Ignored,
            AtLeast(0),
            "How often log start offsets are written to disk.";
        "log.preallocate": Boolean = "false", Medium, Dynamic, Ignored, Any,
            "The default of `preallocate`.";
        "num.recovery.threads.per.data.dir": Int = "2", High, Dynamic, Ignored, AtLeast(1),
            "Threads that recover a data directory at start.";
        "create.topic.policy.class.name": Class = null, Low, ReadOnly, Ignored, Any,
            "Class that may refuse new topics.";
        "alter.config.policy.class.name": Class = null, Low, ReadOnly, Ignored, Any,
            "Class that may refuse changes of settings.";
        "log.dir.failure.timeout.ms": Long = "30000", Low, ReadOnly, Ignored, AtLeast(1),
            "How long a lost directory may stay unreported before the broker stops.";
        "log.initial.task.delay.ms": Long = "30000", Low, ReadOnly, Internal, AtLeast(0),
            "How long background work on logs waits after the start.";
        "group.share.delivery.count.limit": Int = "5", Medium, ReadOnly, Ignored, Between(2, 10),
            "Deliveries of a record to a share group before it is given up.";
        "group.share.max.delivery.count.limit": Int = "10", Medium, ReadOnly, Ignored,
            Between(5, 25),
            "Greatest value of the group setting `share.delivery.count.limit`.";
        "group.share.min.delivery.count.limit": Int = "2", Medium, ReadOnly, Ignored, Between(2, 5),
            "Least value of the group setting `share.delivery.count.limit`.";
        "group.share.record.lock.duration.ms": Int = "30000", Medium, ReadOnly, Ignored,
            Between(1000, 3_600_000),
            "How long a delivered record stays locked.";
        "group.share.min.record.lock.duration.ms": Int = "15000", Medium, ReadOnly, Ignored,
            Between(1000, 30_000),
            "Least value of the group setting `share.record.lock.duration.ms`.";
        "group.share.max.record.lock.duration.ms": Int = "60000", Medium, ReadOnly, Ignored,
            Between(30_000, 3_600_000),
            "Greatest value of the group setting `share.record.lock.duration.ms`.";
        "group.share.partition.max.record.locks": Int = "2000", Medium, ReadOnly, Ignored,
            Between(100, 10_000),
            "Records of one partition that may be locked at once.";
        "group.share.max.partition.max.record.locks": Int = "4000", Medium, ReadOnly, Ignored,
            Between(2000, 10_000),
            "Greatest value of the group setting `share.partition.max.record.locks`.";
        "group.share.min.partition.max.record.locks": Int = "100", Medium, ReadOnly, Ignored,
            Between(100, 2000),
            "Least value of the group setting `share.partition.max.record.locks`.";
        "share.fetch.purgatory.purge.interval.requests": Int = "1000", Medium, ReadOnly, Ignored,
            Any,
            "Finished share fetches kept before they are swept.";
        "group.share.max.share.sessions": Int = "2000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Share sessions that are kept.";
        "group.share.persister.class.name": String =
            "org.apache.kafka.server.share.persister.DefaultStatePersister", Medium, ReadOnly,
            Internal, Any,
            "Class that stores share state.";
        "share.coordinator.state.topic.num.partitions": Int = "50", High, ReadOnly, Ignored,
            AtLeast(1),
            "Partitions of the topic that holds share state.";
        "share.coordinator.state.topic.replication.factor": Short = "3", High, ReadOnly, Ignored,
            AtLeast(1),
            "Replicas of the topic that holds share state.";
        "share.coordinator.state.topic.min.isr": Short = "2", High, ReadOnly, Ignored, AtLeast(1),
            "`min.insync.replicas` of the topic that holds share state.";
        "share.coordinator.state.topic.segment.bytes": Int = "104857600", High, ReadOnly, Ignored,
            AtLeast(1),
            "`segment.bytes` of the topic that holds share state.";
        "share.coordinator.threads": Int = "1", Medium, ReadOnly, Ignored, AtLeast(1),
            "Threads of the share coordinator.";
        "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Medium, ReadOnly,
            Ignored, Between(0, 500),
            "Updates of share state between two snapshots.";
        "share.coordinator.load.buffer.size": Int = "5242880", High, ReadOnly, Ignored, AtLeast(1),
            "Read size when share state is loaded.";
        "share.coordinator.state.topic.compression.codec": Int = "0", High, ReadOnly, Ignored, Any,
            "Codec of the topic that holds share state, by number.";
        "share.coordinator.append.linger.ms": Int = "-1", Medium, ReadOnly, Ignored, AtLeast(-1),
            "How long share records wait for company; -1 adapts.";
        "share.coordinator.write.timeout.ms": Int = "5000", High, ReadOnly, Ignored, AtLeast(1),
            "Longest wait for share state to be replicated.";
        "share.coordinator.state.topic.prune.interval.ms": Int = "300000", Low, ReadOnly, Internal,
            AtLeast(1),
            "How often old share state is dropped.";
        "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", Low, ReadOnly,
            Internal, AtLeast(1),
            "How often idle share state is written again.";
        "share.coordinator.cached.buffer.max.bytes": Int = "1048588", Medium, Dynamic, Ignored,
            AtLeast(524_288),
            "Largest buffer that the share coordinator keeps.";
        "transaction.state.log.min.isr": Int = "2", High, ReadOnly, Ignored, AtLeast(1),
            "`min.insync.replicas` of the topic that holds transaction state.";
        "transaction.state.log.load.buffer.size": Int = "5242880", High, ReadOnly, Ignored,
            AtLeast(1),
            "Read size when transaction state is loaded.";
        "transaction.state.log.replication.factor": Short = "3", High, ReadOnly, Ignored,
            AtLeast(1),
            "Replicas of the topic that holds transaction state.";
        "transaction.state.log.num.partitions": Int = "50", High, ReadOnly, Ignored, AtLeast(1),
            "Partitions of the topic that holds transaction state.";
        "transaction.state.log.segment.bytes": Int = "104857600", High, ReadOnly, Ignored,
            AtLeast(1),
            "`segment.bytes` of the topic that holds transaction state.";
        "transaction.partition.verification.enable": Boolean = "true", Low, Dynamic, Ignored, Any,
            "Whether an append checks that its transaction knows the partition.";
        "producer.id.expiration.check.interval.ms": Int = "600000", Low, ReadOnly, Internal,
            AtLeast(1),
            "How often idle producers are looked for.";
        "transactional.id.expiration.ms": Int = "604800000", High, ReadOnly, Ignored, AtLeast(1),
            "How long an unused transactional id is kept.";
        "transaction.max.timeout.ms": Int = "900000", High, ReadOnly, Ignored, AtLeast(1),
            "Longest transaction timeout that a producer may ask for.";
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", Low, ReadOnly,
            Ignored, AtLeast(1),
            "How often timed-out transactions are looked for.";
        "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000", Low,
            ReadOnly, Ignored, AtLeast(1),
            "How often expired transactional ids are looked for.";
        "transaction.two.phase.commit.enable": Boolean = "false", Low, ReadOnly, Ignored, Any,
            "Whether transactions may take part in a two-phase commit.";
        "controller.quorum.election.timeout.ms": Int = "1000", High, ReadOnly, Ignored, AtLeast(0),
            "Silence of the controllers after which one stands for election.";
        "controller.quorum.fetch.timeout.ms": Int = "2000", High, ReadOnly, Ignored, AtLeast(0),
            "Silence of the leading controller after which it is given up.";
        "controller.quorum.election.backoff.max.ms": Int = "1000", High, ReadOnly, Ignored,
            AtLeast(0),
            "Longest wait between two elections.";
        "controller.quorum.append.linger.ms": Int = "25", Medium, ReadOnly, Ignored, AtLeast(0),
            "How long metadata records wait for company.";
        "controller.quorum.request.timeout.ms": Int = "2000", Medium, ReadOnly, Ignored, AtLeast(0),
            "Longest wait for another controller.";
        "controller.quorum.retry.backoff.ms": Int = "20", Low, ReadOnly, Ignored, AtLeast(0),
            "How long a failed request to a controller waits before the next.";
        "controller.quorum.auto.join.enable": Boolean = "false", Low, ReadOnly, Ignored, Any,
            "Whether a new controller joins the quorum by itself.";
        "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", Low, ReadOnly, Ignored,
            AtLeast(1),
            "Most bytes of one piece of a metadata snapshot.";
        "controller.quorum.fetch.max.bytes": Int = "1048576", Low, ReadOnly, Ignored, AtLeast(1),
            "Most bytes of one fetch of the metadata log.";
        "metrics.num.samples": Int = "2", Low, ReadOnly, Ignored, AtLeast(1),
            "Samples kept for each metric.";
        "metrics.sample.window.ms": Long = "30000", Low, ReadOnly, Ignored, AtLeast(1),
            "Length of such a sample.";
        "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", Low, Dynamic,
            Ignored, DISTINCT,
            "Classes that report metrics.";
        "metrics.recording.level": String = "INFO", Low, ReadOnly, Ignored, Any,
            "Finest level of metrics that are recorded.";
        "kafka.metrics.reporters": List = "", Low, ReadOnly, Ignored, DISTINCT,
            "Older classes that report metrics.";
        "kafka.metrics.polling.interval.secs": Int = "10", Low, ReadOnly, Ignored, AtLeast(1),
            "How often those are asked.";
        "telemetry.max.bytes": Int = "1048576", Low, ReadOnly, Ignored, AtLeast(1),
            "Largest push of client metrics.";
        "quota.window.num": Int = "11", Low, ReadOnly, Ignored, AtLeast(1),
            "Samples of client quotas.";
        "replication.quota.window.num": Int = "11", Low, ReadOnly, Ignored, AtLeast(1),
            "Samples of replication quotas.";
        "alter.log.dirs.replication.quota.window.num": Int = "11", Low, ReadOnly, Ignored,
            AtLeast(1),
            "Samples of quotas on moves between directories.";
        "controller.quota.window.num": Int = "11", Low, ReadOnly, Ignored, AtLeast(1),
            "Samples of quotas on topic changes.";
        "quota.window.size.seconds": Int = "1", Low, ReadOnly, Ignored, AtLeast(1),
            "Length of a sample of client quotas.";
        "replication.quota.window.size.seconds": Int = "1", Low, ReadOnly, Ignored, AtLeast(1),
            "Length of a sample of replication quotas.";
        "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", Low, ReadOnly, Ignored,
            AtLeast(1),
            "Length of a sample of quotas on moves between directories.";
        "controller.quota.window.size.seconds": Int = "1", Low, ReadOnly, Ignored, AtLeast(1),
            "Length of a sample of quotas on topic changes.";
        "client.quota.callback.class": Class = null, Low, ReadOnly, Ignored, Any,
            "Class that decides client quotas.";
        "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807", Medium,
            Dynamic, Ignored, AtLeast(0),
            "Most bytes per second moved between directories.";
        "connections.max.reauth.ms": Long = "0", Medium, ReadOnly, Ignored, Any,
            "How long an authentication holds; 0 for ever.";
        "sasl.server.max.receive.size": Int = "524288", Medium, ReadOnly, Ignored, Any,
            "Largest message of a SASL exchange.";
        "security.providers": String = null, Low, ReadOnly, Ignored, Any,
            "Classes that add security algorithms.";
        "principal.builder.class": Class =
            "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Medium,
            PerBroker, Ignored, Any,
            "Class that names the principal of a connection.";
        "ssl.client.auth": String = "none", Medium, PerBroker, Ignored,
            OneOf(&["required", "requested", "none"]),
            "Whether clients must show a certificate.";
        "ssl.principal.mapping.rules": String = "DEFAULT", Low, ReadOnly, Ignored, Any,
            "How a certificate's name becomes a principal.";
        "ssl.allow.dn.changes": Boolean = "false", Low, ReadOnly, Ignored, Any,
            "Whether a replaced certificate may carry another name.";
        "ssl.allow.san.changes": Boolean = "false", Low, ReadOnly, Ignored, Any,
            "Whether a replaced certificate may carry other host names.";
        "ssl.protocol": String = "TLSv1.3", Medium, PerBroker, Ignored, Any,
            "TLS version to start from.";
        "ssl.provider": String = null, Medium, PerBroker, Ignored, Any,
            "Security provider for TLS.";
        "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", Medium, PerBroker, Ignored, DISTINCT,
            "TLS versions that are allowed.";
        "ssl.keystore.type": String = "JKS", Medium, PerBroker, Ignored, Any,
            "Format of the key store.";
        "ssl.keystore.location": String = null, Medium, PerBroker, Ignored, Any,
            "File of the key store.";
        "ssl.keystore.password": Password = null, Medium, PerBroker, Ignored, Any,
            "Password of the key store.";
        "ssl.key.password": Password = null, Medium, PerBroker, Ignored, Any,
            "Password of the private key.";
        "ssl.keystore.key": Password = null, Medium, PerBroker, Ignored, Any,
            "The private key itself, in PEM.";
        "ssl.keystore.certificate.chain": Password = null, Medium, PerBroker, Ignored, Any,
            "The certificate chain itself, in PEM.";
        "ssl.truststore.type": String = "JKS", Medium, PerBroker, Ignored, Any,
            "Format of the trust store.";
        "ssl.truststore.location": String = null, Medium, PerBroker, Ignored, Any,
            "File of the trust store.";
        "ssl.truststore.password": Password = null, Medium, PerBroker, Ignored, Any,
            "Password of the trust store.";
        "ssl.truststore.certificates": Password = null, Medium, PerBroker, Ignored, Any,
            "The trusted certificates themselves, in PEM.";
        "ssl.keymanager.algorithm": String = "SunX509", Medium, PerBroker, Ignored, Any,
            "Algorithm of the key manager.";
        "ssl.trustmanager.algorithm": String = "PKIX", Medium, PerBroker, Ignored, Any,
            "Algorithm of the trust manager.";
        "ssl.endpoint.identification.algorithm": String = "https", Low, PerBroker, Ignored, Any,
            "How a server's certificate is matched with its host name.";
        "ssl.secure.random.implementation": String = null, Low, PerBroker, Ignored, Any,
            "Source of random numbers for TLS.";
        "ssl.cipher.suites": List = "", Medium, PerBroker, Ignored, DISTINCT,
            "Cipher suites that are allowed; empty for all.";
        "ssl.engine.factory.class": Class = null, Low, PerBroker, Ignored, Any,
            "Class that makes TLS engines.";
        "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", Medium, PerBroker, Ignored, Any,
            "SASL mechanism between brokers.";
        "sasl.enabled.mechanisms": List = "GSSAPI", Medium, PerBroker, Ignored, DISTINCT,
            "SASL mechanisms that are offered.";
        "sasl.server.callback.handler.class": Class = null, Medium, ReadOnly, Ignored, Any,
            "Class that checks credentials on the server.";
        "sasl.kerberos.principal.to.local.rules": List = "DEFAULT", Medium, PerBroker, Ignored,
            DISTINCT,
            "How a Kerberos name becomes a user name.";
        "sasl.jaas.config": Password = null, Medium, PerBroker, Ignored, Any,
            "Login module and its options.";
        "sasl.client.callback.handler.class": Class = null, Medium, ReadOnly, Ignored, Any,
            "Class that supplies credentials on the client.";
        "sasl.login.class": Class = null, Medium, ReadOnly, Ignored, Any,
            "Class that logs in.";
        "sasl.login.callback.handler.class": Class = null, Medium, ReadOnly, Ignored, Any,
            "Class that supplies credentials for a login.";
        "sasl.kerberos.service.name": String = null, Medium, PerBroker, Ignored, Any,
            "Kerberos name of the service.";
        "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", Medium, PerBroker, Ignored, Any,
            "Path of kinit.";
        "sasl.kerberos.ticket.renew.window.factor": Double = "0.8", Medium, PerBroker, Ignored, Any,
            "Share of a ticket's life after which it is renewed.";
        "sasl.kerberos.ticket.renew.jitter": Double = "0.05", Medium, PerBroker, Ignored, Any,
            "Random part of that time.";
        "sasl.kerberos.min.time.before.relogin": Long = "60000", Medium, PerBroker, Ignored, Any,
            "Shortest time between two logins.";
        "sasl.login.refresh.window.factor": Double = "0.8", Medium, PerBroker, Ignored, Any,
            "Share of a token's life after which it is renewed.";
        "sasl.login.refresh.window.jitter": Double = "0.05", Medium, PerBroker, Ignored, Any,
            "Random part of that time.";
        "sasl.login.refresh.min.period.seconds": Short = "60", Medium, PerBroker, Ignored, Any,
            "Shortest time between two renewals.";
        "sasl.login.refresh.buffer.seconds": Short = "300", Medium, PerBroker, Ignored, Any,
            "Time kept between a renewal and the expiry.";
        "sasl.login.connect.timeout.ms": Int = null, Low, ReadOnly, Ignored, Any,
            "Longest connection set-up to a token server.";
        "sasl.login.read.timeout.ms": Int = null, Low, ReadOnly, Ignored, Any,
            "Longest wait for a token server.";
        "sasl.login.retry.backoff.max.ms": Long = "10000", Low, ReadOnly, Ignored, Any,
            "Longest wait before a login is repeated.";
        "sasl.login.retry.backoff.ms": Long = "100", Low, ReadOnly, Ignored, Any,
            "First wait before a login is repeated.";
        "sasl.oauthbearer.jwt.retriever.class": Class =
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Medium, ReadOnly,
            Ignored, Any,
            "Class that fetches tokens.";
        "sasl.oauthbearer.jwt.validator.class": Class =
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Medium, ReadOnly,
            Ignored, Any,
            "Class that checks tokens.";
        "sasl.oauthbearer.scope": String = null, Medium, ReadOnly, Ignored, Any,
            "Scope asked of the token server.";
        "sasl.oauthbearer.client.credentials.client.id": String = null, Medium, ReadOnly, Ignored,
            Any,
            "Client id at the token server.";
        "sasl.oauthbearer.client.credentials.client.secret": Password = null, Medium, ReadOnly,
            Ignored, Any,
            "Client secret at the token server.";
        "sasl.oauthbearer.assertion.algorithm": String = "RS256", Medium, ReadOnly, Ignored,
            OneOfIgnoringCase(&["ES256", "RS256"]),
            "Signature of an assertion.";
        "sasl.oauthbearer.assertion.claim.aud": String = null, Medium, ReadOnly, Ignored, Any,
            "Audience of an assertion.";
        "sasl.oauthbearer.assertion.claim.exp.seconds": Int = "300", Low, ReadOnly, Ignored,
            Between(0, 86_400),
            "Life of an assertion.";
        "sasl.oauthbearer.assertion.claim.iss": String = null, Medium, ReadOnly, Ignored, Any,
            "Issuer of an assertion.";
        "sasl.oauthbearer.assertion.claim.jti.include": Boolean = "false", Medium, ReadOnly,
            Ignored, Any,
            "Whether an assertion carries an id of its own.";
        "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = "60", Low, ReadOnly, Ignored,
            Between(0, 3600),
            "How far back an assertion starts to hold.";
        "sasl.oauthbearer.assertion.claim.sub": String = null, Medium, ReadOnly, Ignored, Any,
            "Subject of an assertion.";
        "sasl.oauthbearer.assertion.file": String = null, Medium, ReadOnly, Ignored, Any,
            "File of a ready assertion.";
        "sasl.oauthbearer.assertion.private.key.file": String = null, Medium, ReadOnly, Ignored,
            Any,
            "File of the key that signs assertions.";
        "sasl.oauthbearer.assertion.private.key.passphrase": Password = null, Medium, ReadOnly,
            Ignored, Any,
            "Passphrase of that key.";
        "sasl.oauthbearer.assertion.template.file": String = null, Medium, ReadOnly, Ignored, Any,
            "File of headers and claims for assertions.";
        "sasl.oauthbearer.scope.claim.name": String = "scope", Low, ReadOnly, Ignored, Any,
            "Claim that holds the scope.";
        "sasl.oauthbearer.sub.claim.name": String = "sub", Low, ReadOnly, Ignored, Any,
            "Claim that holds the subject.";
        "sasl.oauthbearer.token.endpoint.url": String = null, Medium, ReadOnly, Ignored, Any,
            "Address of the token server.";
        "sasl.oauthbearer.jwks.endpoint.url": String = null, Medium, ReadOnly, Ignored, Any,
            "Address of the keys that tokens are checked with.";
        "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = "3600000", Low, ReadOnly, Ignored, Any,
            "How often those keys are fetched.";
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = "100", Low, ReadOnly, Ignored,
            Any,
            "First wait before the keys are asked for again.";
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = "10000", Low, ReadOnly,
            Ignored, Any,
            "Longest wait before the keys are asked for again.";
        "sasl.oauthbearer.clock.skew.seconds": Int = "30", Low, ReadOnly, Ignored, Any,
            "Difference of clocks that is tolerated.";
        "sasl.oauthbearer.expected.audience": List = "", High, ReadOnly, Ignored, DISTINCT,
            "Audiences that a token may be for.";
        "sasl.oauthbearer.expected.issuer": String = null, High, ReadOnly, Ignored, Any,
            "Issuer that a token must be from.";
        "delegation.token.secret.key": Password = null, Medium, ReadOnly, Ignored, Any,
            "Secret that signs delegation tokens.";
        "delegation.token.max.lifetime.ms": Long = "604800000", Medium, ReadOnly, Ignored,
            AtLeast(1),
            "Longest life of a delegation token.";
        "delegation.token.expiry.time.ms": Long = "86400000", Medium, ReadOnly, Ignored, AtLeast(1),
            "Life of a delegation token between renewals.";
        "delegation.token.expiry.check.interval.ms": Long = "3600000", Low, ReadOnly, Ignored,
            AtLeast(1),
            "How often expired delegation tokens are looked for.";
        "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", High, ReadOnly, Ignored,
            AtLeast(0),
            "Longest wait before a partition is added to a transaction again.";
        "add.partitions.to.txn.retry.backoff.ms": Int = "20", High, ReadOnly, Ignored, AtLeast(1),
            "First wait before a partition is added to a transaction again.";
    }
}
