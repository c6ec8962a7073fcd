//! Requests and answers, as both sides have them.

use bytes::Bytes;
use ottla_base::{BrokerId, ClusterId, ErrorCode};
use ottla_controller::{
    BrokerEpoch, Heartbeat, HeartbeatAnswer, IsrChange, ProducerIdBlock, Registration,
};
use ottla_rpc::Address;

/// Something that only the active controller can do.
#[derive(Clone, Debug)]
pub enum Request {
    /// A broker starts. The epoch of the registration is not heeded.
    Register {
        cluster: ClusterId,
        broker: Registration,
    },
    /// A broker is alive.
    Heartbeat(Heartbeat),
    /// The leader of partitions says who is in sync.
    AlterPartitions {
        broker: BrokerId,
        epoch: BrokerEpoch,
        changes: Vec<IsrChange>,
    },
    AllocateProducerIds {
        broker: BrokerId,
        epoch: BrokerEpoch,
    },
    Forward(Forward),
}

/// A client's request that is answered by the active controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Header and body, as they came.
    pub frame: Bytes,
    /// The listener that the client came to.
    pub listener: String,
    /// The client's address, where it has one.
    pub client: String,
    /// The broker that the client asked.
    pub broker: BrokerId,
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Registered(BrokerEpoch),
    Heartbeat {
        answer: HeartbeatAnswer,
        /// Whoever answers was the active controller when it was asked, by the word of
        /// most: what was decided until then is below this offset of the metadata log.
        metadata_end: Option<i64>,
    },
    /// One code per change, in their order. What was decided comes by the metadata
    /// log.
    Altered(Vec<ErrorCode>),
    ProducerIds(ProducerIdBlock),
    Forwarded(Forwarded),
}

/// A client's answer on its way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Header and body.
    pub frame: Bytes,
    /// What the answer may depend on is below this offset of the metadata log.
    pub metadata_end: i64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this node is not the active controller")]
    NotActive(Option<Active>),
    #[error("the controller refuses: {}", .0.text())]
    Code(ErrorCode),
}

/// The node that is the active controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    pub id: BrokerId,
    pub address: Address,
}
