//! The whole table of what clients are told, so that a changed code is a change
//! that a reader of the diff sees. `UPDATE_EXPECT=1` writes it anew.

use std::fmt::{Debug, Write as _};

use ottla_base::{
    BrokerId, Generation, LeaderEpoch, MemberId, Offset, PartitionId, ProducerEpoch, ProducerId,
    Sequence, TopicId, TopicName,
};
use ottla_controller::BrokerEpoch;
use ottla_store::LogId;

use super::*;

/// Adds one line per error: its name, Kafka's name and number.
fn rows<E: KafkaError + Debug>(table: &mut String, errors: &[E]) {
    let kind = std::any::type_name::<E>();
    let kind = kind.rsplit("::").next().unwrap_or(kind);
    for error in errors {
        let shown = format!("{error:?}");
        let name = shown.split([' ', '(', '{']).next().unwrap_or(&shown);
        let code = error.code();
        writeln!(table, "{kind}::{name} {code:?} {}", code.code()).expect("a string takes it");
    }
    table.push('\n');
}

/// Every error, with whatever it holds.
fn table() -> String {
    let mut table = String::new();
    of_partitions(&mut table);
    of_reads(&mut table);
    of_topics(&mut table);
    of_brokers(&mut table);
    of_replicas(&mut table);
    of_settings(&mut table);
    of_credentials(&mut table);
    of_members(&mut table);
    of_groups(&mut table);
    table
}

fn of_partitions(table: &mut String) {
    let (leader, epoch) = (Some(BrokerId(1)), LeaderEpoch(2));
    let producer = ProducerId(1);
    let sequence = [
        SequenceError::OutOfOrder {
            producer,
            expected: Sequence(0),
            sequence: Sequence(1),
        },
        SequenceError::StaleEpoch {
            producer,
            known: ProducerEpoch(1),
            epoch: ProducerEpoch(0),
        },
    ];
    let append = [
        AppendError::NotLeader { leader, epoch },
        AppendError::StorageFailed,
        AppendError::TooFewInSync { have: 1, need: 2 },
        AppendError::TooFewInSyncAfterAppend { have: 1, need: 2 },
        AppendError::TimedOut,
        AppendError::ControlBatch,
        AppendError::NoTransaction { producer },
    ];
    rows(table, &append);
    rows(table, &sequence);
    let before = Offset(9);
    let high_watermark = Offset(3);
    let delete = [
        DeleteError::NotLeader { leader, epoch },
        DeleteError::StorageFailed,
        DeleteError::OutOfRange {
            before,
            high_watermark,
        },
        DeleteError::NotDeletable,
        DeleteError::TimedOut,
    ];
    rows(table, &delete);
    let (known, given) = (epoch, LeaderEpoch(1));
    let epochs = [
        EpochError::Fenced { known, given },
        EpochError::Unknown { known, given },
    ];
    rows(table, &epochs);
}

fn of_reads(table: &mut String) {
    for kind in [
        RefusalKind::NotOne,
        RefusalKind::Corrupt,
        RefusalKind::Invalid,
        RefusalKind::Timestamp,
        RefusalKind::TooLarge,
        RefusalKind::ListTooLarge,
        RefusalKind::Compression,
        RefusalKind::Undecodable,
    ] {
        let refusal = BatchRefusal {
            kind,
            records: Vec::new(),
            message: String::new(),
        };
        let code = refusal.code();
        writeln!(table, "RefusalKind::{kind:?} {code:?} {}", code.code())
            .expect("a string takes it");
    }
    table.push('\n');
    let log = LogId(1);
    let at = Offset(1);
    let reads = [
        ReadError::UnknownLog(log),
        ReadError::OutOfRange {
            offset: at,
            start: at,
            end: at,
        },
        ReadError::Damaged(log),
        ReadError::Io(String::new()),
    ];
    rows(table, &reads);
    let sessions = [
        SessionError::NotFound,
        SessionError::WrongEpoch,
        SessionError::MixedTopics,
    ];
    rows(table, &sessions);
}

