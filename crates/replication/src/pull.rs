//! The follower's end of a stream: connected for as long as anything is followed there.

use std::sync::Arc;
use std::time::Duration;

use ottla_rpc::{Address, Channels};
use tokio::sync::watch;
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use crate::convert::{ConvertError, FromFollower, FromLeader, Hello};
use crate::link::Link;
use crate::proto;
use crate::proto::replication_client::ReplicationClient;
use crate::replica::Node;

/// After a stream that worked the next is tried at once, and then after pauses that
/// double from the one to the other.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(1_000);

/// The largest message that is understood: far above what is sent, but a single batch
/// may be as large as `message.max.bytes` lets it be.
const FROM_LEADER_BYTES_MAX: usize = 1 << 30;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{}", .0.message())]
    Stream(#[from] Status),
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error("the leader closed it")]
    Closed,
}

/// Keeps a stream to the leader open, until the broker stops.
pub(crate) async fn run(link: Arc<Link>, node: Arc<dyn Node>, channels: Channels) {
    let mut stopping = node.stopping();
    tokio::select! {
        biased;
        () = &mut stopping => (),
        () = keep_open(&link, &*node, &channels) => (),
    }
    link.close();
}

async fn keep_open(link: &Arc<Link>, node: &dyn Node, channels: &Channels) {
    let mut addresses = link.address.subscribe();
    let mut pause = None;
    while let Some(address) = wanted(link, node, &mut addresses).await {
        let mut worked = false;
        let broken = tokio::select! {
            biased;
            changed = addresses.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
            broken = follow(link, node, channels, &address, &mut worked) => Some(broken),
        };
        link.end();
        if worked {
            pause = None;
        }
        match (broken, pause) {
            (None, _) => pause = None,
            (Some(broken), None) => {
                info!(leader = %link.leader, %address, %broken, "the stream to a leader broke");
                pause = Some(PAUSE_MIN);
            }
            (Some(broken), Some(wait)) => {
                debug!(leader = %link.leader, %address, %broken, "a leader is not reached");
                let moved = tokio::time::timeout(wait, addresses.changed()).await;
                pause = match moved {
                    Ok(_) => None,
                    Err(_) => Some(PAUSE_MAX.min(wait * 2)),
                };
            }
        }
    }
}

/// Waits until something is followed there, it is known where that is, and this broker
/// has an epoch to come with.
async fn wanted(
    link: &Link,
    node: &dyn Node,
    addresses: &mut watch::Receiver<Option<Address>>,
) -> Option<Address> {
    let mut wanted = link.wanted.subscribe();
    wanted.wait_for(|wanted| *wanted).await.ok()?;
    let known = addresses.wait_for(|known| known.is_some() && node.broker_epoch() >= 0);
    let known = known.await.ok()?;
    known.clone()
}

/// One stream, from its beginning to its end.
async fn follow(
    link: &Arc<Link>,
    node: &dyn Node,
    channels: &Channels,
    address: &Address,
    worked: &mut bool,
) -> Broken {
    match open(link, node, channels, address).await {
        Ok(said) => {
            *worked = true;
            info!(leader = %link.leader, %address, "following a leader");
            hear(link, said).await
        }
        Err(status) => status.into(),
    }
}

async fn open(
    link: &Arc<Link>,
    node: &dyn Node,
    channels: &Channels,
    address: &Address,
) -> Result<Streaming<proto::FromLeader>, Status> {
    let Some(channel) = channels.separate(address) else {
        warn!(leader = %link.leader, %address, "a broker has an address that is none");
        return Err(Status::invalid_argument("no address"));
    };
    let leader = link.leader;
    let hello = FromFollower::Hello(Hello {
        broker: node.id(),
        broker_epoch: node.broker_epoch(),
        leader,
    });
    let stream = link.begin();
    let first = tokio_stream::once(hello.to_proto(leader));
    let rest = futures::stream::unfold(link.clone(), move |link| async move {
        let said = link.next(stream).await?;
        Some((said.to_proto(leader), link))
    });
    let said = futures::StreamExt::chain(first, rest);
    let mut client = ReplicationClient::new(channel)
        .max_decoding_message_size(FROM_LEADER_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    Ok(client.replicate(said).await?.into_inner())
}

async fn hear(link: &Link, mut said: Streaming<proto::FromLeader>) -> Broken {
    loop {
        let message = match said.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Broken::Closed,
            Err(status) => return status.into(),
        };
        match FromLeader::from_proto(message) {
            Ok(message) => link.hear(message),
            Err(error) => {
                warn!(leader = %link.leader, %error, "a leader is not understood");
                return error.into();
            }
        }
    }
}
