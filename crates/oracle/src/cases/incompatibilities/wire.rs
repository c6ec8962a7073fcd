//! 1 to 23: frames, headers, versions.

use anyhow::{Context, ensure};

use super::case;
use crate::case::Case;
use crate::cases::kit::{self, ATTRIBUTES, SOON, append, fetch, fetched, produced};
use crate::codec::put_varint;
use crate::connection::{CLIENT, decode, framed, header};
use crate::msg;
use crate::records::values;
use crate::schema::{APIS, Api};
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("inc_001_api_versions_has_the_old_header", old_header),
        case(
            "inc_002_an_unknown_version_of_api_versions",
            unknown_version,
        ),
        case("inc_003_api_versions_4", api_versions_4),
        case("inc_004_the_body_of_api_versions_3", body_of_api_versions_3),
        case("inc_005_null_client_id", null_client_id),
        case(
            "inc_006_senseless_length_of_a_client_id",
            senseless_client_id,
        ),
        case("inc_007_null_arrays", null_arrays),
        case("inc_008_empty_flexible_structs", empty_flexible_structs),
        case("inc_009_nullable_tagged_fields", nullable_tagged_fields),
        case("inc_010_oversized_tags", oversized_tags),
        case("inc_011_tags_of_later_versions", tags_of_later_versions),
        case("inc_012_response_headers", response_headers),
        case("inc_013_answers_in_order", answers_in_order),
        case("inc_014_no_answer_without_acks", no_answer_without_acks),
        case("inc_015_versions_pinned_by_sarama", pinned_by_sarama),
        case(
            "inc_016_metadata_in_every_version",
            metadata_in_every_version,
        ),
        case("inc_017_init_producer_id", init_producer_id),
        case("inc_018_one_key_or_several", one_key_or_several),
        case("inc_019_metadata_gives_ids", metadata_gives_ids),
        case("inc_020_a_topic_keeps_its_id", a_topic_keeps_its_id),
        case("inc_021_bytes_that_are_never_null", bytes_never_null),
        case("inc_022_leader_epochs_are_given", leader_epochs_are_given),
        case("inc_023_xerial_snappy", xerial_snappy),
    ]
}

fn who_asks() -> Value {
    msg! { ClientSoftwareName: "oracle", ClientSoftwareVersion: "1.0" }
}

fn old_header(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=4 {
        let request = if version < 3 {
            msg! {}
        } else {
            who_asks()
        };
        let frame = s.frame("ApiVersions", version, &request)?;
        let answer = kit::exchange(s, &frame)?.context("no answer")?;
        let (correlation, body) = answer.split_at(4);
        ensure!(correlation == [0, 0, 0, 1], "correlation {correlation:?}");
        ensure!(
            body[..2] == [0, 0],
            "v{version} begins with the bytes {body:?}"
        );
        // With a byte for tags in the header, the array would have no element.
        ensure!(
            body[2] != 0 || body[5] != 0,
            "v{version} has a newer header"
        );
        let decoded = decode(Api::named("ApiVersions"), version, 1, &answer)?;
        ensure!(
            !decoded.array("ApiKeys")?.is_empty(),
            "v{version} names no API"
        );
    }
    s.note("The body follows the correlation id at once in versions 0 to 4.");
    Ok(())
}

fn unknown_version(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in [5, 99, i16::MAX] {
        let front = header(Api::named("ApiVersions"), 4, 7, Some(CLIENT));
        let mut bytes = [&front[..], b"a body of the future"].concat();
        bytes[2..4].copy_from_slice(&version.to_be_bytes());
        let what = format!("ApiVersions in version {version}");
        let answer = Some(("ApiVersions", 0));
        let answer = s.ask_bytes("a", &what, &framed(&bytes), answer, SOON)?;
        ensure!(
            answer.int("ErrorCode")? == 35,
            "no UNSUPPORTED_VERSION: {answer}"
        );
        let keys = answer.array("ApiKeys")?;
        ensure!(
            keys.len() == 1 && keys[0].int("ApiKey")? == 18,
            "the range is missing: {answer}"
        );
    }
    s.note("The connection is still of use.");
    let highest = keys_max(s)?;
    let answer = s.setup("ApiVersions", highest, who_asks())?;
    ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    Ok(())
}

