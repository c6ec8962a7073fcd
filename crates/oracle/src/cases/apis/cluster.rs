//! The cluster as a whole: versions, brokers, quorum, features, telemetry.

use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NO_ID, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("cluster", name, steps)
    };
    vec![
        case("api_versions", api_versions).alone(),
        case("broker_api_versions", broker_api_versions).with_java(),
        case("describe_cluster", describe_cluster),
        case("describe_quorum", describe_quorum),
        case("update_features", update_features),
        case("unregister_broker", unregister_broker),
        case("raft_voters", raft_voters),
        case("telemetry", telemetry),
    ]
}

fn api_versions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.sweep("ApiVersions", |_| {
        msg! {
            ClientSoftwareName: "apache-kafka-java",
            ClientSoftwareVersion: "4.3.1",
        }
    })?;
    s.note("Names and versions that no client may have.");
    for (name, version) in [
        ("", "1"),
        ("a", ""),
        ("-a", "1"),
        ("a-", "1"),
        ("a b", "1"),
        ("a", "1/2"),
        ("ä", "1"),
        (&*"x".repeat(300), "1"),
        ("a.b-c", "1.2-SNAPSHOT"),
    ] {
        let request = msg! { ClientSoftwareName: name, ClientSoftwareVersion: version };
        s.ask("a", "ApiVersions", 3, request)?;
    }
    Ok(())
}

/// As a person sees it.
fn broker_api_versions(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.tool("kafka-broker-api-versions", &[])
}

fn describe_cluster(s: &mut Session<'_>) -> anyhow::Result<()> {
    for kind in [1_i8, 2, 0, 3, -1] {
        for operations in [false, true] {
            s.sweep("DescribeCluster", |_| {
                msg! {
                    IncludeClusterAuthorizedOperations: operations,
                    EndpointType: kind,
                    IncludeFencedBrokers: operations,
                }
            })?;
        }
    }
    Ok(())
}

fn describe_quorum(s: &mut Session<'_>) -> anyhow::Result<()> {
    let of = |name: &str, index: i32| {
        msg! { TopicName: name, Partitions: [msg! { PartitionIndex: index }] }
    };
    for topics in [
        vec![of("__cluster_metadata", 0)],
        vec![of("__cluster_metadata", 1)],
        vec![of("other", 0)],
        vec![of("__cluster_metadata", 0), of("__cluster_metadata", 0)],
        vec![msg! { TopicName: "__cluster_metadata" }],
    ] {
        s.sweep("DescribeQuorum", |_| msg! { Topics: topics.clone() })?;
    }
    Ok(())
}

fn update_features(s: &mut Session<'_>) -> anyhow::Result<()> {
    let to = |feature: &str, level: i16, kind: i8| {
        msg! {
            Feature: feature,
            MaxVersionLevel: level,
            UpgradeType: kind,
        }
    };
    for updates in [
        vec![to("metadata.version", 30, 1)],
        vec![to("metadata.version", 99, 1)],
        vec![to("metadata.version", 1, 1)],
        vec![to("metadata.version", 29, 2)],
        vec![to("metadata.version", 0, 3)],
        vec![to("group.version", 1, 1)],
        vec![to("group.version", 0, 2)],
        vec![to("group.version", -1, 1)],
        vec![to("transaction.version", 9, 1)],
        vec![to("no.such.feature", 1, 1)],
        vec![to("", 1, 1)],
        vec![to("group.version", 1, 0)],
        vec![to("group.version", 1, 9)],
        vec![to("group.version", 1, 1), to("group.version", 1, 1)],
        vec![],
    ] {
        for version in [1, 2] {
            s.ask(
                "a",
                "UpdateFeatures",
                version,
                msg! {
                    FeatureUpdates: updates.clone(),
                    ValidateOnly: true,
                },
            )?;
        }
    }
    s.note("Version 0 cannot only validate.");
    let request =
        msg! { FeatureUpdates: [msg! { Feature: "no.such.feature", MaxVersionLevel: 1_i16 }] };
    s.ask("a", "UpdateFeatures", 0, request)?;
    Ok(())
}

fn unregister_broker(s: &mut Session<'_>) -> anyhow::Result<()> {
    for broker in [7, -1, i32::MAX] {
        s.ask("a", "UnregisterBroker", 0, msg! { BrokerId: broker })?;
    }
    Ok(())
}

fn raft_voters(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("Voters that are written down cannot be changed.");
    for (cluster, voter, directory) in [
        (NULL, 7, Value::Uuid([7; 16])),
        (NULL, -1, NO_ID),
        ("other".into(), 7, Value::Uuid([7; 16])),
    ] {
        let listener = || msg! { Name: "CONTROLLER", Host: "127.0.0.1", Port: 1 };
        for version in [0, 1] {
            s.ask(
                "a",
                "AddRaftVoter",
                version,
                msg! {
                    ClusterId: cluster.clone(),
                    TimeoutMs: 1000,
                    VoterId: voter,
                    VoterDirectoryId: directory.clone(),
                    Listeners: [listener()],
                },
            )?;
        }
        s.ask(
            "a",
            "AddRaftVoter",
            0,
            msg! {
                ClusterId: cluster.clone(),
                TimeoutMs: 1000,
                VoterId: voter,
                VoterDirectoryId: directory.clone(),
                Listeners: EMPTY,
            },
        )?;
        s.ask(
            "a",
            "RemoveRaftVoter",
            0,
            msg! {
                ClusterId: cluster,
                VoterId: voter,
                VoterDirectoryId: directory,
            },
        )?;
    }
    Ok(())
}

fn telemetry(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("A broker without a receiver of telemetry does not offer these.");
    for id in [NO_ID, Value::Uuid([7; 16])] {
        s.ask(
            "a",
            "GetTelemetrySubscriptions",
            0,
            msg! { ClientInstanceId: id.clone() },
        )?;
        s.ask(
            "a",
            "PushTelemetry",
            0,
            msg! {
                ClientInstanceId: id,
                SubscriptionId: 1,
                Metrics: b"m",
            },
        )?;
    }
    Ok(())
}
