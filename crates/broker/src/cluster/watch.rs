//! Every node notices at once when another broker's process ends.
//!
//! It holds a connection to each. The system closes it with the process, and refuses a
//! new one as long as there is no other process: then the broker is gone for sure, and
//! the active controller need not wait until its silence has lasted long enough. A host
//! that is gone, or a network that is cut, is left to that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::BrokerId;
use ottla_controller::{BrokerEpoch, Image};
use ottla_rpc::Address;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tracing::info;

use super::departures::Life;
use crate::broker::Broker;
use crate::tasks::Stop;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// A process that ends accepts a connection that it closes at once. One that lasts as
/// long is of a process that runs.
const SETTLED: Duration = Duration::from_millis(20);

/// A connection is replaced after this time: one on which nothing is said is closed at some
/// time (`connections.max.idle.ms`).
const RENEWAL: Duration = Duration::from_secs(60);

/// Between two attempts, doubled each time up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What was seen of a process that may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Its connection was closed.
    Closed,
    /// A new one was refused.
    Refused,
}

/// The brokers that seem to be gone while the cluster counts on them. Those who watch
/// write, everybody reads.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    signs: watch::Sender<BTreeMap<Life, Sign>>,
    /// To those that run.
    connections: Mutex<BTreeMap<Life, Arc<TcpStream>>>,
}

