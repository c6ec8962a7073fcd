//! What a message holds, whatever its version.

use std::fmt;

use anyhow::{Context, bail};

/// A field's value, or a whole message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid([u8; 16]),
    Array(Vec<Self>),
    Struct(Vec<(&'static str, Self)>),
    /// What stands on the wire in a field's place, whatever belongs there.
    Raw(Vec<u8>),
}

/// A message or a struct in it, its fields by Kafka's names. What is not named
/// has the default that Kafka gives it; what the version lacks is left out.
///
/// ```
/// use ottla_oracle::{NULL, msg};
/// let request = msg! { Topics: [msg! { Name: "t" }], AllowAutoTopicCreation: false };
/// let everything = msg! { Topics: NULL };
/// ```
#[macro_export]
macro_rules! msg {
    ($($name:ident : $value:expr),* $(,)?) => {
        $crate::Value::Struct(vec![$((stringify!($name), $crate::Value::from($value))),*])
    };
}

/// For a nullable field.
pub const NULL: Value = Value::Null;

impl Value {
    /// What lies at a path like `Topics[0].Partitions[1].ErrorCode`.
    ///
    /// # Errors
    /// If nothing does, as in an answer that never came.
    pub fn at(&self, path: &str) -> anyhow::Result<&Self> {
        let mut value = self;
        // No path at all is the value itself.
        let steps = path.split(['.', '[']).filter(|_| !path.is_empty());
        for step in steps {
            value = match (value, step.strip_suffix(']')) {
                (Self::Array(elements), Some(index)) => elements.get(index.parse::<usize>()?),
                (Self::Struct(fields), None) => fields
                    .iter()
                    .find(|(name, _)| *name == step)
                    .map(|(_, value)| value),
                _ => None,
            }
            .with_context(|| format!("the answer has no {path}"))?;
        }
        Ok(value)
    }

    /// The number at a path.
    ///
    /// # Errors
    /// If there is none.
    pub fn int(&self, path: &str) -> anyhow::Result<i64> {
        let found = self.at(path)?;
        let Self::Int(number) = found else {
            bail!("{path} is {found}, not a number");
        };
        Ok(*number)
    }

    /// The text at a path.
    ///
    /// # Errors
    /// If there is none.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        let found = self.at(path)?;
        let Self::Text(text) = found else {
            bail!("{path} is {found}, not a text");
        };
        Ok(text.clone())
    }

    /// The bytes at a path.
    ///
    /// # Errors
    /// If there are none.
    pub fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let found = self.at(path)?;
        let Self::Bytes(bytes) = found else {
            bail!("{path} is {found}, not bytes");
        };
        Ok(bytes.clone())
    }

    /// The elements at a path.
    ///
    /// # Errors
    /// If there is no array.
    pub fn array(&self, path: &str) -> anyhow::Result<&[Self]> {
        let found = self.at(path)?;
        let Self::Array(elements) = found else {
            bail!("{path} is {found}, not an array");
        };
        Ok(elements)
    }

    /// The id at a path.
    ///
    /// # Errors
    /// If there is none.
    pub fn uuid(&self, path: &str) -> anyhow::Result<[u8; 16]> {
        let found = self.at(path)?;
        let Self::Uuid(id) = found else {
            bail!("{path} is {found}, not an id");
        };
        Ok(*id)
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show("", &mut |_, _| None))
    }
}

impl Value {
    /// On one line, where `leaf` may show what lies in the field of a name
    /// differently.
    pub fn show(&self, name: &str, leaf: &mut dyn FnMut(&str, &Self) -> Option<String>) -> String {
        if let Some(shown) = leaf(name, self) {
            return shown;
        }
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(is) => is.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Bytes(bytes) => show_bytes(bytes),
            Self::Uuid(id) => show_uuid(id),
            Self::Raw(bytes) => format!("raw {}", show_hex(bytes)),
            Self::Array(elements) => {
                let shown: Vec<String> = elements.iter().map(|it| it.show(name, leaf)).collect();
                format!("[{}]", shown.join(", "))
            }
            Self::Struct(fields) if fields.is_empty() => "{}".to_owned(),
            Self::Struct(fields) => {
                let shown: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.show(name, leaf)))
                    .collect();
                format!("{{ {} }}", shown.join(", "))
            }
        }
    }
}

/// As text if it is some, otherwise in hexadecimal digits.
pub fn show_bytes(bytes: &[u8]) -> String {
    let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    if is_text {
        return format!("b{:?}", String::from_utf8_lossy(bytes));
    }
    show_hex(bytes)
}

fn show_hex(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{hex}")
}

/// In Kafka's own form: base 64 without padding, safe for addresses.
pub fn show_uuid(id: &[u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = u128::from_be_bytes(*id);
    // 22 digits of 6 bits; the last one holds two bits of the number.
    (0..22_u32)
        .map(|at| {
            let six = if at < 21 {
                number >> (122 - 6 * at)
            } else {
                number << 4
            };
            let digit = usize::try_from(six & 63).expect("six bits");
            char::from(DIGITS[digit])
        })
        .collect()
}

macro_rules! from {
    ($($type:ty => |$it:ident| $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($it: $type) -> Self {
                $value
            }
        })*
    };
}

from! {
    bool => |it| Self::Bool(it);
    i8 => |it| Self::Int(it.into());
    i16 => |it| Self::Int(it.into());
    i32 => |it| Self::Int(it.into());
    i64 => |it| Self::Int(it);
    f64 => |it| Self::Float(it);
    &str => |it| Self::Text(it.to_owned());
    String => |it| Self::Text(it);
    &String => |it| Self::Text(it.clone());
    &[u8] => |it| Self::Bytes(it.to_vec());
    Vec<u8> => |it| Self::Bytes(it);
    [u8; 16] => |it| Self::Uuid(it);
    Vec<Value> => |it| Self::Array(it);
    &Value => |it| it.clone();
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// Elements of one type. An empty array is `Value::Array(vec![])`.
macro_rules! from_array {
    ($($type:ty),*) => {
        $(impl<const N: usize> From<[$type; N]> for Value {
            fn from(elements: [$type; N]) -> Self {
                Self::Array(elements.into_iter().map(Self::from).collect())
            }
        })*
    };
}

from_array!(Value, i16, i32, i64, &str, String, [u8; 16]);

/// The id that stands for none.
pub const NO_ID: Value = Value::Uuid([0; 16]);

/// An array of nothing.
pub const EMPTY: Value = Value::Array(Vec::new());

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(it: Option<T>) -> Self {
        it.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_what_a_message_holds() {
        let message = msg! { Topics: [msg! { Name: "t", Partitions: [3, 4] }], Rack: NULL };
        assert_eq!(message.int("Topics[0].Partitions[1]").unwrap(), 4);
        assert_eq!(message.text("Topics[0].Name").unwrap(), "t");
        assert!(message.at("Rack").unwrap().is_null());
        let missing = NULL.int("Topics[0].Name").unwrap_err().to_string();
        assert_eq!(missing, "the answer has no Topics[0].Name");
    }

    #[test]
    fn an_id_looks_as_in_kafka() {
        assert_eq!(show_uuid(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(show_uuid(&1_u128.to_be_bytes()), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(show_uuid(&[255; 16]), "_____________________w");
    }

    #[test]
    fn a_message_prints_on_one_line() {
        let message = msg! { Topics: [msg! { Name: "t" }], Metadata: b"\x00\x01", Ids: EMPTY };
        assert_eq!(
            message.to_string(),
            r#"{ Topics: [{ Name: "t" }], Metadata: 0x0001, Ids: [] }"#
        );
    }
}
