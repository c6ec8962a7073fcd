//! Prints one page of docs/reference, made from the tables that the broker runs
//! on: `reference apis`, `reference settings` or `reference error-codes`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use ottla_base::ErrorCode;
use ottla_base::config::reference_page;
use ottla_broker::ROUTES;
use ottla_protocol::ApiKey;

fn main() -> ExitCode {
    let page = match std::env::args().nth(1).as_deref() {
        Some("apis") => apis(),
        Some("settings") => reference_page(),
        Some("error-codes") => error_codes(),
        Some(_) | None => return ExitCode::FAILURE,
    };
    match std::io::stdout().write_all(page.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn apis() -> String {
    let mut page = "\
<!-- Made from ROUTES in crates/broker/src/api. Do not edit. -->
# Served APIs

Requests that the broker answers, as ApiVersions tells clients. What changed with a version, and what is \
answered to what is not supported, is in the comment that the API's file under `crates/broker/src/api` begins with.

| Key | API | Versions |
|---:|---|---|
"
    .to_owned();
    for route in ROUTES {
        let (first, last) = (route.served.start(), route.served.end());
        let versions = if first == last {
            format!("{first}")
        } else {
            format!("{first}-{last}")
        };
        line(
            &mut page,
            &[&route.key.code(), &route.key.name(), &versions],
        );
    }
    page.push_str(
        "
# Not served

Kafka 4.3's other APIs. A request for one of them is not answered: as with Kafka, the connection is closed.

| Key | API |
|---:|---|
",
    );
    let is_served = |key: &ApiKey| ROUTES.iter().any(|route| route.key == *key);
    for key in ApiKey::ALL.iter().filter(|key| !is_served(key)) {
        line(&mut page, &[&key.code(), &key.name()]);
    }
    page
}

fn error_codes() -> String {
    let mut page = "\
<!-- Made from the table in crates/base/src/error_code.rs. Do not edit. -->
# Error codes

Kafka's codes, the only ones that Ottla speaks. After a retriable one a client may simply try again.

| Code | Name | Retriable | Meaning |
|---:|---|---|---|
"
    .to_owned();
    for code in ErrorCode::ALL {
        let retriable = if code.is_retriable() { "yes" } else { "no" };
        let name = in_capitals(code.name());
        line(&mut page, &[&code.code(), &name, &retriable, &code.text()]);
    }
    page
}

fn line(page: &mut String, cells: &[&dyn std::fmt::Display]) {
    for cell in cells {
        write!(page, "| {cell} ").expect("a string takes any text");
    }
    page.push_str("|\n");
}

/// `NotLeaderOrFollower` as the protocol's documents write it.
fn in_capitals(name: &str) -> String {
    let mut written = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !written.is_empty() {
            written.push('_');
        }
        written.extend(character.to_uppercase());
    }
    written
}
