//! DeleteTopics: v1-6.
//!
//! - v3: TOPIC_DELETION_DISABLED. v4: flexible. v5: messages beside the codes.
//! - v6: topics may be named by id.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, TopicId, TopicName};
use ottla_controller::{Image, Input, Reply, TopicRef};
use ottla_protocol::Uuid;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::{Outcome, ask_within, first_time};
use crate::api::{Cx, Handler, Refusal, wire_topic};

/// The first version with a code of its own for `delete.topic.enable=false`.
const DELETION_DISABLED_SINCE: i16 = 3;

#[derive(Debug)]
pub(in crate::api) struct DeleteTopics;

impl Handler for DeleteTopics {
    type Request = DeleteTopicsRequest;
    const SERVED: RangeInclusive<i16> = 1..=6;
    const BY_CONTROLLER: bool = true;

    async fn handle(cx: Cx, request: DeleteTopicsRequest) -> Result<DeleteTopicsResponse, Refusal> {
        let timeout_ms = request.timeout_ms;
        let (asked, mut results) = from_wire(request);
        let asked = without_twice_named(&cx.broker.image(), &asked, &mut results);
        if !cx.broker.settings().broker.delete_topic_enable {
            let code = disabled_code(cx.version);
            results.extend(asked.iter().map(|asked| to_wire(asked, None, code.into())));
            return Ok(DeleteTopicsResponse::default().with_responses(results));
        }
        let topics = asked.clone();
        let input = |token| Input::DeleteTopics { token, topics };
        let deleted: Vec<_> = match ask_within(&cx, timeout_ms, input).await {
            Ok(Reply::DeleteTopics(deleted)) => asked
                .iter()
                .zip(deleted)
                .map(|(asked, result)| {
                    let topic = result.as_ref().ok();
                    let found = topic.map(|topic| (&topic.name, topic.id));
                    to_wire(asked, found, Outcome::of(&result))
                })
                .collect(),
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(code) => asked
                .iter()
                .map(|asked| to_wire(asked, None, code.into()))
                .collect(),
        };
        let mut first_time = first_time();
        let named = asked.iter().zip(deleted);
        results.extend(
            named
                .filter(|(asked, _)| first_time(asked))
                .map(|(_, result)| result),
        );
        Ok(DeleteTopicsResponse::default().with_responses(results))
    }

    fn refuse(_error: ErrorCode) -> DeleteTopicsResponse {
        // Every refusal is a topic's.
        DeleteTopicsResponse::default()
    }
}

/// The topics that are well named, and answers for those that are not.
fn from_wire(request: DeleteTopicsRequest) -> (Vec<TopicRef>, Vec<DeletableTopicResult>) {
    let names = request.topic_names.iter();
    let mut asked: Vec<_> = names
        .map(|name| TopicRef::Name(name.as_str().into()))
        .collect();
    let mut refused = Vec::new();
    for topic in request.topics {
        match reference(&topic) {
            Ok(topic) => asked.push(topic),
            Err(message) => refused.push(
                DeletableTopicResult::default()
                    .with_error_code(ErrorCode::InvalidRequest.code())
                    .with_error_message(Some(message.into()))
                    .with_name(topic.name)
                    .with_topic_id(topic.topic_id),
            ),
        }
    }
    (asked, refused)
}

/// A topic that is asked for by name and by id is deleted by neither.
fn without_twice_named(
    image: &Image,
    asked: &[TopicRef],
    refused: &mut Vec<DeletableTopicResult>,
) -> Vec<TopicRef> {
    let all: BTreeSet<&TopicRef> = asked.iter().collect();
    let twice: BTreeMap<TopicId, TopicName> = asked
        .iter()
        .filter_map(|topic| match topic {
            TopicRef::Id(id) => image.topic_by_id(*id),
            TopicRef::Name(_) => None,
        })
        .filter(|topic| all.contains(&TopicRef::Name(topic.name.clone())))
        .map(|topic| (topic.id, topic.name.clone()))
        .collect();
    let names: BTreeSet<&TopicName> = twice.values().collect();
    refused.extend(twice.iter().map(|(id, name)| {
        DeletableTopicResult::default()
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_error_message(Some("the topic is named by name and by id".into()))
            .with_name(Some(wire_topic(name)))
            .with_topic_id(Uuid::from_bytes(id.0))
    }));
    let is_once = |topic: &TopicRef| match topic {
        TopicRef::Name(name) => !names.contains(name),
        TopicRef::Id(id) => !twice.contains_key(id),
    };
    asked
        .iter()
        .filter(|topic| is_once(topic))
        .cloned()
        .collect()
}

fn reference(topic: &DeleteTopicState) -> Result<TopicRef, &'static str> {
    match (&topic.name, topic.topic_id.is_nil()) {
        (Some(name), true) => Ok(TopicRef::Name(name.as_str().into())),
        (None, false) => Ok(TopicRef::Id(TopicId(*topic.topic_id.as_bytes()))),
        (None, true) => Err("the topic is named neither by name nor by id"),
        (Some(_), false) => Err("the topic is named both by name and by id"),
    }
}

fn disabled_code(version: i16) -> ErrorCode {
    if version < DELETION_DISABLED_SINCE {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TopicDeletionDisabled
    }
}

/// What was found completes what was asked: a name gets its id and the other way
/// round.
fn to_wire(
    asked: &TopicRef,
    found: Option<(&TopicName, TopicId)>,
    outcome: Outcome,
) -> DeletableTopicResult {
    let (name, id) = match (found, asked) {
        (Some((name, id)), _) => (Some(name), id),
        (None, TopicRef::Name(name)) => (Some(name), TopicId::ZERO),
        (None, TopicRef::Id(id)) => (None, *id),
    };
    DeletableTopicResult::default()
        .with_name(name.map(wire_topic))
        .with_topic_id(Uuid::from_bytes(id.0))
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
