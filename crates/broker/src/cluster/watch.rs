//! The active controller notices at once when a broker's process ends.
//!
//! It holds a connection to each broker. The system closes it with the process, and
//! refuses a new one as long as there is no other process: then the broker is gone for
//! sure, and nobody need wait until its silence has lasted long enough. A host that is
//! gone, or a network that is cut, is left to that.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::BrokerId;
use ottla_controller::{BrokerEpoch, Image};
use ottla_rpc::Address;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use crate::broker::Broker;
use crate::tasks::Stop;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Between two attempts where none was refused, and after a connection that did not last
/// as long.
const PAUSE: Duration = Duration::from_millis(200);

/// A broker in one of its lives.
type Life = (BrokerId, BrokerEpoch);

/// Watches over the others for as long as this node is the active controller.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: Stop) {
    let mut images = broker.image_changes();
    let mut active = broker.controller.activity();
    let mut watched: BTreeMap<Life, oneshot::Sender<()>> = BTreeMap::new();
    loop {
        let wanted = if broker.controller.is_active() {
            others(&broker, &broker.image())
        } else {
            BTreeMap::new()
        };
        // Whoever is dropped here is watched no longer.
        watched.retain(|life, _| wanted.contains_key(life));
        for (life, address) in wanted {
            watched
                .entry(life)
                .or_insert_with(|| begin(&broker, life, address, stop.clone()));
        }
        tokio::select! {
            biased;
            () = stop.requested() => return,
            changed = images.changed() => if changed.is_err() { return },
            changed = active.changed() => if changed.is_err() { return },
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
    let controller = broker.clone();
    broker.tasks.spawn("watch", async move {
        tokio::select! {
            biased;
            () = stop.requested() => (),
            _ = dropped => (),
            () = until_gone(&address) => lost(&controller, life),
        }
    });
    watching
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

fn lost(broker: &Broker, (id, epoch): Life) {
    info!(broker = %id, "the process of a broker has ended");
    broker
        .controller
        .tell(ottla_controller::Input::BrokerLost { broker: id, epoch });
}

async fn until_gone(address: &Address) {
    loop {
        let connect = TcpStream::connect((address.host.as_str(), address.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => {
                let began = Instant::now();
                until_closed(stream).await;
                if began.elapsed() < PAUSE {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Nothing is ever said on it.
async fn until_closed(mut stream: TcpStream) {
    let mut said = [0; 1];
    while stream.read(&mut said).await.is_ok_and(|bytes| bytes > 0) {}
}
