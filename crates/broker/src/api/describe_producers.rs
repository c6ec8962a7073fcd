//! DescribeProducers: v0 (KIP-664).
//!
//! Every replica answers, by what it has of the log.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, TopicName};
use ottla_partition::ActiveProducer;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::{Cx, Handler, Refusal, cell_of};

#[derive(Debug)]
pub(super) struct DescribeProducers;

impl Handler for DescribeProducers {
    type Request = DescribeProducersRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;

    async fn handle(
        cx: Cx,
        request: DescribeProducersRequest,
    ) -> Result<DescribeProducersResponse, Refusal> {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                let name = topic.name.as_str();
                let cell = if TopicName::from(name).is_legal() {
                    cell_of(&cx, name, *index)
                } else {
                    Err(ErrorCode::InvalidTopic)
                };
                to_wire(*index, cell.map(|cell| cell.describe_producers()))
            });
            let partitions = partitions.collect();
            TopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        Ok(DescribeProducersResponse::default().with_topics(topics.collect()))
    }

    fn refuse(_error: ErrorCode) -> DescribeProducersResponse {
        // Every refusal is a partition's.
        DescribeProducersResponse::default()
    }
}

fn to_wire(partition: i32, producers: Result<Vec<ActiveProducer>, ErrorCode>) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(partition);
    match producers {
        Ok(producers) => {
            response.with_active_producers(producers.iter().map(producer_to_wire).collect())
        }
        Err(code) => response
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(code.text()))),
    }
}

fn producer_to_wire(producer: &ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0.into())
        .with_last_sequence(producer.last_sequence.0)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(-1)
}
