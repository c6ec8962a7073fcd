//! Requests and batches that stateful cases share, in the versions that need no
//! thought: names instead of ids, and every error that there is.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::broker::Setting;
use crate::connection::{Answer, Connection, PATIENCE};
use crate::msg;
use crate::session::Session;
use crate::value::{NULL, Value};

/// Long enough for what comes at once, and short enough for what does not come.
pub(super) const SOON: Duration = Duration::from_millis(400);

/// The first rebalance waits for others.
pub(super) const PATIENT: &[Setting] = &[("group.initial.rebalance.delay.ms", "800")];

/// An id that no topic has.
pub(super) const NOBODYS: [u8; 16] = [7; 16];

/// Where the header of a batch has its fields.
pub(super) const LENGTH: usize = 8;
pub(super) const MAGIC: usize = 16;
pub(super) const CRC: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const MAX_TIMESTAMP: usize = 35;
pub(super) const RECORD_COUNT: usize = 57;
pub(super) const RECORDS: usize = 61;

/// A produce of one batch.
pub(super) fn append(topic: &str, index: i32, records: Vec<u8>) -> Value {
    append_by(-1, topic, vec![(index, records)])
}

/// A produce to several partitions of one topic.
pub(super) fn append_by(acks: i16, topic: &str, batches: Vec<(i32, Vec<u8>)>) -> Value {
    let batches = batches
        .into_iter()
        .map(|(index, records)| msg! { Index: index, Records: records });
    let topic = msg! { Name: topic, PartitionData: batches.collect::<Vec<_>>() };
    msg! { Acks: acks, TimeoutMs: 10_000, TopicData: [topic] }
}

/// Writes a batch and gives its first offset. No transcript shows it.
pub(super) fn write(
    s: &mut Session<'_>,
    topic: &str,
    index: i32,
    records: Vec<u8>,
) -> anyhow::Result<i64> {
    let answer = s.setup("Produce", 9, append(topic, index, records))?;
    let code = answer.int("Responses[0].PartitionResponses[0].ErrorCode")?;
    ensure!(code == 0, "writing to {topic} fails with {code}");
    answer.int("Responses[0].PartitionResponses[0].BaseOffset")
}

/// Produces to several partitions, whose answers come in no order, and shows the
/// error and the first offset of each.
pub(super) fn append_each(s: &mut Session<'_>, request: Value) -> anyhow::Result<Value> {
    let answer = s.setup("Produce", 9, request)?;
    let mut lines = Vec::new();
    for topic in answer.array("Responses")? {
        for partition in topic.array("PartitionResponses")? {
            let (index, base) = (partition.int("Index")?, partition.int("BaseOffset")?);
            let code = partition.int("ErrorCode")?;
            let name = topic.text("Name")?;
            lines.push(format!(
                "Produced to {name} {index}: error {code}, offset {base}."
            ));
        }
    }
    lines.sort();
    lines.iter().for_each(|line| s.note(line));
    Ok(answer)
}

/// The error of the first partition of a produce.
pub(super) fn produced(answer: &Value) -> anyhow::Result<i64> {
    answer.int("Responses[0].PartitionResponses[0].ErrorCode")
}

/// The first offset that a produce was given.
pub(super) fn base_offset(answer: &Value) -> anyhow::Result<i64> {
    answer.int("Responses[0].PartitionResponses[0].BaseOffset")
}

/// A partition of a fetch.
pub(super) fn from(partition: i32, offset: i64) -> Value {
    msg! { Partition: partition, FetchOffset: offset, PartitionMaxBytes: 1 << 20 }
}

/// A fetch from one partition that does not wait.
pub(super) fn fetch(topic: &str, partition: i32, offset: i64) -> Value {
    fetch_these(topic, vec![from(partition, offset)])
}

/// A fetch from partitions of one topic that does not wait.
pub(super) fn fetch_these(topic: &str, partitions: Vec<Value>) -> Value {
    msg! {
        MaxWaitMs: 0,
        MinBytes: 1,
        Topics: [msg! { Topic: topic, Partitions: partitions }],
    }
}

/// The bytes of the first partition of a fetch.
pub(super) fn fetched(answer: &Value) -> anyhow::Result<Vec<u8>> {
    answer.bytes("Responses[0].Partitions[0].Records")
}

/// The error of the first partition of a fetch.
pub(super) fn fetch_error(answer: &Value) -> anyhow::Result<i64> {
    answer.int("Responses[0].Partitions[0].ErrorCode")
}

/// A question for the offset of a time, or of a number that stands for one.
pub(super) fn offset_at(topic: &str, index: i32, timestamp: i64) -> Value {
    let partition = msg! { PartitionIndex: index, Timestamp: timestamp };
    msg! { ReplicaId: -1, Topics: [msg! { Name: topic, Partitions: [partition] }] }
}

