//! The controller of this node: the machine that decides while this node is the
//! active one, over the log that the quorum keeps.
//!
//! A short lock guards the machine. What it decides is proposed under it, so that
//! proposals come in the order of decisions; replies leave when theirs is committed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_base::{BrokerId, ClusterId, Offset, ReplyToken, Shard, ShardLog};
use ottla_control::Active;
use ottla_controller::{
    BootstrapError, ControllerMachine, CredentialId, Image, Input, Record, Reply, ScramCredential,
    Settings,
};
use ottla_quorum::{Participant, Proposer};
use ottla_rpc::Address;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::error;

use super::Event;
use crate::clock::SystemClock;
use crate::tasks::Stop;

/// The controller's address. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct ControllerHandle {
    shared: Arc<Shared>,
}

/// What a [`ControllerHandle`] is made from.
#[derive(Debug)]
pub(crate) struct ControllerParts {
    pub settings: Settings,
    pub clock: SystemClock,
    /// What is committed goes here, and so do replies, in order.
    pub events: mpsc::UnboundedSender<Event>,
    pub proposer: Proposer,
    /// Where the voters are that may be active instead.
    pub voters: HashMap<BrokerId, Address>,
    pub beginning: Beginning,
}

/// What the metadata of a new cluster begins with.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub cluster: ClusterId,
    pub credentials: Vec<(CredentialId, Arc<ScramCredential>)>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    clock: SystemClock,
    events: mpsc::UnboundedSender<Event>,
    proposer: Proposer,
    voters: HashMap<BrokerId, Address>,
    beginning: Beginning,
    state: Mutex<State>,
    activity: watch::Sender<bool>,
    /// Why this node may not decide: the metadata is of another cluster.
    refused: watch::Sender<Option<BootstrapError>>,
    /// The next deadline may have changed.
    rescheduled: Notify,
}

#[derive(Debug)]
enum State {
    Active(Box<Deciding>),
    Passive(Other),
}

/// Who decides instead.
#[derive(Clone, Copy, Debug, Default)]
struct Other {
    /// None if nobody does, as far as is known.
    active: Option<BrokerId>,
    /// Who did last.
    last: Option<BrokerId>,
}

/// A term of this node as the active controller.
#[derive(Debug)]
struct Deciding {
    term: u64,
    shard: Shard<ControllerMachine>,
    /// The number of the last proposal; offsets of the shard are these numbers.
    proposed: u64,
    last_token: u64,
    /// Dropped with the term, which tells who waits.
    waiting: HashMap<ReplyToken, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Caller(oneshot::Sender<Reply>),
    /// Nobody: the machine was told what the cluster begins with.
    Beginning,
}

/// The controller did not decide: another node is active, or none, or the broker is
/// stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is not available")]
pub(crate) struct ControllerError;

