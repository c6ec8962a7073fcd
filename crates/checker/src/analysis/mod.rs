//! What a history contradicts, by the names that Jepsen's tests of Kafka gave
//! to it. A function of the history alone.

mod anomaly;
mod commits;
mod facts;
mod reads;
#[cfg(test)]
mod tests;
mod writes;

pub(crate) use anomaly::Anomaly;

use crate::history::Event;
use facts::Facts;

/// Everything that is wrong about a history, one kind after the other.
pub(crate) fn analyse(history: &[Event]) -> Vec<Anomaly> {
    let facts = Facts::of(history);
    let mut found = writes::missing(&facts);
    found.extend(writes::duplicates(&facts));
    found.extend(writes::inconsistent_offsets(&facts));
    found.extend(writes::gaps(&facts));
    found.extend(writes::nonmonotonic_sends(&facts));
    found.extend(reads::impossible_reads(&facts, history));
    found.extend(reads::disorder(&facts, history));
    found.extend(commits::broken(&facts, history));
    found.sort_by_key(Anomaly::name);
    found
}
