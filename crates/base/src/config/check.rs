//! Rules for one value, as data: they refuse, and they print what they allow.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Value;

/// What a value must satisfy beyond its type.
#[derive(Clone, Copy)]
pub enum Check {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// Within the range, or this one value beside it.
    BetweenOr {
        least: i64,
        most: i64,
        or: i64,
    },
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    NonEmpty,
    /// A list without duplicates and without empty items.
    Distinct {
        may_be_empty: bool,
    },
    /// As `Distinct`, of these items only.
    DistinctOf {
        items: &'static [&'static str],
        may_be_empty: bool,
    },
    /// A rule of its own, and the text that says what it allows.
    Rule {
        allows: &'static str,
        holds: fn(&Value) -> bool,
    },
}

impl Check {
    /// Nothing, or what is expected instead.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Any, _) => Ok(()),
            (Self::AtLeast(least), _) => at_least(value, *least),
            (Self::Between(least, most), _) => {
                at_least(value, *least).and_then(|()| at_most(value, *most))
            }
            (Self::BetweenOr { least, most, or }, Value::Integer(n)) => {
                if n == or || (least..=most).contains(&n) {
                    return Ok(());
                }
                Err(format!(
                    "Value must be between {least} and {most} or equal to {or}"
                ))
            }
            (Self::OneOf(words), Value::Text(text)) => one_of(words, text),
            (Self::OneOfIgnoringCase(words), Value::Text(text)) => {
                one_of_ignoring_case(words, text)
            }
            (Self::NonEmpty, Value::Text(text)) if text.is_empty() => {
                Err("String must be non-empty".to_owned())
            }
            (Self::Distinct { may_be_empty }, Value::List(items)) => {
                distinct(items, &[], *may_be_empty)
            }
            (
                Self::DistinctOf {
                    items: words,
                    may_be_empty,
                },
                Value::List(items),
            ) => distinct(items, words, *may_be_empty),
            (Self::Rule { allows, holds }, _) => {
                if holds(value) {
                    Ok(())
                } else {
                    Err(format!("Value must be {allows}"))
                }
            }
            // A rule for text or lists beside another type says nothing.
            (
                Self::BetweenOr { .. }
                | Self::OneOf(_)
                | Self::OneOfIgnoringCase(_)
                | Self::NonEmpty
                | Self::Distinct { .. }
                | Self::DistinctOf { .. },
                _,
            ) => Ok(()),
        }
    }
}

/// What is allowed, for the reference page; empty where anything is.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(least) => write!(f, "{least} or more"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::BetweenOr { least, most, or } => write!(f, "{least} to {most}, or {or}"),
            Self::OneOf(words) | Self::OneOfIgnoringCase(words) => f.write_str(&words.join(", ")),
            Self::NonEmpty => f.write_str("not empty"),
            Self::Distinct { may_be_empty: true } => f.write_str("no item twice"),
            Self::Distinct {
                may_be_empty: false,
            } => f.write_str("at least one item, none twice"),
            Self::DistinctOf {
                items,
                may_be_empty: true,
            } => write!(f, "any of {}", items.join(", ")),
            Self::DistinctOf {
                items,
                may_be_empty: false,
            } => {
                write!(f, "at least one of {}", items.join(", "))
            }
            Self::Rule { allows, .. } => f.write_str(allows),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({self})")
    }
}

fn at_least(value: &Value, least: i64) -> Result<(), String> {
    if is_below(value, least) {
        return Err(format!("Value must be at least {least}"));
    }
    Ok(())
}

fn at_most(value: &Value, most: i64) -> Result<(), String> {
    if is_above(value, most) {
        return Err(format!("Value must be no more than {most}"));
    }
    Ok(())
}

fn is_below(value: &Value, least: i64) -> bool {
    match value {
        Value::Integer(n) => *n < least,
        Value::Double(x) => *x < as_double(least),
        Value::Boolean(_) | Value::Text(_) | Value::List(_) => false,
    }
}

fn is_above(value: &Value, most: i64) -> bool {
    match value {
        Value::Integer(n) => *n > most,
        Value::Double(x) => *x > as_double(most),
        Value::Boolean(_) | Value::Text(_) | Value::List(_) => false,
    }
}

/// Bounds of fractional settings are small whole numbers.
fn as_double(bound: i64) -> f64 {
    f64::from(i32::try_from(bound).expect("a bound of a fractional setting is small"))
}

fn one_of(words: &[&str], text: &str) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    Err(format!("String must be one of: {}", words.join(", ")))
}

fn one_of_ignoring_case(words: &[&str], text: &str) -> Result<(), String> {
    if words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Ok(());
    }
    Err(format!(
        "String must be one of (case insensitive): {}",
        words.join(", ")
    ))
}

fn distinct(items: &[String], words: &[&str], may_be_empty: bool) -> Result<(), String> {
    if items.is_empty() && !may_be_empty {
        return Err(match words {
            [] => "the list must not be empty".to_owned(),
            _ => format!(
                "the list must not be empty. Valid values include: {}",
                words.join(", ")
            ),
        });
    }
    if items.iter().collect::<BTreeSet<_>>().len() != items.len() {
        return Err("values must not be duplicated".to_owned());
    }
    if items.iter().any(String::is_empty) {
        return Err("values must not be empty".to_owned());
    }
    match words {
        [] => Ok(()),
        _ => items.iter().try_for_each(|item| one_of(words, item)),
    }
}
