//! What a voter says to the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use ottla_rpc::{Address, Channels};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::{info, warn};

use crate::codec::{self, Wire};
use crate::proto::quorum_client::QuorumClient;
use crate::proto::{Greeted, Greeting, RaftMessage};
use crate::raft::{NodeId, TypeConfig};
use crate::service::MESSAGE_BYTES_MAX;

/// A leader that most have not answered for so long sends nothing before somebody does.
/// Whoever hears a leader elects no other, and one that hears nobody is none.
const QUIET: Duration = Duration::from_millis(500);

/// A voter that cannot be reached is tried again after this time.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(100);

type RpcError<E = openraft::error::Infallible> = RPCError<NodeId, (), RaftError<NodeId, E>>;

/// Where the voters are.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub channels: Channels,
    pub addresses: Arc<BTreeMap<NodeId, Address>>,
    pub heard: Heard,
}

/// When each of the others answered, and took what this voter, as their leader, sent. A
/// clone is the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<BTreeMap<NodeId, HeardOf>>>);

/// When one voter answered anything at all, took something, and had all that was committed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeardOf {
    answered: Option<Instant>,
    pub took: Option<Instant>,
    pub caught_up: Option<Instant>,
}

impl Heard {
    pub(crate) fn of_all(&self) -> BTreeMap<NodeId, HeardOf> {
        self.all().clone()
    }

    fn answered(&self, id: NodeId) {
        self.all().entry(id).or_default().answered = Some(Instant::now());
    }

    /// Whether most of so many voters answered within that time; this one always does.
    fn most_within(&self, time: Duration, voters: usize) -> bool {
        let all = self.all();
        let answered = all.values().filter_map(|of| of.answered);
        let lately = answered.filter(|at| at.elapsed() < time).count();
        2 * (lately + 1) > voters
    }

    fn within(&self, time: Duration, id: NodeId) -> bool {
        let answered = self.all().get(&id).and_then(|of| of.answered);
        answered.is_some_and(|at| at.elapsed() < time)
    }

