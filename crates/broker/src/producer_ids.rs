//! Producer ids for clients, from blocks that the controller gives out.

use ottla_base::{ErrorCode, ProducerId};
use ottla_controller::{Input, ProducerIdBlock, Reply};
use tokio::sync::Mutex;

use crate::api::error::KafkaError as _;
use crate::broker::Broker;

/// The block that ids are taken from. What is left of it when the broker stops
/// is never used.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    /// Held while a new block is fetched: others that run out wait for that one.
    block: Mutex<Option<ProducerIdBlock>>,
}

impl ProducerIds {
    /// An id that nobody had before.
    pub(crate) async fn next(&self, broker: &Broker) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        let mut left = match *block {
            Some(left) => left,
            None => fetch(broker).await?,
        };
        let id = left.take();
        *block = (left.len > 0).then_some(left);
        Ok(id)
    }
}

async fn fetch(broker: &Broker) -> Result<ProducerIdBlock, ErrorCode> {
    let id = broker.id;
    let input = |token| Input::AllocateProducerIds { token, broker: id };
    match broker.controller.ask(input).await {
        Ok(Reply::AllocateProducerIds(block)) => block.map_err(|error| error.code()),
        Ok(other) => unreachable!("the controller answered with {other:?}"),
        // Clients try again, as they do while Kafka fetches a block.
        Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
