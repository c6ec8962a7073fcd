//! Where a node listens and what it tells others.

use crate::config::declare::word_setting;

/// How a listener protects what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

word_setting! {
    SecurityProtocol {
        Plaintext = "PLAINTEXT", Ssl = "SSL", SaslPlaintext = "SASL_PLAINTEXT", SaslSsl = "SASL_SSL"
    }
}

/// Host and port of `host:port`, by the characters that Kafka allows in a host.
pub(crate) fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let is_host = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':'));
    is_host.then_some((host, port.parse().ok()?))
}
