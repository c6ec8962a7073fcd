//! Messages to bytes and back, driven by the schema.
//!
//! Nothing of the broker's own codec is used, so that a mistake in it is seen.

use anyhow::{Context, bail, ensure};

use crate::schema::{Field, Kind, Message};
use crate::value::Value;

/// A message's bytes in one version.
///
/// # Errors
/// If the value names a field that the message has in no version, or does not
/// fit a field: a mistake in a case.
pub fn encode(message: &Message, version: i16, value: &Value) -> anyhow::Result<Vec<u8>> {
    let mut writer = Writer {
        out: Vec::new(),
        version,
        is_flexible: message.is_flexible(version),
    };
    writer.fields(&message.fields, value)?;
    Ok(writer.out)
}

/// The message that bytes hold in one version, with every field of that version
/// by name, and tagged fields that the schema lacks.
///
/// # Errors
/// If they end too early or too late, or are malformed.
pub fn decode(message: &Message, version: i16, bytes: &[u8]) -> anyhow::Result<Value> {
    let mut reader = Reader {
        rest: bytes,
        version,
        is_flexible: message.is_flexible(version),
    };
    let value = reader.fields(&message.fields)?;
    ensure!(
        reader.rest.is_empty(),
        "{} bytes follow the message",
        reader.rest.len()
    );
    Ok(value)
}

#[derive(Debug)]
struct Writer {
    out: Vec<u8>,
    version: i16,
    is_flexible: bool,
}

