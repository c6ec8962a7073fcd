//! The protocol's primitive types, for the messages that we write ourselves.
//!
//! It knows nothing of any message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::WireError;

/// Reads primitives off the front of a buffer; strings and byte fields share
/// the buffer's memory.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a mut Bytes,
    /// What is being read, for errors.
    what: &'static str,
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a mut Bytes, what: &'static str) -> Self {
        Self {
            bytes,
            what,
            flexible: false,
        }
    }

    /// With compact lengths and tagged fields if `flexible`.
    pub(crate) fn flexible(mut self, flexible: bool) -> Self {
        self.flexible = flexible;
        self
    }

    pub(crate) fn i8(&mut self) -> Result<i8, WireError> {
        self.bytes.try_get_i8().map_err(|_| self.short())
    }

    pub(crate) fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, WireError> {
        self.bytes.try_get_i16().map_err(|_| self.short())
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.bytes.try_get_i32().map_err(|_| self.short())
    }

    pub(crate) fn i64(&mut self) -> Result<i64, WireError> {
        self.bytes.try_get_i64().map_err(|_| self.short())
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, WireError> {
        let bits = self.bytes.try_get_u128().map_err(|_| self.short())?;
        Ok(Uuid::from_u128(bits))
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.bytes.try_get_u8().map_err(|_| self.short())?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.length(i64::from(value)))
    }

    pub(crate) fn string(&mut self) -> Result<StrBytes, WireError> {
        self.nullable_string()?.ok_or_else(|| self.length(-1))
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<StrBytes>, WireError> {
        let Some(bytes) = self.text_bytes()? else {
            return Ok(None);
        };
        let text = StrBytes::from_utf8(bytes).map_err(|_| WireError::Text { what: self.what })?;
        Ok(Some(text))
    }

    /// A text that only people read: what is no UTF-8 in it is replaced.
    pub(crate) fn nullable_label(&mut self) -> Result<Option<StrBytes>, WireError> {
        let bytes = self.text_bytes()?;
        Ok(bytes.map(|bytes| match StrBytes::from_utf8(bytes.clone()) {
            Ok(text) => text,
            Err(_) => StrBytes::from_string(String::from_utf8_lossy(&bytes).into_owned()),
        }))
    }

    fn text_bytes(&mut self) -> Result<Option<Bytes>, WireError> {
        let length = if self.flexible {
            self.compact_length()?
        } else {
            i64::from(self.i16()?)
        };
        self.take(length)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, WireError> {
        self.nullable_bytes()?.ok_or_else(|| self.length(-1))
    }

    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, WireError> {
        let length = self.long_length()?;
        self.take(length)
    }

    pub(crate) fn array<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_array(item)?.ok_or_else(|| self.length(-1))
    }

    /// An array, which is not longer than the bytes that are left, since every
    /// item takes at least one.
    pub(crate) fn nullable_array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let length = self.long_length()?;
        if length == -1 {
            return Ok(None);
        }
        let count = usize::try_from(length).map_err(|_| self.length(length))?;
        if count > self.bytes.len() {
            return Err(self.length(length));
        }
        // The items are larger than their bytes: let the vector grow with them.
        let mut items = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(Some(items))
    }

    /// Passes over the tagged fields, if this version has any.
    pub(crate) fn tags(&mut self) -> Result<(), WireError> {
        if self.flexible {
            self.skip_tags()
        } else {
            Ok(())
        }
    }

    /// Passes over tagged fields.
    pub(crate) fn skip_tags(&mut self) -> Result<(), WireError> {
        self.each_tag(|_, _| Ok(()))
    }

    /// Hands over each tagged field: its number and its bytes.
    pub(crate) fn each_tag(
        &mut self,
        mut field: impl FnMut(u32, Bytes) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = i64::from(self.unsigned_varint()?);
            let bytes = self.take(size)?.ok_or_else(|| self.short())?;
            field(tag, bytes)?;
        }
        Ok(())
    }

    fn long_length(&mut self) -> Result<i64, WireError> {
        if self.flexible {
            self.compact_length()
        } else {
            Ok(i64::from(self.i32()?))
        }
    }

    fn compact_length(&mut self) -> Result<i64, WireError> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn take(&mut self, length: i64) -> Result<Option<Bytes>, WireError> {
        if length == -1 {
            return Ok(None);
        }
        let size = usize::try_from(length).map_err(|_| self.length(length))?;
        if size > self.bytes.len() {
            return Err(self.short());
        }
        Ok(Some(self.bytes.split_to(size)))
    }

    fn short(&self) -> WireError {
        WireError::Short { what: self.what }
    }

    fn length(&self, length: i64) -> WireError {
        WireError::Length {
            what: self.what,
            length,
        }
    }
}

/// Writes primitives to the end of a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    /// What is being written, for errors.
    what: &'static str,
    flexible: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut BytesMut, what: &'static str, flexible: bool) -> Self {
        Self {
            out,
            what,
            flexible,
        }
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.put_u8(u8::from(value));
    }

    pub(crate) fn uuid(&mut self, id: Uuid) {
        self.out.put_u128(id.as_u128());
    }

    pub(crate) fn string(&mut self, text: &str) -> Result<(), WireError> {
        if self.flexible {
            self.compact_length(text.len())?;
        } else {
            let length = i16::try_from(text.len()).map_err(|_| self.too_long(text.len()))?;
            self.out.put_i16(length);
        }
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) -> Result<(), WireError> {
        match text {
            Some(text) => self.string(text)?,
            None if self.flexible => self.out.put_u8(0),
            None => self.out.put_i16(-1),
        }
        Ok(())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.length(bytes.len())?;
        self.out.put_slice(bytes);
        Ok(())
    }

    pub(crate) fn nullable_bytes(&mut self, bytes: Option<&Bytes>) -> Result<(), WireError> {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => {
                self.null();
                Ok(())
            }
        }
    }

    /// The length that precedes an array or a byte field.
    pub(crate) fn length(&mut self, length: usize) -> Result<(), WireError> {
        if self.flexible {
            return self.compact_length(length);
        }
        let length = i32::try_from(length).map_err(|_| self.too_long(length))?;
        self.out.put_i32(length);
        Ok(())
    }

    /// What stands for an array or byte field that is not there.
    pub(crate) fn null(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        } else {
            self.out.put_i32(-1);
        }
    }

    pub(crate) fn array<T>(
        &mut self,
        items: &[T],
        mut item: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.length(items.len())?;
        items.iter().try_for_each(|one| item(self, one))
    }

    /// Ends a structure that has no tagged field, if this version has them.
    pub(crate) fn no_tags(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    /// The size that precedes a tagged field.
    pub(crate) fn tag_size(&mut self, size: usize) -> Result<(), WireError> {
        let size = u32::try_from(size).map_err(|_| self.too_long(size))?;
        self.unsigned_varint(size);
        Ok(())
    }

    pub(crate) fn unsigned_varint(&mut self, mut value: u32) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return self.out.put_u8(low & 0x7f);
            }
            self.out.put_u8(low | 0x80);
        }
    }

    fn compact_length(&mut self, length: usize) -> Result<(), WireError> {
        let length = u32::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(1))
            .ok_or_else(|| self.too_long(length))?;
        self.unsigned_varint(length);
        Ok(())
    }

    fn too_long(&self, length: usize) -> WireError {
        WireError::Length {
            what: self.what,
            length: i64::try_from(length).unwrap_or(i64::MAX),
        }
    }
}
