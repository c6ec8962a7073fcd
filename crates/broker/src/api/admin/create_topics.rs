//! CreateTopics: v2-7.
//!
//! - v4: -1 takes the broker's defaults (in every version here). v5: flexible;
//!   the answer has counts and settings. v6: quota errors, which never occur.
//!   v7: the answer has the topic's id.
//!
//! Policies are not supported, as there are no plug-ins. No authorizer runs, so
//! the settings are always in the answer.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_base::config::{ConfigEntry, ConfigError, Overrides, describe_topic};
use ottla_base::{BrokerId, ErrorCode, PartitionId, TopicName};
use ottla_controller::{Input, NewTopic, Reply, Topic};
use ottla_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use ottla_protocol::{StrBytes, Uuid};

use super::{Outcome, ask_within, first_time, mode};
use crate::api::error::unexpected;
use crate::api::{Cx, Handler, Refusal, wire_topic};
use crate::topics::fresh_topic_id;

/// Stands for the broker's default.
const DEFAULT: i32 = -1;

#[derive(Debug)]
pub(in crate::api) struct CreateTopics;

impl Handler for CreateTopics {
    type Request = CreateTopicsRequest;
    const SERVED: RangeInclusive<i16> = 2..=7;
    const BY_CONTROLLER: bool = true;

    async fn handle(cx: Cx, request: CreateTopicsRequest) -> Result<CreateTopicsResponse, Refusal> {
        let mode = mode(request.validate_only);
        let asked: Vec<_> = request.topics.into_iter().map(from_wire).collect();
        let topics = asked.clone();
        let input = |token| Input::CreateTopics {
            token,
            mode,
            topics,
        };
        let results: Vec<_> = match ask_within(&cx, request.timeout_ms, input).await {
            Ok(Reply::CreateTopics(results)) => asked
                .iter()
                .zip(results)
                .map(|(asked, result)| match &result {
                    Ok(topic) => created_to_wire(&cx, asked, topic),
                    Err(_) => refused_to_wire(&asked.name, Outcome::of(&result)),
                })
                .collect(),
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(code) => asked
                .iter()
                .map(|asked| refused_to_wire(&asked.name, code.into()))
                .collect(),
        };
        let mut first_time = first_time();
        let mut asked = asked.iter();
        let topics = results
            .into_iter()
            .filter(|_| asked.next().is_some_and(|asked| first_time(&asked.name)));
        Ok(CreateTopicsResponse::default().with_topics(topics.collect()))
    }

    fn refuse(_error: ErrorCode) -> CreateTopicsResponse {
        // Every refusal is a topic's.
        CreateTopicsResponse::default()
    }
}

fn from_wire(topic: CreatableTopic) -> NewTopic {
    let configs = topic.configs.into_iter();
    let configs = configs.map(|config| {
        let value = config.value.map(|value| value.as_str().to_owned());
        (config.name.as_str().to_owned(), value)
    });
    NewTopic {
        name: TopicName::from(topic.name.as_str()),
        id: fresh_topic_id(),
        partitions: Some(topic.num_partitions).filter(|count| *count != DEFAULT),
        replication_factor: Some(topic.replication_factor)
            .filter(|factor| i32::from(*factor) != DEFAULT),
        assignments: topic.assignments.iter().map(assignment).collect(),
        configs: configs.collect(),
    }
}

fn assignment(assignment: &CreatableReplicaAssignment) -> (PartitionId, Vec<BrokerId>) {
    let brokers = assignment.broker_ids.iter().map(|id| BrokerId(id.0));
    (PartitionId(assignment.partition_index), brokers.collect())
}

fn refused_to_wire(name: &TopicName, outcome: Outcome) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(wire_topic(name))
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}

fn created_to_wire(cx: &Cx, asked: &NewTopic, topic: &Topic) -> CreatableTopicResult {
    let configs = match settings(cx, &asked.configs) {
        Ok(configs) => configs,
        Err(error) => return refused_to_wire(&topic.name, unexpected(&error).into()),
    };
    let partitions = i32::try_from(topic.partitions.len());
    let factor = i16::try_from(topic.replication_factor());
    CreatableTopicResult::default()
        .with_name(wire_topic(&topic.name))
        .with_topic_id(Uuid::from_bytes(topic.id.0))
        .with_error_message(None)
        .with_num_partitions(partitions.expect("a request adds 10,000 partitions at most"))
        .with_replication_factor(factor.expect("the request's factor has this type"))
        .with_configs(Some(configs.into_iter().map(config_to_wire).collect()))
}

/// The settings in force for a topic that was created with `configs`.
fn settings(
    cx: &Cx,
    configs: &BTreeMap<String, Option<String>>,
) -> Result<Vec<ConfigEntry>, ConfigError> {
    let given = configs.iter();
    let overrides: Overrides = given
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    let image = cx.broker.image();
    cx.broker.with_layers(&image, |layers| {
        describe_topic(&layers, &overrides, |_| true)
    })
}

fn config_to_wire(entry: ConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.is_read_only)
        .with_config_source(entry.source.code())
        .with_is_sensitive(entry.is_sensitive)
}
