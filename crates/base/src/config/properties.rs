//! The syntax of a Java properties file, in which `server.properties` is written
//! (`java.util.Properties.load`). Knows no setting.

use crate::config::Overrides;

/// Why a text is not a properties file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u is not followed by four hexadecimal digits")]
pub struct PropertiesError {
    /// Counted from 1.
    pub line: usize,
}

/// The settings in `text`; of two lines for one key the later counts.
pub fn parse(text: &str) -> Result<Overrides, PropertiesError> {
    let mut settings = Overrides::new();
    for (line, text) in logical_lines(text) {
        let malformed = PropertiesError { line };
        let (key, value) = split(&text);
        let key = unescape(key).ok_or_else(|| malformed.clone())?;
        let value = unescape(value).ok_or(malformed)?;
        settings.insert(key, value);
    }
    Ok(settings)
}

/// A text that [`parse`] reads these settings from.
pub fn write(settings: &Overrides) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        escape(key, &mut text);
        text.push('=');
        escape(value, &mut text);
        text.push('\n');
    }
    text
}

fn escape(part: &str, text: &mut String) {
    let mut is_at_start = true;
    for c in part.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' | '=' | ':' | '#' | '!' => text.extend(['\\', c]),
            c if is_at_start && is_blank(c) => text.extend(['\\', c]),
            c => text.push(c),
        }
        is_at_start = is_at_start && is_blank(c);
    }
}

/// Lines that hold a setting, each with the number that it starts at. A backslash at
/// the end joins the next line, whose leading blanks go.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in natural_lines(text).enumerate() {
        let line = line.trim_start_matches(is_blank);
        let (start, mut joined) = match open.take() {
            Some(open) => open,
            None if line.is_empty() || line.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        match line.strip_suffix('\\') {
            Some(head) if !ends_escaped(head) => {
                joined.push_str(head);
                open = Some((start, joined));
            }
            Some(_) | None => {
                joined.push_str(line);
                lines.push((start, joined));
            }
        }
    }
    lines.extend(open);
    lines
}

/// Lines end at a line feed, a carriage return, or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

/// Whether a backslash after `head` would be the second of a pair.
fn ends_escaped(head: &str) -> bool {
    head.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Key and value: apart by a blank, `=` or `:`, the latter with blanks around it.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = line.find(|c| {
        let ends = !is_escaped && (is_blank(c) || matches!(c, '=' | ':'));
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// `None` for a malformed `\u`. Its four digits are one UTF-16 unit, so that a pair of
/// them may make one character.
fn unescape(text: &str) -> Option<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                None => break,
                Some('u') => {
                    units.push(take_unit(&mut rest)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
            },
            plain => plain,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

fn take_unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits: String = rest.take(4).collect();
    let is_hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(&digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        assert_eq!(parse(text), Ok(expected.collect()), "{text:?}");
    }

    #[test]
    fn every_separator_is_understood() {
        for text in [
            "key=value",
            "key:value",
            "key value",
            "key\tvalue",
            "key = value",
            "  key  :  value",
            "\u{c}key\u{c}value",
        ] {
            check(text, &[("key", "value")]);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let settings: Overrides = [
            ("listeners", "PLAINTEXT://:9092"),
            ("jaas", "a required\n b=\"c\\d\";\r"),
            ("blank", " \t x "),
            ("#key", "!#"),
            ("empty", ""),
            ("tab", "\u{c}\t"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        assert_eq!(parse(&write(&settings)), Ok(settings));
    }

    #[test]
    fn only_the_first_separator_splits() {
        check("map=A:SSL,B:SSL", &[("map", "A:SSL,B:SSL")]);
        check(
            "listeners=PLAINTEXT://:9092",
            &[("listeners", "PLAINTEXT://:9092")],
        );
        check("a == b", &[("a", "= b")]);
        check("a b=c", &[("a", "b=c")]);
        check("=value", &[("", "value")]);
        check("empty", &[("empty", "")]);
        check("empty=", &[("empty", "")]);
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        check("# a=1\n! b=2\n\n   \t\n  # c=3\nd=4", &[("d", "4")]);
        check("a=1 # not a comment", &[("a", "1 # not a comment")]);
    }

    #[test]
    fn lines_end_as_on_any_system() {
        check(
            "a=1\nb=2\r\nc=3\rd=4",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
        );
    }

    #[test]
    fn a_backslash_joins_lines() {
        check("a=1,\\\n    2,\\\r\n\t3", &[("a", "1,2,3")]);
        check("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]);
        check("a=1\\\n# b", &[("a", "1# b")]);
        check("a=1\\\n\nb=2", &[("a", "1"), ("b", "2")]);
        check("a\\\n  b=c", &[("ab", "c")]);
        check("# comment\\\na=1", &[("a", "1")]);
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn escapes_stand_for_characters() {
        check("a\\ b\\=c\\:d=e", &[("a b=c:d", "e")]);
        check("a=\\t\\n\\r\\f\\x\\\\", &[("a", "\t\n\r\u{c}x\\")]);
        check("a=\\u00e9\\uD83D\\uDE00", &[("a", "é😀")]);
        check("a=\\ b", &[("a", " b")]);
        check("a=C:\\\\logs", &[("a", "C:\\logs")]);
    }

    #[test]
    fn trailing_blanks_belong_to_the_value() {
        check("a=1  ", &[("a", "1  ")]);
    }

    #[test]
    fn the_last_line_for_a_key_counts() {
        check("a=1\na=2", &[("a", "2")]);
    }

    #[test]
    fn a_malformed_escape_is_refused_with_its_line() {
        assert_eq!(parse("a=1\n\nb=\\u00g0"), Err(PropertiesError { line: 3 }));
        assert_eq!(parse("a=\\u12"), Err(PropertiesError { line: 1 }));
    }
}
