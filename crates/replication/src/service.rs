//! The leader's end of streams: one for every follower that opens one.

use std::pin::Pin;
use std::sync::Arc;

use ottla_base::BrokerId;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info};

use crate::convert::{FromFollower, Hello};
use crate::proto;
use crate::proto::replication_server::{Replication, ReplicationServer};
use crate::push::{Limits, Push};
use crate::replica::{Node, Replicas};
use crate::throttle::Throttle;

/// The largest message that a follower has to say is a few dozen bytes.
const FROM_FOLLOWER_BYTES_MAX: usize = 4 << 10;

/// What followers open streams to. A clone is the same.
#[derive(Clone, Debug)]
pub struct Leaders {
    node: Arc<dyn Node>,
    replicas: Arc<dyn Replicas>,
    limits: Limits,
    throttle: Arc<Throttle>,
}

impl Leaders {
    pub fn new(
        node: Arc<dyn Node>,
        replicas: Arc<dyn Replicas>,
        limits: Limits,
        throttle: Arc<Throttle>,
    ) -> Self {
        Self {
            node,
            replicas,
            limits,
            throttle,
        }
    }

    /// The service, to be added to the routes of a server.
    pub fn service(
        self,
    ) -> impl tonic::codegen::Service<
        tonic::codegen::http::Request<tonic::body::Body>,
        Response = tonic::codegen::http::Response<tonic::body::Body>,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + tonic::server::NamedService
    + Clone
    + Send
    + Sync
    + 'static {
        ReplicationServer::new(self)
            .max_decoding_message_size(FROM_FOLLOWER_BYTES_MAX)
            .max_encoding_message_size(usize::MAX)
    }

    fn admit(&self, hello: &Hello) -> Result<(), Status> {
        if hello.leader == self.node.id() {
            return Ok(());
        }
        // An address may be another's by now.
        let id = self.node.id();
        Err(Status::failed_precondition(format!(
            "this is broker {id}, not {}",
            hello.leader
        )))
    }
}

type Pushed = Pin<Box<dyn Stream<Item = Result<proto::FromLeader, Status>> + Send>>;

#[tonic::async_trait]
impl Replication for Leaders {
    type ReplicateStream = Pushed;

    async fn replicate(
        &self,
        request: Request<Streaming<proto::FromFollower>>,
    ) -> Result<Response<Pushed>, Status> {
        let mut said = request.into_inner();
        let hello = next(&mut said, self.node.id()).await?;
        let Some(FromFollower::Hello(hello)) = hello else {
            return Err(Status::invalid_argument("a stream begins with a hello"));
        };
        self.admit(&hello)?;
        let (limits, throttle) = (self.limits, self.throttle.clone());
        let push = Push::new(&hello, limits, self.node.clone(), throttle);
        let listening = listen(self.clone(), hello.broker, push.clone(), said);
        self.node.spawn("follower", Box::pin(listening));
        let guard = CloseOnDrop(push);
        let pushed = futures::stream::unfold(guard, |guard| async move {
            let message = guard.0.next().await?;
            Some((Ok(message.into_proto()), guard))
        });
        Ok(Response::new(Box::pin(pushed)))
    }
}

/// Ends a stream's other half with it.
#[derive(Debug)]
struct CloseOnDrop(Arc<Push>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Hears what a follower says, until it is gone or this broker stops.
async fn listen(
    leaders: Leaders,
    follower: BrokerId,
    push: Arc<Push>,
    mut said: Streaming<proto::FromFollower>,
) {
    info!(%follower, "a follower has come");
    let _close = CloseOnDrop(push.clone());
    let mut stopping = leaders.node.stopping();
    loop {
        let message = tokio::select! {
            biased;
            () = &mut stopping => return,
            message = next(&mut said, leaders.node.id()) => message,
        };
        match message {
            Ok(Some(message)) => obey(&leaders, &push, message),
            Ok(None) => break,
            Err(status) => {
                debug!(%follower, %status, "a follower's stream broke");
                break;
            }
        }
    }
    info!(%follower, "a follower has gone");
}

fn obey(leaders: &Leaders, push: &Push, message: FromFollower) {
    match message {
        FromFollower::Follow(partition, position, room) => {
            let leading = leaders.replicas.leading(partition);
            push.follow(partition, &position, room, leading);
        }
        FromFollower::Acknowledged(partition, done) => push.acknowledged(partition, done),
        FromFollower::Unfollow(partition) => push.unfollow(partition),
        FromFollower::Confirmed(partition, round) => push.confirmed(partition, round),
        // Once is enough.
        FromFollower::Hello(_) => (),
    }
}

async fn next(
    said: &mut Streaming<proto::FromFollower>,
    leader: BrokerId,
) -> Result<Option<FromFollower>, Status> {
    let Some(message) = said.message().await? else {
        return Ok(None);
    };
    let understood = FromFollower::from_proto(message, leader);
    understood
        .map(Some)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}
