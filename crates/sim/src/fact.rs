//! What happens in a world, as the invariants and the trace see it.

use std::fmt;

use ottla_base::{BrokerId, LeaderEpoch, Millis, Offset, PartitionId, ReplyToken};
use ottla_controller::Partition as Replicas;
use ottla_coordinator::{Input as GroupInput, Reply as GroupReply};
use ottla_partition::{Acks, Partition, Reply, RoleKind, View};

use crate::broker::Shadow;
use crate::host::Host;

/// The content of one record: who wrote it, and the how manieth it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    pub client: u32,
    pub number: u32,
}

impl Value {
    /// Clients below are idempotent producers.
    pub(crate) const FIRST_PLAIN_CLIENT: u32 = 100;

    pub(crate) fn is_idempotent(self) -> bool {
        self.client < Self::FIRST_PLAIN_CLIENT
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.client.to_be_bytes());
        bytes[4..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (client, number) = bytes.split_first_chunk::<4>()?;
        Some(Self {
            client: u32::from_be_bytes(*client),
            number: u32::from_be_bytes(number.try_into().ok()?),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.client, self.number)
    }
}

/// A batch as every replica that has it must have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) crc: u32,
}

/// Something that happened. Partitions are named by their number alone: a world
/// has one topic.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    /// A machine was asked to append, and owes an answer.
    AppendAsked {
        broker: BrokerId,
        token: ReplyToken,
        partition: PartitionId,
        acks: Acks,
        values: &'a [Value],
        deadline: Millis,
    },
    /// A machine was asked to delete, and owes an answer.
    DeleteAsked {
        token: ReplyToken,
        partition: PartitionId,
        before: Offset,
        deadline: Millis,
    },
    /// A producer begins a new epoch, because a broker does not know what it acknowledged.
    Forgotten {
        client: u32,
    },
    /// Somebody who may has asked for the log to start there.
    MayStart {
        partition: PartitionId,
        at: Offset,
    },
    /// A machine answered.
    Answered {
        token: ReplyToken,
        reply: &'a Reply,
    },
    /// Who should have answered died.
    Orphaned {
        token: ReplyToken,
    },
    /// What readers see now.
    Published {
        broker: BrokerId,
        partition: PartitionId,
        view: &'a View,
    },
    /// A machine has taken a step.
    Stepped {
        broker: BrokerId,
        partition: PartitionId,
        machine: &'a Partition,
        shadow: &'a Shadow,
    },
    /// A machine was made from what the store has.
    Recovered {
        broker: BrokerId,
        partition: PartitionId,
    },
    /// What a replica's store has, in order, before it serves: all that is committed
    /// must be there.
    Scanned {
        broker: BrokerId,
        partition: PartitionId,
        start: Offset,
        end: Offset,
        records: &'a [(Offset, Value)],
    },
    /// A consumer expected a record at one offset, and got this one.
    Read {
        partition: PartitionId,
        expected: Offset,
        offset: Offset,
        value: Value,
    },
    /// A replica counts these batches as committed, up to `end`.
    Committed {
        broker: BrokerId,
        partition: PartitionId,
        role: RoleKind,
        stamps: &'a [Stamp],
        end: Offset,
    },
    /// A replica leads that is not the only one.
    Led {
        broker: BrokerId,
        partition: PartitionId,
        epoch: LeaderEpoch,
    },
    /// How far the disk of a replica goes that counts as in sync.
    InSync {
        broker: BrokerId,
        partition: PartitionId,
        durable: Offset,
    },
    /// A replica cuts what it knew to be committed.
    CommittedLost {
        broker: BrokerId,
        partition: PartitionId,
        from: Offset,
        to: Offset,
    },
    /// The controllers have agreed on this.
    Decided {
        partition: PartitionId,
        before: Option<&'a Replicas>,
        after: &'a Replicas,
        what: &'a str,
    },
    /// Something fails, or works again.
    Fault {
        what: &'a str,
    },
    /// Somebody who may asks this of the cluster, or of a broker.
    Wished {
        what: &'a str,
    },
    /// A process has ended because it was asked to.
    Stopped {
        broker: BrokerId,
        /// It was told that others lead what it led, and did not lose patience.
        may: bool,
        /// What it leads that another could, as the controllers have agreed.
        leads: &'a [PartitionId],
    },
    /// A shard of groups was asked, and owes an answer.
    GroupAsked {
        token: ReplyToken,
        input: &'a GroupInput,
    },
    /// A shard of groups answered; with nothing if it is not there.
    GroupAnswered {
        /// It has been replaced and does not know: what it says without writing is
        /// of the past, as with Kafka's coordinators.
        deposed: bool,
        token: ReplyToken,
        reply: Option<&'a GroupReply>,
    },
    /// A shard of groups has been called.
    GroupStepped {
        host: &'a Host,
    },
    Crashed {
        broker: BrokerId,
    },
    Restarted {
        broker: BrokerId,
    },
    /// A disk takes no more appends, or takes them again.
    DiskRefuses {
        broker: BrokerId,
        refuses: bool,
    },
    /// From now on nothing fails any more.
    Calm,
    /// The story is over. Whoever is not done by now never will be.
    Ended {
        waiting: &'a [String],
    },
}

