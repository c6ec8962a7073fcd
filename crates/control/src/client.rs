//! The side of a node that asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::{BrokerId, ErrorCode};
use ottla_rpc::{Address, Channels};
use tokio::sync::watch;
use tonic::transport::Channel;
use tracing::debug;

use crate::proto::control_client::ControlClient;
use crate::request::{Active, Answer, Refused, Request};
use crate::{convert, proto};

/// Between two rounds of asking everybody who is active.
const PAUSE: Duration = Duration::from_millis(50);

/// How long one node may take to answer one request, so that one that hangs does not
/// keep others from being asked.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2_000);

/// A node that may be the active controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// None where only the address is known.
    pub id: Option<BrokerId>,
    pub address: Address,
}

/// Finds the active controller and asks it. Shared by all who ask.
#[derive(Debug)]
pub struct Client {
    channels: Channels,
    candidates: Vec<Candidate>,
    /// How many candidates were asked where nobody was known. Who asks goes on where others
    /// ended: one that hangs may take all the time that somebody has.
    tried: AtomicUsize,
    /// Who answered last, or was named.
    active: watch::Sender<Option<Address>>,
    /// Who is the active one by what this node knows itself.
    elected: Mutex<Option<Address>>,
}

/// What one attempt came to.
enum Attempt {
    Answered(Result<Answer, ErrorCode>),
    /// It does not decide, and knows nobody who does. One that was just elected does not
    /// know it at once.
    NotYet,
    /// Another node is asked next: this one, if it was named.
    Elsewhere(Option<Active>),
}

impl Client {
    /// A client that looks for the active controller among `candidates`.
    pub fn new(channels: Channels, candidates: Vec<Candidate>) -> Self {
        Self {
            channels,
            candidates,
            tried: AtomicUsize::new(0),
            active: watch::Sender::new(None),
            elected: Mutex::default(),
        }
    }

    /// This node is the active one from now on. Whoever waits for another one's answer
    /// asks it instead: the other may be silent because it is gone.
    pub fn turn_to(&self, address: Address) {
        *self.elected() = Some(address.clone());
        self.set_active(Some(address));
    }

    /// Asks until somebody answers: forever, so the caller bounds the time. A request
    /// whose answer was lost is sent again, so it may be carried out twice.
    ///
    /// # Errors
    /// What the active controller refuses with.
    pub async fn ask(&self, request: Request) -> Result<Answer, ErrorCode> {
        let request = convert::request_to_proto(request);
        let mut active = self.active.subscribe();
        let mut left = self.candidates.len();
        loop {
            let known = active.borrow_and_update().clone();
            let address = match &known {
                Some(address) => address.clone(),
                None if left == 0 => {
                    left = self.candidates.len();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                None => {
                    left -= 1;
                    self.next_candidate()
                }
            };
            let attempt = tokio::select! {
                biased;
                attempt = self.attempt(&address, request.clone()) => attempt,
                _ = active.wait_for(|active| is_other(active.as_ref(), &address)) => continue,
            };
            match attempt {
                Attempt::Answered(answer) => {
                    self.set_active(Some(address));
                    return answer;
                }
                Attempt::Elsewhere(Some(active)) if active.address != address => {
                    self.set_active(Some(active.address));
                    if known.is_some() {
                        // Two nodes that name each other are not asked in a circle
                        // without a pause.
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Attempt::NotYet if self.elected().as_ref() == Some(&address) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Attempt::NotYet | Attempt::Elsewhere(_) => self.set_active(None),
            }
        }
    }

    fn next_candidate(&self) -> Address {
        let tried = self.tried.fetch_add(1, Ordering::Relaxed);
        let candidate = &self.candidates[tried % self.candidates.len()];
        candidate.address.clone()
    }

    fn elected(&self) -> MutexGuard<'_, Option<Address>> {
        self.elected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, address: &Address, request: proto::Request) -> Attempt {
        let Some(channel) = self.channels.to(address) else {
            return Attempt::Elsewhere(None);
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, call(channel, request)).await {
            Ok(Ok(Ok(answer))) => Attempt::Answered(Ok(answer)),
            Ok(Ok(Err(Refused::Code(code)))) => Attempt::Answered(Err(code)),
            Ok(Ok(Err(Refused::NotActive(None)))) => Attempt::NotYet,
            Ok(Ok(Err(Refused::NotActive(active)))) => Attempt::Elsewhere(active),
            Ok(Err(status)) => {
                debug!(%address, %status, "a node does not answer as a controller");
                Attempt::Elsewhere(None)
            }
            Err(_elapsed) => Attempt::Elsewhere(None),
        }
    }

    fn set_active(&self, address: Option<Address>) {
        self.active.send_if_modified(|active| {
            let changes = *active != address;
            *active = address;
            changes
        });
    }
}

fn is_other(active: Option<&Address>, asked: &Address) -> bool {
    active.is_some_and(|active| active != asked)
}

async fn call(
    channel: Channel,
    request: proto::Request,
) -> Result<Result<Answer, Refused>, tonic::Status> {
    let mut client = ControlClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let answer = client.ask(request).await?.into_inner();
    convert::answer_from_proto(answer).map_err(|error| tonic::Status::internal(error.to_string()))
}
