//! What a voter answers to others.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse};
use ottla_base::Offset;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::codec::{self, CodecError, Wire};
use crate::fold::Commit;
use crate::proto::metadata_event::Event;
use crate::proto::quorum_server::{Quorum, QuorumServer};
use crate::proto::{
    Committed, FollowRequest, Greeted, Greeting, MetadataEvent, RaftMessage, Record, Snapshot,
};
use crate::raft::{Metrics, NodeId, Raft, TypeConfig};
use crate::voter::{Shared, Voter};

/// More than any entry, part of a snapshot, or whole image has.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Answers for one voter.
#[derive(Clone, Debug)]
pub struct Service {
    shared: Arc<Shared>,
}

impl Voter {
    /// What other nodes ask this one.
    pub fn service(&self) -> QuorumServer<Service> {
        let shared = self.shared.clone();
        QuorumServer::new(Service { shared })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl Service {
    fn raft(&self) -> Result<Raft, Status> {
        self.shared
            .raft()
            .ok_or_else(|| Status::unavailable("the metadata log is not open"))
    }
}

fn asked<T: Wire>(request: Request<RaftMessage>) -> Result<T, Status> {
    let refused = |error: CodecError| Status::invalid_argument(error.to_string());
    codec::decode(request.into_inner().payload).map_err(refused)
}

fn answered(answer: &impl Wire) -> Response<RaftMessage> {
    Response::new(RaftMessage {
        payload: codec::encode(answer),
    })
}

fn unavailable(error: impl std::error::Error) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl Quorum for Service {
    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let answer = self.raft()?.vote(asked(request)?).await;
        Ok(answered(&answer.map_err(unavailable)?))
    }

    async fn greet(&self, _: Request<Greeting>) -> Result<Response<Greeted>, Status> {
        let has_leader = self.shared.has_leader();
        Ok(Response::new(Greeted { has_leader }))
    }

    async fn append(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let answer = self.raft()?.append_entries(asked(request)?).await;
        let answer = answer.map_err(unavailable)?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.shared.leader_heard.now();
        }
        Ok(answered(&answer))
    }

    async fn install_snapshot(
        &self,
        request: Request<RaftMessage>,
    ) -> Result<Response<RaftMessage>, Status> {
        let request: InstallSnapshotRequest<TypeConfig> = asked(request)?;
        let leader = request.vote;
        let installed = self.raft()?.install_snapshot(request).await;
        let answer: Result<InstallSnapshotResponse<NodeId>, InstallSnapshotError> = match installed
        {
            Ok(installed) => {
                if installed.vote == leader {
                    self.shared.leader_heard.now();
                }
                Ok(installed)
            }
            Err(RaftError::APIError(refused)) => Err(refused),
            Err(RaftError::Fatal(fatal)) => return Err(unavailable(fatal)),
        };
        Ok(answered(&answer))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<MetadataEvent, Status>> + Send>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let from = Offset(request.into_inner().from);
        let metrics = self.shared.metrics();
        if self.shared.leader(&metrics.borrow()).is_none() {
            return Err(leaderless());
        }
        let followed = self.shared.fold.follow();
        if from > followed.end {
            return Err(Status::unavailable("this voter is behind"));
        }
        let first = (from < followed.changed || from == Offset::ZERO).then(|| Snapshot {
            end: followed.end.0,
            records: followed.image.records().iter().map(stored).collect(),
        });
        let following = Following {
            shared: self.shared.clone(),
            first: first.map(|snapshot| event(Event::Snapshot(snapshot))),
            commits: followed.commits,
            metrics,
        };
        let events = stream::unfold(Some(following), |following| async {
            let mut following = following?;
            match following.next().await {
                Ok(event) => Some((Ok(event), Some(following))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(events)))
    }
}

/// One stream to a node that is no voter.
struct Following {
    shared: Arc<Shared>,
    first: Option<MetadataEvent>,
    commits: broadcast::Receiver<Commit>,
    metrics: watch::Receiver<Metrics>,
}

impl Following {
    async fn next(&mut self) -> Result<MetadataEvent, Status> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            tokio::select! {
                biased;
                commit = self.commits.recv() => return match commit {
                    Ok(Commit { end, records }) => Ok(event(Event::Committed(Committed {
                        end: end.0,
                        records: records.iter().map(stored).collect(),
                    }))),
                    Err(RecvError::Lagged(_)) => Err(Status::aborted("the follower is too slow")),
                    Err(RecvError::Closed) => Err(Status::unavailable("this voter stops")),
                },
                // Whoever follows a voter without a leader would wait for nothing, while
                // another may have one.
                _stops = self.metrics.changed() => {
                    if self.shared.leader(&self.metrics.borrow_and_update()).is_none() {
                        return Err(leaderless());
                    }
                }
            }
        }
    }
}

fn leaderless() -> Status {
    Status::unavailable("this voter knows of no leader")
}

fn event(event: Event) -> MetadataEvent {
    MetadataEvent { event: Some(event) }
}

fn stored(record: &ottla_controller::Record) -> Record {
    let value: Option<Bytes> = record.value();
    Record {
        key: record.key(),
        value,
    }
}
