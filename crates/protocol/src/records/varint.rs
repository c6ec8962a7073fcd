//! Zig-zag variable-length integers, which records are written in.

use bytes::BufMut;

/// A signed 32-bit number at the front of `bytes`, and how many bytes it takes;
/// none if they end before it does, or it goes on for too long.
///
/// Bits beyond the 32nd are dropped, as Kafka's `ByteUtils` does.
#[inline]
pub(super) fn read_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    let (raw, size) = read_raw::<5>(bytes)?;
    let [a, b, c, d, ..] = raw.to_le_bytes();
    let raw = u32::from_le_bytes([a, b, c, d]);
    Some(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), size))
}

/// The same for 64 bits.
#[inline]
pub(super) fn read_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    let (raw, size) = read_raw::<10>(bytes)?;
    Some(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), size))
}

/// Whether more bytes could make a number of `bytes`, where they make none.
pub(super) fn is_cut_off<const SIZE_MAX: usize>(bytes: &[u8]) -> bool {
    bytes.len() < SIZE_MAX && bytes.iter().all(|byte| byte & 0x80 != 0)
}

pub(super) fn put_varint(out: &mut impl BufMut, value: i32) {
    put_varlong(out, i64::from(value));
}

pub(super) fn put_varlong(out: &mut impl BufMut, value: i64) {
    let mut raw = zigzag(value);
    loop {
        let [low, ..] = raw.to_le_bytes();
        raw >>= 7;
        if raw == 0 {
            return out.put_u8(low & 0x7f);
        }
        out.put_u8(low | 0x80);
    }
}

/// How many bytes a number takes. The same whether it is read as 32 or 64 bits.
pub(super) fn varint_size(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros();
    match bits {
        0 => 1,
        bits => bits.div_ceil(7) as usize,
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn read_raw<const SIZE_MAX: usize>(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    if first & 0x80 == 0 {
        return Some((u64::from(first), 1));
    }
    let mut raw = u64::from(first & 0x7f);
    let mut shift = 7;
    for (index, byte) in bytes.iter().take(SIZE_MAX).enumerate().skip(1) {
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((raw, index + 1));
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_the_size_that_was_promised() {
        let powers = (0..64).map(|bits| 1_i64 << bits);
        for near in powers.flat_map(|power| [power, power.wrapping_sub(1), power.wrapping_neg()]) {
            let mut out = Vec::new();
            put_varlong(&mut out, near);
            assert_eq!(out.len(), varint_size(near), "{near}");
            assert_eq!(read_varlong(&out), Some((near, out.len())), "{near}");
            if let Ok(small) = i32::try_from(near) {
                assert_eq!(read_varint(&out), Some((small, out.len())), "{near}");
            }
        }
    }

    #[test]
    fn numbers_that_do_not_end_are_none() {
        assert_eq!(read_varint(&[]), None);
        assert_eq!(read_varint(&[0x80]), None);
        assert_eq!(read_varint(&[0xff; 10]), None);
        assert_eq!(read_varlong(&[0xff; 20]), None);
        assert!(is_cut_off::<5>(&[0x80; 4]));
        assert!(!is_cut_off::<5>(&[0x80; 5]));
        assert!(!is_cut_off::<5>(&[0x80, 1]));
    }
}
