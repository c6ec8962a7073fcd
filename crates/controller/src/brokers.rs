//! Brokers, how clients reach them, and who of them takes part.

use std::fmt;
use std::sync::Arc;

use ottla_base::config::SecurityProtocol;
use ottla_base::{BrokerId, Effects, Machine, Millis};

use crate::change::Rules;
use crate::record::Record;
use crate::sessions::Silent;
use crate::{ControllerMachine, Partition};

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
    /// The id of its data directory. None if it is not known.
    pub directory: Option<String>,
    pub rack: Option<String>,
    /// As clients are to reach it: the advertised listeners.
    pub listeners: Vec<Endpoint>,
    /// It may neither lead nor be in sync: it is not known to be alive. A broker is
    /// fenced when it registers; what it asks for is ignored.
    pub fenced: bool,
    /// It wants to stop and gets nothing new to do.
    pub in_controlled_shutdown: bool,
    /// The last moment at which it was fenced after it had taken part before, by the
    /// clock of the controller of that time. None while it is here for the first time.
    pub last_away: Option<Millis>,
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

    /// Whether the process before had another directory, and with it what may be gone.
    fn has_other_data_than(&self, before: &Self) -> bool {
        let both = self.directory.as_ref().zip(before.directory.as_ref());
        both.is_some_and(|(now, before)| now != before)
    }

    /// The endpoint of a listener, by its name.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.listeners
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }
}

/// What a broker does in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fenced,
    Active,
    /// It gives away what it leads.
    ShuttingDown,
    /// It leads nothing that another could, and is fenced.
    MayStop,
}

impl ControllerMachine {
    /// Takes a broker in, or in again with another epoch: what the process before it
    /// led and kept up with is not its own.
    pub(crate) fn register_broker(
        &mut self,
        broker: Registration,
        fx: &mut Effects<Self>,
    ) -> Result<BrokerEpoch, RegisterError> {
        let id = broker.id;
        let known = self.image().broker(id).cloned();
        if let Some(known) = &known {
            if known.incarnation == broker.incarnation {
                return Ok(self.amend(known, broker, fx));
            }
            if self.sessions.is_valid(id, known.epoch, fx.now()) {
                return Err(RegisterError::Duplicate { id });
            }
        }
        if known
            .as_ref()
            .is_some_and(|known| broker.has_other_data_than(known))
        {
            // It has nothing of what made the one before eligible (KIP-966).
            self.forget(id, fx);
        }
        let epoch = BrokerEpoch(self.image().last_broker_epoch().0 + 1);
        let broker = Registration {
            epoch,
            fenced: true,
            in_controlled_shutdown: false,
            last_away: known.as_ref().map(|_| fx.now()),
            ..broker
        };
        self.sessions.end(id);
        self.emit(Record::Broker(Arc::new(broker)), fx);
        if known.is_some() {
            self.take_out(id, fx);
        }
        Ok(epoch)
    }

    /// The same process may tell other addresses.
    fn amend(
        &mut self,
        known: &Registration,
        broker: Registration,
        fx: &mut Effects<Self>,
    ) -> BrokerEpoch {
        let epoch = known.epoch;
        let broker = Registration {
            epoch,
            fenced: known.fenced,
            in_controlled_shutdown: known.in_controlled_shutdown,
            last_away: known.last_away,
            ..broker
        };
        if broker != *known {
            self.emit(Record::Broker(Arc::new(broker)), fx);
        }
        epoch
    }

    pub(crate) fn heartbeat(
        &mut self,
        heartbeat: &Heartbeat,
        fx: &mut Effects<Self>,
    ) -> Result<HeartbeatAnswer, StaleBrokerEpoch> {
        let Heartbeat { broker, epoch, .. } = *heartbeat;
        let registration = self.current_broker(broker, epoch)?;
        self.sessions.hear(broker, epoch, fx.now());
        let before = standing(&registration);
        let after = self.next_standing(before, heartbeat);
        match after {
            Standing::Fenced => self.fence(&registration, fx),
            Standing::MayStop => {
                self.fence(&registration, fx);
                // Its next process need not wait for the end of this session.
                self.sessions.end(broker);
            }
            Standing::Active if before == Standing::Fenced => self.unfence(&registration, fx),
            Standing::ShuttingDown if before == Standing::Active => {
                self.begin_shutdown(&registration, fx);
            }
            Standing::Active | Standing::ShuttingDown => {}
        }
        Ok(HeartbeatAnswer {
            fenced: matches!(after, Standing::Fenced | Standing::MayStop),
            may_shut_down: after == Standing::MayStop,
        })
    }

