//! What can happen to a replica.

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, ReplyToken};
use ottla_protocol::records::RecordBatch;

/// Everything that can happen to a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// This broker leads the partition, or its leadership has changed in detail.
    Lead(Lead),
    /// Another broker leads, or nobody does.
    Follow {
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        /// Whether this replica is in sync, as far as the controller has said.
        in_sync: bool,
    },
    /// A client's batch, checked by the rules of produce requests. A coordinator
    /// that lives in this partition uses `Partition::append_hosted`.
    Append(Append),
    /// The leader's next batch, byte for byte. In the leader's log it follows
    /// `after`, which is below its own offset where compaction left a gap. The high
    /// watermark is the leader's, and counts only if the batch fits.
    AppendFrom {
        epoch: LeaderEpoch,
        after: Offset,
        batch: RecordBatch,
        high_watermark: Offset,
    },
    /// How far the leader has come, whose log ours is the beginning of from `log_start`
    /// on. Neither goes back. The start may be beyond our end: our log begins anew
    /// there.
    Position {
        epoch: LeaderEpoch,
        high_watermark: Offset,
        log_start: Offset,
    },
    /// A follower has made everything below `end` durable, and its log surely starts
    /// at `log_start`. Comes of replicas only whose log was found to be the beginning
    /// of ours in this epoch: see `Partition::place`.
    Replicated {
        by: BrokerId,
        epoch: LeaderEpoch,
        end: Offset,
        log_start: Offset,
    },
    /// The controller has surely not carried out the proposal that was made with this
    /// partition epoch, and will not.
    IsrRefused { partition_epoch: i32 },
    /// The store has made everything below `end` durable, as its policy
    /// understands that. Completions of an earlier incarnation must not get here.
    Flushed { end: Offset },
    /// The log starts at `to` from now on, as durably as the store's policy has it:
    /// what this machine asked for, or one before it that had the same log.
    StartMoved { to: Offset },
    /// The leader of `leader_epoch` does not know our last batches: its own data of
    /// `epoch`, the largest epoch that it has up to ours, ends at `end`.
    Diverged {
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
    },
    /// A client wants all records below `before` gone; `None` means all that are
    /// committed.
    DeleteRecords {
        token: ReplyToken,
        before: Option<Offset>,
        deadline: Millis,
    },
    /// Retention has decided that the log may start at `to`.
    AdvanceStart { to: Offset },
    /// The controllers may not have heard of this broker for so long that another leads by
    /// now. Comes again and again while that lasts.
    Unheard,
    /// The settings have changed.
    Settings(Settings),
    /// A shutdown is near: a checkpoint now makes the next start quick.
    Checkpoint,
    /// The store failed, for good.
    StorageFailed,
    /// The time has come that `Partition::next_deadline` named.
    Tick,
}

/// A term of leadership as the controller described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    pub epoch: LeaderEpoch,
    /// Rises with every change of the partition; an older word is not heeded.
    pub partition_epoch: i32,
    /// All replicas, this broker among them.
    pub replicas: Vec<BrokerId>,
    /// The replicas in sync, this broker among them.
    pub isr: Vec<BrokerId>,
}

/// A client's batch and who waits for what.
#[derive(Clone, Debug)]
pub struct Append {
    pub token: ReplyToken,
    pub batch: RecordBatch,
    pub acks: Acks,
    /// When the client stops waiting.
    pub deadline: Millis,
}

/// What must hold before an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nothing: the reply leaves at once, and says only whether it was accepted.
    None,
    /// The leader has it, durably.
    Leader,
    /// Every replica in sync has it, durably.
    All,
}

/// The settings that a replica obeys; plain values, resolved by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `replica.lag.time.max.ms`: how long a replica may be behind and count as in
    /// sync.
    pub replica_lag_time_max_ms: i64,
    /// Whether clients may delete records: not where `cleanup.policy` is only
    /// `compact`.
    pub records_deletable: bool,
    /// `producer.id.expiration.ms`.
    pub producer_expiration_ms: i64,
    /// How often expired producers are looked for.
    pub producer_expiration_check_ms: i64,
    /// How many batches a start may have to replay: a checkpoint comes after so
    /// many.
    pub checkpoint_batches: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_insync_replicas: 1,
            replica_lag_time_max_ms: 30_000,
            records_deletable: true,
            producer_expiration_ms: 86_400_000,
            producer_expiration_check_ms: 600_000,
            checkpoint_batches: 10_000,
        }
    }
}
