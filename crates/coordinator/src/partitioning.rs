//! Which partition of an internal topic a coordinated thing belongs to.

use std::num::NonZeroU32;

use ottla_base::PartitionId;

/// The partition of `__consumer_offsets` that holds the group `key`, where that
/// topic has `partitions` of them. Java's `String.hashCode`, as Kafka takes it,
/// so that an existing cluster's offsets are found again.
pub fn partition_for(key: &str, partitions: NonZeroU32) -> PartitionId {
    let hash = key.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Kafka's `Utils.abs` maps the one value without a counterpart to 0.
    let positive = hash.checked_abs().unwrap_or(0).unsigned_abs();
    let partition = i32::try_from(positive % partitions).expect("below 2^31, as the hash is");
    PartitionId(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_where_java_puts_them() {
        for (group, partition) in [
            ("", 0),
            ("a", 47),
            // "my-group".hashCode() is -1906497762 in Java.
            ("my-group", 12),
            // Characters beyond the basic plane count as two units.
            ("\u{1f980}", 2),
            // "polygenelubricants".hashCode() is Integer.MIN_VALUE.
            ("polygenelubricants", 0),
        ] {
            let fifty = NonZeroU32::new(50).unwrap();
            assert_eq!(
                partition_for(group, fifty),
                PartitionId(partition),
                "{group}"
            );
        }
    }
}
