//! One voter: Raft over its log, what it makes of its place in the quorum, and the
//! proposals of the active controller.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::{Config, ServerState, SnapshotPolicy};
use ottla_base::{BrokerId, Offset};
use ottla_controller::{Image, Record};
use ottla_rpc::{Address, Channels};
use ottla_store::{LogId as StoreLog, LogStore};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::fold::Fold;
use crate::log::{KeptError, RaftLog, offset};
use crate::network::{Heard, Network};
use crate::origin::{self, OriginError};
use crate::prevote::{LeaderHeard, Prevote};
use crate::raft::{Metrics, NodeId, Proposed, Raft};

/// Records that are written as one entry, unless one proposal alone has more.
const RECORDS_PER_ENTRY: usize = 2_000;

/// How long a voter whose store refused a write waits until it tries again: a full
/// disk passes. One of several that led would lead again in the same term, and fail again
/// at the next write, if the others had no time to elect one of them.
const STORE_PAUSE: Duration = Duration::from_millis(250);
const STORE_PAUSE_OF_SEVERAL: Duration = Duration::from_millis(1_500);

/// How much later each further voter asks to be elected in the place of one that is seen
/// to have ended.
const TURN: Duration = Duration::from_millis(50);

/// A voter that has nobody to hear from needs no clock, and is not to be woken.
const NEVER_MS: u64 = 24 * 3600 * 1000;

/// What becomes of this node's part in the quorum. Called by one task at a time, in
/// the order in which things happen; must be quick.
pub trait Participant: Send + Sync + std::fmt::Debug {
    /// These records are committed; `end` is the offset after them.
    fn on_committed(&self, end: Offset, records: &Arc<[Record]>);

    /// This node is the active controller, and `image` is all that was decided
    /// before. What it proposes names this term.
    fn on_leading(&self, term: u64, image: Image);

    /// The active controller is another node, or unknown.
    fn on_following(&self, leader: Option<BrokerId>);

    /// Proposals of this term up to this one are committed, and
    /// [`Participant::on_committed`] was called for them.
    fn on_written(&self, term: u64, upto: u64);
}

/// How long things take in a quorum of several, and how large its log becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    pub heartbeat_ms: u64,
    /// A follower that hears nothing asks to be elected after this time, twice and up
    /// to half as much again.
    pub election_ms: u64,
    /// A leader that most do not answer is none after this time.
    pub quorum_lost_ms: u64,
    /// A snapshot is taken when so many bytes were written since the last one, or as
    /// many as that one had.
    pub snapshot_bytes_min: u64,
}

impl Tuning {
    /// A leader that most do not answer is none after this time.
    pub fn quorum_lost(&self) -> Duration {
        Duration::from_millis(self.quorum_lost_ms)
    }

    /// How long a leader may be silent before its followers ask each other, who do not
    /// count it as heard any more by then. The rest of the time until one asks to be elected,
    /// as long as [`Self::election_ms`], is for the answers.
    fn silence(&self) -> Duration {
        self.lease() + Duration::from_millis(self.heartbeat_ms / 2)
    }

    /// How long a voter that has just heard its leader elects nobody else.
    fn lease(&self) -> Duration {
        Duration::from_millis(election_ms_max(self.election_ms))
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_ms: 200,
            quorum_lost_ms: 1_000,
            snapshot_bytes_min: 4 << 20,
        }
    }
}

/// What a voter is made from.
#[derive(Debug)]
pub struct Parts {
    pub node: BrokerId,
    /// Every voter and where it is, this one included.
    pub voters: BTreeMap<BrokerId, Address>,
    pub store: Arc<dyn LogStore>,
    /// The log of the metadata partition.
    pub log: StoreLog,
    pub channels: Channels,
    pub tuning: Tuning,
    pub participant: Arc<dyn Participant>,
    pub proposals: Proposals,
}

/// Why a voter does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error(transparent)]
    Origin(#[from] OriginError),
}

/// Where the active controller puts what it decides.
#[derive(Clone, Debug)]
pub struct Proposer(mpsc::UnboundedSender<Proposal>);

/// What was put there.
#[derive(Debug)]
pub struct Proposals(mpsc::UnboundedReceiver<Proposal>);

/// Records that are committed together or not at all.
#[derive(Debug)]
struct Proposal {
    term: u64,
    number: u64,
    records: Vec<Record>,
}

