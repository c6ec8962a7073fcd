//! Administration: topics, settings, credentials, and what the cluster looks like.

mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_user_scram_credentials;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod incremental_alter_configs;
mod list_config_resources;
mod list_partition_reassignments;
mod resource;
mod unregister_broker;

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_base::{ErrorCode, ReplyToken};
use ottla_controller::{Input, Mode, Reply};
use ottla_protocol::StrBytes;

pub(super) use alter_configs::AlterConfigs;
pub(super) use alter_partition_reassignments::AlterPartitionReassignments;
pub(super) use alter_replica_log_dirs::AlterReplicaLogDirs;
pub(super) use alter_user_scram_credentials::AlterUserScramCredentials;
pub(super) use create_partitions::CreatePartitions;
pub(super) use create_topics::CreateTopics;
pub(super) use delete_topics::DeleteTopics;
pub(super) use describe_cluster::DescribeCluster;
pub(super) use describe_configs::DescribeConfigs;
pub(super) use describe_log_dirs::DescribeLogDirs;
pub(super) use describe_quorum::DescribeQuorum;
pub(super) use describe_topic_partitions::DescribeTopicPartitions;
pub(super) use describe_user_scram_credentials::DescribeUserScramCredentials;
pub(super) use elect_leaders::ElectLeaders;
pub(super) use incremental_alter_configs::IncrementalAlterConfigs;
pub(super) use list_config_resources::ListConfigResources;
pub(super) use list_partition_reassignments::ListPartitionReassignments;
pub(super) use unregister_broker::UnregisterBroker;

use super::Cx;
use super::error::KafkaError;

/// How one item of a request went: a code and, if it failed, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    code: ErrorCode,
    message: Option<StrBytes>,
}

impl Outcome {
    const DONE: Self = Self {
        code: ErrorCode::None,
        message: None,
    };

    fn failed(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(StrBytes::from_string(message.into())),
        }
    }

    fn of<T>(result: &Result<T, impl KafkaError>) -> Self {
        match result {
            Ok(_) => Self::DONE,
            Err(error) => Self {
                code: error.code(),
                message: error.message().map(StrBytes::from_string),
            },
        }
    }
}

impl From<ErrorCode> for Outcome {
    fn from(code: ErrorCode) -> Self {
        Self::failed(code, code.text())
    }
}

fn mode(validate_only: bool) -> Mode {
    if validate_only {
        Mode::ValidateOnly
    } else {
        Mode::Apply
    }
}

/// Asks the controller and waits for as long as the client does. What was asked
/// may still happen after that.
async fn ask_within(
    cx: &Cx,
    timeout_ms: i32,
    input: impl FnOnce(ReplyToken) -> Input,
) -> Result<Reply, ErrorCode> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    match tokio::time::timeout(timeout, cx.broker.controller.ask(input)).await {
        Ok(reply) => Ok(reply?),
        Err(_elapsed) => Err(ErrorCode::RequestTimedOut),
    }
}

/// Whether an item comes for the first time. What a request names twice is
/// refused twice by the controller and answered once, as in Kafka.
pub(super) fn first_time<T: Ord + Clone>() -> impl FnMut(&T) -> bool {
    let mut seen = BTreeSet::new();
    move |item| seen.insert(item.clone())
}