/// The highest version of ApiVersions that the broker says it knows.
fn keys_max(s: &mut Session<'_>) -> anyhow::Result<i16> {
    let answer = s.setup("ApiVersions", 0, msg! {})?;
    let mut keys = answer.array("ApiKeys")?.iter();
    let own = keys.find(|key| key.int("ApiKey").is_ok_and(|key| key == 18));
    Ok(i16::try_from(
        own.context("ApiVersions does not name itself")?
            .int("MaxVersion")?,
    )?)
}

fn api_versions_4(s: &mut Session<'_>) -> anyhow::Result<()> {
    let answer = s.setup("ApiVersions", 4, who_asks())?;
    ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    ensure!(keys_max(s)? >= 4, "version 4 is not advertised");
    s.note("Version 4 is advertised and answered without an error.");
    Ok(())
}

fn body_of_api_versions_3(s: &mut Session<'_>) -> anyhow::Result<()> {
    let asked = |name: &str, version: &str| {
        msg! { ClientSoftwareName: name, ClientSoftwareVersion: version }
    };
    for (name, version) in [
        ("a", "1"),
        ("kafka-python", "2.0.2"),
        ("apache.kafka-java", "4.3.1-x"),
    ] {
        let answer = s.setup("ApiVersions", 3, asked(name, version))?;
        ensure!(
            answer.int("ErrorCode")? == 0,
            "{name} {version} is refused: {answer}"
        );
    }
    s.note("Other names are refused, and the connection stays.");
    for (name, version) in [
        ("", ""),
        ("a", ""),
        ("", "1"),
        ("-a", "1"),
        ("a b", "1"),
        ("a", "1_0"),
    ] {
        let answer = s.ask("a", "ApiVersions", 3, asked(name, version))?;
        ensure!(
            answer.int("ErrorCode")? == 42,
            "{name:?} {version:?} is taken"
        );
    }
    Ok(())
}

/// A question for no topic, behind a header of our own making.
fn empty_metadata(version: i16, client: &[u8], tags: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 3];
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, 9]);
    frame.extend(client);
    frame.extend(tags);
    match version {
        9.. => frame.extend([1, 1, 0, 0]),
        _ => frame.extend([0, 0, 0, 0]),
    }
    framed(&frame)
}

fn null_client_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    let null: &[u8] = &[0xff, 0xff];
    let empty: &[u8] = &[0, 0];
    let tags: &[u8] = &[2, 0, 1, 0xaa, 9, 2, 0xbb, 0xcc];
    for (what, version, client, tags) in [
        ("a null client id, in an old header", 1, null, &[][..]),
        ("an empty client id, in an old header", 1, empty, &[]),
        ("a null client id", 12, null, &[0]),
        ("a null client id and tags", 12, null, tags),
        ("an empty client id and tags", 12, empty, tags),
    ] {
        let bytes = empty_metadata(version, client, tags);
        let answer = s.ask_bytes("a", what, &bytes, Some(("Metadata", version)), SOON)?;
        ensure!(answer.array("Brokers")?.len() == 1, "{what}: {answer}");
    }
    Ok(())
}

fn senseless_client_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("One that is negative is null, or ends the connection.");
    for length in [-7530_i16, -2, i16::MIN] {
        let bytes = empty_metadata(1, &length.to_be_bytes(), &[]);
        if let Some(answer) = kit::exchange(s, &bytes)? {
            let answer = decode(Api::named("Metadata"), 1, 9, &answer)?;
            ensure!(answer.array("Brokers")?.len() == 1, "{answer}");
        }
    }
    for length in [100, i16::MAX] {
        let what = format!("a client id of the length {length}, which is not there");
        let bytes = empty_metadata(1, &length.to_be_bytes(), &[]);
        let answer = s.ask_bytes("a", &what, &bytes, None, SOON)?;
        ensure!(answer.is_null(), "it is answered");
    }
    s.note("Other connections do not notice.");
    let answer = s.setup("Metadata", 1, msg! { Topics: EMPTY })?;
    ensure!(answer.array("Brokers")?.len() == 1, "{answer}");
    Ok(())
}

