//! Rows that RocksDB has no room for, laid over those that it has.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What was changed in one range of rows, and a place in it. Owned by whoever reads.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// No value: the row is gone.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Of these ranges nothing older is left.
    gone: Vec<(Vec<u8>, Vec<u8>)>,
    /// The row that is next, if it is one of these.
    here: Option<Vec<u8>>,
}

/// Where a reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Overlay {
    pub(crate) fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.rows.insert(key.into(), value.map(Into::into));
    }

    /// Removes the rows with `first <= key < end`.
    pub(crate) fn remove(&mut self, first: &[u8], end: &[u8]) {
        self.rows
            .retain(|key, _| key.as_slice() < first || key.as_slice() >= end);
        self.gone.push((first.into(), end.into()));
    }

    /// The row's value, if RocksDB does not know better.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        if let Some(value) = self.rows.get(key) {
            return Some(value.as_deref());
        }
        let mut gone = self.gone.iter();
        let is_gone = gone.any(|(first, end)| first.as_slice() <= key && key < end.as_slice());
        is_gone.then_some(None)
    }

    /// Goes to the nearest row, of its own or the one of RocksDB with the key `other`.
    pub(crate) fn settle(&mut self, way: Way, from: Bound<&[u8]>, other: Option<&[u8]>) {
        let bounds = match way {
            Way::Up => (from, Bound::Unbounded),
            Way::Down => (Bound::Unbounded, from),
        };
        let mut rows = self.rows.range::<[u8], _>(bounds);
        let nearest = match way {
            Way::Up => rows.find(|(_, value)| value.is_some()),
            Way::Down => rows.rfind(|(_, value)| value.is_some()),
        };
        let is_nearer = |key: &[u8]| {
            other.is_none_or(|other| match way {
                Way::Up => key < other,
                Way::Down => key > other,
            })
        };
        let nearest = nearest.filter(|(key, _)| is_nearer(key));
        self.here = nearest.map(|(key, _)| key.clone());
    }

    /// The row that it went to, unless that is RocksDB's.
    pub(crate) fn here(&self) -> Option<(&[u8], &[u8])> {
        let key = self.here.as_deref()?;
        Some((key, self.rows.get(key)?.as_deref()?))
    }
}
