//! The primitives that records are written in: variable-length numbers, and
//! bytes, strings and lists behind their length.
//!
//! Knows no record.

use bytes::{BufMut, Bytes, BytesMut};

/// Why stored bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(
        "a metadata record of kind {kind} has version {version}, and this program knows up to {known}: it was written by a newer one"
    )]
    UnknownVersion { kind: u8, version: u8, known: u8 },
    #[error(
        "a metadata record has kind {kind}, which this program does not know: it was written by a newer one"
    )]
    UnknownKind { kind: u8 },
    #[error("a metadata record of kind {kind} cannot be deleted")]
    NotDeletable { kind: u8 },
    #[error("a metadata record ends in the middle of its {field}")]
    Short { field: &'static str },
    #[error("a metadata record has {extra} bytes after its end")]
    Trailing { extra: usize },
    #[error("the {field} of a metadata record is out of range")]
    OutOfRange { field: &'static str },
    #[error("the {field} of a metadata record is not text")]
    NotText { field: &'static str },
}

/// Collects the bytes of one key or value.
#[derive(Debug, Default)]
pub(crate) struct Writer(BytesMut);

impl Writer {
    pub(crate) fn byte(mut self, byte: u8) -> Self {
        self.0.put_u8(byte);
        self
    }

    pub(crate) fn array<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        self.0.put_slice(&bytes);
        self
    }

    /// Zigzag, seven bits to a byte, least significant first.
    pub(crate) fn int(self, n: i64) -> Self {
        self.unsigned(((n << 1) ^ (n >> 63)).cast_unsigned())
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut writer = self.len(bytes.len());
        writer.0.put_slice(bytes);
        writer
    }

    pub(crate) fn str(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn optional_str(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.byte(1).str(text),
            None => self.byte(0),
        }
    }

    pub(crate) fn optional_int(self, n: Option<i64>) -> Self {
        match n {
            Some(n) => self.byte(1).int(n),
            None => self.byte(0),
        }
    }

    pub(crate) fn list<T>(self, items: &[T], each: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.len(items.len()), each)
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    /// What stands before the items of a list.
    pub(crate) fn len(self, len: usize) -> Self {
        self.unsigned(u64::try_from(len).expect("a length fits 64 bits"))
    }

    fn unsigned(mut self, mut n: u64) -> Self {
        while n >= 0x80 {
            self.0.put_u8(low_byte(n) | 0x80);
            n >>= 7;
        }
        self.byte(low_byte(n))
    }
}

/// Takes one key or value apart again.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self, field: &'static str) -> Result<u8, RecordError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], RecordError> {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .ok_or(RecordError::Short { field })?;
        self.0 = rest;
        Ok(*head)
    }

    /// A number that [`Writer::int`] wrote, in the width of its field.
    pub(crate) fn int<T: TryFrom<i64>>(&mut self, field: &'static str) -> Result<T, RecordError> {
        let zigzag = self.unsigned(field)?;
        let n = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        T::try_from(n).map_err(|_| RecordError::OutOfRange { field })
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, RecordError> {
        match self.byte(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::OutOfRange { field }),
        }
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], RecordError> {
        let len = self.len(field)?;
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(RecordError::Short { field })?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn str(&mut self, field: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| RecordError::NotText { field })
    }

    pub(crate) fn optional_str(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a str>, RecordError> {
        self.flag(field)?.then(|| self.str(field)).transpose()
    }

    pub(crate) fn optional_int<T: TryFrom<i64>>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<T>, RecordError> {
        self.flag(field)?.then(|| self.int(field)).transpose()
    }

    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Vec<T>, RecordError> {
        let len = self.len(field)?;
        // Grows with what is read: a damaged length reserves nothing.
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(each(self)?);
        }
        Ok(items)
    }

    pub(crate) fn finish(self) -> Result<(), RecordError> {
        match self.0.len() {
            0 => Ok(()),
            extra => Err(RecordError::Trailing { extra }),
        }
    }

    fn len(&mut self, field: &'static str) -> Result<usize, RecordError> {
        usize::try_from(self.unsigned(field)?).map_err(|_| RecordError::OutOfRange { field })
    }

    fn unsigned(&mut self, field: &'static str) -> Result<u64, RecordError> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(self.byte(field)?);
            let bits = byte & 0x7f;
            if bits << shift >> shift != bits {
                return Err(RecordError::OutOfRange { field });
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(RecordError::OutOfRange { field })
    }
}

fn low_byte(n: u64) -> u8 {
    u8::try_from(n & 0x7f).expect("seven bits fit")
}