fn null_arrays(s: &mut Session<'_>) -> anyhow::Result<()> {
    let name = s.name("t");
    for version in [4, 5] {
        let api = Api::named("CreateTopics");
        let front = header(api, version, 3, Some(CLIENT));
        let mut body = Vec::new();
        let null_array: &[u8] = if version < 5 { &[0xff; 4] } else { &[0] };
        if version < 5 {
            body.extend([0, 0, 0, 1, 0]);
            body.push(u8::try_from(name.len())?);
        } else {
            body.push(2);
            body.push(u8::try_from(name.len() + 1)?);
        }
        body.extend(name.as_bytes());
        body.extend([0, 0, 0, 1, 0, 1]);
        body.extend(null_array);
        body.extend(null_array);
        if version >= 5 {
            body.push(0);
        }
        body.extend([0, 0, 0x10, 0, 0]);
        if version >= 5 {
            body.push(0);
        }
        let what = format!("CreateTopics in version {version}, with arrays that are null");
        let bytes = framed(&[front, body].concat());
        let answer = s.ask_bytes("a", &what, &bytes, Some(("CreateTopics", version)), SOON)?;
        ensure!(answer.is_null(), "{answer}");
    }
    s.note("Where null is allowed it means everything, or nothing in particular.");
    let answer = s.setup("Metadata", 1, msg! { Topics: NULL })?;
    ensure!(!answer.array("Topics")?.is_empty(), "{answer}");
    s.topic("u", 1)?;
    let topic = msg! { Name: &s.name("u"), Count: 2, Assignments: NULL };
    let request = msg! { Topics: [topic], TimeoutMs: 10_000 };
    let answer = s.ask("a", "CreatePartitions", 1, request)?;
    ensure!(answer.int("Results[0].ErrorCode")? == 0, "{answer}");
    Ok(())
}

fn empty_flexible_structs(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 3..=5 {
        let answer = s.setup("ListGroups", version, msg! {})?;
        ensure!(answer.int("ErrorCode")? == 0, "v{version}: {answer}");
    }
    s.note("ListGroups 3, which is nothing but a byte for tags, and 4 and 5.");
    Ok(())
}

fn nullable_tagged_fields(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let topics = |with_cluster: Value| {
        let topic = msg! { Topic: &name, Partitions: [kit::from(0, 0)] };
        msg! { ClusterId: with_cluster, MinBytes: 1, Topics: [topic] }
    };
    for cluster in [NULL, Value::from("some")] {
        let answer = s.ask("a", "Fetch", 12, topics(cluster))?;
        ensure!(kit::fetch_error(&answer)? == 0, "{answer}");
    }
    s.note("A struct in a tag.");
    let state = msg! { ReplicaId: -1, ReplicaEpoch: -1 };
    let request = msg! { ReplicaState: state, MinBytes: 1, Topics: EMPTY };
    let answer = s.ask("a", "Fetch", 15, request)?;
    ensure!(answer.int("ErrorCode")? == 0, "{answer}");
    Ok(())
}

fn oversized_tags(s: &mut Session<'_>) -> anyhow::Result<()> {
    let tag = |size: u32| {
        let mut tags = vec![1, 0];
        put_varint(&mut tags, size);
        tags.push(0);
        tags
    };
    for (what, tags) in [
        ("a tag of 2 GiB", tag(0x7fff_ffff)),
        ("a tag of 4 GiB", tag(u32::MAX)),
        ("a tag that is a byte too long", tag(100)),
        ("two billion tags", vec![0xff, 0xff, 0xff, 0xff, 0x07]),
    ] {
        let bytes = empty_metadata(12, &[0, 0], &tags);
        let answer = s.ask_bytes("a", what, &bytes, None, SOON)?;
        ensure!(answer.is_null(), "{what} is answered");
    }
    s.note("Other connections do not notice.");
    let answer = s.setup("Metadata", 12, msg! { Topics: EMPTY })?;
    ensure!(answer.array("Brokers")?.len() == 1, "{answer}");
    Ok(())
}

