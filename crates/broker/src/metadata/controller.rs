//! How the rest of the broker asks the controller for a change.

use std::sync::Arc;

use ottla_base::{ErrorCode, Machine as _, ReplyToken};
use ottla_control::Active;
use ottla_controller::{ControllerMachine, Image, Input, Record, RecordError, Reply, Settings};
use tokio::sync::{mpsc, oneshot, watch};

use super::Event;
use crate::partitions::{Answer, Cell, Host, HostInput, RecoverError, replay};

/// The controller's address. With one node it is the cell of the metadata log.
#[derive(Clone, Debug)]
pub(crate) struct ControllerHandle {
    cell: Arc<Cell>,
    settings: Settings,
    committed: mpsc::UnboundedSender<Event>,
}

/// The controller did not decide: its log failed, or the broker is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is not available")]
pub struct ControllerError;

/// Why the metadata log cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("a record cannot be read: {0}")]
    Record(#[from] RecordError),
}

impl From<ControllerError> for ErrorCode {
    fn from(_: ControllerError) -> Self {
        Self::BrokerNotAvailable
    }
}

impl ControllerHandle {
    pub(crate) fn new(
        cell: Arc<Cell>,
        settings: Settings,
        committed: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            cell,
            settings,
            committed,
        }
    }

    /// Reads the metadata log and lets the controller live in it. Returns what the
    /// log says. Blocks on the disk.
    pub(crate) fn load(&self) -> Result<Image, LoadError> {
        let mut machine = ControllerMachine::new(self.settings.clone());
        let mut unreadable = None;
        replay(
            &*self.cell.store,
            self.cell.log,
            |key, value| match Record::decode(&key.unwrap_or_default(), value.as_deref()) {
                Ok(record) => machine.apply(&record),
                Err(error) => unreadable = unreadable.take().or(Some(error)),
            },
        )?;
        if let Some(error) = unreadable {
            return Err(error.into());
        }
        let image = machine.image().clone();
        self.cell
            .host_ready(|end| Host::controller(machine, end, 0, self.committed.clone()));
        Ok(image)
    }

    /// Submits an input and waits for its reply. By then what was decided is
    /// durable and in the published image.
    pub(crate) async fn ask(
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

    /// Submits an input that nobody waits for.
    pub(crate) fn tell(&self, input: Input) {
        // A controller that is gone has nothing to decide.
        let _not_here = self.cell.tell_host(HostInput::Controller(input));
    }

    /// Whether this node decides.
    pub(crate) fn is_active(&self) -> bool {
        true
    }

    /// Who decides, if that is known.
    pub(crate) fn active(&self) -> Option<Active> {
        None
    }

    /// Tells when this node begins to decide, and when it ends.
    pub(crate) fn activity(&self) -> watch::Receiver<bool> {
        watch::Sender::new(true).subscribe()
    }

    /// The partition that keeps the metadata log.
    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }
}
