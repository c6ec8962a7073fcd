//! Puts symbols where two brokers must differ: ids, ports, times, places.
//!
//! A symbol is numbered by its first appearance in a case, so that an answer
//! that repeats an id is told from one that brings another.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::records;
use crate::schema::{APIS, Field, Kind, Message};
use crate::transcript::Line;
use crate::value::{Value, show_uuid};

/// What is known of the broker that answers.
#[derive(Debug, Clone)]
pub struct Place {
    /// Host and port.
    pub address: String,
    /// Where it keeps its data.
    pub directory: String,
}

/// The symbols of one case.
#[derive(Debug)]
pub struct Normal {
    place: Place,
    /// What the names of this case begin with.
    prefix: String,
    /// Texts, each with the symbol that stands for it.
    texts: Vec<(String, String)>,
    numbers: Vec<(&'static str, i64)>,
    masks: Vec<(&'static str, &'static str)>,
}

/// What the topics and groups of every case begin with, so that one case does
/// not show what another one left behind.
pub const MARK: &str = "o-";

/// Fields by which an element is known to be of this case or of another one.
const NAMES: &[&str] = &[
    "GroupId",
    "Name",
    "ResourceName",
    "Topic",
    "TopicName",
    "User",
];

/// Topics that a broker makes when they are first needed, by whichever case.
const MADE_LATE: &[&str] = &["__share_group_state", "__transaction_state"];

/// Arrays in whose order Kafka promises nothing, with what tells their elements
/// apart: API, path without indices, field.
const UNORDERED: &[(&str, &str, &str)] = &[
    ("AlterReplicaLogDirs", "Results", "TopicName"),
    (
        "AlterReplicaLogDirs",
        "Results.Partitions",
        "PartitionIndex",
    ),
    ("AlterUserScramCredentials", "Results", "User"),
    ("ApiVersions", "ApiKeys", "ApiKey"),
    ("ApiVersions", "SupportedFeatures", "Name"),
    ("ApiVersions", "FinalizedFeatures", "Name"),
    ("CreatePartitions", "Results", "Name"),
    ("CreateTopics", "Topics", "Name"),
    ("CreateTopics", "Topics.Configs", "Name"),
    ("DeleteRecords", "Topics", "Name"),
    ("DeleteTopics", "Responses", "Name"),
    ("DeleteGroups", "Results", "GroupId"),
    ("DescribeConfigs", "Results.Configs", "Name"),
    ("DescribeGroups", "Groups", "GroupId"),
    ("DescribeGroups", "Groups.Members", "MemberId"),
    ("DescribeLogDirs", "Results.Topics", "Name"),
    (
        "DescribeLogDirs",
        "Results.Topics.Partitions",
        "PartitionIndex",
    ),
    ("DescribeUserScramCredentials", "Results", "User"),
    (
        "DescribeUserScramCredentials",
        "Results.CredentialInfos",
        "Mechanism",
    ),
    ("ElectLeaders", "ReplicaElectionResults", "Topic"),
    ("JoinGroup", "Members", "MemberId"),
    ("ListConfigResources", "ConfigResources", "ResourceName"),
    ("ListGroups", "Groups", "GroupId"),
    ("ListOffsets", "Topics", "Name"),
    ("ListOffsets", "Topics.Partitions", "PartitionIndex"),
    ("ListTransactions", "TransactionStates", "TransactionalId"),
    ("Metadata", "Topics", "Name"),
    ("OffsetCommit", "Topics.Partitions", "PartitionIndex"),
    ("OffsetFetch", "Groups.Topics", "Name or TopicId"),
    ("OffsetFetch", "Topics", "Name"),
    ("OffsetForLeaderEpoch", "Topics", "Topic"),
    ("Produce", "Responses", "Name or TopicId"),
    ("Produce", "Responses.PartitionResponses", "Index"),
];

/// Numbers that no two brokers share: API (`*` for any), field.
const MASKED: &[(&str, &str)] = &[
    ("ApiVersions", "FinalizedFeaturesEpoch"),
    ("GetTelemetrySubscriptions", "SubscriptionId"),
    ("DescribeLogDirs", "TotalBytes"),
    ("DescribeLogDirs", "UsableBytes"),
    ("DescribeQuorum", "HighWatermark"),
    ("DescribeQuorum", "LeaderEpoch"),
    ("DescribeQuorum", "LogEndOffset"),
    ("*", "Port"),
    ("*", "BrokerEpoch"),
];

/// Numbers with a symbol each.
const SYMBOLS: &[(&str, &str)] = &[
    ("ProducerId", "pid"),
    ("ProducerIdFilters", "pid"),
    ("SessionId", "session"),
    ("V3AndBelowProducerId", "pid"),
];

impl Normal {
    pub fn new(place: Place, prefix: String) -> Self {
        Self {
            place,
            prefix,
            texts: Vec::new(),
            numbers: Vec::new(),
            masks: MASKED.to_vec(),
        }
    }