/// Whether a value or what is in it has a tag that its version does not have.
fn has_unknown_tag(value: &Value) -> bool {
    match value {
        Value::Struct(fields) => fields
            .iter()
            .any(|(name, value)| *name == "UnknownTag" || has_unknown_tag(value)),
        Value::Array(elements) => elements.iter().any(has_unknown_tag),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Raw(_)
        | Value::Uuid(_) => false,
    }
}

fn tags_of_later_versions(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    for version in 12..=18 {
        let partition = msg! { Partition: 0, FetchOffset: 0, CurrentLeaderEpoch: 9 };
        let topic = msg! { Topic: &name, TopicId: id, Partitions: [partition] };
        let request = msg! { MinBytes: 1, Topics: [topic] };
        let answer = s.setup("Fetch", version, request)?;
        ensure!(kit::fetch_error(&answer)? != 0, "v{version}: {answer}");
        ensure!(!has_unknown_tag(&answer), "v{version}: {answer}");
    }
    for version in 9..=13 {
        let partition = msg! { Index: 7, Records: values(&["a"]) };
        let topic = msg! { Name: &name, TopicId: id, PartitionData: [partition] };
        let request = msg! { Acks: 1, TimeoutMs: 1000, TopicData: [topic] };
        let answer = s.setup("Produce", version, request)?;
        ensure!(produced(&answer)? == 3, "v{version}: {answer}");
        ensure!(!has_unknown_tag(&answer), "v{version}: {answer}");
    }
    for version in 3..=4 {
        let answer = s.setup("ApiVersions", version, who_asks())?;
        ensure!(!has_unknown_tag(&answer), "v{version}: {answer}");
    }
    s.note("Errors of Fetch and Produce, and ApiVersions, bear no tag of another version.");
    Ok(())
}

/// What is served today, and needs no request in particular to be answered.
const ANSWERED: &[&str] = &[
    "Fetch",
    "ListOffsets",
    "Metadata",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "AlterConfigs",
    "AlterReplicaLogDirs",
    "DescribeLogDirs",
    "CreatePartitions",
    "DeleteGroups",
    "ElectLeaders",
    "IncrementalAlterConfigs",
    "ListPartitionReassignments",
    "OffsetDelete",
    "DescribeCluster",
    "DescribeTopicPartitions",
];

fn response_headers(s: &mut Session<'_>) -> anyhow::Result<()> {
    let mut asked = 0;
    for api in APIS.iter().filter(|api| ANSWERED.contains(&api.name)) {
        for version in api.stable_versions() {
            let answer = s.setup(api.name, version, msg! {});
            answer.with_context(|| format!("{} v{version}", api.name))?;
            asked += 1;
        }
    }
    s.note(&format!(
        "Empty requests of {asked} versions are answered in their form."
    ));
    Ok(())
}

fn answers_in_order(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let topic = msg! { Topic: &name, Partitions: [kit::from(0, 0)] };
    let slow = msg! { MaxWaitMs: 300, MinBytes: 1, Topics: [topic] };
    s.send("a", "Fetch", 12, slow.clone())?;
    s.send("a", "FindCoordinator", 2, msg! { Key: &s.name("g") })?;
    s.send("a", "Fetch", 12, slow)?;
    s.send("a", "ListOffsets", 7, kit::offset_at(&name, 0, -1))?;
    for what in ["Fetch", "FindCoordinator", "Fetch", "ListOffsets"] {
        // An answer to another request would not decode.
        let answer = s.receive("a")?;
        ensure!(!answer.is_null(), "no answer to {what}");
    }
    Ok(())
}