/// The two ends. Whoever proposes waits for the outcome of each, which bounds what
/// is under way.
pub fn proposals() -> (Proposer, Proposals) {
    let (put, taken) = mpsc::unbounded_channel();
    (Proposer(put), Proposals(taken))
}

impl Proposer {
    /// Proposes records in the term that this node leads in. Numbers rise by one
    /// within a term. What is not committed when the term ends may or may not be
    /// later.
    pub fn propose(&self, term: u64, number: u64, records: Vec<Record>) {
        let _stopping = self.0.send(Proposal {
            term,
            number,
            records,
        });
    }
}

/// A voter that was opened: it can be asked, and takes part once it runs. A clone is
/// the same one.
#[derive(Clone, Debug)]
pub struct Voter {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub node: NodeId,
    pub fold: Fold,
    /// None while the store is not to be had.
    raft: Mutex<Option<Raft>>,
    metrics: watch::Sender<Metrics>,
    tuning: Tuning,
    heard: Heard,
    pub leader_heard: LeaderHeard,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish()
    }
}

/// What a quorum looks like from one of its voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    pub leader: Option<BrokerId>,
    /// The term of the leader, which Kafka calls the epoch of the quorum.
    pub epoch: i32,
    /// The offset after the last entry that is committed, as far as this voter knows.
    pub high_watermark: Offset,
    /// By rising id. Of others than itself only the leader knows the end.
    pub voters: Vec<VoterStatus>,
}

/// One voter, as another sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoterStatus {
    pub id: BrokerId,
    /// The offset after the last entry that it has.
    pub end: Option<Offset>,
    /// How long ago the leader that answers sent what it took.
    pub took: Option<Duration>,
    /// How long ago that was all that was committed.
    pub caught_up: Option<Duration>,
}

/// Runs a voter; made with it.
pub struct VoterTask {
    shared: Arc<Shared>,
    config: Arc<Config>,
    network: Network,
    store: Arc<dyn LogStore>,
    log: StoreLog,
    participant: Arc<dyn Participant>,
    proposals: mpsc::UnboundedReceiver<Proposal>,
    incarnation: u64,
    first: Option<RaftLog>,
    standing: Standing,
    /// The last term in which this voter led and gave up.
    lost_term: Option<u64>,
}

impl std::fmt::Debug for VoterTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoterTask")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// What the participant was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unknown,
    Leading(u64),
    Following(Option<NodeId>),
}

/// How one life of Raft ended.
enum End {
    Stopped,
    Failed,
    /// See [`Outlook::BeginAnew`].
    Over,
}

/// Whether a Raft may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    GoOn,
    /// It still leads in the term in which this voter gave up. What was begun then may
    /// be on its way in it, so another takes its place: that one knows what is in the
    /// log, and nothing else comes.
    BeginAnew,
}

type Write = Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send>>;

/// Why a write was not carried out. It may be later, by another leader.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WriteError(String);

impl Voter {
    /// Reads what the log holds. Blocks on the disk.
    pub fn open(parts: Parts) -> Result<(Self, VoterTask), OpenError> {
        let node = node_id(parts.node);
        let addresses: BTreeMap<_, _> = parts
            .voters
            .into_iter()
            .map(|(id, address)| (node_id(id), address))
            .collect();
        let ids = addresses.keys().copied().collect();
        origin::prepare(&*parts.store, parts.log, node, &ids)?;
        let entries = RaftLog::open(parts.store.clone(), parts.log, 1)?;
        let fold = Fold::open(
            parts.store.clone(),
            parts.log,
            entries.clone(),
            parts.participant.clone(),
            parts.tuning.snapshot_bytes_min,
        )?;
        let shared = Arc::new(Shared {
            node,
            fold,
            raft: Mutex::default(),
            metrics: watch::Sender::new(Metrics::new_initial(node)),
            tuning: parts.tuning,
            heard: Heard::default(),
            leader_heard: LeaderHeard::default(),
        });
        let task = VoterTask {
            shared: shared.clone(),
            config: Arc::new(config(parts.tuning, addresses.len())),
            network: Network {
                channels: parts.channels,
                addresses: Arc::new(addresses),
                heard: shared.heard.clone(),
            },
            store: parts.store,
            log: parts.log,
            participant: parts.participant,
            proposals: parts.proposals.0,
            incarnation: 1,
            first: Some(entries),
            standing: Standing::Unknown,
            lost_term: None,
        };
        Ok((Self { shared }, task))
    }

