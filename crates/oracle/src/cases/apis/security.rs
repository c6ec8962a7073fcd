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
        case("scram_together", scram_together),
        case("scram_of_odd_lengths", scram_of_odd_lengths),
        case("scram_of_everybody", scram_of_everybody).alone(),
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
    for users in [
        vec![&none[..]],
        vec![&none, &none],
        vec![""],
        vec!["", ""],
        vec![&none, "", &none],
    ] {
        s.ask("a", DESCRIBE_SCRAM, 0, users_of(&users))?;
    }
    for upsertions in [
        vec![],
        vec![upsertion(&user, 1, 4096)],
        vec![upsertion(&user, 2, 16384)],
        vec![upsertion(&user, 1, 4095)],
        vec![upsertion(&user, 1, 16385)],
        vec![upsertion(&user, 1, -4096)],
        vec![upsertion(&user, 0, 4096)],
        vec![upsertion(&user, 3, 4096)],
        vec![upsertion(&user, -1, 0)],
        vec![upsertion("", 1, 4096)],
        vec![upsertion("", 0, 0)],
        vec![upsertion(&user, 1, 4096), upsertion(&user, 1, 4096)],
    ] {
        s.ask("a", ALTER_SCRAM, 0, msg! { Upsertions: upsertions })?;
    }
    until_described(s, &user, &[(1, 4096), (2, 16384)])?;
    for deletions in [
        vec![deletion(&user, 1)],
        vec![deletion(&user, 1)],
        vec![deletion(&none, 1)],
        vec![deletion(&user, 9)],
        vec![deletion("", 1)],
        vec![deletion(&user, 2), deletion(&user, 2)],
    ] {
        s.ask("a", ALTER_SCRAM, 0, msg! { Deletions: deletions })?;
    }
    until_described(s, &user, &[(2, 16384)])?;
    s.ask("a", DESCRIBE_SCRAM, 0, users_of(&[&user, &none, &user]))?;
    Ok(())
}

/// One request with several alterations, of one user and of several.
fn scram_together(s: &mut Session<'_>) -> anyhow::Result<()> {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| s.name(name));
    let both = |deletions: Vec<Value>, upsertions: Vec<Value>| {
        msg! { Deletions: deletions, Upsertions: upsertions }
    };
    let upsertions = [&a, &b, &c].map(|user| upsertion(user, 1, 5000));
    s.ask("a", ALTER_SCRAM, 0, both(vec![], upsertions.into()))?;
    until_described(s, &c, &[(1, 5000)])?;
    s.note("A user that is named twice keeps what it has, whatever is asked.");
    for (deletions, upsertions) in [
        (vec![deletion(&a, 1), deletion(&a, 2)], vec![]),
        (vec![deletion(&a, 1)], vec![upsertion(&a, 1, 6000)]),
        (vec![deletion(&a, 1)], vec![upsertion(&a, 2, 6000)]),
        (vec![], vec![upsertion(&a, 1, 6000), upsertion(&a, 2, 6000)]),
        (vec![], vec![upsertion(&a, 1, 6000), upsertion(&a, 9, 1)]),
        (vec![deletion(&a, 1); 3], vec![upsertion(&a, 1, 6000)]),
    ] {
        s.ask("a", ALTER_SCRAM, 0, both(deletions, upsertions))?;
    }
    s.note("What is wrong with its first alteration is said, and not that there are more.");
    for (deletions, upsertions) in [
        (vec![deletion(&a, 2)], vec![upsertion(&a, 2, 6000)]),
        (vec![deletion(&a, 9), deletion(&a, 1)], vec![]),
        (vec![], vec![upsertion(&a, 1, 1), upsertion(&a, 1, 6000)]),
        (vec![deletion("", 1)], vec![upsertion("", 1, 6000)]),
    ] {
        s.ask("a", ALTER_SCRAM, 0, both(deletions, upsertions))?;
    }
    s.note("Other users in the same request do not mind.");
    let deletions = vec![deletion(&d, 1), deletion(&b, 1), deletion(&a, 2)];
    let upsertions = vec![
        upsertion(&c, 9, 4096),
        upsertion(&s.name("e"), 2, 7000),
        upsertion("", 1, 4096),
    ];
    s.ask("a", ALTER_SCRAM, 0, both(deletions, upsertions))?;
    s.ask(
        "a",
        ALTER_SCRAM,
        0,
        both(vec![], vec![upsertion(&c, 1, 8000)]),
    )?;
    until_described(s, &c, &[(1, 8000)])?;
    let all = [&a[..], &b, &c, &d, &s.name("e")];
    s.ask("a", DESCRIBE_SCRAM, 0, users_of(&all))?;
    Ok(())
}

