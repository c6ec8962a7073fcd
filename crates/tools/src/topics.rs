//! `kafka-topics.sh`.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, MetadataRequest,
    TopicName,
};

use crate::connection::Connection;
use crate::{Servers, ToolError, accepted};

/// How long a cluster may take over a change.
const CHANGE_MS_MAX: i32 = 30_000;

/// DescribeConfigs: a resource that is a topic, and a value that nobody set.
const TOPIC: i8 = 2;
const DEFAULT_CONFIG: i8 = 5;

/// A topic to be made; what is absent is the cluster's to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    pub configs: Vec<(String, String)>,
    pub if_not_exists: bool,
}

/// Writes the names of all topics.
pub fn write_names(servers: &Servers, out: &mut impl Write) -> Result<(), ToolError> {
    for topic in topics(&mut servers.connect()?, None)? {
        writeln!(out, "{}", name(&topic)).map_err(ToolError::Output)?;
    }
    Ok(())
}

/// Makes a topic.
pub fn create(servers: &Servers, topic: &NewTopic, out: &mut impl Write) -> Result<(), ToolError> {
    let configs = topic.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    let wanted = CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(CHANGE_MS_MAX);
    for result in servers.connect()?.ask(&request)?.topics {
        if topic.if_not_exists && result.error_code == ErrorCode::TopicAlreadyExists.code() {
            continue;
        }
        accepted(
            &topic.name,
            result.error_code,
            result.error_message.as_deref(),
        )?;
        writeln!(out, "Created topic {}.", topic.name).map_err(ToolError::Output)?;
    }
    Ok(())
}

/// Deletes a topic.
pub fn delete(servers: &Servers, topic: &str) -> Result<(), ToolError> {
    let state = DeleteTopicState::default().with_name(Some(topic_name(topic)));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![state])
        .with_timeout_ms(CHANGE_MS_MAX);
    for result in servers.connect()?.ask(&request)?.responses {
        accepted(topic, result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// Writes the partitions of one topic or of all, and what is set for it.
pub fn write_descriptions(
    servers: &Servers,
    topic: Option<&str>,
    out: &mut impl Write,
) -> Result<(), ToolError> {
    let mut connection = servers.connect()?;
    for topic in topics(&mut connection, topic)? {
        let configs = configs(&mut connection, name(&topic))?;
        out.write_all(description(&topic, &configs).as_bytes())
            .map_err(ToolError::Output)?;
    }
    Ok(())
}

/// One topic or all of them, by name.
fn topics(
    connection: &mut Connection,
    only: Option<&str>,
) -> Result<Vec<MetadataResponseTopic>, ToolError> {
    let wanted =
        only.map(|only| vec![MetadataRequestTopic::default().with_name(Some(topic_name(only)))]);
    let request = MetadataRequest::default()
        .with_topics(wanted)
        .with_allow_auto_topic_creation(false);
    let mut topics = connection.ask(&request)?.topics;
    for topic in &topics {
        if topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
            return Err(ToolError::NoTopic(name(topic).to_owned()));
        }
        accepted(name(topic), topic.error_code, None)?;
    }
    topics.sort_by(|one, other| name(one).cmp(name(other)));
    Ok(topics)
}

/// What was set for a topic, by it or for all of its broker's, as `key=value`.
fn configs(connection: &mut Connection, topic: &str) -> Result<Vec<String>, ToolError> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let mut set = Vec::new();
    for result in connection.ask(&request)?.results {
        accepted(topic, result.error_code, result.error_message.as_deref())?;
        let configs = result.configs.into_iter();
        set.extend(
            configs
                .filter(|config| config.config_source != DEFAULT_CONFIG)
                .map(|config| {
                    format!(
                        "{}={}",
                        &*config.name,
                        config.value.as_deref().unwrap_or("")
                    )
                }),
        );
    }
    Ok(set)
}

/// The words of Kafka's tool, which scripts cut to pieces.
fn description(topic: &MetadataResponseTopic, configs: &[String]) -> String {
    let mut partitions: Vec<_> = topic.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let replicas = partitions
        .first()
        .map_or(0, |first| first.replica_nodes.len());
    let mut text = format!(
        "Topic: {name}\tTopicId: {id}\tPartitionCount: {count}\tReplicationFactor: {replicas}\tConfigs: {configs}\n",
        name = name(topic),
        id = URL_SAFE_NO_PAD.encode(topic.topic_id.as_bytes()),
        count = partitions.len(),
        configs = configs.join(","),
    );
    for partition in partitions {
        text.push_str(&line(name(topic), partition));
    }
    text
}

fn line(topic: &str, partition: &MetadataResponsePartition) -> String {
    let leader = match *partition.leader_id {
        -1 => "none".to_owned(),
        leader => leader.to_string(),
    };
    format!(
        "\tTopic: {topic}\tPartition: {number}\tLeader: {leader}\tReplicas: {replicas}\tIsr: {isr}\n",
        number = partition.partition_index,
        replicas = joined(&partition.replica_nodes),
        isr = joined(&partition.isr_nodes),
    )
}

fn joined(nodes: &[BrokerId]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| node.to_string()).collect();
    nodes.join(",")
}

fn name(topic: &MetadataResponseTopic) -> &str {
    topic.name.as_ref().map_or("", |name| name.as_str())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
