//! The broker's settings that groups obey, as plain values.

/// What the operator decided about groups; a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`; 0 closes the first join at once.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`, in members.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`; counted in UTF-16 units, as Kafka does.
    pub offset_metadata_length_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// Largest record of a group: the metadata and assignments of all its
    /// members together.
    pub record_bytes_max: usize,
}

impl Default for Settings {
    /// Kafka's defaults, but for the record size, for which Kafka takes
    /// `max.message.bytes` of the offsets topic.
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: 2_147_483_647,
            offset_metadata_length_max: 4_096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            record_bytes_max: 16 * 1024 * 1024,
        }
    }
}