    /// From here on, shows nothing of the fields of that name.
    pub fn mask(&mut self, api: &'static str, field: &'static str) {
        self.masks.push((api, field));
    }

    /// Numbers ids from one on again.
    pub fn forget(&mut self) {
        self.texts.clear();
        self.numbers.clear();
    }

    /// A request on one line.
    pub fn request(&mut self, value: &Value) -> String {
        value.show("", &mut |name, value| {
            if let (Value::Bytes(bytes), "Records") = (value, name) {
                return Some(records::summary(bytes));
            }
            let is_leaf = !matches!(value, Value::Array(_) | Value::Struct(_));
            is_leaf.then(|| self.leaf("", name, value))
        })
    }

    /// An answer, a line for each field.
    pub fn answer(&mut self, api: &'static str, message: &Message, value: &Value) -> Vec<Line> {
        let mut lines = Vec::new();
        let place = At {
            path: String::new(),
            plain: String::new(),
        };
        self.fields(api, &message.fields, value, &place, &mut lines);
        lines
    }

    fn fields(
        &mut self,
        api: &'static str,
        schema: &[Field],
        value: &Value,
        at: &At,
        lines: &mut Vec<Line>,
    ) {
        let Value::Struct(fields) = value else {
            return;
        };
        for (name, value) in fields {
            let at = at.field(name);
            let field = schema.iter().find(|field| field.name == *name);
            self.field(api, name, field, value, &at, lines);
        }
    }

    fn field(
        &mut self,
        api: &'static str,
        name: &str,
        field: Option<&Field>,
        value: &Value,
        at: &At,
        lines: &mut Vec<Line>,
    ) {
        let inner = field.map_or(&[][..], |field| &field.fields);
        match value {
            Value::Array(elements) if elements.iter().any(|it| matches!(it, Value::Struct(_))) => {
                let key = UNORDERED
                    .iter()
                    .find(|(of, path, _)| *of == api && *path == at.plain)
                    .map(|(_, _, key)| *key);
                let ours = self.elements(elements, key);
                if ours.is_empty() {
                    // As if the others were not there.
                    lines.push(Line {
                        path: at.path.clone(),
                        value: "[]".to_owned(),
                    });
                }
                for (label, element) in ours {
                    self.fields(api, inner, element, &at.element(&label), lines);
                }
            }
            Value::Struct(_) => self.fields(api, inner, value, at, lines),
            Value::Bytes(bytes) if field.is_some_and(|it| it.kind == Kind::Records) => {
                let shown =
                    records::show(bytes, &mut |name, number| self.number(api, name, number));
                lines.extend(shown.into_iter().map(|(path, value)| Line {
                    path: format!("{}{path}", at.path),
                    value,
                }));
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Raw(_)
            | Value::Uuid(_)
            | Value::Array(_) => lines.push(Line {
                path: at.path.clone(),
                value: self.leaf(api, name, value),
            }),
        }
    }

    /// The elements that belong to this case, each with what tells it apart.
    fn elements<'a>(
        &mut self,
        elements: &'a [Value],
        key: Option<&str>,
    ) -> Vec<(String, &'a Value)> {
        let ours = elements.iter().filter(|element| !self.is_anothers(element));
        let Some(key) = key else {
            return ours
                .enumerate()
                .map(|(at, it)| (at.to_string(), it))
                .collect();
        };
        let ours: Vec<&Value> = ours.collect();
        let mut labelled: Vec<(String, &Value)> = ours
            .into_iter()
            .map(|element| {
                let of_version = key.split(" or ").find_map(|key| element.at(key).ok());
                let label = match of_version.context("no version has it") {
                    Ok(Value::Text(text)) => self.words(text),
                    Ok(Value::Int(number)) if key == "ApiKey" => api_name(*number),
                    Ok(Value::Uuid(id)) => self.symbol(&show_uuid(id), "uuid"),
                    Ok(other) => other.to_string(),
                    Err(_) => "none".to_owned(),
                };
                (label, element)
            })
            .collect();
        labelled.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut seen = String::new();
        let mut again = 1;
        for (label, _) in &mut labelled {
            again = if *label == seen { again + 1 } else { 1 };
            seen.clone_from(label);
            if again > 1 {
                label.push_str(&format!("#{again}"));
            }
        }
        labelled
    }