    fn took(&self, id: NodeId, asked: Instant, is_caught_up: bool) {
        let mut heard = self.all();
        let of = heard.entry(id).or_default();
        of.took = Some(asked);
        if is_caught_up {
            of.caught_up = Some(asked);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<NodeId, HeardOf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Peer {
    id: NodeId,
    client: Option<QuorumClient<Channel>>,
    /// Whether it was told that this one does not answer.
    is_away: bool,
    heard: Heard,
    voters: usize,
}

impl Network {
    /// Every voter but this one.
    pub(crate) fn others_than(&self, node: NodeId) -> Vec<Peer> {
        let others = self.addresses.keys().filter(|id| **id != node);
        others.map(|id| self.peer(*id)).collect()
    }

    fn peer(&self, target: NodeId) -> Peer {
        let address = self.addresses.get(&target);
        let channel = address.and_then(|address| self.channels.to(address));
        Peer {
            id: target,
            is_away: false,
            heard: self.heard.clone(),
            voters: self.addresses.len(),
            client: channel.map(|channel| {
                QuorumClient::new(channel)
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX)
            }),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, (): &()) -> Peer {
        self.peer(target)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("it has no valid address")]
    NoAddress,
    #[error("most voters do not answer")]
    Alone,
    #[error(transparent)]
    Status(#[from] Status),
    #[error(transparent)]
    Answer(#[from] codec::CodecError),
}

impl Peer {
    fn client(&self) -> Result<QuorumClient<Channel>, CallError> {
        self.client.clone().ok_or(CallError::NoAddress)
    }

    /// For what a leader sends: to nobody unless most answer. Whoever did would wait for it
    /// and keep the others from a majority of their own.
    async fn leading(&self) -> Result<QuorumClient<Channel>, CallError> {
        let most_answer = || self.heard.most_within(QUIET, self.voters);
        if !most_answer() {
            self.greet().await?;
            if !most_answer() {
                return Err(CallError::Alone);
            }
        }
        self.client()
    }

    /// Once it has answered, or just after it did.
    async fn greeted(&self) -> Result<QuorumClient<Channel>, CallError> {
        if !self.heard.within(QUIET, self.id) {
            self.greet().await?;
        }
        self.client()
    }

    async fn greet(&self) -> Result<Greeted, CallError> {
        let answered = self.client()?.greet(Greeting {}).await?;
        self.heard.answered(self.id);
        Ok(answered.into_inner())
    }

    /// Whether it says that it hears no leader.
    pub(crate) async fn is_leaderless(&self) -> bool {
        self.greet().await.is_ok_and(|greeted| !greeted.has_leader)
    }

    /// Tells once that it is away, and once that it is back.
    fn tell_away(&mut self, why: Option<&CallError>) {
        let (was_away, node) = (self.is_away, self.id);
        self.is_away = why.is_some();
        match why {
            Some(error) if !was_away => warn!(node, %error, "another controller does not answer"),
            None if was_away => info!(node, "another controller answers again"),
            Some(_) | None => (),
        }
    }

    /// As openraft wants it: who cannot be reached is left alone for a while.
    fn error<E: std::error::Error>(&self, error: CallError) -> RpcError<E> {
        match error {
            CallError::Status(status) if status.code() == Code::Aborted => {
                RPCError::RemoteError(RemoteError::new(self.id, Fatal::Stopped.into()))
            }
            CallError::Answer(_) => RPCError::Network(NetworkError::new(&error)),
            CallError::NoAddress | CallError::Alone | CallError::Status(_) => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
        }
    }
}

fn message(value: &impl Wire) -> RaftMessage {
    RaftMessage {
        payload: codec::encode(value),
    }
}

fn answer<T: Wire>(payload: Bytes) -> Result<T, CallError> {
    Ok(codec::decode(payload)?)
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        let call = async {
            let answered = self.leading().await?.append(message(&request)).await?;
            self.heard.answered(self.id);
            answer(answered.into_inner().payload)
        };
        let asked = Instant::now();
        let answered = call.await;
        self.tell_away(answered.as_ref().err());
        if let Ok(AppendEntriesResponse::Success) = answered {
            let last = request.entries.last().map(|entry| entry.log_id);
            let is_caught_up = last.max(request.prev_log_id) >= request.leader_commit;
            self.heard.took(self.id, asked, is_caught_up);
        }
        answered.map_err(|error| self.error(error))
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, RpcError<InstallSnapshotError>> {
        let call = async {
            let mut client = self.leading().await?;
            let answered = client.install_snapshot(message(&request)).await?;
            self.heard.answered(self.id);
            answer::<Result<_, InstallSnapshotError>>(answered.into_inner().payload)
        };
        let installed = call.await.map_err(|error| self.error(error))?;
        installed.map_err(|refused| {
            RPCError::RemoteError(RemoteError::new(self.id, RaftError::APIError(refused)))
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        _: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        // A voter that does not hear the others would have them elect it term after term.
        let call = async {
            let mut client = self.greeted().await?;
            let answered = client.vote(message(&request)).await?;
            self.heard.answered(self.id);
            answer(answered.into_inner().payload)
        };
        call.await.map_err(|error| self.error(error))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(UNREACHABLE_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::Stream;
    use openraft::Vote;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tonic::service::Routes;
    use tonic::{Request, Response};

    use super::*;
    use crate::proto::quorum_server::{Quorum, QuorumServer};
    use crate::proto::{FollowRequest, MetadataEvent};

    const ITSELF: NodeId = 1;
    const OTHER: NodeId = 2;
    const THIRD: NodeId = 3;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A voter that says what it was asked, and answers nothing.
    #[derive(Debug)]
    struct Mute(mpsc::UnboundedSender<&'static str>);

    #[tonic::async_trait]
    impl Quorum for Mute {
        async fn greet(&self, _: Request<Greeting>) -> Result<Response<Greeted>, Status> {
            self.0.send("greet").expect("somebody listens");
            std::future::pending().await
        }

        async fn vote(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
            self.0.send("vote").expect("somebody listens");
            std::future::pending().await
        }

        async fn append(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
            self.0.send("append").expect("somebody listens");
            std::future::pending().await
        }

        async fn install_snapshot(
            &self,
            _: Request<RaftMessage>,
        ) -> Result<Response<RaftMessage>, Status> {
            std::future::pending().await
        }

        type FollowStream = Pin<Box<dyn Stream<Item = Result<MetadataEvent, Status>> + Send>>;

        async fn follow(
            &self,
            _: Request<FollowRequest>,
        ) -> Result<Response<Self::FollowStream>, Status> {
            std::future::pending().await
        }
    }

    /// What the other one of three is asked first, and until `story` has ended.
    async fn asked(story: impl AsyncFnOnce(&mut Peer)) -> Vec<&'static str> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let (asked, mut asks) = mpsc::unbounded_channel();
        let (handoff, incoming) = ottla_rpc::incoming();
        let routes = Routes::new(QuorumServer::new(Mute(asked)));
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            handoff.put(stream);
            ottla_rpc::serve(routes, incoming, std::future::pending()).await
        };
        let addresses = [ITSELF, OTHER, THIRD].map(|id| (id, address.clone()));
        let mut network = Network {
            channels: Channels::default(),
            addresses: Arc::new(BTreeMap::from(addresses)),
            heard: Heard::default(),
        };
        let mut first = None;
        let story = async {
            let mut other = network.new_client(OTHER, &()).await;
            tokio::select! {
                () = story(&mut other) => (),
                asked = asks.recv() => first = asked,
            }
        };
        tokio::select! {
            served = serving => panic!("{served:?}"),
            told = tokio::time::timeout(PATIENCE, story) => told.expect("it was asked"),
        }
        let mut all = Vec::from_iter(first);
        while let Ok(more) = asks.try_recv() {
            all.push(more);
        }
        all
    }

    #[tokio::test]
    async fn who_does_not_hear_the_others_asks_for_no_votes() {
        let asked = asked(async |other| {
            let request = VoteRequest::new(Vote::new(7, ITSELF), None);
            let voted = other.vote(request, RPCOption::new(PATIENCE)).await;
            panic!("{voted:?}");
        });
        assert_eq!(asked.await, ["greet"]);
    }

    async fn append(other: &mut Peer) {
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(7, ITSELF),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let taken = other
            .append_entries(request, RPCOption::new(PATIENCE))
            .await;
        panic!("{taken:?}");
    }

    #[tokio::test]
    async fn a_leader_that_hears_nobody_is_not_heard_as_one() {
        let asked = asked(async |other| append(other).await);
        assert_eq!(asked.await, ["greet"]);
    }

    #[tokio::test]
    async fn a_leader_that_most_answer_is_heard_by_who_does_not_answer_too() {
        let asked = asked(async |other| {
            other.heard.answered(THIRD);
            append(other).await;
        });
        assert_eq!(asked.await, ["append"]);
    }
}
