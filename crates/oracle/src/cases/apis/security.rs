//! ACLs, SASL, SCRAM, delegation tokens and quotas, on a broker without any.

use crate::case::Case;
use crate::msg;
use crate::session::Session;
use crate::value::{EMPTY, NULL, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, steps: fn(&mut Session<'_>) -> anyhow::Result<()>| {
        Case::new("security", name, steps)
    };
    vec![
        case("acls", acls),
        case("sasl", sasl),
        case("scram", scram),
        case("delegation_tokens", delegation_tokens),
        case("describe_client_quotas", describe_client_quotas),
        case("alter_client_quotas", alter_client_quotas),
    ]
}

fn acls(s: &mut Session<'_>) -> anyhow::Result<()> {
    let filter = |kind: i8, operation: i8| {
        msg! {
            ResourceTypeFilter: kind,
            ResourceNameFilter: NULL,
            PatternTypeFilter: 1_i8,
            PrincipalFilter: NULL,
            HostFilter: NULL,
            Operation: operation,
            PermissionType: 1_i8,
        }
    };
    for (kind, operation) in [(1, 1), (2, 3), (0, 0), (99, 99)] {
        s.sweep("DescribeAcls", |_| filter(kind, operation))?;
        s.sweep(
            "DeleteAcls",
            |_| msg! { Filters: [filter(kind, operation)] },
        )?;
    }
    for principal in ["User:a", "a", ""] {
        s.sweep("CreateAcls", |_| {
            msg! { Creations: [msg! {
                ResourceType: 2_i8,
                ResourceName: "t",
                Principal: principal,
                Host: "*",
                Operation: 3_i8,
                PermissionType: 3_i8,
            }] }
        })?;
    }
    Ok(())
}

fn sasl(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.note("On a listener without SASL.");
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "NONE", ""] {
        s.sweep("SaslHandshake", |_| msg! { Mechanism: mechanism })?;
    }
    s.sweep("SaslAuthenticate", |_| msg! { AuthBytes: b"\0a\0b" })
}

fn scram(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (user, none) = (s.name("u"), s.name("none"));
    let user_of = |name: &str| msg! { Name: name };
    for users in [
        Value::from([user_of(&none)]),
        Value::from([user_of(&none), user_of(&none)]),
        Value::from([user_of("")]),
    ] {
        s.ask(
            "a",
            "DescribeUserScramCredentials",
            0,
            msg! { Users: users },
        )?;
    }
    let upsert = |name: &str, mechanism: i8, iterations: i32| {
        msg! {
            Name: name,
            Mechanism: mechanism,
            Iterations: iterations,
            Salt: b"salt",
            SaltedPassword: b"password",
        }
    };
    for upsertions in [
        vec![upsert(&user, 1, 4096)],
        vec![upsert(&user, 2, 8192)],
        vec![upsert(&user, 1, 4095)],
        vec![upsert(&user, 1, 16385)],
        vec![upsert(&user, 0, 4096)],
        vec![upsert(&user, 3, 4096)],
        vec![upsert("", 1, 4096)],
        vec![upsert(&user, 1, 4096), upsert(&user, 1, 4096)],
    ] {
        s.ask(
            "a",
            "AlterUserScramCredentials",
            0,
            msg! { Upsertions: upsertions },
        )?;
    }
    let is_there = |answer: &Value| {
        answer
            .array("Results[0].CredentialInfos")
            .is_ok_and(|it| it.len() == 2)
    };
    let request = msg! { Users: [user_of(&user)] };
    s.ask_until("a", "DescribeUserScramCredentials", 0, request, is_there)?;
    let delete = |name: &str, mechanism: i8| msg! { Name: name, Mechanism: mechanism };
    for deletions in [
        vec![delete(&user, 1)],
        vec![delete(&user, 1)],
        vec![delete(&none, 1)],
        vec![delete(&user, 9)],
        vec![delete(&user, 2), delete(&user, 2)],
    ] {
        s.ask(
            "a",
            "AlterUserScramCredentials",
            0,
            msg! { Deletions: deletions },
        )?;
    }
    Ok(())
}

