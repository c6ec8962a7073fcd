//! `config_keys!`: one row makes the typed field, the table entry and the way
//! from a value to the field.

use crate::config::{
    CleanupPolicy, CompressionType, ConfigError, ConfigKey, Kind, TimestampType, Value,
};

/// A Rust type that a setting can have.
pub trait Setting: Sized {
    const KIND: Kind;

    /// `None` if the value is of another type, or null where null has no meaning.
    fn from_value(value: Option<Value>) -> Option<Self>;
}

/// The typed value of `key`.
pub(crate) fn typed<T: Setting>(key: &ConfigKey, value: Option<Value>) -> Result<T, ConfigError> {
    let shown = value
        .as_ref()
        .map_or_else(|| "null".to_owned(), Value::to_string);
    T::from_value(value)
        .ok_or_else(|| ConfigError::value(key.name, shown, format!("a {}", key.kind.name())))
}

macro_rules! config_keys {
    (
        $(#[doc = $struct_doc:literal])*
        pub struct $config:ident in $table:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $ty:ty = $default:tt as $name:literal
                    $(or $synonym:literal $(in $unit:ident)?)*,
                    $importance:ident, $update:ident, $effect:ident, $check:expr;
            )*
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $config { $( $(#[doc = $doc])* pub $field: $ty, )* }

        pub static $table: &[$crate::config::ConfigKey] = &[$(
            $crate::config::ConfigKey {
                name: $name,
                kind: <$ty as $crate::config::declare::Setting>::KIND,
                default: $crate::config::declare::default!($default),
                importance: $crate::config::Importance::$importance,
                update: $crate::config::Update::$update,
                effect: $crate::config::Effect::$effect,
                check: $check,
                synonyms: &[$($crate::config::Synonym {
                    name: $synonym,
                    unit: $crate::config::declare::unit!($($unit)?),
                }),*],
                doc: concat!($($doc),*).trim_ascii(),
            },
        )*];

        impl $config {
            /// Asks `lookup` for the value of every setting.
            pub(crate) fn read(
                mut lookup: impl FnMut(
                    &'static $crate::config::ConfigKey,
                ) -> Result<Option<$crate::config::Value>, $crate::config::ConfigError>,
            ) -> Result<Self, $crate::config::ConfigError> {
                let mut keys = $table.iter();
                let mut next = || {
                    let key = keys.next().expect("the table has a row for every field");
                    lookup(key).map(|value| (key, value))
                };
                Ok(Self {
                    $( $field: {
                        let (key, value) = next()?;
                        $crate::config::declare::typed::<$ty>(key, value)?
                    }, )*
                })
            }

            /// Changes one setting; `false` if this struct does not have it.
            pub fn set(
                &mut self,
                name: &str,
                text: &str,
            ) -> Result<bool, $crate::config::ConfigError> {
                let Some(key) = $table.iter().find(|key| key.name == name) else {
                    return Ok(false);
                };
                let value = Some(key.parse(text)?);
                match name {
                    $( $name => self.$field = $crate::config::declare::typed(key, value)?, )*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

/// Rows of settings that no typed field holds.
macro_rules! plain_keys {
    (
        $table:ident {
            $(
                $name:literal: $kind:ident = $default:tt
                    $(or $synonym:literal $(in $unit:ident)?)*,
                    $importance:ident, $update:ident, $effect:ident, $check:expr, $doc:literal;
            )*
        }
    ) => {
        pub static $table: &[$crate::config::ConfigKey] = &[$(
            $crate::config::ConfigKey {
                name: $name,
                kind: $crate::config::Kind::$kind,
                default: $crate::config::declare::default!($default),
                importance: $crate::config::Importance::$importance,
                update: $crate::config::Update::$update,
                effect: $crate::config::Effect::$effect,
                check: $check,
                synonyms: &[$($crate::config::Synonym {
                    name: $synonym,
                    unit: $crate::config::declare::unit!($($unit)?),
                }),*],
                doc: $doc,
            },
        )*];
    };
}

macro_rules! default {
    (null) => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

macro_rules! unit {
    () => {
        $crate::config::Unit::Same
    };
    ($unit:ident) => {
        $crate::config::Unit::$unit
    };
}

pub(crate) use {config_keys, default, plain_keys, unit};

impl Setting for bool {
    const KIND: Kind = Kind::Boolean;

    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Boolean(value) => Some(value),
            Value::Integer(_) | Value::Double(_) | Value::Text(_) | Value::List(_) => None,
        }
    }
}

macro_rules! integer_setting {
    ($($ty:ty => $kind:ident),*) => {$(
        impl Setting for $ty {
            const KIND: Kind = Kind::$kind;

            fn from_value(value: Option<Value>) -> Option<Self> {
                match value? {
                    Value::Integer(value) => value.try_into().ok(),
                    Value::Boolean(_) | Value::Double(_) | Value::Text(_) | Value::List(_) => None,
                }
            }
        }
    )*};
}

integer_setting!(i16 => Short, i32 => Int, i64 => Long);

impl Setting for f64 {
    const KIND: Kind = Kind::Double;

    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Double(value) => Some(value),
            Value::Boolean(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) => None,
        }
    }
}

impl Setting for String {
    const KIND: Kind = Kind::String;

    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::Text(value) => Some(value),
            Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::List(_) => None,
        }
    }
}

impl Setting for Vec<String> {
    const KIND: Kind = Kind::List;

    fn from_value(value: Option<Value>) -> Option<Self> {
        match value? {
            Value::List(values) => Some(values),
            Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::Text(_) => None,
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;

    fn from_value(value: Option<Value>) -> Option<Self> {
        value.map_or(Some(None), |value| T::from_value(Some(value)).map(Some))
    }
}

/// Settings that are one word of several.
macro_rules! word_setting {
    ($($ty:ident { $($variant:ident = $word:literal),* })*) => {$(
        impl $ty {
            /// The words that Kafka allows.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word for it in settings.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::config::Setting for $ty {
            const KIND: $crate::config::Kind = $crate::config::Kind::String;

            fn from_value(value: Option<$crate::config::Value>) -> Option<Self> {
                match <String as $crate::config::Setting>::from_value(value)?.as_str() {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

pub(crate) use word_setting;

word_setting! {
    CompressionType {
        Uncompressed = "uncompressed", Zstd = "zstd", Lz4 = "lz4", Snappy = "snappy",
        Gzip = "gzip", Producer = "producer"
    }
    TimestampType { CreateTime = "CreateTime", LogAppendTime = "LogAppendTime" }
}

impl Setting for CleanupPolicy {
    const KIND: Kind = Kind::List;

    fn from_value(value: Option<Value>) -> Option<Self> {
        let items = Vec::<String>::from_value(value)?;
        Some(Self {
            compact: items.iter().any(|item| item == "compact"),
            delete: items.iter().any(|item| item == "delete"),
        })
    }
}