impl ControllerHandle {
    pub(crate) fn new(parts: ControllerParts) -> Self {
        let shared = Shared {
            settings: parts.settings,
            clock: parts.clock,
            events: parts.events,
            proposer: parts.proposer,
            voters: parts.voters,
            beginning: parts.beginning,
            state: Mutex::new(State::Passive(Other::default())),
            activity: watch::Sender::new(false),
            refused: watch::Sender::new(None),
            rescheduled: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Who hears from the quorum on this node's behalf.
    pub(crate) fn participant(&self) -> Arc<dyn Participant> {
        self.shared.clone()
    }

    /// Submits an input and waits for its reply. By then what was decided is durable,
    /// and in the image that this node publishes.
    pub(crate) async fn ask(
        &self,
        input: impl FnOnce(ReplyToken) -> Input,
    ) -> Result<Reply, ControllerError> {
        let (to, reply) = oneshot::channel();
        self.shared.decide(|deciding| {
            let token = deciding.expect(Waiting::Caller(to));
            input(token)
        });
        reply.await.map_err(|_| ControllerError)
    }

    /// Submits an input that nobody waits for.
    pub(crate) fn tell(&self, input: Input) {
        self.shared.decide(|_| input);
    }

    /// Whether this node decides.
    pub(crate) fn is_active(&self) -> bool {
        *self.shared.activity.borrow()
    }

    /// Who decides, if that is known and another node.
    pub(crate) fn active(&self) -> Option<Active> {
        let id = match &*self.shared.lock() {
            State::Active(_) => return None,
            State::Passive(other) => other.active?,
        };
        let address = self.shared.voters.get(&id)?.clone();
        Some(Active { id, address })
    }

    /// Where a voter is; none of one that has nobody to speak to.
    pub(crate) fn voter(&self, id: BrokerId) -> Option<&Address> {
        let address = self.shared.voters.get(&id);
        address.filter(|address| address.port != 0)
    }

    /// Tells when this node begins to decide, and when it ends.
    pub(crate) fn activity(&self) -> watch::Receiver<bool> {
        self.shared.activity.subscribe()
    }

    /// Returns if the metadata turns out to be another cluster's.
    pub(crate) async fn refused(&self) -> BootstrapError {
        let mut refused = self.shared.refused.subscribe();
        loop {
            if let Some(error) = refused.borrow_and_update().clone() {
                return error;
            }
            if refused.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Wakes the machine when it wants to be, until the broker stops.
    pub(crate) async fn run(self, mut stop: Stop) {
        loop {
            let deadline = self.shared.next_deadline();
            let wait = deadline.map(|at| self.shared.clock.until(at));
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = self.shared.rescheduled.notified() => (),
                () = sleep(wait) => self.shared.tick(),
            }
        }
    }
}

async fn sleep(wait: Option<std::time::Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Gives the machine an input, if this node decides.
    fn decide(&self, input: impl FnOnce(&mut Deciding) -> Input) {
        let mut state = self.lock();
        if let State::Active(deciding) = &mut *state {
            let input = input(deciding);
            let now = self.clock.now();
            self.drive(deciding, |shard, log| shard.handle(now, input, log));
        }
    }

    fn tick(&self) {
        let mut state = self.lock();
        if let State::Active(deciding) = &mut *state {
            let now = self.clock.now();
            self.drive(deciding, |shard, log| shard.tick(now, log));
        }
    }

    fn drive(
        &self,
        deciding: &mut Deciding,
        call: impl FnOnce(
            &mut Shard<ControllerMachine>,
            &mut ProposingLog<'_>,
        ) -> Result<(), ottla_base::MustReload<Infallible>>,
    ) {
        let before = deciding.shard.next_deadline();
        let mut log = ProposingLog {
            proposer: &self.proposer,
            term: deciding.term,
            proposed: &mut deciding.proposed,
        };
        let Ok(()) = call(&mut deciding.shard, &mut log);
        let released = deciding.shard.released();
        self.answer(deciding, released);
        if deciding.shard.next_deadline() != before {
            self.rescheduled.notify_one();
        }
    }

    fn answer(&self, deciding: &mut Deciding, replies: Vec<(ReplyToken, Reply)>) {
        for (token, reply) in replies {
            match deciding.waiting.remove(&token) {
                Some(Waiting::Caller(to)) => {
                    // The metadata task outlives the controller, but for the last moments.
                    let _stopping = self.events.send(Event::Reply(to, reply));
                }
                Some(Waiting::Beginning) => {
                    if let Reply::Bootstrap(Err(error)) = reply {
                        error!(%error, "this node cannot be the active controller");
                        self.refused.send_replace(Some(error));
                    }
                }
                None => (),
            }
        }
    }

    fn next_deadline(&self) -> Option<ottla_base::Millis> {
        match &*self.lock() {
            State::Active(deciding) => deciding.shard.next_deadline(),
            State::Passive(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deciding {
    fn expect(&mut self, waiting: Waiting) -> ReplyToken {
        self.last_token += 1;
        let token = ReplyToken(self.last_token);
        self.waiting.insert(token, waiting);
        token
    }
}

impl Participant for Shared {
    fn on_committed(&self, end: Offset, records: &Arc<[Record]>) {
        let records = Arc::clone(records);
        let _stopping = self.events.send(Event::Committed { end, records });
    }

    fn on_leading(&self, term: u64, image: Image) {
        let machine = ControllerMachine::from_image(self.settings.clone(), image);
        let mut deciding = Box::new(Deciding {
            term,
            shard: Shard::loaded(machine, Offset::ZERO, Offset::ZERO, term),
            proposed: 0,
            last_token: 0,
            waiting: HashMap::new(),
        });
        let token = deciding.expect(Waiting::Beginning);
        let input = Input::Bootstrap {
            token,
            cluster: self.beginning.cluster.clone(),
            credentials: self.beginning.credentials.clone(),
        };
        let now = self.clock.now();
        self.drive(&mut deciding, |shard, log| shard.handle(now, input, log));
        let mut state = self.lock();
        if let State::Passive(Other {
            last: Some(broker), ..
        }) = *state
        {
            // It would be active still if it had been heard.
            let input = Input::BrokerDoubted { broker };
            self.drive(&mut deciding, |shard, log| shard.handle(now, input, log));
        }
        *state = State::Active(deciding);
        drop(state);
        self.rescheduled.notify_one();
        self.activity.send_replace(true);
    }

    fn on_following(&self, leader: Option<BrokerId>) {
        let mut state = self.lock();
        let last = match &*state {
            State::Active(_) => None,
            State::Passive(other) => other.last,
        };
        *state = State::Passive(Other {
            active: leader,
            last: leader.or(last),
        });
        drop(state);
        self.activity.send_replace(false);
    }

    fn on_written(&self, term: u64, upto: u64) {
        let mut state = self.lock();
        if let State::Active(deciding) = &mut *state
            && deciding.term == term
        {
            let replies = deciding.shard.on_committed(offset(upto));
            self.answer(deciding, replies);
        }
    }
}

/// The quorum as the log of the machine, for one call. What is lost with the term is
/// lost with the machine too, so that proposing never fails.
struct ProposingLog<'a> {
    proposer: &'a Proposer,
    term: u64,
    proposed: &'a mut u64,
}

impl ShardLog<Record> for ProposingLog<'_> {
    type Error = Infallible;

    fn append(&mut self, records: &[Record]) -> Result<Offset, Infallible> {
        *self.proposed += 1;
        self.proposer
            .propose(self.term, *self.proposed, records.to_vec());
        Ok(offset(*self.proposed))
    }
}

fn offset(proposal: u64) -> Offset {
    Offset(i64::try_from(proposal).expect("nobody decides as often"))
}