fn delegation_tokens(s: &mut Session<'_>) -> anyhow::Result<()> {
    s.sweep("CreateDelegationToken", |_| {
        msg! {
            OwnerPrincipalType: NULL,
            OwnerPrincipalName: NULL,
            MaxLifetimeMs: 1000_i64,
        }
    })?;
    s.sweep(
        "RenewDelegationToken",
        |_| msg! { Hmac: b"h", RenewPeriodMs: 1000_i64 },
    )?;
    s.sweep(
        "ExpireDelegationToken",
        |_| msg! { Hmac: b"h", ExpiryTimePeriodMs: 1000_i64 },
    )?;
    for owners in [NULL, EMPTY] {
        s.sweep(
            "DescribeDelegationToken",
            |_| msg! { Owners: owners.clone() },
        )?;
    }
    Ok(())
}

fn describe_client_quotas(s: &mut Session<'_>) -> anyhow::Result<()> {
    let component = |kind: &str, how: i8, name: Value| {
        msg! {
            EntityType: kind,
            MatchType: how,
            Match: name,
        }
    };
    for components in [
        vec![component("user", 0, "none".into())],
        vec![component("user", 1, NULL)],
        vec![component("user", 2, NULL)],
        vec![component("user", 0, NULL)],
        vec![component("user", 9, NULL)],
        vec![component("planet", 2, NULL)],
        vec![component("", 2, NULL)],
        vec![component("ip", 0, "127.0.0.1".into())],
        vec![component("ip", 2, NULL), component("user", 2, NULL)],
        vec![component("user", 2, NULL), component("user", 2, NULL)],
    ] {
        for strict in [false, true] {
            s.sweep("DescribeClientQuotas", |_| {
                msg! {
                    Components: components.clone(),
                    Strict: strict,
                }
            })?;
        }
    }
    Ok(())
}

fn alter_client_quotas(s: &mut Session<'_>) -> anyhow::Result<()> {
    let user = s.name("u");
    let entity = |kind: &str, name: Value| msg! { EntityType: kind, EntityName: name };
    let op = |key: &str, value: f64| msg! { Key: key, Value: value };
    for (entity, op) in [
        (
            vec![entity("user", (&user).into())],
            vec![op("producer_byte_rate", 1000.0)],
        ),
        (
            vec![entity("user", NULL)],
            vec![op("producer_byte_rate", 1000.0)],
        ),
        (
            vec![entity("user", (&user).into())],
            vec![op("no_such_quota", 1000.0)],
        ),
        (
            vec![entity("user", (&user).into())],
            vec![op("producer_byte_rate", -1.0)],
        ),
        (
            vec![entity("user", (&user).into())],
            vec![op("producer_byte_rate", 0.0)],
        ),
        (
            vec![entity("user", (&user).into())],
            vec![op("producer_byte_rate", 0.5)],
        ),
        (
            vec![entity("user", (&user).into())],
            vec![op("request_percentage", 0.5)],
        ),
        (
            vec![entity("ip", "127.0.0.1".into())],
            vec![op("connection_creation_rate", 10.0)],
        ),
        (
            vec![entity("ip", "no such host!".into())],
            vec![op("connection_creation_rate", 10.0)],
        ),
        (
            vec![entity("ip", "127.0.0.1".into())],
            vec![op("producer_byte_rate", 10.0)],
        ),
        (
            vec![entity("planet", "earth".into())],
            vec![op("producer_byte_rate", 10.0)],
        ),
        (
            vec![entity("user", "".into())],
            vec![op("producer_byte_rate", 10.0)],
        ),
        (vec![], vec![op("producer_byte_rate", 10.0)]),
        (vec![entity("user", (&user).into())], vec![]),
    ] {
        s.sweep("AlterClientQuotas", |_| {
            msg! {
                Entries: [msg! { Entity: entity.clone(), Ops: op.clone() }],
                ValidateOnly: true,
            }
        })?;
    }
    Ok(())
}