impl Writer {
    fn fields(&mut self, fields: &[Field], value: &Value) -> anyhow::Result<()> {
        let Value::Struct(given) = value else {
            bail!("{value} stands where a struct belongs");
        };
        for (name, _) in given {
            let is_known = fields.iter().any(|field| field.name == *name);
            ensure!(is_known, "there is no field {name}");
        }
        let version = self.version;
        let mut tagged = Vec::new();
        for field in fields
            .iter()
            .filter(|field| field.versions.contains(&version))
        {
            let found = given.iter().find(|(name, _)| *name == field.name);
            if let Some(tag) = field.tag(version) {
                if let Some((_, value)) = found {
                    let mut inner = Self {
                        out: Vec::new(),
                        ..*self
                    };
                    inner.field(field, value)?;
                    tagged.push((tag, inner.out));
                }
                continue;
            }
            match found {
                Some((_, value)) => self.field(field, value),
                None => self.field(field, &default(field, version)?),
            }
            .with_context(|| format!("in {}", field.name))?;
        }
        if self.is_flexible {
            tagged.sort();
            self.count(tagged.len());
            for (tag, bytes) in tagged {
                self.varint(tag);
                self.count(bytes.len());
                self.out.extend(bytes);
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value) -> anyhow::Result<()> {
        if !field.is_array {
            return self.one(field, value);
        }
        if let Value::Raw(bytes) = value {
            self.out.extend(bytes);
            return Ok(());
        }
        if value.is_null() {
            self.size(None, Width::Four);
            return Ok(());
        }
        let Value::Array(elements) = value else {
            bail!("{value} stands where an array belongs");
        };
        self.size(Some(elements.len()), Width::Four);
        for element in elements {
            self.one(field, element)?;
        }
        Ok(())
    }

    fn one(&mut self, field: &Field, value: &Value) -> anyhow::Result<()> {
        match (field.kind, value) {
            (_, Value::Raw(bytes)) => self.out.extend(bytes),
            (Kind::Bool, Value::Bool(is)) => self.out.push(u8::from(*is)),
            (Kind::Int8, Value::Int(n)) => self.out.extend(i8::try_from(*n)?.to_be_bytes()),
            (Kind::Int16, Value::Int(n)) => self.out.extend(i16::try_from(*n)?.to_be_bytes()),
            (Kind::Uint16, Value::Int(n)) => self.out.extend(u16::try_from(*n)?.to_be_bytes()),
            (Kind::Int32, Value::Int(n)) => self.out.extend(i32::try_from(*n)?.to_be_bytes()),
            (Kind::Uint32, Value::Int(n)) => self.out.extend(u32::try_from(*n)?.to_be_bytes()),
            (Kind::Int64, Value::Int(n)) => self.out.extend(n.to_be_bytes()),
            (Kind::Float64, Value::Float(n)) => self.out.extend(n.to_be_bytes()),
            (Kind::Uuid, Value::Uuid(id)) => self.out.extend(id),
            (Kind::String, Value::Null) => self.size(None, Width::Two),
            (Kind::String, Value::Text(text)) => {
                self.size(Some(text.len()), Width::Two);
                self.out.extend(text.as_bytes());
            }
            (Kind::Bytes | Kind::Records, Value::Null) => self.size(None, Width::Four),
            (Kind::Bytes | Kind::Records, Value::Bytes(bytes)) => {
                self.size(Some(bytes.len()), Width::Four);
                self.out.extend(bytes);
            }
            (Kind::Struct, Value::Null) => self.out.push(0xff),
            (Kind::Struct, Value::Struct(_)) => {
                if !field.is_array && field.nullable.contains(&self.version) {
                    self.out.push(1);
                }
                self.fields(&field.fields, value)?;
            }
            (kind, other) => bail!("{other} stands where {kind:?} belongs"),
        }
        Ok(())
    }

    /// How much follows, or that there is nothing at all.
    fn size(&mut self, size: Option<usize>, width: Width) {
        if self.is_flexible {
            self.count(size.map_or(0, |size| size + 1));
            return;
        }
        match width {
            Width::Two => {
                let size = size.map_or(-1, |size| i16::try_from(size).unwrap_or(i16::MAX));
                self.out.extend(size.to_be_bytes());
            }
            Width::Four => {
                let size = size.map_or(-1, |size| i32::try_from(size).unwrap_or(i32::MAX));
                self.out.extend(size.to_be_bytes());
            }
        }
    }

    fn count(&mut self, count: usize) {
        self.varint(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn varint(&mut self, number: u32) {
        put_varint(&mut self.out, number);
    }
}

/// How wide a length is outside flexible versions.
#[derive(Debug, Clone, Copy)]
enum Width {
    Two,
    Four,
}

/// Seven bits a byte, the lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// What Kafka's own messages hold where nothing was set.
fn default(field: &Field, version: i16) -> anyhow::Result<Value> {
    if field.default == Some("null") && field.nullable.contains(&version) {
        return Ok(Value::Null);
    }
    if field.is_array {
        return Ok(Value::Array(Vec::new()));
    }
    let given = field.default.filter(|default| *default != "null");
    Ok(match field.kind {
        Kind::Bool => Value::Bool(given == Some("true")),
        Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Uint32 | Kind::Int64 => {
            Value::Int(given.unwrap_or("0").parse()?)
        }
        Kind::Float64 => Value::Float(given.unwrap_or("0").parse()?),
        Kind::String => Value::Text(given.unwrap_or("").to_owned()),
        Kind::Uuid => Value::Uuid([0; 16]),
        Kind::Bytes | Kind::Records => Value::Bytes(Vec::new()),
        Kind::Struct => Value::Struct(Vec::new()),
    })
}

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
    version: i16,
    is_flexible: bool,
}

impl<'a> Reader<'a> {
    fn fields(&mut self, fields: &[Field]) -> anyhow::Result<Value> {
        let version = self.version;
        let mut found = Vec::new();
        for field in fields
            .iter()
            .filter(|field| field.versions.contains(&version))
        {
            if field.tag(version).is_none() {
                let value = self
                    .field(field)
                    .with_context(|| format!("in {}", field.name))?;
                found.push((field.name, value));
            }
        }
        if self.is_flexible {
            self.tagged(fields, &mut found)?;
        }
        Ok(Value::Struct(found))
    }

    fn tagged(
        &mut self,
        fields: &[Field],
        found: &mut Vec<(&'static str, Value)>,
    ) -> anyhow::Result<()> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = usize::try_from(self.varint()?)?;
            let bytes = self.take(size)?;
            let version = self.version;
            let known = fields
                .iter()
                .find(|field| field.versions.contains(&version) && field.tag(version) == Some(tag));
            match known {
                Some(field) => {
                    let mut inner = Reader {
                        rest: bytes,
                        ..*self
                    };
                    let value = inner
                        .field(field)
                        .with_context(|| format!("in the tagged {}", field.name))?;
                    ensure!(
                        inner.rest.is_empty(),
                        "bytes follow {} in its tag",
                        field.name
                    );
                    found.push((field.name, value));
                }
                None => {
                    let value = Value::Text(format!("tag {tag}, {} bytes", bytes.len()));
                    found.push(("UnknownTag", value));
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> anyhow::Result<Value> {
        if !field.is_array {
            return self.one(field);
        }
        let Some(count) = self.size(Width::Four)? else {
            self.check_null(field)?;
            return Ok(Value::Null);
        };
        let elements: anyhow::Result<Vec<Value>> = (0..count).map(|_| self.one(field)).collect();
        Ok(Value::Array(elements?))
    }

    fn one(&mut self, field: &Field) -> anyhow::Result<Value> {
        Ok(match field.kind {
            Kind::Bool => Value::Bool(self.bytes::<1>()? != [0]),
            Kind::Int8 => Value::Int(i8::from_be_bytes(self.bytes()?).into()),
            Kind::Int16 => Value::Int(i16::from_be_bytes(self.bytes()?).into()),
            Kind::Uint16 => Value::Int(u16::from_be_bytes(self.bytes()?).into()),
            Kind::Int32 => Value::Int(i32::from_be_bytes(self.bytes()?).into()),
            Kind::Uint32 => Value::Int(u32::from_be_bytes(self.bytes()?).into()),
            Kind::Int64 => Value::Int(i64::from_be_bytes(self.bytes()?)),
            Kind::Float64 => Value::Float(f64::from_be_bytes(self.bytes()?)),
            Kind::Uuid => Value::Uuid(self.bytes()?),
            Kind::String => match self.size(Width::Two)? {
                Some(size) => Value::Text(String::from_utf8(self.take(size)?.to_vec())?),
                None => self.null(field)?,
            },
            Kind::Bytes | Kind::Records => match self.size(Width::Four)? {
                Some(size) => Value::Bytes(self.take(size)?.to_vec()),
                None => self.null(field)?,
            },
            Kind::Struct => {
                let may_be_null = !field.is_array && field.nullable.contains(&self.version);
                if may_be_null && self.bytes::<1>()? == [0xff] {
                    return Ok(Value::Null);
                }
                self.fields(&field.fields)?
            }
        })
    }

    fn null(&self, field: &Field) -> anyhow::Result<Value> {
        self.check_null(field)?;
        Ok(Value::Null)
    }

    fn check_null(&self, field: &Field) -> anyhow::Result<()> {
        let may = field.nullable.contains(&self.version);
        ensure!(may, "{} is null and must not be", field.name);
        Ok(())
    }

    fn size(&mut self, width: Width) -> anyhow::Result<Option<usize>> {
        let size = match (self.is_flexible, width) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, Width::Two) => i16::from_be_bytes(self.bytes()?).into(),
            (false, Width::Four) => i32::from_be_bytes(self.bytes()?).into(),
        };
        ensure!(size >= -1, "a length of {size}");
        Ok(usize::try_from(size).ok())
    }

    fn varint(&mut self) -> anyhow::Result<u32> {
        take_varint(&mut self.rest)
    }

    fn bytes<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    fn take(&mut self, size: usize) -> anyhow::Result<&'a [u8]> {
        let have = self.rest.len();
        let (taken, rest) = self
            .rest
            .split_at_checked(size)
            .with_context(|| format!("{size} bytes are wanted and {have} are left"))?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Takes what [`put_varint`] wrote off the front.
///
/// # Errors
/// If there is no such number.
pub fn take_varint(rest: &mut &[u8]) -> anyhow::Result<u32> {
    let mut number = 0_u32;
    for at in 0..5 {
        let (byte, left) = rest.split_first().context("a number is cut off")?;
        *rest = left;
        number |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    bail!("a number takes more than five bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg;
    use crate::schema::{APIS, Api};
    use crate::value::{EMPTY, NULL};

    #[test]
    fn every_message_survives_a_round_trip() {
        let mut count = 0;
        for api in APIS.iter() {
            for message in [&api.request, &api.response] {
                for version in message.versions.clone() {
                    let bytes = encode(message, version, &msg! {}).unwrap();
                    let value = decode(message, version, &bytes).unwrap();
                    let again = encode(message, version, &value).unwrap();
                    assert_eq!(again, bytes, "{} v{version}", api.name);
                    count += 1;
                }
            }
        }
        assert!(count > 400, "only {count} messages were tried");
    }

    #[test]
    fn bytes_are_kafkas() {
        let metadata = Api::named("Metadata");
        let request = msg! { Topics: [msg! { Name: "t" }] };
        let old = encode(&metadata.request, 1, &request).unwrap();
        assert_eq!(old, [0, 0, 0, 1, 0, 1, b't']);
        let flexible = encode(&metadata.request, 9, &request).unwrap();
        assert_eq!(flexible, [2, 2, b't', 0, 1, 0, 0, 0]);
        let everything = encode(&metadata.request, 1, &msg! { Topics: NULL }).unwrap();
        assert_eq!(everything, [255, 255, 255, 255]);
    }

    #[test]
    fn tagged_fields_are_written_when_named() {
        let fetch = Api::named("Fetch");
        let request = msg! { ClusterId: "c", MaxWaitMs: 1 };
        let bytes = encode(&fetch.request, 12, &request).unwrap();
        assert_eq!(bytes[bytes.len() - 5..], [1, 0, 2, 2, b'c']);
        let value = decode(&fetch.request, 12, &bytes).unwrap();
        assert_eq!(value.text("ClusterId").unwrap(), "c");
    }

    #[test]
    fn a_field_that_is_nowhere_is_refused() {
        let metadata = Api::named("Metadata");
        let wrong = encode(&metadata.request, 1, &msg! { Topic: EMPTY });
        assert_eq!(wrong.unwrap_err().to_string(), "there is no field Topic");
    }

    #[test]
    fn trailing_bytes_are_seen() {
        let heartbeat = Api::named("Heartbeat");
        let wrong = decode(&heartbeat.response, 0, &[0, 0, 9]).unwrap_err();
        assert_eq!(wrong.to_string(), "1 bytes follow the message");
    }
}
