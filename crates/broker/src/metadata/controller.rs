//! How the rest of the broker asks the controller for a change.

use std::sync::Arc;

use ottla_base::{ErrorCode, ReplyToken};
use ottla_controller::{Input, Reply};
use tokio::sync::{mpsc, oneshot};

use super::Event;
use crate::partitions::{Answer, Cell, HostInput};

/// The controller's address. With one node it is the cell of the metadata log.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    cell: Arc<Cell>,
    committed: mpsc::UnboundedSender<Event>,
}

/// The controller did not decide: its log failed, or the broker is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is not available")]
pub struct ControllerError;

impl From<ControllerError> for ErrorCode {
    fn from(_: ControllerError) -> Self {
        Self::BrokerNotAvailable
    }
}

impl ControllerHandle {
    pub fn new(cell: Arc<Cell>, committed: mpsc::UnboundedSender<Event>) -> Self {
        Self { cell, committed }
    }

    /// Submits an input and waits for its reply. By then what was decided is
    /// durable and in the published image.
    pub async fn ask(
        &self,
        input: impl FnOnce(ReplyToken) -> Input,
    ) -> Result<Reply, ControllerError> {
        let (to, reply) = oneshot::channel();
        let answer = Answer::Controller(to, self.committed.clone());
        self.cell
            .host(answer, |token| HostInput::Controller(input(token)))
            .map_err(|_| ControllerError)?;
        reply.await.map_err(|_| ControllerError)
    }

    /// The partition that keeps the metadata log.
    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }
}
