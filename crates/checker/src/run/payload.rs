//! A record's bytes: its value, and a filling that follows from it, so that a
//! changed byte is noticed.

use crate::chance::Chance;
use crate::history::Value;

const HEAD: usize = 8;
const BLOCK: usize = 16;

pub(super) fn of(value: Value, filling: usize) -> Vec<u8> {
    let mut bytes = value.0.to_be_bytes().to_vec();
    bytes.extend(blocks(value).take(filling.div_ceil(BLOCK)).flatten());
    bytes.truncate(HEAD + filling);
    bytes
}

/// The value, if the bytes are as they were made.
pub(super) fn value(bytes: &[u8]) -> Option<Value> {
    let (head, filling) = bytes.split_first_chunk::<HEAD>()?;
    let value = Value(u64::from_be_bytes(*head));
    let mut pairs = filling.chunks(BLOCK).zip(blocks(value));
    let is_whole = pairs.all(|(block, made)| made.starts_with(block));
    is_whole.then_some(value)
}

/// Every byte depends on the value and its place; half of them compress.
fn blocks(value: Value) -> impl Iterator<Item = [u8; BLOCK]> {
    let mut chance = Chance::new(value.0);
    std::iter::repeat_with(move || {
        let [a, b, c, d, e, ..] = chance.next().to_le_bytes();
        [a, b, c, d, e, a, a, a, a, a, a, a, b, b, b, b]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_its_bytes() {
        for filling in [0, 1, 15, 16, 17, 100] {
            assert_eq!(value(&of(Value(77), filling)), Some(Value(77)));
        }
    }

    #[test]
    fn changed_bytes_have_no_value() {
        let whole = of(Value(77), 20);
        for index in HEAD..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            assert_eq!(value(&bytes), None, "byte {index} was changed");
        }
        assert_eq!(value(&whole[..5]), None);
    }
}
