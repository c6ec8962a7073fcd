//! Producing records and getting them back.

use crate::case::Case;
use crate::msg;
use crate::records::values;
use crate::session::Session;
use crate::value::{NO_ID, NULL};

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new("records", "produce_and_fetch", produce_and_fetch)]
}

fn produce_and_fetch(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for version in 3..=13 {
        let partition = msg! { Index: 0, Records: values(&["a", "b"]) };
        let topic = msg! { Name: &name, TopicId: id, PartitionData: [partition] };
        let request = msg! { Acks: -1, TimeoutMs: 5000, TopicData: [topic] };
        s.ask("a", "Produce", version, request)?;
    }
    s.note("All of it comes back.");
    for version in [4, 12, 18] {
        let partition = msg! { Partition: 0, FetchOffset: 19_i64, PartitionMaxBytes: 1_000_000 };
        let topic = msg! { Topic: &name, TopicId: id, Partitions: [partition] };
        let request = msg! { MaxWaitMs: 0, MinBytes: 1, Topics: [topic] };
        s.ask("a", "Fetch", version, request)?;
    }
    s.ask(
        "a",
        "Metadata",
        12,
        msg! { Topics: [msg! { Name: &name, TopicId: NO_ID }] },
    )?;
    s.ask("a", "InitProducerId", 0, msg! { TransactionalId: NULL })?;
    Ok(())
}
