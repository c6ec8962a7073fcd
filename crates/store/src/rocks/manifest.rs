//! A look at the index's list of files before RocksDB reads it.
//!
//! Every record of the list carries a CRC, but not of its kind: RocksDB 11.8 takes one
//! changed bit there for a file that was recycled, and reads it without end.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Records lie in blocks of this size, and none reaches into the next.
const BLOCK_BYTES: usize = 32 * 1024;
/// A CRC, a length of two bytes (little-endian) and a kind.
const HEADER_BYTES: usize = 7;
/// Whole, first, middle and last: all that is ever written to a list. 0 lies where
/// nothing was written.
const KIND_MAX: u8 = 4;

/// Where a record is of a kind that no list holds, if one is. The rest is RocksDB's to
/// judge.
pub(crate) fn alien_record(index: &Path) -> io::Result<Option<String>> {
    let Some(current) = read_if_there(&index.join("CURRENT"))? else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&current);
    let name = name.trim_end();
    let Some(list) = read_if_there(&index.join(name))? else {
        return Ok(None);
    };
    let at = alien_at(&list);
    Ok(at.map(|at| format!("{name} is damaged: the record at {at} is of an unknown kind")))
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn alien_at(list: &[u8]) -> Option<usize> {
    for (number, block) in list.chunks(BLOCK_BYTES).enumerate() {
        let mut at = 0;
        while let Some(&[_, _, _, _, low, high, kind]) = block
            .get(at..)
            .and_then(|rest| rest.first_chunk::<HEADER_BYTES>())
        {
            if kind > KIND_MAX {
                return Some(number * BLOCK_BYTES + at);
            }
            if kind == 0 {
                break;
            }
            at += HEADER_BYTES + usize::from(u16::from_le_bytes([low, high]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record without a CRC, which nobody looks at here.
    fn record(kind: u8, length: u16) -> Vec<u8> {
        let [low, high] = length.to_le_bytes();
        let mut record = vec![9, 9, 9, 9, low, high, kind];
        record.resize(HEADER_BYTES + usize::from(length), 77);
        record
    }

    #[test]
    fn a_record_of_another_kind_is_found_in_any_block() {
        let full = u16::try_from(BLOCK_BYTES - 2 * HEADER_BYTES - 40 - 3).unwrap();
        let block = [record(1, 40), record(2, full), vec![0; 3]].concat();
        assert_eq!(block.len(), BLOCK_BYTES);
        let list = [&block[..], &record(4, 10), &record(1, 9)].concat();
        assert_eq!(alien_at(&list), None);
        assert_eq!(alien_at(&list[..list.len() - 5]), None, "a torn end");
        assert_eq!(alien_at(&[&list[..], &[0; 100]].concat()), None, "zeros");
        for at in [0, HEADER_BYTES + 40, BLOCK_BYTES, BLOCK_BYTES + 17] {
            let mut changed = list.clone();
            changed[at + 6] ^= 8;
            assert_eq!(alien_at(&changed), Some(at));
        }
    }
}