    /// Whether an element is of a topic or a group that another case made.
    fn is_anothers(&self, element: &Value) -> bool {
        let Value::Struct(fields) = element else {
            return false;
        };
        fields.iter().any(|(name, value)| {
            let Value::Text(text) = value else {
                return false;
            };
            let is_others = text.starts_with(MARK) && !text.starts_with(&self.prefix);
            NAMES.contains(name) && (is_others || MADE_LATE.contains(&&**text))
        })
    }

    /// One value, with symbols.
    fn leaf(&mut self, api: &str, name: &str, value: &Value) -> String {
        if self.is_masked(api, name) {
            return "<masked>".to_owned();
        }
        match value {
            Value::Int(number) => self.number(api, name, *number),
            Value::Uuid(id) if *id == [0; 16] => "none".to_owned(),
            Value::Uuid(id) => self.symbol(&show_uuid(id), "uuid"),
            Value::Text(text) if is_prose(name) && !text.is_empty() => "<text>".to_owned(),
            Value::Text(text) if name == "ClusterId" => self.symbol(text, "cluster"),
            Value::Text(text) => format!("{:?}", self.words(text)),
            Value::Array(elements) => {
                let shown: Vec<String> =
                    elements.iter().map(|it| self.leaf(api, name, it)).collect();
                format!("[{}]", shown.join(", "))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::Bytes(_)
            | Value::Raw(_)
            | Value::Struct(_) => value.to_string(),
        }
    }

    fn is_masked(&self, api: &str, name: &str) -> bool {
        let mut masks = self.masks.iter();
        masks.any(|(of, field)| (*of == "*" || *of == api) && *field == name)
    }

    fn number(&mut self, api: &str, name: &str, number: i64) -> String {
        if self.is_masked(api, name) {
            return "<masked>".to_owned();
        }
        if name.ends_with("ErrorCode") {
            return error(number);
        }
        if is_about_now(number) {
            return "<time>".to_owned();
        }
        let Some((_, kind)) = SYMBOLS.iter().find(|(field, _)| *field == name) else {
            return number.to_string();
        };
        // None, in every place that has such a number.
        if number < 0 || (*kind == "session" && number == 0) {
            return number.to_string();
        }
        if !self.numbers.contains(&(kind, number)) {
            self.numbers.push((kind, number));
        }
        let of_kind = self.numbers.iter().filter(|(other, _)| other == kind);
        let at = of_kind.take_while(|(_, other)| *other != number).count();
        format!("<{kind}-{}>", at + 1)
    }

    /// The symbol of a text, new or not.
    fn symbol(&mut self, text: &str, kind: &str) -> String {
        if let Some((_, symbol)) = self.texts.iter().find(|(known, _)| known == text) {
            return symbol.clone();
        }
        let start = format!("<{kind}-");
        let of_kind = self
            .texts
            .iter()
            .filter(|(_, it)| it.starts_with(&start))
            .count();
        let symbol = format!("{start}{}>", of_kind + 1);
        self.texts.push((text.to_owned(), symbol.clone()));
        symbol
    }

    /// A text in which symbols stand for what is known to differ.
    pub fn words(&mut self, text: &str) -> String {
        let mut text = short_runs(text)
            .replace(&self.prefix, "~")
            .replace(&self.place.address, "<broker>")
            .replace(&self.place.directory, "<directory>");
        while let Some(other) = find_address(&text) {
            text = text.replace(&other, "<other address>");
        }
        while let Some(id) = find_id(&text) {
            let symbol = self.symbol(&id, "uuid");
            text = text.replace(&id, &symbol);
        }
        for (known, symbol) in &self.texts {
            text = text.replace(known, symbol);
        }
        text
    }
}

/// Whether a field is written for people: its wording is each broker's own, and
/// whether there is one at all is compared.
fn is_prose(name: &str) -> bool {
    name.ends_with("ErrorMessage") || name == "Documentation"
}

fn api_name(key: i64) -> String {
    let known = APIS.iter().find(|api| i64::from(api.key) == key);
    known.map_or_else(|| key.to_string(), |api| api.name.to_owned())
}

/// The same letter many times over takes no more room than once.
fn short_runs(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let behind = rest.trim_start_matches(letter);
        let run = &rest[..rest.len() - behind.len()];
        let count = run.chars().count();
        if count >= 40 {
            out.push_str(&format!("{letter}*{count}"));
        } else {
            out.push_str(run);
        }
        rest = behind;
    }
    out
}

/// Where a field lies: with indices, and without.
#[derive(Debug)]
struct At {
    path: String,
    plain: String,
}

impl At {
    fn field(&self, name: &str) -> Self {
        let join = |front: &str| match front {
            "" => name.to_owned(),
            front => format!("{front}.{name}"),
        };
        Self {
            path: join(&self.path),
            plain: join(&self.plain),
        }
    }