/// Salts and salted passwords of lengths that no client sends.
fn scram_of_odd_lengths(s: &mut Session<'_>) -> anyhow::Result<()> {
    let long = [7; 100];
    for (at, (salt, salted)) in [
        (&b""[..], &b"p"[..]),
        (b"s", b""),
        (b"", b""),
        (&long[..], &long[..]),
    ]
    .into_iter()
    .enumerate()
    {
        let upsertion = msg! {
            Name: s.name(&format!("u{at}")),
            Mechanism: 1_i8,
            Iterations: 4096,
            Salt: salt,
            SaltedPassword: salted,
        };
        s.ask("a", ALTER_SCRAM, 0, msg! { Upsertions: [upsertion] })?;
    }
    Ok(())
}

/// Nobody named means everybody.
fn scram_of_everybody(s: &mut Session<'_>) -> anyhow::Result<()> {
    let (a, b) = (s.name("a"), s.name("b"));
    let everybody = [msg! { Users: NULL }, msg! { Users: EMPTY }];
    for request in everybody.clone() {
        s.ask("a", DESCRIBE_SCRAM, 0, request)?;
    }
    let upsertions = vec![upsertion(&b, 2, 4096), upsertion(&a, 1, 5000)];
    s.ask("a", ALTER_SCRAM, 0, msg! { Upsertions: upsertions })?;
    let upsertions = vec![upsertion(&b, 1, 6000)];
    s.ask("a", ALTER_SCRAM, 0, msg! { Upsertions: upsertions })?;
    until_described(s, &b, &[(1, 6000), (2, 4096)])?;
    for request in everybody {
        s.ask("a", DESCRIBE_SCRAM, 0, request)?;
    }
    Ok(())
}

const DESCRIBE_SCRAM: &str = "DescribeUserScramCredentials";
const ALTER_SCRAM: &str = "AlterUserScramCredentials";

fn users_of(names: &[&str]) -> Value {
    let users = names.iter().map(|name| msg! { Name: *name });
    msg! { Users: users.collect::<Vec<_>>() }
}

fn upsertion(name: &str, mechanism: i8, iterations: i32) -> Value {
    msg! {
        Name: name,
        Mechanism: mechanism,
        Iterations: iterations,
        Salt: b"salt",
        SaltedPassword: b"password",
    }
}

fn deletion(name: &str, mechanism: i8) -> Value {
    msg! { Name: name, Mechanism: mechanism }
}

/// Kafka's broker hears of what its controller decided a moment later.
fn until_described(
    s: &mut Session<'_>,
    user: &str,
    credentials: &[(i64, i64)],
) -> anyhow::Result<()> {
    let is_so = |answer: &Value| {
        let infos = answer.array("Results[0].CredentialInfos").ok()?;
        let infos = infos
            .iter()
            .map(|info| Some((info.int("Mechanism").ok()?, info.int("Iterations").ok()?)));
        let mut infos = infos.collect::<Option<Vec<_>>>()?;
        infos.sort_unstable();
        Some(infos == credentials)
    };
    let is_so = |answer: &Value| is_so(answer).unwrap_or(false);
    s.ask_until("a", DESCRIBE_SCRAM, 0, users_of(&[user]), is_so)?;
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
