//! Feature levels: what all brokers of a cluster have agreed to speak.
//!
//! Clients act on two of them: a producer turns to the second transaction
//! protocol when `transaction.version` is finalized at 2, and tools show the
//! rest. A feature that is not served is not listed, which clients read as level
//! 0: they stay with the classic group protocol (`group.version`), the first
//! transaction protocol (`transaction.version`), and without share and streams
//! groups.

/// A feature that this program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// The level that a new cluster starts with.
    pub initial: i16,
}

pub const METADATA_VERSION: &str = "metadata.version";

/// All that is served.
pub const FEATURES: &[Feature] = &[
    // From 3.3-IV3 to 4.3-IV0, the range of Kafka 4.3. Our records do not depend
    // on it; it tells tools which Kafka this is to be taken for.
    Feature {
        name: METADATA_VERSION,
        min: 7,
        max: 30,
        initial: 30,
    },
];