fn no_answer_without_acks(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let silent = |index| kit::append_by(0, &name, vec![(index, values(&["a"]))]);
    for _ in 0..3 {
        s.send("a", "Produce", 9, silent(0))?;
    }
    s.note("The next answer is that of the next request.");
    let answer = s.ask("a", "Metadata", 12, kit::metadata(&name))?;
    ensure!(!answer.is_null(), "an answer to a produce without acks");
    let end = kit::offset_at(&name, 0, -1);
    let answer = s.ask_until("a", "ListOffsets", 7, end, |answer| {
        kit::offset(answer).is_ok_and(|end| end == 3)
    })?;
    ensure!(kit::offset(&answer)? == 3, "the records are lost: {answer}");
    s.note("One that fails ends the connection.");
    s.send("b", "Produce", 9, silent(7))?;
    let answer = s.ask("b", "Metadata", 12, kit::metadata(&name))?;
    ensure!(answer.is_null(), "the connection goes on");
    Ok(())
}

/// What Sarama asks with `V2_8_0_0`.
const SARAMA: &[(&str, i16)] = &[
    ("Produce", 7),
    ("Fetch", 11),
    ("ListOffsets", 4),
    ("Metadata", 7),
    ("OffsetCommit", 7),
    ("OffsetFetch", 7),
    ("FindCoordinator", 2),
    ("JoinGroup", 5),
    ("Heartbeat", 3),
    ("LeaveGroup", 3),
    ("SyncGroup", 3),
    ("DescribeGroups", 4),
    ("ListGroups", 4),
    ("ApiVersions", 3),
    ("CreateTopics", 3),
    ("DeleteTopics", 3),
    ("DeleteRecords", 1),
    ("InitProducerId", 4),
    ("OffsetForLeaderEpoch", 3),
    ("DescribeConfigs", 2),
    ("AlterConfigs", 1),
    ("DescribeLogDirs", 1),
    ("CreatePartitions", 1),
    ("DeleteGroups", 1),
    ("IncrementalAlterConfigs", 1),
    ("AlterPartitionReassignments", 0),
    ("ListPartitionReassignments", 0),
    ("OffsetDelete", 0),
];

fn pinned_by_sarama(s: &mut Session<'_>) -> anyhow::Result<()> {
    let answer = s.setup("ApiVersions", 0, msg! {})?;
    let keys = answer.array("ApiKeys")?;
    for (name, version) in SARAMA {
        let (key, version) = (i64::from(Api::named(name).key), i64::from(*version));
        let row = keys
            .iter()
            .find(|row| row.int("ApiKey").is_ok_and(|it| it == key));
        let row = row.with_context(|| format!("{name} is missing"))?;
        let (low, high) = (row.int("MinVersion")?, row.int("MaxVersion")?);
        ensure!(
            (low..=high).contains(&version),
            "{name} is served from {low} to {high}"
        );
    }
    s.note("Every API is served in the version that Sarama pins for Kafka 2.8.");
    Ok(())
}

