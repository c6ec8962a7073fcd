//! Producer ids for clients, from blocks that the controller gives out.

use std::sync::Arc;
use std::time::Duration;

use ottla_base::{ErrorCode, ProducerId};
use ottla_control::{Answer, Request};
use ottla_controller::ProducerIdBlock;
use tokio::sync::Mutex;

use crate::broker::Broker;
use crate::cluster;

/// How long a client waits for a block before it is told to ask again.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The block that ids are taken from. What is left of it when the broker stops
/// is never used.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    /// Held while a new block is fetched: others that run out wait for that one.
    block: Mutex<Option<ProducerIdBlock>>,
}

impl ProducerIds {
    /// An id that nobody had before.
    pub(crate) async fn next(&self, broker: &Arc<Broker>) -> Result<ProducerId, ErrorCode> {
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

async fn fetch(broker: &Arc<Broker>) -> Result<ProducerIdBlock, ErrorCode> {
    let request = Request::AllocateProducerIds {
        broker: broker.id,
        epoch: broker.cluster.epoch(),
    };
    match tokio::time::timeout(FETCH_TIMEOUT, cluster::ask(broker, request)).await {
        Ok(Ok(Answer::ProducerIds(block))) => Ok(block),
        Ok(Ok(other)) => unreachable!("a request for producer ids was answered with {other:?}"),
        Ok(Err(code)) => Err(code),
        // Clients try again, as they do while Kafka fetches a block.
        Err(_elapsed) => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
