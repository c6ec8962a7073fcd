//! Rust source with its comments and literals told apart from its code, well
//! enough to look for words and braces. It is no parser.

/// One file twice, line for line and byte for byte as long as the original:
/// what is not of the kind is blank.
#[derive(Debug)]
pub(crate) struct Code {
    /// Without comments, and without what stands between quotes.
    pub(crate) code: String,
    /// The comments alone.
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Code {
    pub(crate) fn of(source: &str) -> Self {
        let mut split = Self {
            code: String::with_capacity(source.len()),
            comments: String::new(),
        };
        let mut rest = source;
        let mut before = ' ';
        while !rest.is_empty() {
            let (kind, length) = token(rest, before);
            let (text, after) = rest.split_at(length);
            split.push(text, kind);
            before = text.chars().next_back().unwrap_or(' ');
            rest = after;
        }
        split
    }

    fn push(&mut self, text: &str, kind: Kind) {
        let blank: String = text
            .chars()
            .flat_map(|character| {
                let filler = if character == '\n' { '\n' } else { ' ' };
                std::iter::repeat_n(filler, character.len_utf8())
            })
            .collect();
        self.code
            .push_str(if kind == Kind::Code { text } else { &blank });
        self.comments
            .push_str(if kind == Kind::Comment { text } else { &blank });
    }
}

/// The kind and length of what `rest` begins with; `before` is the character
/// in front of it.
fn token(rest: &str, before: char) -> (Kind, usize) {
    let in_word = before.is_alphanumeric() || before == '_';
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment(rest))
    } else if let Some(length) = raw_string(rest).filter(|_| !in_word) {
        (Kind::Literal, length)
    } else if rest.starts_with('"') {
        (Kind::Literal, string(rest))
    } else if let Some(length) = character_literal(rest) {
        (Kind::Literal, length)
    } else {
        (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - body.len();
    Some(
        body.find(&end)
            .map_or(rest.len(), |at| opening + at + end.len()),
    )
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character between quotes, which a lifetime is not.
fn character_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        let end = body.char_indices().skip(2).find(|(_, c)| *c == '\'')?.0;
        return Some(end + 2);
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 2)
}

/// The line, from 1, that the byte stands on.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    1 + text[..byte].matches('\n').count()
}

/// Where the words of `code` begin that are exactly `word`.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            !is_part(code[..at].chars().next_back())
                && !is_part(code[at + word.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_in_code() {
        let source = "let a = \"b // c\"; // d \"e\n/* f /* g */ h */ let i = r#\"j\"k\"#;\n";
        let split = Code::of(source);
        assert_eq!(
            split.code,
            "let a =         ;        \n                  let i =         ;\n"
        );
        assert_eq!(
            split.comments,
            "                  // d \"e\n/* f /* g */ h */                  \n"
        );
    }

    #[test]
    fn a_lifetime_is_no_character() {
        let split = Code::of("fn f<'a>(x: &'a str) { match x { '{' => '\\'', '\\u{7f}' => 'ü' } }");
        assert!(split.code.contains("fn f<'a>(x: &'a str)"));
        assert_eq!(split.code.matches('{').count(), 2);
        assert_eq!(split.code.matches('}').count(), 2);
    }

    #[test]
    fn escaped_quotes_do_not_end_a_string() {
        let split = Code::of("let a = \"b\\\"{\"; fn");
        assert_eq!(split.code, "let a =       ; fn");
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<usize> = words("fn fnord(fn_) fn", "fn").collect();
        assert_eq!(found, [0, 14]);
    }
}
