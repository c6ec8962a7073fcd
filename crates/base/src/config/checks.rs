//! Rules that several settings share, by name.

use crate::config::listeners::split_address;
use crate::config::value::list;
use crate::config::{Check, Value};

/// A list, possibly empty, without duplicates.
pub(crate) const DISTINCT: Check = Check::Distinct { may_be_empty: true };
/// A list of at least one item, without duplicates.
pub(crate) const SOME: Check = Check::Distinct {
    may_be_empty: false,
};

pub(crate) const CLEANUP_POLICIES: Check = Check::DistinctOf {
    items: &["compact", "delete"],
    may_be_empty: true,
};
pub(crate) const ROLES: Check = Check::DistinctOf {
    items: &["broker", "controller"],
    may_be_empty: false,
};
pub(crate) const GROUP_TYPES: Check = Check::DistinctOf {
    items: &["consumer", "classic", "share", "streams"],
    may_be_empty: false,
};

pub(crate) const GZIP_LEVELS: Check = Check::BetweenOr {
    least: 1,
    most: 9,
    or: -1,
};
pub(crate) const LZ4_LEVELS: Check = Check::Between(1, 17);
pub(crate) const ZSTD_LEVELS: Check = Check::Between(-131_072, 22);

/// The one bound that is not a whole number.
pub(crate) const HALF: Check = Check::Rule {
    allows: "from 0 to 0.5",
    holds: |value| match value {
        Value::Double(x) => (0.0..=0.5).contains(x),
        Value::Boolean(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) => false,
    },
};

pub(crate) const THROTTLED_REPLICAS: Check = Check::Rule {
    allows: "* or a list of partition:broker",
    holds: |value| {
        holds_for_list(value, |items| {
            items.concat() == "*" || items.iter().all(|item| item.is_empty() || is_replica(item))
        })
    },
};
pub(crate) const VOTERS: Check = Check::Rule {
    allows: "a list of id@host:port",
    holds: |value| holds_for_list(value, |items| items.iter().all(|item| is_voter(item))),
};
pub(crate) const BOOTSTRAP_SERVERS: Check = Check::Rule {
    allows: "a list of host:port",
    holds: |value| holds_for_list(value, |items| items.iter().all(|item| is_address(item))),
};
pub(crate) const CONNECTIONS_BY_ADDRESS: Check = Check::Rule {
    allows: "a list of address:count",
    holds: |value| match value {
        Value::Text(text) => list(text).iter().all(|item| is_count_by_address(item)),
        Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::List(_) => false,
    },
};
pub(crate) const OFFSET_RESET: Check = Check::Rule {
    allows: "earliest, latest or by_duration:PnDTnHnMn.nS",
    holds: |value| match value {
        Value::Text(text) => {
            let text = text.to_ascii_lowercase();
            matches!(text.as_str(), "earliest" | "latest")
                || text.strip_prefix("by_duration:").is_some_and(is_duration)
        }
        Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::List(_) => false,
    },
};
/// The ways in which KIP-714 subscriptions choose clients.
pub(crate) const CLIENT_MATCHES: Check = Check::Rule {
    allows: "a list of selector=pattern, where selector is one of client_instance_id, client_id, \
             client_software_name, client_software_version, client_source_address, \
             client_source_port",
    holds: |value| {
        holds_for_list(value, |items| {
            items.iter().all(|item| is_client_match(item))
        })
    },
};

fn holds_for_list(value: &Value, holds: impl Fn(&[String]) -> bool) -> bool {
    match value {
        Value::List(items) => holds(items),
        Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::Text(_) => false,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_replica(item: &str) -> bool {
    item.split_once(':')
        .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

fn is_voter(item: &str) -> bool {
    item.split_once('@')
        .is_some_and(|(id, address)| is_number(id.trim()) && is_address(address))
}

fn is_count_by_address(item: &str) -> bool {
    item.rsplit_once(':').is_some_and(|(host, count)| {
        split_address(&format!("{host}:0")).is_some() && count.trim().parse::<i32>().is_ok()
    })
}

fn is_address(item: &str) -> bool {
    split_address(item).is_some()
}

/// ISO 8601, as Java's `Duration` reads it, and not negative: days, then hours,
/// minutes and seconds after a `t`, of which only seconds may have a fraction.
fn is_duration(text: &str) -> bool {
    let Some(text) = text.strip_prefix('p') else {
        return false;
    };
    let (days, time) = text.split_once('t').unwrap_or((text, ""));
    let has_time = text.contains('t');
    let mut rest = days;
    let days_hold = take_part(&mut rest, 'd', is_number) && rest.is_empty();
    let mut rest = time;
    let time_holds = take_part(&mut rest, 'h', is_number)
        && take_part(&mut rest, 'm', is_number)
        && take_part(&mut rest, 's', |part| {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            is_number(whole) && (fraction.is_empty() || is_number(fraction))
        })
        && rest.is_empty();
    days_hold && time_holds && has_time != time.is_empty() && !text.is_empty()
}

/// Takes `<number><unit>` off the front if it is there; `false` if what is there
/// is not a number.
fn take_part(rest: &mut &str, unit: char, is_valid: impl Fn(&str) -> bool) -> bool {
    let Some((part, after)) = rest.split_once(unit) else {
        return true;
    };
    *rest = after;
    is_valid(part)
}

fn is_client_match(item: &str) -> bool {
    const SELECTORS: &[&str] = &[
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    let parts: Vec<&str> = item.split('=').collect();
    matches!(parts.as_slice(), [selector, pattern]
        if SELECTORS.contains(&selector.trim()) && !pattern.is_empty())
}
