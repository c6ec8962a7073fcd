//! The last offset of each key, in bounded memory: of a key only a hash is kept.

use std::hash::{BuildHasher as _, RandomState};

use ottla_base::Offset;

/// Bytes of a slot.
const SLOT_BYTES: usize = size_of::<Slot>();
/// Slots of an empty table.
const SLOTS_LEAST: usize = 1024;

/// Two keyed hashes of a key. Equal for two keys with a chance of 2^-128, also if
/// somebody chose the keys, because nobody knows the hashes' keys.
#[derive(Debug, Default)]
pub(crate) struct KeyHash(RandomState, RandomState);

impl KeyHash {
    pub(crate) fn of(&self, key: &[u8]) -> (u64, u64) {
        (self.0.hash_one(key), self.1.hash_one(key))
    }
}

/// Offsets by key: Kafka's `SkimpyOffsetMap`, but for that it takes memory as it
/// needs it. Owned by one pass.
#[derive(Debug)]
pub(crate) struct Latest {
    slots: Vec<Slot>,
    used: usize,
    bytes_max: usize,
    hash: KeyHash,
    /// Every key below is in here.
    end: Offset,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: (u64, u64),
    /// Negative in a slot that is free.
    offset: i64,
}

const FREE: Slot = Slot {
    hash: (0, 0),
    offset: -1,
};

/// There is no memory for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Latest {
    /// Knows nothing yet, and takes no more memory than this.
    pub(crate) fn new(bytes_max: usize, from: Offset) -> Self {
        let slots = SLOTS_LEAST.min(bytes_max / SLOT_BYTES).max(4);
        Self {
            slots: vec![FREE; slots],
            used: 0,
            bytes_max,
            hash: KeyHash::default(),
            end: from,
        }
    }

    /// The keys of every batch below are known.
    pub(crate) const fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn advance(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// Offsets of a key come in rising order.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = self.hash.of(key);
        let at = find(&self.slots, hash);
        if self.slots[at].offset >= 0 {
            self.slots[at].offset = offset.0;
            return Ok(());
        }
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow()?;
        }
        let at = find(&self.slots, hash);
        self.slots[at] = Slot {
            hash,
            offset: offset.0,
        };
        self.used += 1;
        Ok(())
    }

    /// Whether a record of this key comes behind `offset`.
    pub(crate) fn supersedes(&self, key: &[u8], offset: Offset) -> bool {
        self.slots[find(&self.slots, self.hash.of(key))].offset > offset.0
    }

    /// While it grows there are two tables.
    fn grow(&mut self) -> Result<(), Full> {
        let larger = self.slots.len() * 2;
        if (larger + self.slots.len()) * SLOT_BYTES > self.bytes_max {
            return Err(Full);
        }
        let mut slots = vec![FREE; larger];
        for slot in self.slots.iter().filter(|slot| slot.offset >= 0) {
            let at = find(&slots, slot.hash);
            slots[at] = *slot;
        }
        self.slots = slots;
        Ok(())
    }
}

/// Where this hash is, or would be. There is always a free slot.
fn find(slots: &[Slot], hash: (u64, u64)) -> usize {
    let count = slots.len() as u64;
    let mut at = usize::try_from(hash.0 % count).expect("it is below the count of slots");
    while slots[at].offset >= 0 && slots[at].hash != hash {
        at = (at + 1) % slots.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_known() {
        let mut latest = Latest::new(1 << 20, Offset(0));
        for offset in 0..30_000_i64 {
            let key = (offset % 7_000).to_be_bytes();
            latest.put(&key, Offset(offset)).unwrap();
        }
        for offset in 0..30_000_i64 {
            let key = (offset % 7_000).to_be_bytes();
            let is_last = offset + 7_000 >= 30_000;
            assert_eq!(
                latest.supersedes(&key, Offset(offset)),
                !is_last,
                "{offset}"
            );
        }
        assert!(!latest.supersedes(b"another", Offset(0)));
    }

    #[test]
    fn memory_is_bounded_and_what_is_in_stays() {
        for bytes_max in [0, 4_096, 100_000] {
            let mut latest = Latest::new(bytes_max, Offset(0));
            let mut offset = 0_i64;
            while latest.put(&offset.to_be_bytes(), Offset(offset)).is_ok() {
                offset += 1;
                assert!(offset < 1_000_000, "it never fills up");
            }
            assert!(latest.slots.len() * SLOT_BYTES <= bytes_max.max(4 * SLOT_BYTES));
            assert!(offset >= 3, "one key at least must fit");
            let known = |offset: i64| latest.supersedes(&offset.to_be_bytes(), Offset(-1));
            assert!((0..offset).all(known));
            latest.put(&0_i64.to_be_bytes(), Offset(offset)).unwrap();
        }
    }
}
