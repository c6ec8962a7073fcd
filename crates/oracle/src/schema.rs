//! The shape of every request and response of Apache Kafka, read from the table
//! that `schema/extract` made of the release's own jar.
//!
//! Knows nothing of Ottla: what it says is the other side of the comparison.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// Every API of Kafka 4.3.1, by rising key.
pub static APIS: LazyLock<Vec<Api>> =
    LazyLock::new(|| parse(include_str!("../schema/kafka-4.3.1.txt")));

/// One API: its request, its response, and who answers it.
#[derive(Debug, Clone)]
pub struct Api {
    pub key: i16,
    pub name: &'static str,
    /// Whether a broker's listener answers it, not only a controller's.
    pub is_on_broker: bool,
    /// Whether the highest version is kept from clients.
    pub is_top_unstable: bool,
    pub request: Message,
    pub response: Message,
}

impl Api {
    /// The API of that name.
    ///
    /// # Panics
    /// If Kafka has none: a mistake in a case.
    #[track_caller]
    pub fn named(name: &str) -> &'static Self {
        let found = APIS.iter().find(|api| api.name == name);
        found.unwrap_or_else(|| panic!("Kafka has no API named {name}"))
    }

    /// The versions that a stock broker lets clients use.
    pub fn stable_versions(&self) -> RangeInclusive<i16> {
        let versions = &self.request.versions;
        *versions.start()..=versions.end() - i16::from(self.is_top_unstable)
    }

    /// Whether header and body have tagged fields in that version.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.request.is_flexible(version)
    }
}

/// One direction of an API.
#[derive(Debug, Clone)]
pub struct Message {
    pub versions: RangeInclusive<i16>,
    pub flexible: RangeInclusive<i16>,
    pub fields: Vec<Field>,
}

impl Message {
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.contains(&version)
    }
}

/// One field, in the order of the wire.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub is_array: bool,
    pub versions: RangeInclusive<i16>,
    pub nullable: RangeInclusive<i16>,
    /// Its number, and the versions in which it is a tagged field.
    pub tag: Option<(u32, RangeInclusive<i16>)>,
    /// As it is written in the table.
    pub default: Option<&'static str>,
    /// Those of its struct.
    pub fields: Vec<Self>,
}

impl Field {
    /// Its number if it is a tagged field in that version.
    pub fn tag(&self, version: i16) -> Option<u32> {
        let (tag, versions) = self.tag.as_ref()?;
        versions.contains(&version).then_some(*tag)
    }
}

/// What a field, or each element of it, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    String,
    Uuid,
    Bytes,
    Records,
    Struct,
}

fn parse(text: &'static str) -> Vec<Api> {
    let mut lines = text.lines().peekable();
    let mut apis = Vec::new();
    while let Some(line) = lines.next() {
        let words: Vec<&'static str> = line.split(' ').collect();
        let mut message = |kind: &str| {
            let head = lines.next().expect("a message follows");
            let words: Vec<&'static str> = head.split(' ').collect();
            assert_eq!(words[0], kind, "the table is out of order");
            Message {
                versions: range(words[1]),
                flexible: range(words[2]),
                fields: fields(&mut lines, 1),
            }
        };
        apis.push(Api {
            key: words[1].parse().expect("a key is a number"),
            name: words[2],
            is_on_broker: words[3].split(',').any(|listener| listener == "broker"),
            is_top_unstable: words.get(4) == Some(&"unstable"),
            request: message("request"),
            response: message("response"),
        });
    }
    apis
}

fn fields(lines: &mut std::iter::Peekable<std::str::Lines<'static>>, depth: usize) -> Vec<Field> {
    let mut found = Vec::new();
    let indent = |line: &str| line.len() - line.trim_start().len();
    while let Some(line) = lines.next_if(|line| indent(line) == depth) {
        let mut field = field(line.trim_start());
        field.fields = fields(lines, depth + 1);
        found.push(field);
    }
    found
}

fn field(line: &'static str) -> Field {
    let mut words = line.splitn(3, ' ');
    let mut word = || {
        words
            .next()
            .expect("a field has a name, a type, and versions")
    };
    let (name, kind) = (word(), word());
    // A default may hold a space, and stands last.
    let (rest, default) = match word().split_once(" default=") {
        Some((rest, default)) => (rest, Some(default)),
        None => (line.splitn(3, ' ').nth(2).expect("seen above"), None),
    };
    let mut parts = rest.split(' ');
    let versions = range(parts.next().expect("a field has versions"));
    let mut nullable = NEVER;
    let mut tag = None;
    for part in parts {
        match part.split_once('=') {
            Some(("null", text)) => nullable = range(text),
            Some(("tag", text)) => {
                let (number, text) = text.split_once('@').expect("a tag has versions");
                tag = Some((number.parse().expect("a tag is a number"), range(text)));
            }
            _ => panic!("what is {part:?} in {line:?}?"),
        }
    }
    Field {
        name,
        kind: kind_of(kind.trim_start_matches("[]")),
        is_array: kind.starts_with("[]"),
        versions,
        nullable,
        tag,
        default,
        fields: Vec::new(),
    }
}

/// Below every version.
const NEVER: RangeInclusive<i16> = -1..=-1;

fn range(text: &str) -> RangeInclusive<i16> {
    let number = |text: &str| text.parse().expect("a version is a number");
    if text == "none" {
        NEVER
    } else if let Some(low) = text.strip_suffix('+') {
        number(low)..=i16::MAX
    } else if let Some((low, high)) = text.split_once('-') {
        number(low)..=number(high)
    } else {
        number(text)..=number(text)
    }
}

fn kind_of(text: &str) -> Kind {
    match text {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "uint32" => Kind::Uint32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "string" => Kind::String,
        "uuid" => Kind::Uuid,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        "{}" => Kind::Struct,
        _ => panic!("there is no type {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_api() {
        let keys: Vec<i16> = APIS.iter().map(|api| api.key).collect();
        assert_eq!(keys.len(), 89);
        assert!(keys.is_sorted());
        let on_broker = APIS.iter().filter(|api| api.is_on_broker).count();
        assert_eq!(on_broker, 77);
        let unstable: Vec<&str> = APIS
            .iter()
            .filter(|api| api.is_top_unstable)
            .map(|api| api.name)
            .collect();
        assert_eq!(unstable, ["InitProducerId"]);
    }

    #[test]
    fn a_field_knows_its_versions_tag_and_default() {
        let fetch = Api::named("Fetch");
        let topics = &fetch.request.fields[9];
        let partition = &topics.fields[2].fields[7];
        assert_eq!(partition.name, "HighWatermark");
        assert_eq!(partition.tag(18), Some(1));
        assert_eq!(partition.tag(17), None);
        assert_eq!(partition.default, Some("9223372036854775807"));
        assert!(!fetch.is_flexible(11) && fetch.is_flexible(12));
    }
}