/// The offset in an answer to [`offset_at`].
pub(super) fn offset(answer: &Value) -> anyhow::Result<i64> {
    answer.int("Topics[0].Partitions[0].Offset")
}

/// A deletion of the records of one partition.
pub(super) fn delete_records(topic: &str, index: i32, before: i64) -> Value {
    let partition = msg! { PartitionIndex: index, Offset: before };
    msg! { Topics: [msg! { Name: topic, Partitions: [partition] }], TimeoutMs: 10_000 }
}

/// A question for topics by name, which creates none.
pub(super) fn metadata(topic: &str) -> Value {
    msg! { Topics: [msg! { Name: topic }], AllowAutoTopicCreation: false }
}

/// A deletion of a topic by name.
pub(super) fn delete_topic(topic: &str) -> Value {
    msg! { TopicNames: [topic], TimeoutMs: 10_000 }
}

/// The id and the epoch of a new idempotent producer. No transcript shows it.
pub(super) fn producer(s: &mut Session<'_>) -> anyhow::Result<i64> {
    let answer = s.setup("InitProducerId", 1, msg! { TransactionalId: NULL })?;
    answer.int("ProducerId")
}

/// What a member says that joins.
#[derive(Debug, Clone)]
pub(super) struct Join<'a> {
    pub(super) group: &'a str,
    pub(super) member: String,
    pub(super) instance: Option<&'a str>,
    pub(super) protocols: &'a [(&'a str, &'a [u8])],
    pub(super) protocol_type: &'a str,
    pub(super) session_ms: i32,
    pub(super) rebalance_ms: i32,
}

impl<'a> Join<'a> {
    pub(super) fn new(group: &'a str) -> Self {
        Self {
            group,
            member: String::new(),
            instance: None,
            protocols: &[("range", b"m")],
            protocol_type: "consumer",
            session_ms: 30_000,
            rebalance_ms: 30_000,
        }
    }

    pub(super) fn member(self, member: &str) -> Self {
        let member = member.to_owned();
        Self { member, ..self }
    }

    pub(super) fn request(&self) -> Value {
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|(name, metadata)| msg! { Name: *name, Metadata: *metadata });
        let request = vec![
            ("GroupId", self.group.into()),
            ("SessionTimeoutMs", self.session_ms.into()),
            ("RebalanceTimeoutMs", self.rebalance_ms.into()),
            ("MemberId", (&self.member).into()),
            ("GroupInstanceId", self.instance.into()),
            ("ProtocolType", self.protocol_type.into()),
            ("Protocols", Value::Array(protocols.collect())),
        ];
        Value::Struct(request)
    }
}

/// A member in a generation.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) generation: i64,
}

impl Member {
    /// From the answer to a join.
    pub(super) fn of(group: &str, joined: &Value) -> anyhow::Result<Self> {
        let code = joined.int("ErrorCode")?;
        ensure!(code == 0, "joining {group} fails with {code}");
        Ok(Self {
            group: group.to_owned(),
            id: joined.text("MemberId")?,
            generation: joined.int("GenerationId")?,
        })
    }

    /// With an assignment for each member that is named.
    pub(super) fn sync(&self, assignments: &[(&str, &[u8])]) -> Value {
        let assignments = assignments.iter();
        let assignments = assignments.map(|(id, part)| msg! { MemberId: *id, Assignment: *part });
        msg! {
            GroupId: &self.group,
            GenerationId: self.generation,
            MemberId: &self.id,
            Assignments: assignments.collect::<Vec<_>>(),
        }
    }

    pub(super) fn heartbeat(&self) -> Value {
        msg! { GroupId: &self.group, GenerationId: self.generation, MemberId: &self.id }
    }

    pub(super) fn leave(&self) -> Value {
        msg! { GroupId: &self.group, Members: [msg! { MemberId: &self.id }] }
    }

    /// In partition 0 of a topic.
    pub(super) fn commit(&self, topic: &str, offset: i64) -> Value {
        commit(&self.group, self.generation, &self.id, topic, offset)
    }
}

/// A commit of an offset in partition 0 of a topic.
pub(super) fn commit(
    group: &str,
    generation: i64,
    member: &str,
    topic: &str,
    offset: i64,
) -> Value {
    let partition = msg! { PartitionIndex: 0, CommittedOffset: offset, CommittedMetadata: "m" };
    msg! {
        GroupId: group,
        GenerationIdOrMemberEpoch: generation,
        MemberId: member,
        Topics: [msg! { Name: topic, Partitions: [partition] }],
    }
}

