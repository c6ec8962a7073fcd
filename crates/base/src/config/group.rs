//! What a group can configure, and what a subscription to client metrics can.

use crate::config::Check::*;
use crate::config::checks::{CLIENT_MATCHES, DISTINCT, OFFSET_RESET};
use crate::config::declare::plain_keys;

plain_keys! {
    GROUP_KEYS {
        "consumer.session.timeout.ms": Int = "45000" or "group.consumer.session.timeout.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "Silence after which a member of a consumer group is removed.";
        "consumer.heartbeat.interval.ms": Int = "5000" or "group.consumer.heartbeat.interval.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "How often a member of a consumer group reports.";
        "consumer.assignment.interval.ms": Int = "1000"
            or "group.consumer.assignment.interval.ms", Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a consumer group.";
        "share.session.timeout.ms": Int = "45000" or "group.share.session.timeout.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "Silence after which a member of a share group is removed.";
        "share.heartbeat.interval.ms": Int = "5000" or "group.share.heartbeat.interval.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "How often a member of a share group reports.";
        "share.record.lock.duration.ms": Int = "30000" or "group.share.record.lock.duration.ms",
            Medium, Dynamic, Ignored, AtLeast(1000),
            "How long a delivered record stays locked.";
        "share.delivery.count.limit": Int = "5" or "group.share.delivery.count.limit",
            Medium, Dynamic, Ignored, AtLeast(2),
            "Deliveries of a record before it is given up.";
        "share.partition.max.record.locks": Int = "2000"
            or "group.share.partition.max.record.locks", Medium, Dynamic, Ignored, AtLeast(100),
            "Records of one partition that may be locked at once.";
        "share.auto.offset.reset": String = "latest", Medium, Dynamic, Ignored, OFFSET_RESET,
            "Where a share group starts on a partition that is new to it.";
        "share.isolation.level": String = "read_uncommitted", Medium, Dynamic, Ignored,
            OneOf(&["read_committed", "read_uncommitted"]),
            "Whether a share group sees records of open and aborted transactions.";
        "share.renew.acknowledge.enable": Boolean = "true", Medium, Dynamic, Ignored, Any,
            "Whether members may renew the lock on a record.";
        "share.assignment.interval.ms": Int = "1000" or "group.share.assignment.interval.ms",
            Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a share group.";
        "streams.session.timeout.ms": Int = "45000" or "group.streams.session.timeout.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "Silence after which a member of a streams group is removed.";
        "streams.heartbeat.interval.ms": Int = "5000" or "group.streams.heartbeat.interval.ms",
            Medium, Dynamic, Ignored, AtLeast(1),
            "How often a member of a streams group reports.";
        "streams.num.standby.replicas": Int = "0" or "group.streams.num.standby.replicas",
            Medium, Dynamic, Ignored, AtLeast(0),
            "Standby replicas of each streams task.";
        "streams.initial.rebalance.delay.ms": Int = "3000"
            or "group.streams.initial.rebalance.delay.ms", Medium, Dynamic, Ignored, AtLeast(0),
            "How long the first rebalance of a streams group waits for more members.";
        "streams.assignment.interval.ms": Int = "1000" or "group.streams.assignment.interval.ms",
            Medium, Dynamic, Ignored, AtLeast(0),
            "Shortest time between two assignments of a streams group.";
    }
}

plain_keys! {
    CLIENT_METRICS_KEYS {
        "metrics": List = "", Medium, Dynamic, Ignored, DISTINCT,
            "Prefixes of the metrics that clients push; `*` for all.";
        "interval.ms": Int = "300000", Medium, Dynamic, Ignored, Between(100, 3_600_000),
            "How often clients push.";
        "match": List = "", Medium, Dynamic, Ignored, CLIENT_MATCHES,
            "Which clients push, as `selector=pattern`; empty for all.";
    }
}