    /// All that is committed, as far as this voter knows.
    pub fn image(&self) -> Image {
        self.shared.fold.image()
    }

    /// The offset after the last entry that is applied.
    pub fn end(&self) -> Offset {
        self.shared.fold.end()
    }

    /// Takes the place of an active controller whose process has ended, without waiting
    /// until its silence is long enough. Another voter may be quicker.
    pub async fn succeed(&self, ended: BrokerId) {
        let ended = node_id(ended);
        let others = self.others_than(ended);
        let Some(rank) = others.iter().position(|id| *id == self.shared.node) else {
            return;
        };
        let turn = TURN.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX));
        tokio::time::sleep(self.shared.tuning.lease() + turn).await;
        let leads = self.shared.metrics.borrow().current_leader == Some(ended);
        let is_away = leads && !self.shared.has_leader();
        if let Some(raft) = self.shared.raft().filter(|_| is_away) {
            let _stopping = raft.trigger().elect().await;
        }
    }

    /// Whether this voter led after this was called, by the word of most. It does not if
    /// that takes longer than they wait for their leader.
    pub async fn confirm(&self) -> bool {
        let Some(raft) = self.shared.raft() else {
            return false;
        };
        let confirmed = tokio::time::timeout(self.shared.tuning.lease(), raft.get_read_log_id());
        matches!(confirmed.await, Ok(Ok(_)))
    }

    /// By rising id: of two who ask in the same term, the later has its way.
    fn others_than(&self, ended: NodeId) -> Vec<NodeId> {
        let metrics = self.shared.metrics.borrow();
        let voters = metrics.membership_config.voter_ids();
        let mut others: Vec<_> = voters.filter(|id| *id != ended).collect();
        others.sort_unstable();
        others
    }

    pub fn status(&self) -> QuorumStatus {
        let heard = self.shared.heard.of_all();
        let metrics = self.shared.metrics.borrow();
        let end = |index: Option<u64>| index.map(|index| offset(index + 1));
        let voters = metrics.membership_config.voter_ids().map(|id| {
            let known = match &metrics.replication {
                _ if id == self.shared.node => metrics.last_log_index,
                Some(replication) => replication.get(&id).copied().flatten().map(|at| at.index),
                None => None,
            };
            let heard = heard.get(&id).copied().unwrap_or_default();
            VoterStatus {
                id: broker_id(id),
                end: end(known),
                took: heard.took.map(|at| at.elapsed()),
                caught_up: heard.caught_up.map(|at| at.elapsed()),
            }
        });
        let mut voters: Vec<_> = voters.collect();
        voters.sort_by_key(|voter| voter.id);
        QuorumStatus {
            leader: self.shared.leader(&metrics).map(broker_id),
            epoch: i32::try_from(metrics.current_term).unwrap_or(i32::MAX),
            high_watermark: self.end(),
            voters,
        }
    }
}

impl Shared {
    pub(crate) fn raft(&self) -> Option<Raft> {
        let raft = self.raft.lock().unwrap_or_else(PoisonError::into_inner);
        raft.clone()
    }

    fn set_raft(&self, raft: Option<Raft>) {
        *self.raft.lock().unwrap_or_else(PoisonError::into_inner) = raft;
    }

    pub(crate) fn metrics(&self) -> watch::Receiver<Metrics> {
        self.metrics.subscribe()
    }

    /// Who leads, as far as can be told: a leader that most do not answer is none.
    pub(crate) fn leader(&self, metrics: &Metrics) -> Option<NodeId> {
        let leader = metrics.current_leader?;
        let is_lost = leader == self.node && self.is_quorum_lost(metrics);
        (!is_lost).then_some(leader)
    }

    /// Whether this voter leads, or has just heard from another that does.
    pub(crate) fn has_leader(&self) -> bool {
        let leads = self.leader(&self.metrics.borrow()) == Some(self.node);
        leads || self.leader_heard.counts_for(self.tuning.lease()).is_some()
    }

    fn is_quorum_lost(&self, metrics: &Metrics) -> bool {
        let is_alone = metrics.membership_config.voter_ids().count() < 2;
        let silent = metrics.millis_since_quorum_ack;
        !is_alone && silent.is_some_and(|ms| ms > self.tuning.quorum_lost_ms)
    }
}