impl Fact<'_> {
    /// What several brokers know of each other, and what happens to all of them.
    fn told_of_a_cluster(&self) -> String {
        match self {
            Self::Committed {
                broker,
                partition,
                end,
                ..
            } => format!("b{broker} p{partition} knows {end} to be committed"),
            Self::Led {
                broker,
                partition,
                epoch,
            } => format!("b{broker} p{partition} leads others in epoch {epoch}"),
            Self::InSync {
                broker,
                partition,
                durable,
            } => format!("b{broker} p{partition} is in sync, with {durable}"),
            Self::CommittedLost {
                broker,
                partition,
                from,
                to,
            } => format!("b{broker} p{partition} loses {from}..{to}"),
            Self::Decided { what, .. } => format!("decided: {what}"),
            Self::Fault { what } => (*what).to_string(),
            Self::Wished { what } => format!("wished: {what}"),
            Self::Stopped { broker, may, leads } => {
                let how = if *may { "as it may" } else { "all the same" };
                format!("b{broker} stops {how}, leads {leads:?}")
            }
            Self::Scanned {
                broker,
                partition,
                start,
                end,
                ..
            } => format!("b{broker} p{partition} holds {start}..{end}"),
            Self::AppendAsked { .. }
            | Self::DeleteAsked { .. }
            | Self::Forgotten { .. }
            | Self::MayStart { .. }
            | Self::Answered { .. }
            | Self::Orphaned { .. }
            | Self::Published { .. }
            | Self::Stepped { .. }
            | Self::Recovered { .. }
            | Self::Read { .. }
            | Self::GroupAsked { .. }
            | Self::GroupAnswered { .. }
            | Self::GroupStepped { .. }
            | Self::Crashed { .. }
            | Self::Restarted { .. }
            | Self::DiskRefuses { .. }
            | Self::Calm
            | Self::Ended { .. } => {
                unreachable!("it is told elsewhere")
            }
        }
    }
}

impl fmt::Display for Fact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppendAsked {
                broker,
                token,
                partition,
                acks,
                values,
                ..
            } => {
                write!(f, "b{broker} p{partition} append t{} {acks:?}", token.0)?;
                values.iter().try_for_each(|value| write!(f, " {value}"))
            }
            Self::DeleteAsked {
                token,
                partition,
                before,
                ..
            } => write!(f, "p{partition} delete t{} before {before}", token.0),
            Self::Forgotten { client } => write!(f, "producer {client} is forgotten"),
            Self::MayStart { partition, at } => write!(f, "p{partition} may start at {at}"),
            Self::Answered { token, reply } => write!(f, "t{} <- {}", token.0, Answer(reply)),
            Self::Orphaned { token } => write!(f, "t{} is orphaned", token.0),
            Self::Published {
                broker,
                partition,
                view,
            } => write!(
                f,
                "b{broker} p{partition} view {}..{} of {} epoch {} {:?}",
                view.log_start, view.high_watermark, view.end, view.leader_epoch, view.role
            ),
            Self::Stepped {
                broker, partition, ..
            } => write!(f, "b{broker} p{partition} stepped"),
            Self::Recovered { broker, partition } => {
                write!(f, "b{broker} p{partition} recovered")
            }
            Self::Committed { .. }
            | Self::Led { .. }
            | Self::InSync { .. }
            | Self::CommittedLost { .. }
            | Self::Decided { .. }
            | Self::Fault { .. }
            | Self::Wished { .. }
            | Self::Stopped { .. }
            | Self::Scanned { .. } => f.write_str(&self.told_of_a_cluster()),
            Self::Read {
                partition,
                offset,
                value,
                ..
            } => write!(f, "p{partition} read {offset} {value}"),
            Self::GroupAsked { token, input } => {
                write!(f, "group t{} {}", token.0, GroupQuestion(input))
            }
            Self::GroupAnswered { token, reply, .. } => {
                write!(f, "group t{} <- {}", token.0, GroupAnswer(*reply))
            }
            Self::GroupStepped { .. } => f.write_str("group stepped"),
            Self::Crashed { broker } => write!(f, "b{broker} crashed"),
            Self::Restarted { broker } => write!(f, "b{broker} restarted"),
            Self::DiskRefuses { broker, refuses } => write!(f, "b{broker} disk refuses: {refuses}"),
            Self::Calm => f.write_str("calm"),
            Self::Ended { waiting } => write!(f, "ended, waiting: {waiting:?}"),
        }
    }
}

struct Answer<'a>(&'a Reply);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reply::Appended(Ok(appended)) => write!(f, "appended at {}", appended.base),
            Reply::Appended(Err(error)) => write!(f, "{error}"),
            Reply::Deleted(Ok(start)) => write!(f, "deleted up to {start}"),
            Reply::Deleted(Err(error)) => write!(f, "{error}"),
        }
    }
}

struct GroupAnswer<'a>(Option<&'a GroupReply>);

impl fmt::Display for GroupAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reply) => write!(f, "{reply:?}"),
            None => f.write_str("not the coordinator"),
        }
    }
}

struct GroupQuestion<'a>(&'a GroupInput);

impl fmt::Display for GroupQuestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            GroupInput::Join(join) => write!(f, "join {:?}", join.member),
            GroupInput::Sync(sync) => write!(
                f,
                "sync {} in {}: {:?}",
                sync.member, sync.generation, sync.assignments
            ),
            GroupInput::Heartbeat(heartbeat) => {
                write!(
                    f,
                    "heartbeat {} in {}",
                    heartbeat.member, heartbeat.generation
                )
            }
            GroupInput::Commit(commit) => write!(
                f,
                "commit {:?} in {:?}: {:?}",
                commit.member, commit.generation, commit.offsets
            ),
            other @ (GroupInput::Leave(_)
            | GroupInput::FetchOffsets(_)
            | GroupInput::DeleteOffsets(_)
            | GroupInput::Describe(_)
            | GroupInput::List(_)
            | GroupInput::Delete(_)
            | GroupInput::TopicsDeleted(_)) => write!(f, "{other:?}"),
        }
    }
}

/// A moment of the story, for the trace.
pub(crate) fn trace_line(now: Millis, fact: &Fact<'_>) -> String {
    format!("{now:>7} {fact}")
}
