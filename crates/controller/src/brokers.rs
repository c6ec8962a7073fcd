//! Brokers and how clients reach them.
//!
//! Knows nothing of heartbeats: with one broker, one that is registered is alive.

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
}

/// One listener of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
    pub protocol: SecurityProtocol,
}

impl Registration {
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
    ) -> BrokerEpoch {
        let known = self.image().broker(broker.id);
        if let Some(known) = known.filter(|known| known.incarnation == broker.incarnation) {
            return known.epoch;
        }
        let epoch = BrokerEpoch(known.map_or(0, |known| known.epoch.0) + 1);
        self.emit(
            Record::Broker(Arc::new(Registration { epoch, ..broker })),
            fx,
        );
        epoch
    }
}