impl VoterTask {
    /// Takes part in the quorum until `stop`.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let pause = match self.live(stop.as_mut()).await {
                Ok(End::Stopped) => return,
                Ok(End::Failed) if self.network.addresses.len() > 1 => STORE_PAUSE_OF_SEVERAL,
                Ok(End::Failed | End::Over) => STORE_PAUSE,
                Err(error) => {
                    error!(%error, "the metadata log cannot be read");
                    STORE_PAUSE
                }
            };
            self.stand(Standing::Following(None));
            tokio::select! {
                biased;
                () = stop.as_mut() => return,
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    /// Runs one Raft until it stops or its store fails.
    async fn live(
        &mut self,
        stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<End, LiveError> {
        let entries = match self.first.take() {
            Some(entries) => entries,
            None => {
                self.incarnation += 1;
                RaftLog::open(self.store.clone(), self.log, self.incarnation)?
            }
        };
        // What the Raft before had begun is known by what is in the log.
        self.lost_term = None;
        let fold = self.shared.fold.over(entries.clone());
        let (node, network) = (self.shared.node, self.network.clone());
        let raft = Raft::new(node, self.config.clone(), network, entries, fold).await?;
        self.shared.set_raft(Some(raft.clone()));
        let end = self.take_part(&raft, stop).await;
        self.shared.set_raft(None);
        let _panicked = raft.shutdown().await;
        end
    }

    async fn take_part(
        &mut self,
        raft: &Raft,
        mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<End, LiveError> {
        self.initialize(raft).await?;
        let shared = self.shared.clone();
        let fold = &shared.fold;
        let prevote = Prevote {
            raft,
            heard: &shared.leader_heard,
            silence: shared.tuning.silence(),
            others: self.network.others_than(shared.node),
        };
        let mut prevote = std::pin::pin!(prevote.run());
        let mut metrics = raft.metrics();
        let mut write: Option<(u64, u64, Write)> = None;
        loop {
            tokio::select! {
                biased;
                () = stop.as_mut() => return Ok(End::Stopped),
                changed = metrics.changed() => {
                    let seen = metrics.borrow_and_update().clone();
                    if changed.is_err() || seen.running_state.is_err() {
                        return Ok(End::Failed);
                    }
                    if self.look(seen) == Outlook::BeginAnew {
                        return Ok(End::Over);
                    }
                }
                written = finished(&mut write) => {
                    self.on_written(written);
                    write = None;
                }
                proposal = self.proposals.recv(), if write.is_none() => {
                    let Some(proposal) = proposal else {
                        return Ok(End::Stopped);
                    };
                    write = Some(self.begin_write(raft, proposal));
                }
                never = prevote.as_mut() => match never {},
                () = fold.snapshot_due() => raft.trigger().snapshot().await?,
            }
        }
    }

    /// Tells a voter that has nothing yet who the voters are. All of them begin with
    /// the same.
    async fn initialize(&self, raft: &Raft) -> Result<(), LiveError> {
        if raft.is_initialized().await? {
            return Ok(());
        }
        let voters: std::collections::BTreeSet<_> =
            self.network.addresses.keys().copied().collect();
        match raft.initialize(voters).await {
            Ok(()) => Ok(()),
            // Another was quicker.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(refused @ InitializeError::NotInMembers(_))) => {
                unreachable!("a voter is one of the voters: {refused}")
            }
            Err(RaftError::Fatal(fatal)) => Err(fatal.into()),
        }
    }

    /// Makes of Raft's state what the participant has to know.
    fn look(&mut self, seen: Metrics) -> Outlook {
        let term = seen.current_term;
        let leads = seen.state == ServerState::Leader;
        if leads && self.shared.is_quorum_lost(&seen) {
            if self.lost_term != Some(term) {
                warn!(term, "most voters do not answer, so this one leads no more");
                self.lost_term = Some(term);
            }
        } else if leads && self.lost_term == Some(term) {
            info!(term, "most voters answer again");
            return Outlook::BeginAnew;
        }
        let standing = match self.shared.leader(&seen) {
            Some(leader) if leader != self.shared.node => Standing::Following(Some(leader)),
            // What was begun in the term may be committed yet, though nobody waits for it
            // any more: who decides again does so in another.
            Some(_) if self.lost_term == Some(term) => Standing::Following(None),
            // All that was decided before is in the log of a leader at once, and
            // decided upon when it is applied.
            Some(_) if leads && seen.last_applied.map(|at| at.index) >= seen.last_log_index => {
                Standing::Leading(term)
            }
            Some(_) if leads && self.standing == Standing::Leading(term) => self.standing,
            Some(_) | None => Standing::Following(None),
        };
        self.shared.metrics.send_replace(seen);
        self.stand(standing);
        Outlook::GoOn
    }

    fn stand(&mut self, standing: Standing) {
        if self.standing == standing {
            return;
        }
        self.standing = standing;
        match standing {
            Standing::Leading(term) => {
                info!(term, "this node is the active controller");
                self.participant.on_leading(term, self.shared.fold.image());
            }
            Standing::Following(leader) => {
                let leader = leader.map(broker_id);
                match leader {
                    Some(node) => info!(%node, "another node is the active controller"),
                    // A single voter is about to be it.
                    None if self.network.addresses.len() == 1 => (),
                    None => info!("waiting for most controllers to agree on an active one"),
                }
                self.participant.on_following(leader);
                // Nobody waits for these any more, and the next who leads has not seen them.
                while self.proposals.try_recv().is_ok() {}
            }
            Standing::Unknown => (),
        }
    }

    /// Writes a proposal, and those that wait behind it, as one entry.
    fn begin_write(&mut self, raft: &Raft, first: Proposal) -> (u64, u64, Write) {
        let Proposal {
            mut term,
            mut number,
            mut records,
        } = first;
        while records.len() < RECORDS_PER_ENTRY
            && let Ok(next) = self.proposals.try_recv()
        {
            if next.term != term {
                // Whoever proposed the earlier ones was told that they are lost.
                records.clear();
            }
            (term, number) = (next.term, next.number);
            records.extend(next.records);
        }
        let raft = raft.clone();
        let proposed = Proposed {
            term,
            records: Arc::from(records),
        };
        let write = async move {
            let written = raft.client_write(proposed).await;
            written.map(|_| ()).map_err(WriteError::from)
        };
        (term, number, Box::pin(write))
    }

    fn on_written(&mut self, (term, number, written): (u64, u64, Result<(), WriteError>)) {
        match written {
            Ok(()) => self.participant.on_written(term, number),
            Err(error) => {
                warn!(%error, term, "a decision may be lost");
                if self.standing == Standing::Leading(term) {
                    self.lost_term = Some(term);
                    self.stand(Standing::Following(None));
                }
            }
        }
    }
}

/// The outcome of the write that is under way; never without one.
async fn finished(write: &mut Option<(u64, u64, Write)>) -> (u64, u64, Result<(), WriteError>) {
    match write {
        Some((term, number, write)) => (*term, *number, write.await),
        None => std::future::pending().await,
    }
}

/// Why Raft does not run.
#[derive(Debug, thiserror::Error)]
enum LiveError {
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error(transparent)]
    Fatal(#[from] Fatal<NodeId>),
}

impl From<RaftError<NodeId, ClientWriteError<NodeId, ()>>> for WriteError {
    fn from(error: RaftError<NodeId, ClientWriteError<NodeId, ()>>) -> Self {
        Self(error.to_string())
    }
}

fn election_ms_max(min: u64) -> u64 {
    min * 3 / 2
}

#[expect(deprecated, reason = "every field has to be given a value")]
fn config(tuning: Tuning, voters: usize) -> Config {
    let is_alone = voters == 1;
    let ms = |of: u64| if is_alone { NEVER_MS } else { of };
    Config {
        cluster_name: String::new(),
        heartbeat_interval: ms(tuning.heartbeat_ms),
        election_timeout_min: ms(tuning.election_ms) + u64::from(is_alone),
        election_timeout_max: election_ms_max(ms(tuning.election_ms)) + 2 * u64::from(is_alone),
        install_snapshot_timeout: 10_000,
        send_snapshot_timeout: 0,
        max_payload_entries: 300,
        replication_lag_threshold: 5_000,
        // By size, see `Fold::apply`.
        snapshot_policy: SnapshotPolicy::Never,
        snapshot_max_chunk_size: 1 << 20,
        max_in_snapshot_log_to_keep: if is_alone { 0 } else { 100 },
        purge_batch_size: 1,
        enable_tick: !is_alone,
        enable_heartbeat: true,
        // See `Prevote`.
        enable_elect: is_alone,
    }
}

pub(crate) fn node_id(id: BrokerId) -> NodeId {
    NodeId::try_from(id.0).expect("the ids of nodes are not negative")
}

pub(crate) fn broker_id(id: NodeId) -> BrokerId {
    BrokerId(i32::try_from(id).expect("voters are nodes"))
}