impl Ended {
    pub(crate) fn contains(&self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        self.signs.borrow().contains_key(&(broker, epoch))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized> {
        self.signs.subscribe()
    }

    /// All of them at this moment: a client whose connection to a process was closed may be
    /// here before whoever watches has had a turn, so the system is asked.
    pub(crate) fn now(&self) -> BTreeSet<Life> {
        let connections = self.connections();
        let closed = connections.iter().filter(|(_, held)| is_closed(held));
        let closed: Vec<_> = closed.map(|(life, _)| *life).collect();
        drop(connections);
        for life in closed {
            self.note(life, Some(Sign::Closed));
        }
        self.signs.borrow().keys().copied().collect()
    }

    fn hold(&self, life: Life, connection: Arc<TcpStream>) {
        self.connections().insert(life, connection);
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<Life, Arc<TcpStream>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether that is new.
    fn note(&self, life: Life, sign: Option<Sign>) -> bool {
        self.signs.send_if_modified(|ended| {
            let before = match sign {
                Some(sign) => ended.insert(life, sign),
                None => ended.remove(&life),
            };
            before != sign
        })
    }

    /// Those that are gone for sure.
    fn refused(&self) -> Vec<Life> {
        let ended = self.signs.borrow();
        let refused = ended.iter().filter(|(_, sign)| **sign == Sign::Refused);
        refused.map(|(life, _)| *life).collect()
    }
}

/// Watches over the others until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: Stop) {
    let mut images = broker.image_changes();
    let mut active = broker.controller.activity();
    let mut ended = broker.cluster.ended.signs.subscribe();
    let mut watched: BTreeMap<Life, oneshot::Sender<()>> = BTreeMap::new();
    loop {
        let wanted = others(&broker, &broker.image());
        // Whoever is dropped here is watched no longer.
        watched.retain(|life, _| wanted.contains_key(life));
        for (life, address) in wanted {
            watched
                .entry(life)
                .or_insert_with(|| begin(&broker, life, address, stop.clone()));
        }
        ended.mark_unchanged();
        if broker.controller.is_active() {
            for (broker_id, epoch) in broker.cluster.ended.refused() {
                let broker_lost = ottla_controller::Input::BrokerLost {
                    broker: broker_id,
                    epoch,
                };
                broker.controller.tell(broker_lost);
            }
        }
        tokio::select! {
            biased;
            () = stop.requested() => return,
            changed = images.changed() => if changed.is_err() { return },
            changed = active.changed() => if changed.is_err() { return },
            changed = ended.changed() => if changed.is_err() { return },
        }
    }
}

/// Watches over one of them until what is returned is dropped.
fn begin(
    broker: &Arc<Broker>,
    life: Life,
    address: Address,
    mut stop: Stop,
) -> oneshot::Sender<()> {
    let (watching, dropped) = oneshot::channel();
    let watcher = broker.clone();
    broker.tasks.spawn("watch", async move {
        let ended = &watcher.cluster.ended;
        tokio::select! {
            biased;
            () = stop.requested() => (),
            _ = dropped => (),
            () = observe(ended, life, &address) => (),
            () = succeed(&watcher, life) => (),
        }
        ended.connections().remove(&life);
        ended.note(life, None);
    });
    watching
}

/// A process that has ended is no active controller any more either, if it was that.
async fn succeed(broker: &Broker, life: Life) {
    let Some(voter) = &broker.voter else {
        return std::future::pending().await;
    };
    let has_ended = |signs: &BTreeMap<Life, Sign>| signs.get(&life) == Some(&Sign::Refused);
    let mut signs = broker.cluster.ended.signs.subscribe();
    while signs.wait_for(has_ended).await.is_ok() {
        voter.succeed(life.0).await;
        let _closed = signs.wait_for(|signs| !has_ended(signs)).await;
    }
}

/// Every other broker that is not fenced, and where brokers reach it.
fn others(broker: &Broker, image: &Image) -> BTreeMap<Life, Address> {
    let alive = image
        .brokers()
        .filter(|other| other.id != broker.id && !other.fenced);
    let addresses = alive.filter_map(|other| {
        let endpoint = other.endpoint(&broker.inter_broker)?;
        let address = Address {
            host: endpoint.host.clone(),
            port: endpoint.port,
        };
        Some(((other.id, other.epoch), address))
    });
    addresses.collect()
}

async fn observe(ended: &Ended, life: Life, address: &Address) {
    let mut pause = PAUSE_MIN;
    loop {
        let connect = TcpStream::connect((address.host.as_str(), address.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => {
                let stream = Arc::new(stream);
                let mut closed = std::pin::pin!(until_closed(&stream));
                if tokio::time::timeout(SETTLED, closed.as_mut())
                    .await
                    .is_err()
                {
                    ended.hold(life, stream.clone());
                    ended.note(life, None);
                    pause = PAUSE_MIN;
                    let is_old = tokio::time::timeout(RENEWAL, closed).await.is_err();
                    if is_old {
                        continue;
                    }
                }
                ended.note(life, Some(Sign::Closed));
                ended.connections().remove(&life);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if ended.note(life, Some(Sign::Refused)) {
                    let (broker, _) = life;
                    info!(%broker, "the process of a broker has ended");
                }
            }
            Ok(Err(_)) | Err(_) => (),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Nothing is ever said on it.
async fn until_closed(stream: &TcpStream) {
    while !is_closed(stream) {
        if stream.readable().await.is_err() {
            return;
        }
        // Takes note that there was nothing to read.
        let _nothing = stream.try_read(&mut [0; 1]);
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    let read = SockRef::from(stream).peek(&mut [MaybeUninit::uninit(); 1]);
    match read {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::BrokerId;
    use tokio::net::TcpListener;

    use super::*;

    const LIFE: Life = (BrokerId(2), BrokerEpoch(7));
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn seen(ended: &Ended, sign: Option<Sign>) {
        let mut signs = ended.signs.subscribe();
        let wait = signs.wait_for(|signs| signs.get(&LIFE).copied() == sign);
        let waited = tokio::time::timeout(PATIENCE, wait).await.map(drop);
        assert!(waited.is_ok(), "{sign:?} is not seen");
    }

    #[tokio::test]
    async fn a_process_has_ended_from_when_it_closes_until_it_answers_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let ended = Ended::default();
        let story = async {
            let (first, _) = listener.accept().await.unwrap();
            assert!(!ended.contains(LIFE.0, LIFE.1), "it runs");
            drop(first);
            let (closed_at_once, _) = listener.accept().await.unwrap();
            drop(closed_at_once);
            seen(&ended, Some(Sign::Closed)).await;
            assert!(ended.contains(LIFE.0, LIFE.1), "it may have ended");
            assert_eq!(ended.refused(), [], "another connection is not refused yet");
            seen(&ended, None).await;
            let (second, _) = listener.accept().await.unwrap();
            drop((listener, second));
            seen(&ended, Some(Sign::Refused)).await;
            assert_eq!(ended.refused(), [LIFE]);
            let port = ("127.0.0.1", address.port);
            let _again = TcpListener::bind(port).await.unwrap();
            seen(&ended, None).await;
        };
        tokio::select! {
            () = observe(&ended, LIFE, &address) => unreachable!("it goes on for ever"),
            () = story => (),
        }
    }
}