    /// As in Kafka's `BrokerHeartbeatManager`.
    fn next_standing(&self, before: Standing, heartbeat: &Heartbeat) -> Standing {
        let Heartbeat {
            wants_fence,
            wants_shutdown,
            caught_up,
            broker,
            ..
        } = *heartbeat;
        match before {
            Standing::Fenced | Standing::MayStop if wants_shutdown => Standing::MayStop,
            Standing::Fenced | Standing::MayStop if caught_up && !wants_fence => Standing::Active,
            Standing::Fenced | Standing::MayStop => Standing::Fenced,
            Standing::Active if wants_fence && wants_shutdown => Standing::MayStop,
            Standing::Active if wants_fence => Standing::Fenced,
            Standing::Active if !wants_shutdown => Standing::Active,
            Standing::Active | Standing::ShuttingDown if self.leads(broker) => {
                Standing::ShuttingDown
            }
            Standing::Active | Standing::ShuttingDown => Standing::MayStop,
        }
    }

    pub(crate) fn broker_lost(&mut self, id: BrokerId, epoch: BrokerEpoch, fx: &mut Effects<Self>) {
        if let Ok(broker) = self.current_broker(id, epoch) {
            self.sessions.end(id);
            self.fence(&broker, fx);
        }
    }

    pub(crate) fn unregister_broker(
        &mut self,
        id: BrokerId,
        fx: &mut Effects<Self>,
    ) -> Result<(), UnregisterError> {
        if self.image().broker(id).is_none() {
            return Err(UnregisterError::Unknown { id });
        }
        self.forget(id, fx);
        Ok(())
    }

    fn forget(&mut self, id: BrokerId, fx: &mut Effects<Self>) {
        let last = self.image().last_broker_epoch();
        self.sessions.end(id);
        self.emit(Record::BrokerEpochs { last }, fx);
        self.emit(Record::BrokerGone(id), fx);
        self.take_out(id, fx);
    }

    /// Fences whoever was silent for too long.
    pub(crate) fn fence_silent(&mut self, fx: &mut Effects<Self>) {
        match self.sessions.silent(self.image(), fx.now()) {
            Silent::Unknown => self.assume_alive(fx),
            Silent::Brokers(silent) => {
                for id in silent {
                    if let Some(broker) = self.image().broker(id).cloned() {
                        self.fence(&broker, fx);
                    }
                }
            }
        }
    }

    fn fence(&mut self, broker: &Registration, fx: &mut Effects<Self>) {
        if broker.fenced {
            return;
        }
        let fenced = Registration {
            fenced: true,
            last_away: Some(fx.now()),
            ..broker.clone()
        };
        self.emit(Record::Broker(Arc::new(fenced)), fx);
        self.take_out(broker.id, fx);
    }

    fn begin_shutdown(&mut self, broker: &Registration, fx: &mut Effects<Self>) {
        let stopping = Registration {
            in_controlled_shutdown: true,
            ..broker.clone()
        };
        self.emit(Record::Broker(Arc::new(stopping)), fx);
        self.take_out(broker.id, fx);
    }

    fn unfence(&mut self, broker: &Registration, fx: &mut Effects<Self>) {
        let unfenced = Registration {
            fenced: false,
            in_controlled_shutdown: false,
            last_away: broker.last_away.map(|_| fx.now()),
            ..broker.clone()
        };
        self.emit(Record::Broker(Arc::new(unfenced)), fx);
        let hosted: Vec<_> = self.hosted.by(broker.id).collect();
        let elect_where_none_leads = |partition: &Partition, rules: Rules| {
            let leaderless = partition.leader.is_none();
            leaderless.then(|| (partition.clone(), rules.preference()))
        };
        self.change_partitions(&hosted, elect_where_none_leads, fx);
    }

    /// A broker that may not lead any more leaves every ISR. Those of the only broker
    /// that there is stay as they are: nobody could lead instead or ask meanwhile, and
    /// they come back with it. So it starts without a word about its partitions,
    /// however many it has.
    fn take_out(&mut self, broker: BrokerId, fx: &mut Effects<Self>) {
        let is_gone = self.image().broker(broker).is_none();
        let is_alone = !is_gone && self.image().brokers().count() == 1;
        if is_alone {
            return;
        }
        let hosted: Vec<_> = self.hosted.by(broker).collect();
        let leave = |partition: &Partition, rules: Rules| {
            let matters = partition.leader == Some(broker)
                || partition.isr.contains(&broker)
                || (is_gone && partition.elr.contains(&broker));
            if !matters {
                return None;
            }
            let mut after = partition.clone();
            after.isr.retain(|member| *member != broker);
            Some((after, rules.preference()))
        };
        self.change_partitions(&hosted, leave, fx);
    }

    /// Whether the broker leads what another replica could lead.
    fn leads(&self, broker: BrokerId) -> bool {
        let mut led = self.hosted.by(broker).filter_map(|tp| {
            let partition = self.image().partition(tp)?;
            (partition.leader == Some(broker)).then_some(partition)
        });
        led.any(|partition| partition.replicas.len() > 1)
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

fn standing(broker: &Registration) -> Standing {
    match broker {
        Registration { fenced: true, .. } => Standing::Fenced,
        Registration {
            in_controlled_shutdown: true,
            ..
        } => Standing::ShuttingDown,
        Registration { .. } => Standing::Active,
    }
}
