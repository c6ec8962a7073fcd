//! A member of a consumer group: joins, heartbeats, commits, and starts again
//! when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::testing::Rng;
use ottla_base::{
    Generation, GroupId, LeaderEpoch, MemberId, Millis, Offset, PartitionId, ReplyToken, TopicId,
    TopicName,
};
use ottla_coordinator::group::{
    Client, Heartbeat, Join, JoinError, Joined, Leave, Leaving, NewMember, Protocol,
    ReturningLeader, Sync, Synced, Timeouts,
};
use ottla_coordinator::offsets::{
    Commit, CommitOffset, FetchOffsets, FetchedOffset, UnknownGroup, Wanted, WantedOffset,
};
use ottla_coordinator::{Input, Reply};

use crate::network::milliseconds;
use crate::workload::index;

/// What the group shares among its members.
const SHARED: [PartitionId; 2] = [PartitionId(0), PartitionId(1)];
const SESSION_MS: i32 = 6_000;
const REBALANCE_MS: i32 = 3_000;

/// A member as it sees itself. Owned by the world.
#[derive(Debug)]
pub(crate) struct GroupMember {
    index: usize,
    id: Option<MemberId>,
    phase: Phase,
    /// The request that is on its way, and until when.
    pending: Option<(u32, Millis)>,
    next_request: u32,
    act_at: Millis,
    /// It may still die, or leave.
    restless: bool,
    /// Answers to heartbeats and commits in a row that found all well.
    quiet: u32,
}

#[derive(Debug)]
enum Phase {
    Outside,
    Joined(Joined),
    Stable {
        generation: Generation,
        /// How far it has read, as far as it knows.
        positions: BTreeMap<PartitionId, Option<Offset>>,
    },
}

/// What a member asks for, before it has a token.
#[derive(Clone, Debug)]
pub(crate) struct MemberRequest {
    pub(crate) member: usize,
    pub(crate) number: u32,
    pub(crate) wish: MemberWish,
}

#[derive(Clone, Debug)]
pub(crate) enum MemberWish {
    Join {
        id: Option<MemberId>,
    },
    Sync {
        id: MemberId,
        generation: Generation,
        assignments: BTreeMap<MemberId, Bytes>,
    },
    Heartbeat {
        id: MemberId,
        generation: Generation,
    },
    FetchOffset {
        partition: PartitionId,
    },
    Commit {
        id: MemberId,
        generation: Generation,
        partition: PartitionId,
        offset: Offset,
    },
    Leave {
        id: MemberId,
    },
}

impl GroupMember {
    pub(crate) fn new(index: usize, rng: &mut Rng) -> Self {
        Self {
            index,
            id: None,
            phase: Phase::Outside,
            pending: None,
            next_request: 0,
            act_at: Millis(milliseconds(rng, 2_000)),
            restless: true,
            quiet: 0,
        }
    }

    pub(crate) fn calm(&mut self) {
        self.restless = false;
    }

    /// Whether it has been served undisturbed for a while.
    pub(crate) fn is_content(&self) -> bool {
        self.quiet >= 5
    }

    pub(crate) fn wake_at(&self) -> Millis {
        self.pending.map_or(self.act_at, |(_, until)| until)
    }

    /// What it asks for now, if it is time.
    pub(crate) fn on_wake(&mut self, now: Millis, rng: &mut Rng) -> Option<MemberRequest> {
        if now < self.wake_at() {
            return None;
        }
        if self.restless && rng.chance(1) {
            self.start_afresh();
        }
        let wish = self.wish(rng);
        // A join may be parked for as long as the others take to come.
        let patience = match wish {
            MemberWish::Join { .. } => i64::from(REBALANCE_MS) + 3_000,
            MemberWish::Sync { .. }
            | MemberWish::Heartbeat { .. }
            | MemberWish::FetchOffset { .. }
            | MemberWish::Commit { .. }
            | MemberWish::Leave { .. } => 2_000,
        };
        self.next_request += 1;
        self.pending = Some((self.next_request, now.plus_ms(patience)));
        Some(MemberRequest {
            member: self.index,
            number: self.next_request,
            wish,
        })
    }