fn of_topics(table: &mut String) {
    let name = || TopicName::from("t");
    let create = [
        CreateTopicError::Repeated { name: name() },
        CreateTopicError::Reserved,
        CreateTopicError::IllegalName { name: name() },
        CreateTopicError::Exists { name: name() },
        CreateTopicError::Collides {
            name: name(),
            other: name(),
        },
        CreateTopicError::ConfigWithoutValue { names: Vec::new() },
        CreateTopicError::Config(unknown_key()),
        CreateTopicError::CountsBesideAssignment,
        CreateTopicError::ReplicationFactor { factor: 3 },
        CreateTopicError::Partitions { count: 0 },
        CreateTopicError::TooManyPartitions,
    ];
    rows(table, &create);
    let delete = [
        DeleteTopicError::Repeated,
        DeleteTopicError::UnknownName { name: name() },
        DeleteTopicError::UnknownId {
            id: TopicId([0; 16]),
        },
    ];
    rows(table, &delete);
    let partitions = [
        CreatePartitionsError::Repeated { name: name() },
        CreatePartitionsError::UnknownTopic { name: name() },
        CreatePartitionsError::NotMore {
            name: name(),
            have: 2,
            asked: 1,
        },
        CreatePartitionsError::TooMany,
    ];
    rows(table, &partitions);
    let partition = PartitionId(0);
    rows(table, &[AssignmentError::Empty { partition }]);
    let (factor, brokers) = (3, 1);
    let placement = [
        PlacementError::TooFewBrokers { factor, brokers },
        PlacementError::NoneActive,
    ];
    rows(table, &placement);
    rows(table, &[ProducerIdError::Exhausted]);
}

fn of_brokers(table: &mut String) {
    let id = BrokerId(1);
    rows(table, &[RegisterError::Duplicate { id }]);
    rows(table, &[UnregisterError::Unknown { id }]);
    let (said, current) = (BrokerEpoch(1), None);
    rows(table, &[StaleBrokerEpoch { id, said, current }]);
}

fn of_replicas(table: &mut String) {
    let (broker, partition) = (BrokerId(1), PartitionId(0));
    let topic = || TopicName::from("t");
    let alter = [
        AlterPartitionError::UnknownTopic {
            topic: TopicId([0; 16]),
        },
        AlterPartitionError::UnknownPartition { partition },
        AlterPartitionError::FromTheFuture,
        AlterPartitionError::FencedLeaderEpoch {
            said: LeaderEpoch(1),
            current: LeaderEpoch(2),
        },
        AlterPartitionError::NotLeader { broker },
        AlterPartitionError::StalePartitionEpoch {
            said: 1,
            current: 2,
        },
        AlterPartitionError::NoSubset { isr: Vec::new() },
        AlterPartitionError::Recovering,
        AlterPartitionError::Recovered,
        AlterPartitionError::Ineligible { broker },
        AlterPartitionError::StaleMember {
            broker,
            said: BrokerEpoch(1),
            current: BrokerEpoch(2),
        },
        AlterPartitionError::NewLeaderElected,
    ];
    rows(table, &alter);
    let elect = [
        ElectionError::UnknownPartition {
            topic: topic(),
            partition,
        },
        ElectionError::NotNeeded,
        ElectionError::PreferredNotAvailable,
        ElectionError::NoneEligible,
    ];
    rows(table, &elect);
    let reassign = [
        ReassignError::UnknownPartition {
            topic: topic(),
            partition,
        },
        ReassignError::NotInProgress,
        ReassignError::Assignment(AssignmentError::Empty { partition }),
        ReassignError::FactorChanges { from: 1, to: 2 },
        ReassignError::RevertUnclean,
    ];
    rows(table, &reassign);
}

fn unknown_key() -> ConfigError {
    ConfigError::UnknownKey {
        scope: "topic",
        key: "k".to_owned(),
    }
}

