//! The side of a node that asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ottla_base::{BrokerId, ErrorCode};
use ottla_rpc::{Address, Channels};
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
    /// Who answered last, or was named.
    active: Mutex<Option<Address>>,
}

/// What one attempt came to.
enum Attempt {
    Answered(Result<Answer, ErrorCode>),
    /// Another node is asked next: this one, if it was named.
    Elsewhere(Option<Active>),
}

impl Client {
    /// A client that looks for the active controller among `candidates`.
    pub fn new(channels: Channels, candidates: Vec<Candidate>) -> Self {
        Self {
            channels,
            candidates,
            active: Mutex::new(None),
        }
    }

    /// Asks until somebody answers: forever, so the caller bounds the time. A request
    /// whose answer was lost is sent again, so it may be carried out twice.
    ///
    /// # Errors
    /// What the active controller refuses with.
    pub async fn ask(&self, request: Request) -> Result<Answer, ErrorCode> {
        let request = convert::request_to_proto(request);
        let mut next = 0;
        loop {
            let known = self.active();
            let address = match &known {
                Some(address) => address.clone(),
                None => match self.candidates.get(next) {
                    Some(candidate) => {
                        next += 1;
                        candidate.address.clone()
                    }
                    None => {
                        next = 0;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            match self.attempt(&address, request.clone()).await {
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
                Attempt::Elsewhere(_) => self.set_active(None),
            }
        }
    }

    async fn attempt(&self, address: &Address, request: proto::Request) -> Attempt {
        let Some(channel) = self.channels.to(address) else {
            return Attempt::Elsewhere(None);
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, call(channel, request)).await {
            Ok(Ok(Ok(answer))) => Attempt::Answered(Ok(answer)),
            Ok(Ok(Err(Refused::Code(code)))) => Attempt::Answered(Err(code)),
            Ok(Ok(Err(Refused::NotActive(active)))) => Attempt::Elsewhere(active),
            Ok(Err(status)) => {
                debug!(%address, %status, "a node does not answer as a controller");
                Attempt::Elsewhere(None)
            }
            Err(_elapsed) => Attempt::Elsewhere(None),
        }
    }

    fn active(&self) -> Option<Address> {
        let active = self.active.lock();
        active.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_active(&self, address: Option<Address>) {
        let active = self.active.lock();
        *active.unwrap_or_else(PoisonError::into_inner) = address;
    }
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
