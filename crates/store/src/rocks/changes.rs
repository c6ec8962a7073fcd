//! Changes of the index on their way into it: rows in order, and rows of which only
//! the last word counts.
//!
//! Must not know what a row means.

use std::collections::BTreeMap;

use rocksdb::WriteBatch;

use super::overlay::Overlay;

/// Changes in the order in which they were made. A key is changed by
/// [`Changes::set`] and [`Changes::unset`] only, or by neither. Owned by whoever makes
/// them.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Kind, two lengths, two byte strings; one behind the other.
    bytes: Vec<u8>,
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const SET: u8 = 4;
const UNSET: u8 = 5;

impl Changes {
    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(PUT, key.as_ref(), value.as_ref());
    }

    pub(crate) fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.push(DELETE, key.as_ref(), &[]);
    }

    /// The rows with `first <= key < end`.
    pub(crate) fn delete_range(&mut self, first: &[u8], end: &[u8]) {
        self.push(DELETE_RANGE, first, end);
    }

    /// A row that is written anew time and again.
    pub(crate) fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(SET, key.as_ref(), value.as_ref());
    }

    /// Removes such a row.
    pub(crate) fn unset(&mut self, key: impl AsRef<[u8]>) {
        self.push(UNSET, key.as_ref(), &[]);
    }

    fn push(&mut self, kind: u8, one: &[u8], other: &[u8]) {
        self.bytes.push(kind);
        for string in [one, other] {
            let length = u32::try_from(string.len()).expect("a row is smaller than a file");
            self.bytes.extend_from_slice(&length.to_be_bytes());
            self.bytes.extend_from_slice(string);
        }
    }
}

/// What was changed since RocksDB was told last. Owned by the index.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// All of it in order, but for rows of which only the last word counts.
    rows: Changes,
    /// No value removes the row.
    last: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Collected {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.bytes.is_empty() && self.last.is_empty()
    }

    /// Bytes of the rows that no later change makes superfluous.
    pub(crate) const fn rows_bytes(&self) -> usize {
        self.rows.bytes.len()
    }

    /// Takes the changes over, and leaves nothing there.
    pub(crate) fn add(&mut self, changes: &mut Changes) {
        for (kind, key, value) in each(&changes.bytes) {
            match kind {
                SET => self.keep(key, Some(value)),
                UNSET => self.keep(key, None),
                kind => self.rows.push(kind, key, value),
            }
        }
        changes.bytes.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.rows.bytes.clear();
        self.last.clear();
    }

    pub(crate) fn to_batch(&self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for (kind, one, other) in each(&self.rows.bytes) {
            match kind {
                PUT => batch.put(one, other),
                DELETE => batch.delete(one),
                DELETE_RANGE => batch.delete_range(one, other),
                kind => unreachable!("no row is changed by the kind {kind}"),
            }
        }
        for (key, value) in &self.last {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    /// What becomes of the rows with `first <= key < end`.
    pub(crate) fn overlay(&self, first: &[u8], end: &[u8]) -> Overlay {
        let is_within = |key: &[u8]| first <= key && key < end;
        let mut overlay = Overlay::default();
        for (kind, one, other) in each(&self.rows.bytes) {
            match kind {
                PUT if is_within(one) => overlay.change(one, Some(other)),
                DELETE if is_within(one) => overlay.change(one, None),
                DELETE_RANGE => overlay.remove(one, other),
                _ => {}
            }
        }
        for (key, value) in self.last.iter().filter(|(key, _)| is_within(key)) {
            overlay.change(key, value.as_deref());
        }
        overlay
    }

    fn keep(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(kept) = self.last.get_mut(key) else {
            self.last.insert(key.into(), value.map(Into::into));
            return;
        };
        match (kept, value) {
            (Some(kept), Some(value)) => {
                kept.clear();
                kept.extend_from_slice(value);
            }
            (kept, value) => *kept = value.map(Into::into),
        }
    }
}

/// Kind and both strings of each change.
fn each(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, rest) = bytes.split_first()?;
        let (one, rest) = split_string(rest);
        let (other, rest) = split_string(rest);
        bytes = rest;
        Some((*kind, one, other))
    })
}

fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes
        .split_first_chunk()
        .expect("a string has its length in front");
    rest.split_at(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_over_once_and_only_the_last_word_on_a_row_is_kept() {
        let (mut changes, mut collected) = (Changes::default(), Collected::default());
        for value in [b"a", b"b"] {
            changes.put([1, value[0]], value);
            changes.set([2], value);
            collected.add(&mut changes);
            collected.add(&mut changes);
        }
        assert_eq!(collected.to_batch().len(), 3);
        assert_eq!(collected.last[&vec![2]], Some(b"b".to_vec()));
    }
}
