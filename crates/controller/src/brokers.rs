//! Brokers, how clients reach them, and who of them takes part.

use std::fmt;
use std::sync::Arc;

use ottla_base::config::SecurityProtocol;
use ottla_base::{BrokerId, Effects, Machine};

use crate::ControllerMachine;
use crate::record::Record;

/// The term of a broker's registration; grows with every start of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(pub i64);

impl fmt::Display for BrokerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a broker says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub id: BrokerId,
    /// Given by the controller; what a broker asks for is ignored.
    pub epoch: BrokerEpoch,
    /// Fresh in every process, so that a registration that is sent twice is
    /// seen to be one.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    /// As clients are to reach it: the advertised listeners.
    pub listeners: Vec<Endpoint>,
    /// It may neither lead nor be in sync: it is not known to be alive. A broker is
    /// fenced when it registers; what it asks for is ignored.
    pub fenced: bool,
    /// It wants to stop and gets nothing new to do.
    pub in_controlled_shutdown: bool,
}

/// One listener of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
    pub protocol: SecurityProtocol,
}

/// Why a broker is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error(
        "another broker with the id {id} is alive; if it was this one until now, its session is about to end"
    )]
    Duplicate { id: BrokerId },
}

/// A broker speaks that is not, or not any more, who it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broker {id} speaks with the epoch {said}, and {}", known(*current))]
pub struct StaleBrokerEpoch {
    pub id: BrokerId,
    pub said: BrokerEpoch,
    /// None if no such broker is registered.
    pub current: Option<BrokerEpoch>,
}

/// Why a broker is not forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnregisterError {
    #[error("Broker ID {id} is not currently registered")]
    Unknown { id: BrokerId },
}

/// A broker says that it is alive, and what it would like.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub broker: BrokerId,
    pub epoch: BrokerEpoch,
    /// It has carried out the record of its own registration.
    pub caught_up: bool,
    pub wants_fence: bool,
    pub wants_shutdown: bool,
}

/// What a broker hears when it has said that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub fenced: bool,
    /// It leads nothing any more.
    pub may_shut_down: bool,
}

fn known(current: Option<BrokerEpoch>) -> String {
    current.map_or_else(
        || "is not registered".to_owned(),
        |epoch| format!("is registered with the epoch {epoch}"),
    )
}

impl Registration {
    /// Whether it may lead, and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The endpoint of a listener, by its name.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.listeners
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }
}

impl ControllerMachine {
    /// Takes a broker in, or in again with another epoch.
    pub(crate) fn register_broker(
        &mut self,
        broker: Registration,
        fx: &mut Effects<Self>,
    ) -> Result<BrokerEpoch, RegisterError> {
        let known = self.image().broker(broker.id);
        if let Some(known) = known.filter(|known| known.incarnation == broker.incarnation) {
            return Ok(known.epoch);
        }
        let epoch = BrokerEpoch(self.image().last_broker_epoch().0 + 1);
        let broker = Registration {
            epoch,
            fenced: true,
            in_controlled_shutdown: false,
            ..broker
        };
        self.emit(Record::Broker(Arc::new(broker)), fx);
        Ok(epoch)
    }

    pub(crate) fn heartbeat(
        &mut self,
        heartbeat: &Heartbeat,
        fx: &mut Effects<Self>,
    ) -> Result<HeartbeatAnswer, StaleBrokerEpoch> {
        let broker = self.current_broker(heartbeat.broker, heartbeat.epoch)?;
        let may_shut_down = heartbeat.wants_shutdown;
        let unfence = heartbeat.caught_up && !heartbeat.wants_fence && !may_shut_down;
        let fenced = !unfence && (broker.fenced || heartbeat.wants_fence || may_shut_down);
        if fenced != broker.fenced {
            let broker = Registration {
                fenced,
                ..Registration::clone(&broker)
            };
            self.emit(Record::Broker(Arc::new(broker)), fx);
        }
        Ok(HeartbeatAnswer {
            fenced,
            may_shut_down,
        })
    }

    pub(crate) fn unregister_broker(
        &mut self,
        id: BrokerId,
        fx: &mut Effects<Self>,
    ) -> Result<(), UnregisterError> {
        if self.image().broker(id).is_none() {
            return Err(UnregisterError::Unknown { id });
        }
        let last = self.image().last_broker_epoch();
        self.emit(Record::BrokerEpochs { last }, fx);
        self.emit(Record::BrokerGone(id), fx);
        Ok(())
    }

    pub(crate) fn broker_lost(&mut self, id: BrokerId, epoch: BrokerEpoch, fx: &mut Effects<Self>) {
        let Ok(broker) = self.current_broker(id, epoch) else {
            return;
        };
        if !broker.fenced {
            let broker = Registration {
                fenced: true,
                ..Registration::clone(&broker)
            };
            self.emit(Record::Broker(Arc::new(broker)), fx);
        }
    }

    pub(crate) fn current_broker(
        &self,
        id: BrokerId,
        said: BrokerEpoch,
    ) -> Result<Arc<Registration>, StaleBrokerEpoch> {
        let broker = self.image().broker(id);
        let current = broker.map(|broker| broker.epoch);
        broker
            .filter(|broker| broker.epoch == said)
            .cloned()
            .ok_or(StaleBrokerEpoch { id, said, current })
    }
}
