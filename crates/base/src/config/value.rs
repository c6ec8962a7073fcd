//! Values: how text becomes one, by the rules of Java and Kafka's ConfigDef,
//! and how one is written back.

use std::fmt;

use crate::config::Kind;

/// A parsed value. Its text, by `Display`, is what DescribeConfigs shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// Reads `text` as a value of `kind`; the error says what is expected.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let text = trim(text);
        match kind {
            Kind::Boolean => boolean(text),
            Kind::Int => integer(text, i64::from(i32::MIN), i64::from(i32::MAX), "INT"),
            Kind::Short => integer(text, i64::from(i16::MIN), i64::from(i16::MAX), "SHORT"),
            Kind::Long => integer(text, i64::MIN, i64::MAX, "LONG"),
            Kind::Double => double(text),
            Kind::String | Kind::Class | Kind::Password => Ok(Self::Text(text.to_owned())),
            Kind::List => Ok(Self::List(list(text))),
        }
    }
}

impl Value {
    /// The number, if it is a whole one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(n) => Some(*n),
            Self::Boolean(_) | Self::Double(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// Java's `String.trim`: control characters count as blanks.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// The items between commas, without the blanks around the commas. An empty
/// text is an empty list; an empty item stays one.
pub(crate) fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|item| {
            item.trim_matches(|c: char| c.is_ascii_whitespace())
                .to_owned()
        })
        .collect()
}

fn boolean(text: &str) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(Value::Boolean(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(Value::Boolean(false))
    } else {
        Err("Expected value to be either true or false".to_owned())
    }
}

fn integer(text: &str, least: i64, most: i64, name: &str) -> Result<Value, String> {
    text.parse()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .map(Value::Integer)
        .ok_or_else(|| format!("Not a number of type {name}"))
}

/// Java reads a type suffix and the words NaN and Infinity, and no other words.
fn double(text: &str) -> Result<Value, String> {
    let refused = || "Not a number of type DOUBLE".to_owned();
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let is_word = |c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E');
    let unsigned = text.trim_start_matches(['+', '-']);
    if digits.contains(is_word) && !matches!(unsigned, "NaN" | "Infinity") {
        return Err(refused());
    }
    let number = if matches!(unsigned, "NaN" | "Infinity") {
        text
    } else {
        digits
    };
    number.parse().map(Value::Double).map_err(|_| refused())
}

/// Java's `Double.toString`: plain from a thousandth to ten million, with an
/// exponent beyond, always with a digit after the point.
fn java_double(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        format!("{}Infinity", if value < 0.0 { "-" } else { "" })
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{value:?}")
    } else {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        format!("{digits}{point}E{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, shown: Result<&str, &str>) {
        let value = Value::parse(kind, text).map(|value| value.to_string());
        assert_eq!(
            value,
            shown.map(str::to_owned).map_err(str::to_owned),
            "{kind:?} {text:?}"
        );
    }

    #[test]
    fn text_is_read_as_java_reads_it() {
        for (kind, text, shown) in [
            (Kind::Boolean, " TRUE ", "true"),
            (Kind::Boolean, "False", "false"),
            (Kind::Int, "+007", "7"),
            (Kind::Int, "\t-2147483648\u{1}", "-2147483648"),
            (Kind::Long, "9223372036854775807", "9223372036854775807"),
            (Kind::Short, "32767", "32767"),
            (Kind::Double, ".5", "0.5"),
            (Kind::Double, "1d", "1.0"),
            (Kind::Double, "2e3", "2000.0"),
            (
                Kind::Double,
                "1.7976931348623157E308",
                "1.7976931348623157E308",
            ),
            (Kind::Double, "12345678", "1.2345678E7"),
            (Kind::Double, "1e10", "1.0E10"),
            (Kind::Double, "0.0001", "1.0E-4"),
            (Kind::Double, "-Infinity", "-Infinity"),
            (Kind::List, "", ""),
            (Kind::List, " a ,b,\tc ", "a,b,c"),
            (Kind::List, "a,,b", "a,,b"),
            (Kind::Class, " org.example.Policy ", "org.example.Policy"),
        ] {
            check(kind, text, Ok(shown));
        }
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for (kind, text, expected) in [
            (
                Kind::Boolean,
                "yes",
                "Expected value to be either true or false",
            ),
            (
                Kind::Boolean,
                "",
                "Expected value to be either true or false",
            ),
            (Kind::Int, "2147483648", "Not a number of type INT"),
            (Kind::Int, "1.5", "Not a number of type INT"),
            (Kind::Int, "0x10", "Not a number of type INT"),
            (Kind::Int, "1 000", "Not a number of type INT"),
            (Kind::Int, "", "Not a number of type INT"),
            (Kind::Short, "40000", "Not a number of type SHORT"),
            (
                Kind::Long,
                "9223372036854775808",
                "Not a number of type LONG",
            ),
            (Kind::Long, "7d", "Not a number of type LONG"),
            (Kind::Double, "inf", "Not a number of type DOUBLE"),
            (Kind::Double, "half", "Not a number of type DOUBLE"),
        ] {
            check(kind, text, Err(expected));
        }
    }
}
