//! What is wrong about records that were sent.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use super::facts::{Facts, Outcome, Sent};
use crate::history::{Log, Offset, Value};

/// Lost and unseen records.
pub(super) fn missing(facts: &Facts) -> Vec<Anomaly> {
    let ends: BTreeMap<Log, Offset> = facts
        .order
        .keys()
        .map(|log| (*log, end_of_reading(facts, *log)))
        .collect();
    let sent = facts.sent.iter();
    sent.filter_map(|(value, sent)| missing_one(facts, &ends, *value, sent))
        .collect()
}

fn missing_one(
    facts: &Facts,
    ends: &BTreeMap<Log, Offset>,
    value: Value,
    sent: &Sent,
) -> Option<Anomaly> {
    let log = sent.log;
    let was_read = facts.polled.contains(&value);
    let offset = match sent.outcome {
        Outcome::Acked(offset) => offset,
        Outcome::Unknown if was_read => None,
        Outcome::Unknown | Outcome::Failed | Outcome::Aborted => return None,
    };
    let is_there = match facts.finals.get(&log) {
        Some(last) => {
            let was_removed = match offset {
                Some(offset) => offset < last.start,
                // It may have been among what retention took.
                None => last.start > Offset(0),
            };
            was_removed || last.values.contains(&value)
        }
        None => was_read,
    };
    if is_there {
        return None;
    }
    let end = ends.get(&log).copied().unwrap_or(Offset(0));
    let is_behind_the_end = offset.is_some_and(|offset| offset >= end);
    Some(if is_behind_the_end && !was_read {
        Anomaly::Unseen { log, offset, value }
    } else {
        Anomaly::LostWrite { log, offset, value }
    })
}

/// The offset behind the last one that was read.
fn end_of_reading(facts: &Facts, log: Log) -> Offset {
    if let Some(last) = facts.finals.get(&log) {
        return last.end;
    }
    let order = facts.order.get(&log).into_iter().flatten().rev();
    let mut read = order.filter(|(_, values)| {
        let mut values = values.iter();
        values.any(|value| facts.polled.contains(value))
    });
    read.next().map_or(Offset(0), |(offset, _)| offset.next())
}

pub(super) fn duplicates(facts: &Facts) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (log, order) in &facts.order {
        let mut places: BTreeMap<Value, Vec<Offset>> = BTreeMap::new();
        for (offset, values) in order {
            for value in values {
                places.entry(*value).or_default().push(*offset);
            }
        }
        places.retain(|value, offsets| offsets.len() > 1 && facts.is_from_idempotent(*value));
        found.extend(
            places
                .into_iter()
                .map(|(value, offsets)| Anomaly::Duplicate {
                    log: *log,
                    value,
                    offsets,
                }),
        );
    }
    found
}

pub(super) fn inconsistent_offsets(facts: &Facts) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (log, order) in &facts.order {
        let ambiguous = order.iter().filter(|(_, values)| values.len() > 1);
        found.extend(
            ambiguous.map(|(offset, values)| Anomaly::InconsistentOffsets {
                log: *log,
                offset: *offset,
                values: values.iter().copied().collect(),
            }),
        );
    }
    found
}

/// Offsets of the log at the end that have no record.
pub(super) fn gaps(facts: &Facts) -> Vec<Anomaly> {
    if facts.has_sparse_offsets {
        return Vec::new();
    }
    let finals = facts.finals.iter();
    finals
        .flat_map(|(log, last)| {
            let offsets = (last.start.0..last.end.0).map(Offset);
            let empty = offsets.filter(|offset| !last.offsets.contains(offset));
            empty.map(|offset| Anomaly::Gap { log: *log, offset })
        })
        .collect()
}

/// A plain producer that sends again may overtake itself.
pub(super) fn nonmonotonic_sends(facts: &Facts) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let ordered = facts.sends.iter();
    for ((process, log), values) in
        ordered.filter(|((process, _), _)| facts.is_idempotent(*process))
    {
        let mut last: Option<(Value, Offset)> = None;
        let mut seen = BTreeSet::new();
        for value in values.iter().filter(|value| seen.insert(**value)) {
            let Some(Outcome::Acked(Some(offset))) = facts.outcome(*log, *value) else {
                continue;
            };
            let later = (*value, offset);
            if let Some(earlier) = last.filter(|(_, before)| *before >= offset) {
                found.push(Anomaly::NonmonotonicSend {
                    log: *log,
                    process: *process,
                    earlier,
                    later,
                });
            }
            last = Some(later);
        }
    }
    found
}