/// The error of the only offset that was committed.
pub(super) fn committed(answer: &Value) -> anyhow::Result<i64> {
    answer.int("Topics[0].Partitions[0].ErrorCode")
}

/// A question for the committed offset in partition 0 of a topic.
pub(super) fn committed_offset(group: &str, topic: &str) -> Value {
    let topic = msg! { Name: topic, PartitionIndexes: [0] };
    msg! { Groups: [msg! { GroupId: group, Topics: [topic] }] }
}

/// Makes a group of one member that has its assignment. No transcript shows it.
pub(super) fn group_of_one(s: &mut Session<'_>, join: &Join<'_>) -> anyhow::Result<Member> {
    let asked = s.setup("JoinGroup", 9, join.request())?;
    let joined = match asked.int("ErrorCode")? {
        79 => {
            let again = join.clone().member(&asked.text("MemberId")?);
            s.setup("JoinGroup", 9, again.request())?
        }
        _ => asked,
    };
    let member = Member::of(join.group, &joined)?;
    let synced = s.setup("SyncGroup", 4, member.sync(&[(&member.id, b"all")]))?;
    ensure!(
        synced.int("ErrorCode")? == 0,
        "the assignment is refused: {synced}"
    );
    Ok(member)
}

/// Two members of a generation, on the connections `a` and `b`, the first of
/// which leads and has to assign.
pub(super) fn two_joined(s: &mut Session<'_>, group: &str) -> anyhow::Result<(Member, Member)> {
    let join = Join::new(group);
    let first = group_of_one(s, &join)?;
    let id = member_id(s, &join)?;
    s.send("b", "JoinGroup", 9, join.clone().member(&id).request())?;
    let joined = s.ask("a", "JoinGroup", 9, join.member(&first.id).request())?;
    let leader = Member::of(group, &joined)?;
    let follower = Member::of(group, &s.receive("b")?)?;
    ensure!(
        leader.generation == follower.generation,
        "two generations: {joined}"
    );
    Ok((leader, follower))
}

/// The id that a new member of a group is told to use. No transcript shows it.
pub(super) fn member_id(s: &mut Session<'_>, join: &Join<'_>) -> anyhow::Result<String> {
    let asked = s.setup("JoinGroup", 9, join.request())?;
    ensure!(
        asked.int("ErrorCode")? == 79,
        "a new member gets no id: {asked}"
    );
    asked.text("MemberId")
}

/// Waits until a member is told to join again. No transcript shows it.
pub(super) fn until_rebalancing(s: &mut Session<'_>, member: &Member) -> anyhow::Result<()> {
    let began = Instant::now();
    while s
        .setup("Heartbeat", 4, member.heartbeat())?
        .int("ErrorCode")?
        != 27
    {
        ensure!(
            began.elapsed() < PATIENCE,
            "no rebalance of {}",
            member.group
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A batch with other bytes at a place of its header, and a CRC to match.
pub(super) fn patched(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    sealed(batch)
}

/// The header of a batch with other records behind it.
pub(super) fn with_records(mut batch: Vec<u8>, attributes: i16, records: &[u8]) -> Vec<u8> {
    batch.truncate(RECORDS);
    batch.extend_from_slice(records);
    patched(batch, ATTRIBUTES, &attributes.to_be_bytes())
}

/// With the length and the CRC of what is there.
pub(super) fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(batch.len() - LENGTH - 4).expect("a small batch");
    batch[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// Castagnoli's, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, byte)
}

/// Sends bytes on a connection of their own and gives what comes back; `None` if
/// the connection is closed. No transcript shows it.
pub(super) fn exchange(s: &Session<'_>, bytes: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut connection = Connection::open(s.broker().address)?;
    // Whoever refuses early may have closed before all was written.
    let _ = connection.write(bytes);
    match connection.read(PATIENCE)? {
        Answer::Frame(frame) => Ok(Some(frame)),
        Answer::Closed => Ok(None),
        Answer::Nothing => anyhow::bail!("neither an answer nor an end"),
    }
}

/// Waits for the answer that is due, and says whether it took at least that long.
pub(super) fn took(
    s: &mut Session<'_>,
    on: &'static str,
    at_least: Duration,
) -> anyhow::Result<(Value, bool)> {
    let began = Instant::now();
    let answer = s.receive(on)?;
    Ok((answer, began.elapsed() >= at_least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::values;

    #[test]
    fn a_sealed_batch_is_as_it_was_built() {
        let built = values(&["a", "b"]);
        assert_eq!(sealed(built.clone()), built);
        assert_eq!(
            patched(
                built.clone(),
                MAX_TIMESTAMP,
                &built[MAX_TIMESTAMP..MAX_TIMESTAMP + 8]
            ),
            built
        );
    }
}
