//! Reads the shape of records from a stream, without keeping their bytes.

use std::io::{self, BufRead, Write};

use bytes::BufMut;

use super::varint::{is_cut_off, put_varint, put_varlong, read_varint, read_varlong, varint_size};
use super::{BatchError, DECOMPRESSED_MAX};

/// What the checks need to know of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

/// Goes through the records of one batch, one by one. It allocates nothing:
/// `input` is the batch itself, or a decompressor with its one buffer.
#[derive(Debug)]
pub(super) struct Walk<R> {
    input: R,
    /// How many bytes were taken so far.
    position: u64,
    /// The record that is being read, for errors.
    index: i32,
}

impl<R: BufRead> Walk<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            index: 0,
        }
    }

    /// The next record, all of which is taken off the input.
    #[inline]
    pub(super) fn next_shape(&mut self) -> Result<Shape, BatchError> {
        let bytes = self.input.fill_buf().map_err(unreadable)?;
        let Some((shape, size)) = whole_record(bytes) else {
            return self.next_in_pieces();
        };
        self.index += 1;
        self.consume(size)?;
        Ok(shape)
    }

    /// The next record, which is malformed, or lies across the end of a buffer.
    fn next_in_pieces(&mut self) -> Result<Shape, BatchError> {
        let head = self.head()?;
        let key = self.varint()?;
        self.skip_field(key, head.end)?;
        let value = self.varint()?;
        self.skip_field(value, head.end)?;
        let headers = self.varint()?;
        // A header takes at least two bytes, so a count that is too large runs
        // into the record's end.
        if headers < 0 {
            return Err(self.malformed());
        }
        for _ in 0..headers {
            let key = self.varint()?;
            if key < 0 {
                return Err(self.malformed());
            }
            self.skip_field(key, head.end)?;
            let value = self.varint()?;
            self.skip_field(value, head.end)?;
        }
        if self.position != head.end {
            return Err(self.malformed());
        }
        self.index += 1;
        Ok(Shape {
            timestamp_delta: head.timestamp_delta,
            offset_delta: head.offset_delta,
            has_key: key >= 0,
        })
    }

    /// The next record, written to `out` with another offset delta.
    pub(super) fn copy_next(
        &mut self,
        offset_delta: i32,
        out: &mut impl Write,
    ) -> Result<(), CopyError> {
        let head = self.head()?;
        // Not from the size that it had: a client may have written its numbers
        // longer than they need to be.
        let front = 1 + varint_size(head.timestamp_delta) + varint_size(i64::from(offset_delta));
        let body = front as u64 + head.end - self.position;
        let body = i64::try_from(body).map_err(|_| self.malformed())?;
        // Three numbers of up to ten bytes, and one byte.
        let mut front = [0; 31];
        let mut room = &mut front[..];
        put_varlong(&mut room, body);
        room.put_u8(head.attributes);
        put_varlong(&mut room, head.timestamp_delta);
        put_varint(&mut room, offset_delta);
        let unused = room.len();
        let front = &front[..front.len() - unused];
        out.write_all(front).map_err(CopyError::Write)?;
        while self.position < head.end {
            let bytes = self.some(head.end - self.position)?;
            out.write_all(bytes).map_err(CopyError::Write)?;
            let size = bytes.len();
            self.consume(size)?;
        }
        self.index += 1;
        Ok(())
    }

    /// Checks that nothing is left.
    pub(super) fn finish(mut self) -> Result<(), BatchError> {
        let rest = self.input.fill_buf().map_err(unreadable)?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(BatchError::Trailing {
                records: self.index,
            })
        }
    }

    fn head(&mut self) -> Result<Head, BatchError> {
        let size = self.varint()?;
        let end = u64::try_from(size).map_err(|_| self.malformed())? + self.position;
        let head = Head {
            end,
            attributes: self.byte()?,
            timestamp_delta: self.varlong()?,
            offset_delta: self.varint()?,
        };
        if self.position > end {
            return Err(self.malformed());
        }
        Ok(head)
    }

    /// Passes over a field, which must lie within its record. A negative length
    /// says that there is none.
    fn skip_field(&mut self, length: i32, end: u64) -> Result<(), BatchError> {
        let Ok(mut length) = u64::try_from(length) else {
            return Ok(());
        };
        if self.position + length > end {
            return Err(self.malformed());
        }
        while length > 0 {
            let size = self.some(length)?.len();
            self.consume(size)?;
            length -= size as u64;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = self.some(1)?[0];
        self.consume(1)?;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<i32, BatchError> {
        self.number::<_, 5>(read_varint)
    }

    fn varlong(&mut self) -> Result<i64, BatchError> {
        self.number::<_, 10>(read_varlong)
    }

    #[inline]
    fn number<T, const SIZE_MAX: usize>(
        &mut self,
        read: impl Fn(&[u8]) -> Option<(T, usize)>,
    ) -> Result<T, BatchError> {
        let bytes = self.input.fill_buf().map_err(unreadable)?;
        if let Some((value, size)) = read(bytes) {
            self.consume(size)?;
            return Ok(value);
        }
        if !is_cut_off::<SIZE_MAX>(bytes) {
            return Err(self.malformed());
        }
        // The number lies across the end of the buffer.
        let mut whole = [0; SIZE_MAX];
        for size in 1..=SIZE_MAX {
            whole[size - 1] = self.byte()?;
            if let Some((value, _)) = read(&whole[..size]) {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    /// Between 1 and `most` of the next bytes.
    fn some(&mut self, most: u64) -> Result<&[u8], BatchError> {
        let malformed = self.malformed();
        let bytes = self.input.fill_buf().map_err(unreadable)?;
        if bytes.is_empty() {
            return Err(malformed);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(&bytes[..bytes.len().min(most)])
    }

    fn consume(&mut self, size: usize) -> Result<(), BatchError> {
        self.input.consume(size);
        self.position += size as u64;
        if self.position > DECOMPRESSED_MAX.0 {
            return Err(BatchError::TooLarge(DECOMPRESSED_MAX));
        }
        Ok(())
    }

    fn malformed(&self) -> BatchError {
        BatchError::Record { index: self.index }
    }
}

/// The shape and size of the record at the front of `bytes`, if it is well formed
/// and all there.
#[inline]
fn whole_record(bytes: &[u8]) -> Option<(Shape, usize)> {
    let (body, prefix) = read_varint(bytes)?;
    let size = prefix + usize::try_from(body).ok()?;
    // Behind the attributes, which mean nothing.
    let mut rest = bytes.get(prefix + 1..size)?;
    let (timestamp_delta, taken) = read_varlong(rest)?;
    rest = &rest[taken..];
    let offset_delta = take_varint(&mut rest)?;
    let key = take_field(&mut rest)?;
    take_field(&mut rest)?;
    for _ in 0..u32::try_from(take_varint(&mut rest)?).ok()? {
        if take_field(&mut rest)? < 0 {
            return None;
        }
        take_field(&mut rest)?;
    }
    let shape = Shape {
        timestamp_delta,
        offset_delta,
        has_key: key >= 0,
    };
    rest.is_empty().then_some((shape, size))
}

/// Passes over a field and gives its length, which is negative if there is none.
#[inline]
fn take_field(rest: &mut &[u8]) -> Option<i32> {
    let length = take_varint(rest)?;
    if let Ok(size) = usize::try_from(length) {
        *rest = rest.get(size..)?;
    }
    Some(length)
}

#[inline]
fn take_varint(rest: &mut &[u8]) -> Option<i32> {
    let (value, size) = read_varint(rest)?;
    *rest = &rest[size..];
    Some(value)
}

/// What every record begins with.
struct Head {
    /// The position behind the record.
    end: u64,
    attributes: u8,
    timestamp_delta: i64,
    offset_delta: i32,
}

/// Why a record could not be copied.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(BatchError),
    Write(io::Error),
}

impl From<BatchError> for CopyError {
    fn from(error: BatchError) -> Self {
        Self::Read(error)
    }
}

/// What a decompressor says of bytes that it cannot read.
pub(super) fn unreadable(error: io::Error) -> BatchError {
    BatchError::Compressed(error.to_string())
}