fn of_settings(table: &mut String) {
    let name = TopicName::from("t");
    let alter = [
        AlterConfigError::RepeatedResource,
        AlterConfigError::RepeatedKey {
            name: String::new(),
        },
        AlterConfigError::IllegalTopic { name: name.clone() },
        AlterConfigError::UnknownTopic { name },
        AlterConfigError::UnknownBroker { id: BrokerId(1) },
        AlterConfigError::Unnamed,
        AlterConfigError::MinIsrOfOneBroker,
        AlterConfigError::TooMany,
    ];
    rows(table, &alter);
    for kind in [
        ResourceKind::Topic,
        ResourceKind::Broker,
        ResourceKind::Group,
        ResourceKind::ClientMetrics,
    ] {
        let code = config_code(kind, &unknown_key());
        writeln!(table, "a setting of {kind:?} {code:?} {}", code.code())
            .expect("a string takes it");
    }
    table.push('\n');
}

fn of_credentials(table: &mut String) {
    let alter = [
        AlterScramError::Repeated,
        AlterScramError::Unnamed,
        AlterScramError::UnknownMechanism,
        AlterScramError::Absent,
        AlterScramError::NoPassword,
        AlterScramError::TooFewIterations,
        AlterScramError::TooManyIterations,
    ];
    rows(table, &alter);
}

fn of_members(table: &mut String) {
    let current = Generation(1);
    let join = [
        JoinError::InvalidGroupId,
        JoinError::InvalidSessionTimeout {
            asked: 1,
            min: 2,
            max: 3,
        },
        JoinError::NameTooLong,
        JoinError::GroupFull,
        JoinError::MemberIdRequired {
            member: MemberId::from("m"),
        },
        JoinError::InconsistentProtocol,
        JoinError::UnknownMember,
        JoinError::Fenced,
        JoinError::Superseded,
        JoinError::Removed,
        JoinError::Replaced {
            member: MemberId::from("m"),
        },
    ];
    rows(table, &join);
    let sync = [
        SyncError::InvalidGroupId,
        SyncError::UnknownMember,
        SyncError::Fenced,
        SyncError::IllegalGeneration { current },
        SyncError::InconsistentProtocol,
        SyncError::RebalanceInProgress,
        SyncError::TooLarge { bytes: 2, max: 1 },
        SyncError::Superseded,
    ];
    rows(table, &sync);
    let heartbeat = [
        HeartbeatError::InvalidGroupId,
        HeartbeatError::UnknownMember,
        HeartbeatError::Fenced,
        HeartbeatError::IllegalGeneration { current },
        HeartbeatError::RebalanceInProgress,
    ];
    rows(table, &heartbeat);
    let leave = [
        LeaveError::InvalidGroupId,
        LeaveError::UnknownMember,
        LeaveError::Fenced,
    ];
    rows(table, &leave);
}

fn of_groups(table: &mut String) {
    rows(table, &[ControllerError]);
    rows(table, &[HostRefusal::NotHere, HostRefusal::Loading]);
    let commit = [
        CommitError::InvalidGroupId,
        CommitError::UnknownGroup,
        CommitError::UnknownMember,
        CommitError::Fenced,
        CommitError::IllegalGeneration,
        CommitError::RebalanceInProgress,
    ];
    rows(table, &commit);
    let (length, max) = (2, 1);
    rows(table, &[OffsetRefusal::MetadataTooLarge { length, max }]);
    let delete = [
        DeleteOffsetsError::InvalidGroupId,
        DeleteOffsetsError::UnknownGroup,
        DeleteOffsetsError::NotEmpty,
    ];
    rows(table, &delete);
    rows(table, &[OffsetDeleteRefusal::Subscribed]);
    let groups = [DeleteGroupError::UnknownGroup, DeleteGroupError::NotEmpty];
    rows(table, &groups);
}

#[test]
fn every_error_has_the_code_that_clients_know() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/error/codes.txt");
    let table = table();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &table).expect("the table can be written");
    }
    let expected = std::fs::read_to_string(path).expect("the table is there");
    assert_eq!(table, expected, "UPDATE_EXPECT=1 writes it anew");
}
