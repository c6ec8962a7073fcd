//! The side of the controller.

use std::sync::Arc;

use tonic::{Request as Call, Response, Status};

use crate::proto::control_server::{Control, ControlServer};
use crate::request::{Answer, Refused, Request};
use crate::{convert, proto};

/// Who answers, or says who does.
pub trait Controller: Send + Sync + 'static {
    fn ask(&self, request: Request) -> impl Future<Output = Result<Answer, Refused>> + Send;
}

/// The gRPC service of a node, for its routes.
pub fn service<C: Controller>(controller: Arc<C>) -> ControlServer<impl Control> {
    // What is forwarded is as large as a client's request may be, which was checked
    // where it came from.
    ControlServer::new(Service(controller))
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

#[derive(Debug)]
struct Service<C>(Arc<C>);

#[tonic::async_trait]
impl<C: Controller> Control for Service<C> {
    async fn ask(&self, call: Call<proto::Request>) -> Result<Response<proto::Answer>, Status> {
        let request = convert::request_from_proto(call.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let answer = self.0.ask(request).await;
        Ok(Response::new(convert::answer_to_proto(answer)))
    }
}