    /// `None` is what a broker says that does not coordinate the group.
    pub(crate) fn on_answer(
        &mut self,
        now: Millis,
        number: u32,
        reply: Option<&Reply>,
        rng: &mut Rng,
    ) {
        if self.pending.is_none_or(|(pending, _)| pending != number) {
            return; // It has given up on that one.
        }
        self.pending = None;
        self.act_at = now.plus_ms(50 + milliseconds(rng, 500));
        match reply {
            None => self.quiet = 0,
            Some(Reply::Join(Ok(joined))) => self.on_joined(now, joined),
            Some(Reply::Join(Err(error))) => self.on_join_refused(error),
            Some(Reply::Sync(Ok(synced))) => self.on_synced(synced),
            Some(Reply::FetchOffsets(fetched)) => self.on_fetched(fetched),
            Some(Reply::Heartbeat(Ok(())) | Reply::Commit(Ok(_))) => self.quiet += 1,
            Some(
                Reply::Sync(Err(_))
                | Reply::Heartbeat(Err(_))
                | Reply::Commit(Err(_))
                | Reply::Leave(_)
                | Reply::DeleteOffsets(_)
                | Reply::Describe(_)
                | Reply::List(_)
                | Reply::Delete(_),
            ) => self.start_again(),
        }
    }

    fn wish(&mut self, rng: &mut Rng) -> MemberWish {
        let Some(id) = self.id.clone() else {
            return MemberWish::Join { id: None };
        };
        match &mut self.phase {
            Phase::Outside => MemberWish::Join { id: Some(id) },
            Phase::Joined(joined) => MemberWish::Sync {
                id,
                generation: joined.generation,
                assignments: assign(joined),
            },
            Phase::Stable { .. } if self.restless && rng.chance(2) => MemberWish::Leave { id },
            Phase::Stable {
                generation,
                positions,
            } => {
                let generation = *generation;
                if let Some((partition, _)) = positions.iter().find(|(_, at)| at.is_none()) {
                    let partition = *partition;
                    return MemberWish::FetchOffset { partition };
                }
                let owned = positions.len();
                if owned == 0 || rng.chance(50) {
                    return MemberWish::Heartbeat { id, generation };
                }
                let chosen = positions.iter_mut().nth(index(rng, owned));
                let (partition, at) = chosen.expect("the index is below the length");
                let offset = at.unwrap_or_default().plus(1);
                *at = Some(offset);
                MemberWish::Commit {
                    id,
                    generation,
                    partition: *partition,
                    offset,
                }
            }
        }
    }

    fn on_joined(&mut self, now: Millis, joined: &Joined) {
        self.id = Some(joined.member.clone());
        self.phase = Phase::Joined(joined.clone());
        self.act_at = now;
    }

    fn on_join_refused(&mut self, error: &JoinError) {
        self.start_again();
        match error {
            JoinError::MemberIdRequired { member } => self.id = Some(member.clone()),
            JoinError::InvalidGroupId
            | JoinError::InvalidSessionTimeout { .. }
            | JoinError::NameTooLong
            | JoinError::GroupFull
            | JoinError::InconsistentProtocol
            | JoinError::UnknownMember
            | JoinError::Fenced
            | JoinError::Superseded
            | JoinError::Removed
            | JoinError::Replaced { .. } => self.id = None,
        }
    }

    fn on_synced(&mut self, synced: &Synced) {
        let Phase::Joined(joined) = &self.phase else {
            return;
        };
        self.phase = Phase::Stable {
            generation: joined.generation,
            positions: owned(&synced.assignment).map(|p| (p, None)).collect(),
        };
    }