    fn element(&self, label: &str) -> Self {
        Self {
            path: format!("{}[{label}]", self.path),
            plain: self.plain.clone(),
        }
    }
}

/// A code with the name that it has in Kafka.
pub fn error(code: i64) -> String {
    let known = ottla_base::ErrorCode::ALL
        .iter()
        .find(|known| i64::from(known.code()) == code);
    match known {
        Some(known) => format!("{code} {}", known.name()),
        None => code.to_string(),
    }
}

/// Whether a number is a time of today, in milliseconds.
fn is_about_now(number: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(0));
    number.abs_diff(now) < 24 * 60 * 60 * 1000
}

/// The first address on loopback with a port of the system's choice.
fn find_address(text: &str) -> Option<String> {
    const HOST: &str = "127.0.0.1:";
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once(HOST) {
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 4 {
            return Some(format!("{HOST}{}", &behind[..digits]));
        }
        rest = behind;
    }
    None
}

/// The first 8-4-4-4-12 in a text, as Java writes ids.
fn find_id(text: &str) -> Option<String> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    (0..text.len()).find_map(|at| {
        let candidate = text.get(at..at + 36)?;
        let mut parts = candidate.split('-');
        let fits = GROUPS.iter().all(|size| {
            parts.next().is_some_and(|part| {
                part.len() == *size && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        });
        (fits && parts.next().is_none()).then(|| candidate.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg;
    use crate::schema::Api;

    fn normal() -> Normal {
        let place = Place {
            address: "127.0.0.1:9092".to_owned(),
            directory: "/data".to_owned(),
        };
        Normal::new(place, "o-case-".to_owned())
    }

    #[track_caller]
    fn check(api: &str, answer: &Value, expected: &[&str]) {
        let api = Api::named(api);
        let lines = normal().answer(api.name, &api.response, answer);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| format!("{} = {}", line.path, line.value))
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn ids_have_symbols_by_first_appearance() {
        let (one, other) = ([1_u8; 16], [2_u8; 16]);
        check(
            "Metadata",
            &msg! { Topics: [
                msg! { Name: "o-case-b", TopicId: one },
                msg! { Name: "o-case-a", TopicId: other },
                msg! { Name: "o-other-a", TopicId: other },
            ] },
            &[
                "Topics[~a].Name = \"~a\"",
                "Topics[~a].TopicId = <uuid-1>",
                "Topics[~b].Name = \"~b\"",
                "Topics[~b].TopicId = <uuid-2>",
            ],
        );
        check(
            "JoinGroup",
            &msg! {
                Leader: "c-6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                MemberId: "c-6ba7b811-9dad-11d1-80b4-00c04fd430c8",
                Members: [msg! { MemberId: "c-6ba7b810-9dad-11d1-80b4-00c04fd430c8" }],
            },
            &[
                "Leader = \"c-<uuid-1>\"",
                "MemberId = \"c-<uuid-2>\"",
                "Members[c-<uuid-1>].MemberId = \"c-<uuid-1>\"",
            ],
        );
    }

    #[test]
    fn what_a_broker_cannot_choose_stays() {
        check(
            "InitProducerId",
            &msg! { ErrorCode: 3, ProducerId: 4000, ProducerEpoch: 0 },
            &[
                "ErrorCode = 3 UnknownTopicOrPartition",
                "ProducerId = <pid-1>",
                "ProducerEpoch = 0",
            ],
        );
        check(
            "InitProducerId",
            &msg! { ProducerId: -1 },
            &["ProducerId = -1"],
        );
    }
}
