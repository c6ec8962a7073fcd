//! The golden bodies: `golden/messages.hex`, which `golden/messages.py` wrote.

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{Codec, codecs};

/// One body of one message in one version.
pub(crate) struct Golden {
    /// The line's words, for failures.
    pub(crate) name: String,
    pub(crate) codec: &'static Codec,
    pub(crate) is_request: bool,
    pub(crate) version: i16,
    /// `default`, `full` or `null`.
    pub(crate) kind: &'static str,
    pub(crate) body: Bytes,
}

pub(crate) fn messages() -> Vec<Golden> {
    include_str!("../golden/messages.hex")
        .lines()
        .map(parse)
        .collect()
}

fn parse(line: &'static str) -> Golden {
    // The body is the last word, and may be empty.
    let (name, body) = line.rsplit_once(' ').expect("a line has a body");
    let words: Vec<&str> = name.split(' ').collect();
    let [key, side, version, kind] = words[..] else {
        panic!("not a golden line: {line}");
    };
    let key = ApiKey::from_code(key.parse().unwrap()).expect("the key is known");
    Golden {
        name: format!("{} {side} {version} {kind}", key.name()),
        codec: codecs()
            .find(|codec| codec.key == key)
            .expect("the API is served"),
        is_request: side == "request",
        version: version.parse().unwrap(),
        kind,
        body: (0..body.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&body[at..at + 2], 16).unwrap())
            .collect(),
    }
}
