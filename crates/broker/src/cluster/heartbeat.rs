//! How a broker comes into the cluster, and stays in.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla_base::ErrorCode;
use ottla_control::{Answer, Request};
use ottla_controller::{Heartbeat, HeartbeatAnswer, Registration};
use tokio::time::Instant;
use tracing::{info, warn};

use super::ask::ask;
use crate::broker::Broker;
use crate::tasks::Stop;

/// Between two attempts to register.
const REGISTRATION_PAUSE: Duration = Duration::from_millis(100);

/// How many reports fit into the time after which silence is taken for death.
const REPORTS_PER_TIMEOUT: u32 = 5;

/// How long a stopping broker waits until its leaderships are elsewhere.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often in a row nobody may answer it, before it stops without.
const HANDOVER_ATTEMPTS: u32 = 2;

/// Between two questions whether they are.
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);

/// How long it waits then until it is known what became of what was appended here.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks whether it is.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// Why a broker cannot become part of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller does not let this broker in: {}", .0.text())]
pub struct RegistrationError(pub ErrorCode);

/// Makes the cluster know this broker, and waits as long as that takes.
pub(crate) async fn register(
    broker: &Arc<Broker>,
    registration: &Registration,
    mut stop: Stop,
) -> Result<(), RegistrationError> {
    loop {
        let request = Request::Register {
            cluster: broker.cluster_id.clone(),
            broker: registration.clone(),
        };
        let asked = tokio::select! {
            biased;
            () = stop.requested() => return Ok(()),
            asked = ask(broker, request) => asked,
        };
        match asked {
            Ok(Answer::Registered(epoch)) => {
                if broker.cluster.set_epoch(epoch) {
                    broker.peers.links.reopen();
                }
                return Ok(());
            }
            Ok(other) => unreachable!("a registration was answered with {other:?}"),
            Err(code @ ErrorCode::InconsistentClusterId) => return Err(RegistrationError(code)),
            Err(code) => {
                // One of this id that was killed counts as alive for a moment.
                info!(why = code.text(), "not registered yet");
                tokio::time::sleep(REGISTRATION_PAUSE).await;
            }
        }
    }
}

/// Waits until this broker takes part by the metadata that it has carried out itself:
/// clients that it serves from then on are told just that.
pub(crate) async fn join(broker: &Arc<Broker>, mut stop: Stop) {
    loop {
        let mut images = broker.image_changes();
        if own_registration(broker).is_some_and(|own| !own.fenced) {
            return;
        }
        // What comes of it is heard from the metadata log.
        let _answer = beat(broker).await;
        tokio::select! {
            biased;
            () = stop.requested() => return,
            _ = images.changed() => (),
            () = tokio::time::sleep(REGISTRATION_PAUSE) => (),
        }
    }
}

/// Reports until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>, registration: Registration, mut stop: Stop) {
    let start = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = tokio::time::sleep(interval(&broker)) => (),
        }
        let heard = broker.cluster.lease().heard().unwrap_or(start);
        let answered = tokio::select! {
            biased;
            answered = beat(&broker) => answered,
            never = tell_unheard(&broker, heard + broker.session_timeout()) => match never {},
        };
        match answered {
            Ok(_) => (),
            Err(ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) => {
                warn!("the cluster does not know this broker any more, so it registers again");
                if let Err(error) = register(&broker, &registration, stop.clone()).await {
                    warn!(%error, "not registered");
                }
            }
            Err(code) => warn!(why = code.text(), "the controllers do not hear this broker"),
        }
    }
}

/// Tells every partition from `since` on that the controllers do not hear this broker:
/// they have fenced it by now, if there are any.
async fn tell_unheard(broker: &Broker, since: Instant) -> Infallible {
    tokio::time::sleep_until(since).await;
    loop {
        for topic in broker.registry.topics() {
            topic.cells().for_each(|cell| cell.unheard());
        }
        tokio::time::sleep(interval(broker)).await;
    }
}

/// Lets others lead what this broker leads, and returns when they do, when there is
/// nobody to ask, or when that takes too long.
pub(crate) async fn hand_over(broker: &Arc<Broker>) {
    let image = broker.image();
    let is_alone = image
        .brokers()
        .all(|other| other.id == broker.id || !other.is_active());
    if is_alone {
        return;
    }
    broker.cluster.begin_handover();
    let handed_over = async {
        let mut unheard = 0;
        while unheard < HANDOVER_ATTEMPTS {
            match beat(broker).await {
                Ok(answer) if answer.may_shut_down => return true,
                Ok(_) => unheard = 0,
                Err(_unheard) => unheard += 1,
            }
            tokio::time::sleep(HANDOVER_PAUSE).await;
        }
        false
    };
    let handed_over = tokio::time::timeout(HANDOVER_TIMEOUT, handed_over).await;
    if !handed_over.unwrap_or(false) {
        warn!("this broker stops before others lead what it led");
    }
    let _unsettled = tokio::time::timeout(SETTLE_TIMEOUT, appends_settled(broker)).await;
}

/// Returns when everybody who appended here knows whether those who lead now have it.
async fn appends_settled(broker: &Broker) {
    let is_owed = || {
        let topics = broker.registry.topics();
        let mut cells = topics.iter().flat_map(|topic| topic.cells());
        cells.any(|cell| cell.owes_replies())
    };
    while is_owed() {
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// How often this broker reports.
fn interval(broker: &Broker) -> Duration {
    let asked = broker.settings().broker.broker_heartbeat_interval_ms;
    let asked = Duration::from_millis(u64::try_from(asked).unwrap_or(0));
    asked.min(broker.session_timeout() / REPORTS_PER_TIMEOUT)
}

/// Of this life, as soon as that is carried out.
fn own_registration(broker: &Broker) -> Option<Arc<Registration>> {
    let epoch = broker.cluster.epoch();
    let known = broker.image().broker(broker.id).cloned();
    known.filter(|known| known.epoch == epoch)
}

async fn beat(broker: &Arc<Broker>) -> Result<HeartbeatAnswer, ErrorCode> {
    let request = Request::Heartbeat(Heartbeat {
        broker: broker.id,
        epoch: broker.cluster.epoch(),
        caught_up: own_registration(broker).is_some(),
        // It is fenced for a moment then, and others lead.
        wants_fence: broker.peers.lost_leaders.load(Ordering::Relaxed) > 0,
        wants_shutdown: broker.cluster.hands_over(),
    });
    let sent = Instant::now();
    // A report that is late is followed by another, from another node if need be.
    let asked = tokio::time::timeout(broker.session_timeout(), ask(broker, request)).await;
    match asked.map_err(|_elapsed| ErrorCode::RequestTimedOut)? {
        Ok(Answer::Heartbeat {
            answer,
            metadata_end,
        }) => {
            if let Some(metadata_end) = metadata_end {
                broker.cluster.renew_lease(sent, metadata_end);
            }
            Ok(answer)
        }
        Ok(other) => unreachable!("a report was answered with {other:?}"),
        Err(code) => Err(code),
    }
}
