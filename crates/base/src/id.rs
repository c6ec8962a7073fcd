//! Names of things. Two ids of different things never mix.

use std::fmt;
use std::sync::Arc;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

number_id! {
    /// `node.id` of a broker.
    BrokerId(i32)
}
number_id! {
    /// Index of a partition within its topic, from 0.
    PartitionId(i32)
}
number_id! {
    /// Identity of an idempotent or transactional producer; -1 for none.
    ProducerId(i64)
}
number_id! {
    /// Incarnation of a producer id; -1 for none.
    ProducerEpoch(i16)
}
number_id! {
    /// Position of a record in what one producer incarnation sent to one
    /// partition; wraps from `i32::MAX` to 0.
    Sequence(i32)
}
name_id! {
    /// A topic's name, as clients write it. Not checked: see
    /// [`TopicName::is_legal`].
    TopicName
}
name_id! {
    /// The id of a group of consumers or workers.
    GroupId
}
name_id! {
    /// The id that a coordinator gave a group's member.
    MemberId
}
name_id! {
    /// The name that an operator gave a static member (`group.instance.id`); it
    /// outlives the member ids that come and go under it.
    InstanceId
}
number_id! {
    /// Which of a group's rebalances this is; grows by one with each.
    Generation(i32)
}
name_id! {
    /// The id of a whole cluster: 22 characters of URL-safe base64.
    ClusterId
}

impl ProducerId {
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    pub const NONE: Self = Self(-1);

    /// The sequence `records` further on, wrapping as Kafka's
    /// `DefaultRecordBatch.incrementSequence` does.
    #[must_use]
    pub const fn plus(self, records: i32) -> Self {
        if self.0 > i32::MAX - records {
            Self(records - (i32::MAX - self.0) - 1)
        } else {
            Self(self.0 + records)
        }
    }
}

impl TopicName {
    /// Longest legal name, in characters.
    pub const LENGTH_MAX: usize = 249;

    /// Whether a topic of this name may be created.
    pub fn is_legal(&self) -> bool {
        let name = self.as_str();
        !name.is_empty()
            && name != "."
            && name != ".."
            && name.len() <= Self::LENGTH_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    }
}

/// A topic's identity: it survives a rename, and a topic that is deleted and
/// created again under its name gets another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// What the protocol writes where there is no id.
    pub const ZERO: Self = Self([0; 16]);
}

impl fmt::Display for TopicId {
    /// URL-safe base64 without padding, as Kafka prints its ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        // 22 digits of 6 bits hold 132 bits: the last digit carries only two.
        for digit in 0..22_u32 {
            let index = if digit < 21 {
                (bits >> (122 - 6 * digit)) & 63
            } else {
                (bits & 3) << 4
            };
            let index = usize::try_from(index).expect("six bits fit");
            write!(f, "{}", char::from(ALPHABET[index]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(Sequence(5).plus(3), Sequence(8));
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
    }

    #[test]
    fn topic_ids_print_as_url_safe_base64() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
    }

    #[test]
    fn names_are_checked_as_kafka_does() {
        for legal in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert!(TopicName::from(legal).is_legal(), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "ü", "a/b", &"x".repeat(250)] {
            assert!(!TopicName::from(illegal).is_legal(), "{illegal}");
        }
    }
}