    fn on_fetched(&mut self, fetched: &[FetchedOffset]) {
        let Phase::Stable { positions, .. } = &mut self.phase else {
            return;
        };
        for offset in fetched {
            let committed = offset.committed.as_ref().map(|value| value.offset);
            positions.insert(offset.partition, Some(committed.unwrap_or_default()));
        }
    }

    /// It has died, and another comes in its place.
    fn start_afresh(&mut self) {
        self.id = None;
        self.start_again();
    }

    fn start_again(&mut self) {
        // Who is not known any more is told so when it joins.
        self.phase = Phase::Outside;
        self.quiet = 0;
    }
}

impl MemberRequest {
    pub(crate) fn into_input(self, token: ReplyToken) -> Input {
        let group = GroupId::from("readers");
        let instance = None;
        match self.wish {
            MemberWish::Join { id } => {
                let fresh = format!("m{}-{}", self.member, self.number);
                Input::Join(join(token, group, id, MemberId::from(fresh.as_str())))
            }
            MemberWish::Sync {
                id,
                generation,
                assignments,
            } => Input::Sync(Sync {
                token,
                group,
                member: id,
                instance,
                generation,
                protocol_type: None,
                protocol: None,
                assignments,
            }),
            MemberWish::Heartbeat { id, generation } => Input::Heartbeat(Heartbeat {
                token,
                group,
                member: id,
                instance,
                generation,
            }),
            MemberWish::FetchOffset { partition } => Input::FetchOffsets(FetchOffsets {
                token,
                group,
                wanted: Wanted::These(vec![WantedOffset {
                    topic: topic(),
                    topic_id: TopicId::ZERO,
                    partition,
                }]),
            }),
            MemberWish::Commit {
                id,
                generation,
                partition,
                offset,
            } => Input::Commit(Commit {
                token,
                group,
                member: Some(id),
                instance,
                generation: Some(generation),
                unknown_group: UnknownGroup::IsIllegalGeneration,
                retention_ms: None,
                offsets: vec![CommitOffset {
                    topic: topic(),
                    topic_id: TopicId::ZERO,
                    partition,
                    offset,
                    leader_epoch: LeaderEpoch::NONE,
                    metadata: Arc::from(""),
                }],
            }),
            MemberWish::Leave { id } => Input::Leave(Leave {
                token,
                group,
                members: vec![Leaving {
                    member: Some(id),
                    instance,
                }],
            }),
        }
    }
}

fn join(token: ReplyToken, group: GroupId, member: Option<MemberId>, fresh: MemberId) -> Join {
    Join {
        token,
        group,
        member,
        instance: None,
        client: Client {
            id: Arc::from("client"),
            host: Arc::from("/127.0.0.1"),
        },
        fresh_member_id: fresh,
        timeouts: Timeouts {
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
        },
        protocol_type: Arc::from("consumer"),
        protocols: vec![Protocol {
            name: Arc::from("range"),
            metadata: Bytes::new(),
        }],
        new_member: NewMember::MustReturnWithId,
        returning_leader: ReturningLeader::ActsAsFollower,
    }
}

fn topic() -> TopicName {
    TopicName::from("t")
}

/// The leader gives each partition to one member; the others have no say.
fn assign(joined: &Joined) -> BTreeMap<MemberId, Bytes> {
    let count = joined.members.len();
    let members = joined.members.iter().enumerate();
    let assigned = members.map(|(at, member)| {
        let owned = SHARED.iter().enumerate().filter(|(n, _)| n % count == at);
        let bytes = owned.map(|(n, _)| u8::try_from(n).expect("few partitions"));
        (member.id.clone(), bytes.collect())
    });
    assigned.collect()
}

/// The partitions of an assignment.
pub(crate) fn owned(assignment: &[u8]) -> impl Iterator<Item = PartitionId> {
    assignment.iter().map(|n| SHARED[usize::from(*n)])
}
