//! Every error code beside Apache Kafka's own.

use ottla_base::ErrorCode;

#[test]
fn every_error_code_is_kafkas() {
    let kafka = include_str!("../schema/kafka-4.3.1-errors.txt");
    let ours: String = ErrorCode::ALL.iter().map(|code| line(*code)).collect();
    assert_eq!(ours, kafka);
}

fn line(code: ErrorCode) -> String {
    let kind = if code.is_retriable() {
        "retriable"
    } else {
        "fatal"
    };
    // The one name that Kafka took from its class.
    let name = if code == ErrorCode::InvalidTopic {
        "INVALID_TOPIC_EXCEPTION".to_owned()
    } else {
        kafka_name(code.name())
    };
    format!("{} {name} {kind}\n", code.code())
}

/// `OffsetOutOfRange` as `OFFSET_OUT_OF_RANGE`.
fn kafka_name(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}
