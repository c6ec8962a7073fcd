//! Changes of the index on their way into it: rows in order, and rows of which only
//! the last word counts.
//!
//! Must not know what a row means.

use std::collections::BTreeMap;

use rocksdb::WriteBatch;

/// Owned by whoever makes the changes, then by the index. A key is changed by
/// [`Changes::set`] and [`Changes::unset`] only, or by neither.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Kind, two lengths, two byte strings; one behind the other.
    rows: Vec<u8>,
    /// No value removes the row.
    last: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.last.is_empty()
    }

    /// Bytes of the rows that no later change makes superfluous.
    pub(crate) const fn rows_bytes(&self) -> usize {
        self.rows.len()
    }

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
        self.keep(key.as_ref(), Some(value.as_ref()));
    }

    /// Removes such a row.
    pub(crate) fn unset(&mut self, key: impl AsRef<[u8]>) {
        self.keep(key.as_ref(), None);
    }

    /// Takes over what was changed later, and leaves nothing there.
    pub(crate) fn append(&mut self, later: &mut Self) {
        self.rows.append(&mut later.rows);
        for (key, value) in &later.last {
            self.keep(key, value.as_deref());
        }
        later.last.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.last.clear();
    }

    pub(crate) fn to_batch(&self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        let mut rest = &self.rows[..];
        while let Some((kind, after)) = rest.split_first() {
            let (one, after) = split_string(after);
            let (other, after) = split_string(after);
            match *kind {
                PUT => batch.put(one, other),
                DELETE => batch.delete(one),
                DELETE_RANGE => batch.delete_range(one, other),
                kind => unreachable!("no change is of the kind {kind}"),
            }
            rest = after;
        }
        for (key, value) in &self.last {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    fn push(&mut self, kind: u8, one: &[u8], other: &[u8]) {
        self.rows.push(kind);
        for string in [one, other] {
            let length = u32::try_from(string.len()).expect("a row is smaller than a file");
            self.rows.extend_from_slice(&length.to_be_bytes());
            self.rows.extend_from_slice(string);
        }
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

fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes
        .split_first_chunk()
        .expect("a string has its length in front");
    rest.split_at(u32::from_be_bytes(*length) as usize)
}