fn metadata_in_every_version(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 2)?;
    for version in 0..=13 {
        let answer = s.ask("a", "Metadata", version, kit::metadata(&s.name("t")))?;
        ensure!(
            answer.int("Topics[0].ErrorCode")? == 0,
            "v{version}: {answer}"
        );
        ensure!(
            answer.int("Topics[0].Partitions[1].LeaderId")? == 1,
            "v{version}: {answer}"
        );
        let leads = |node: &Value| node.int("NodeId").is_ok_and(|id| id == 1);
        ensure!(
            answer.array("Brokers")?.iter().any(leads),
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn init_producer_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    for version in 0..=5 {
        let request = msg! { TransactionalId: NULL, TransactionTimeoutMs: i32::MAX };
        let answer = s.ask("a", "InitProducerId", version, request)?;
        ensure!(
            answer.int("ErrorCode")? == 0 && answer.int("ProducerId")? >= 0,
            "{answer}"
        );
    }
    s.note("An id to go on with, and no transactional id.");
    for (id, epoch) in [
        (4711_i64, 3_i16),
        (4711, -1),
        (-1, 3),
        (-2, -2),
        (i64::MAX, i16::MAX),
    ] {
        for version in [3, 5] {
            let request = msg! { TransactionalId: NULL, ProducerId: id, ProducerEpoch: epoch };
            let answer = s.ask("a", "InitProducerId", version, request)?;
            ensure!(!answer.is_null(), "no answer");
        }
    }
    Ok(())
}

fn one_key_or_several(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (one, other) = (s.name("g"), s.name("h"));
    for version in 0..=3 {
        let answer = s.ask("a", "FindCoordinator", version, msg! { Key: &one })?;
        ensure!(answer.int("NodeId")? == 1, "v{version}: {answer}");
    }
    for version in 4..=6 {
        let request = msg! { CoordinatorKeys: [&*one, &*other] };
        let answer = s.ask("a", "FindCoordinator", version, request)?;
        ensure!(
            answer.array("Coordinators")?.len() == 2,
            "v{version}: {answer}"
        );
        ensure!(
            answer.text("Coordinators[1].Key")? == other,
            "v{version}: {answer}"
        );
    }
    s.note("No key at all.");
    for version in 4..=6 {
        let answer = s.ask(
            "a",
            "FindCoordinator",
            version,
            msg! { CoordinatorKeys: EMPTY },
        )?;
        ensure!(
            answer.array("Coordinators")?.is_empty(),
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn metadata_gives_ids(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    for version in 10..=13 {
        let answer = s.ask("a", "Metadata", version, kit::metadata(&s.name("t")))?;
        ensure!(
            answer.uuid("Topics[0].TopicId")? == id,
            "v{version}: {answer}"
        );
    }
    ensure!(id != [0; 16], "the topic has no id");
    let partition = msg! { Index: 0, Records: values(&["a"]) };
    let topic = msg! { TopicId: id, PartitionData: [partition] };
    let request = msg! { Acks: -1, TimeoutMs: 5000, TopicData: [topic] };
    let answer = s.ask("a", "Produce", 13, request)?;
    ensure!(produced(&answer)? == 0, "{answer}");
    let topic = msg! { TopicId: id, Partitions: [kit::from(0, 0)] };
    let answer = s.ask("a", "Fetch", 13, msg! { MinBytes: 1, Topics: [topic] })?;
    ensure!(!fetched(&answer)?.is_empty(), "{answer}");
    Ok(())
}

fn a_topic_keeps_its_id(s: &mut Session<'_>) -> anyhow::Result<()> {
    let id = s.topic("t", 1)?;
    let name = s.name("t");
    let topic = msg! { Name: &name, Count: 3, Assignments: NULL };
    s.setup(
        "CreatePartitions",
        1,
        msg! { Topics: [topic], TimeoutMs: 10_000 },
    )?;
    s.until_led(&name, 3)?;
    for (version, request) in [
        (10, kit::metadata(&name)),
        (13, msg! { Topics: [msg! { TopicId: id, Name: NULL }] }),
        (12, kit::metadata(&name)),
    ] {
        let answer = s.ask("a", "Metadata", version, request)?;
        ensure!(
            answer.uuid("Topics[0].TopicId")? == id,
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn bytes_never_null(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    for version in [4, 11, 12] {
        let answer = s.ask("a", "Fetch", version, fetch(&s.name("t"), 0, 0))?;
        ensure!(fetched(&answer)?.is_empty(), "v{version}: {answer}");
    }
    let group = s.name("g");
    let mut join = kit::Join::new(&group);
    join.protocols = &[("range", b"")];
    let member = kit::Member::of(&group, &{
        let id = kit::member_id(s, &join)?;
        s.ask("a", "JoinGroup", 9, join.clone().member(&id).request())?
    })?;
    s.note("A leader that assigns nothing, to itself neither.");
    for version in [0, 4] {
        let answer = s.ask("a", "SyncGroup", version, member.sync(&[]))?;
        ensure!(
            answer.bytes("Assignment")?.is_empty(),
            "v{version}: {answer}"
        );
    }
    for version in [0, 5, 6] {
        let request = msg! { Groups: [&*group] };
        let answer = s.ask("a", "DescribeGroups", version, request)?;
        let told = &answer.array("Groups[0].Members")?[0];
        ensure!(
            told.bytes("MemberAssignment")?.is_empty(),
            "v{version}: {answer}"
        );
        ensure!(
            told.bytes("MemberMetadata")?.is_empty(),
            "v{version}: {answer}"
        );
    }
    Ok(())
}

fn leader_epochs_are_given(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let group = s.name("g");
    kit::write(s, &name, 0, values(&["a", "b"]))?;
    let answer = s.ask("a", "Metadata", 7, kit::metadata(&name))?;
    let epoch = answer.int("Topics[0].Partitions[0].LeaderEpoch")?;
    ensure!(epoch >= 0, "Metadata knows no epoch");
    for timestamp in [-1, -2, 1000] {
        let answer = s.ask("a", "ListOffsets", 7, kit::offset_at(&name, 0, timestamp))?;
        ensure!(
            answer.int("Topics[0].Partitions[0].LeaderEpoch")? == epoch,
            "{answer}"
        );
    }
    let partition = msg! { Partition: 0, LeaderEpoch: epoch };
    let request = msg! { Topics: [msg! { Topic: &name, Partitions: [partition] }] };
    let answer = s.ask("a", "OffsetForLeaderEpoch", 4, request)?;
    ensure!(
        answer.int("Topics[0].Partitions[0].LeaderEpoch")? == epoch,
        "{answer}"
    );
    ensure!(
        answer.int("Topics[0].Partitions[0].EndOffset")? == 2,
        "{answer}"
    );
    let partition = msg! { PartitionIndex: 0, CommittedOffset: 1, CommittedLeaderEpoch: epoch };
    let topic = msg! { Name: &name, Partitions: [partition] };
    let request = msg! { GroupId: &group, Topics: [topic] };
    s.ask("a", "OffsetCommit", 7, request)?;
    let answer = s.ask("a", "OffsetFetch", 8, kit::committed_offset(&group, &name))?;
    let fetched = "Groups[0].Topics[0].Partitions[0].CommittedLeaderEpoch";
    ensure!(answer.int(fetched)? == epoch, "{answer}");
    s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    Ok(())
}

/// A frame of Xerial's with one chunk that holds the bytes as they are.
fn xerial(version: i32, compatible: i32, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("few bytes");
    assert!(length <= 60, "a longer literal has another form");
    let chunk = [&[length, (length - 1) << 2][..], bytes].concat();
    let mut framed = b"\x82SNAPPY\0".to_vec();
    framed.extend(version.to_be_bytes());
    framed.extend(compatible.to_be_bytes());
    framed.extend(i32::try_from(chunk.len()).expect("few bytes").to_be_bytes());
    framed.extend(chunk);
    framed
}

fn xerial_snappy(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.topic("t", 1)?;
    let name = s.name("t");
    let batch = values(&["a", "b"]);
    let records = batch[kit::RECORDS..].to_vec();
    ensure!(
        batch[ATTRIBUTES..ATTRIBUTES + 2] == [0, 0],
        "the batch has attributes"
    );
    for (version, compatible) in [(1, 1), (1, 0), (3, 2), (1, 16_777_216)] {
        let framed = xerial(version, compatible, &records);
        let batch = kit::with_records(batch.clone(), 2, &framed);
        s.note(&format!(
            "Version {version}, compatible since {compatible}."
        ));
        let answer = s.ask("a", "Produce", 9, append(&name, 0, batch))?;
        ensure!(produced(&answer)? == 0, "{answer}");
    }
    let answer = s.ask("a", "Fetch", 12, fetch(&name, 0, 0))?;
    ensure!(!fetched(&answer)?.is_empty(), "{answer}");
    s.note("No framing at all.");
    let length = u8::try_from(records.len())?;
    let block = [&[length, (length - 1) << 2][..], &records].concat();
    let batch = kit::with_records(batch, 2, &block);
    s.ask("a", "Produce", 9, append(&name, 0, batch))?;
    Ok(())
}
