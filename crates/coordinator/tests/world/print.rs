//! Records and answers as lines of a trace.

use std::fmt::Debug;

use bytes::Bytes;
use ottla_base::{MemberId, TopicId};
use ottla_coordinator::Reply;
use ottla_coordinator::group::{
    Description, GroupValue, JoinError, Joined, ListedGroup, OffsetValue, Record, Synced,
};
use ottla_coordinator::offsets::FetchedOffset;

pub(super) fn record(record: &Record) -> String {
    match record {
        Record::Group { group, value } => {
            format!("record {group} {}", optional(value.as_ref(), group_value))
        }
        Record::Offset {
            group,
            topic,
            partition,
            value,
        } => {
            let value = offset(value.as_ref());
            format!("record {group} {topic}-{partition}{value}")
        }
    }
}

pub(super) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Join(Err(JoinError::MemberIdRequired { member })) => format!("return as {member}"),
        Reply::Join(Err(JoinError::Replaced { member })) => format!("replaced {member}"),
        Reply::Join(result) => either(result, joined),
        Reply::Sync(result) => either(result, synced),
        Reply::Heartbeat(result) => either(result, |()| "alive".into()),
        Reply::Leave(result) => either(result, |left| format!("left {}", outcomes(left))),
        Reply::Commit(result) => either(result, |done| format!("committed {}", outcomes(done))),
        Reply::FetchOffsets(offsets) => format!("offsets [{}]", joined_by_space(offsets, fetched)),
        Reply::DeleteOffsets(result) => {
            either(result, |done| format!("deleted {}", outcomes(done)))
        }
        Reply::Describe(description) => optional(description.as_ref(), described),
        Reply::List(groups) => format!("groups [{}]", joined_by_space(groups, listed)),
        Reply::Delete(result) => either(result, |()| "deleted".into()),
    }
}

fn joined(joined: &Joined) -> String {
    let members = joined_by_space(&joined.members, |member| member.id.to_string());
    let skip = if joined.skip_assignment { " skip" } else { "" };
    format!(
        "joined {} generation={} protocol={} leader={} members=[{members}]{skip}",
        joined.member,
        joined.generation,
        joined.protocol.as_deref().unwrap_or("none"),
        optional(joined.leader.as_ref(), MemberId::to_string),
    )
}

fn synced(synced: &Synced) -> String {
    format!("works on [{}]", text(&synced.assignment))
}

fn described(group: &Description) -> String {
    let members = joined_by_space(&group.members, |member| {
        let instance = member.instance.as_ref().map(|id| format!("/{id}"));
        format!(
            "{}{}@{}:{}{}",
            member.id,
            instance.unwrap_or_default(),
            member.client.id,
            text(&member.assignment),
            if member.metadata.is_empty() { "" } else { "+" },
        )
    });
    format!(
        "{} type={} protocol={} members=[{members}]",
        group.state.name(),
        group.protocol_type,
        group.protocol,
    )
}

fn listed(group: &ListedGroup) -> String {
    let (state, kind) = (group.state.name(), group.kind.name());
    format!("{}:{state}:{}:{kind}", group.group, group.protocol_type)
}

fn fetched(offset: &FetchedOffset) -> String {
    let committed = self::offset(offset.committed.as_ref());
    format!("{}-{}{committed}", offset.topic, offset.partition)
}

fn group_value(value: &GroupValue) -> String {
    let members = joined_by_space(&value.members, |member| {
        format!("{}:{}", member.id, text(&member.assignment))
    });
    format!(
        "generation={} type={} protocol={} leader={} since={} members=[{members}]",
        value.generation,
        value.protocol_type,
        value.protocol.as_deref().unwrap_or("none"),
        optional(value.leader.as_ref(), MemberId::to_string),
        optional(value.state_since, |at| at.to_string()),
    )
}

fn offset(value: Option<&OffsetValue>) -> String {
    let Some(value) = value else {
        return "=none".into();
    };
    let mut line = format!("={}", value.offset);
    if value.leader_epoch.0 >= 0 {
        line += &format!(" epoch={}", value.leader_epoch);
    }
    if !value.metadata.is_empty() {
        line += &format!(" metadata={}", value.metadata);
    }
    if let Some(at) = value.expires_at {
        line += &format!(" until={at}");
    }
    if value.topic_id != TopicId::ZERO {
        line += &format!(" topic-id={}", value.topic_id.0[0]);
    }
    line
}

fn outcomes<E: Debug>(results: &[Result<(), E>]) -> String {
    format!(
        "[{}]",
        joined_by_space(results, |result| either(result, |()| "ok".into()))
    )
}

fn either<T, E: Debug>(result: &Result<T, E>, print: impl Fn(&T) -> String) -> String {
    match result {
        Ok(value) => print(value),
        Err(error) => format!("{error:?}"),
    }
}

fn optional<T>(value: Option<T>, print: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "none".to_owned(), print)
}

fn joined_by_space<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(" ")
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
