//! Between what is sent and what is meant.

use std::num::NonZeroU32;

use bytes::{Buf as _, Bytes, BytesMut};
use ottla_base::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId, TopicPartition};
use ottla_partition::FollowPosition;
use ottla_protocol::records::{BatchError, PREFIX_SIZE, RecordBatch};

use crate::proto;
use crate::proto::from_follower::Message as ByFollower;
use crate::proto::from_leader::Message as ByLeader;

/// What a follower says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromFollower {
    Hello(Hello),
    Follow(TopicPartition, FollowPosition, Room),
    Acknowledged(TopicPartition, Acknowledged),
    Unfollow(TopicPartition),
    /// This broker followed when it was asked in that round.
    Confirmed(TopicPartition, Round),
}

/// How much of a partition may be on its way while its follower is behind; none leaves
/// that to the leader.
pub(crate) type Room = Option<NonZeroU32>;

/// Who speaks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) broker: BrokerId,
    pub(crate) broker_epoch: i64,
    pub(crate) leader: BrokerId,
}

/// What a follower has durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acknowledged {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) end: Offset,
    pub(crate) log_start: Offset,
}

/// The number of a question whether followers still follow; rises with each of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(pub u64);

/// What a leader says of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FromLeader {
    pub(crate) partition: TopicPartition,
    /// The leader's; of a refusal what the broker knows.
    pub(crate) epoch: LeaderEpoch,
    pub(crate) news: LeaderNews,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaderNews {
    Append {
        after: Offset,
        batches: Vec<RecordBatch>,
        high_watermark: Offset,
    },
    Position {
        high_watermark: Offset,
        log_start: Offset,
    },
    Diverged {
        epoch: LeaderEpoch,
        end: Offset,
    },
    Refused,
    /// Does the follower follow this leader still?
    Confirm(Round),
}

/// Why a message of another broker is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConvertError {
    #[error("a message says nothing that is known here")]
    Unknown,
    #[error("a partition is named by {0} bytes")]
    TopicId(usize),
    #[error("{batches} batches have {prefixes} bytes of prefixes")]
    Prefixes { batches: usize, prefixes: usize },
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the batch at {0} was damaged on its way")]
    Crc(Offset),
}

impl FromFollower {
    pub(crate) fn to_proto(&self, leader: BrokerId) -> proto::FromFollower {
        let message = match *self {
            Self::Hello(hello) => ByFollower::Hello(proto::Hello {
                broker_id: hello.broker.0,
                broker_epoch: hello.broker_epoch,
                leader_id: leader.0,
            }),
            Self::Follow(partition, position, room) => ByFollower::Follow(proto::Follow {
                partition: Some(key(partition)),
                leader_epoch: position.epoch.0,
                end: position.end.0,
                last_epoch: position.last_epoch.0,
                log_start: position.log_start.0,
                room: room.map_or(0, NonZeroU32::get),
            }),
            Self::Acknowledged(partition, done) => ByFollower::Acknowledged(proto::Acknowledged {
                partition: Some(key(partition)),
                leader_epoch: done.epoch.0,
                end: done.end.0,
                log_start: done.log_start.0,
            }),
            Self::Unfollow(partition) => ByFollower::Unfollow(proto::Unfollow {
                partition: Some(key(partition)),
            }),
            Self::Confirmed(partition, round) => ByFollower::Confirmed(proto::Confirmed {
                partition: Some(key(partition)),
                round: round.0,
            }),
        };
        proto::FromFollower {
            message: Some(message),
        }
    }

    /// What came to the broker `leader`.
    pub(crate) fn from_proto(
        message: proto::FromFollower,
        leader: BrokerId,
    ) -> Result<Self, ConvertError> {
        Ok(match message.message.ok_or(ConvertError::Unknown)? {
            ByFollower::Hello(hello) => Self::Hello(Hello {
                broker: BrokerId(hello.broker_id),
                broker_epoch: hello.broker_epoch,
                leader: BrokerId(hello.leader_id),
            }),
            ByFollower::Follow(follow) => {
                let position = FollowPosition {
                    leader,
                    epoch: LeaderEpoch(follow.leader_epoch),
                    end: Offset(follow.end),
                    last_epoch: LeaderEpoch(follow.last_epoch),
                    log_start: Offset(follow.log_start),
                };
                let room = NonZeroU32::new(follow.room);
                Self::Follow(partition(follow.partition)?, position, room)
            }
            ByFollower::Acknowledged(done) => {
                let acknowledged = Acknowledged {
                    epoch: LeaderEpoch(done.leader_epoch),
                    end: Offset(done.end),
                    log_start: Offset(done.log_start),
                };
                Self::Acknowledged(partition(done.partition)?, acknowledged)
            }
            ByFollower::Unfollow(unfollow) => Self::Unfollow(partition(unfollow.partition)?),
            ByFollower::Confirmed(confirmed) => {
                let round = Round(confirmed.round);
                Self::Confirmed(partition(confirmed.partition)?, round)
            }
        })
    }
}

impl FromLeader {
    pub(crate) fn into_proto(self) -> proto::FromLeader {
        let partition = Some(key(self.partition));
        let leader_epoch = self.epoch.0;
        let message = match self.news {
            LeaderNews::Append {
                after,
                batches,
                high_watermark,
            } => ByLeader::Append(proto::Append {
                partition,
                leader_epoch,
                after: after.0,
                prefixes: prefixes(&batches),
                batches: batches.iter().map(|batch| batch.rest().clone()).collect(),
                high_watermark: high_watermark.0,
            }),
            LeaderNews::Position {
                high_watermark,
                log_start,
            } => ByLeader::Position(proto::Position {
                partition,
                leader_epoch,
                high_watermark: high_watermark.0,
                log_start: log_start.0,
            }),
            LeaderNews::Diverged { epoch, end } => ByLeader::Diverged(proto::Diverged {
                partition,
                leader_epoch,
                epoch: epoch.0,
                end: end.0,
            }),
            LeaderNews::Refused => ByLeader::Refused(proto::Refused {
                partition,
                leader_epoch,
            }),
            LeaderNews::Confirm(round) => ByLeader::Confirm(proto::Confirm {
                partition,
                leader_epoch,
                round: round.0,
            }),
        };
        proto::FromLeader {
            message: Some(message),
        }
    }

    pub(crate) fn from_proto(message: proto::FromLeader) -> Result<Self, ConvertError> {
        let (named, leader_epoch, news) = match message.message.ok_or(ConvertError::Unknown)? {
            ByLeader::Append(append) => {
                let news = LeaderNews::Append {
                    after: Offset(append.after),
                    batches: batches(append.prefixes, append.batches)?,
                    high_watermark: Offset(append.high_watermark),
                };
                (append.partition, append.leader_epoch, news)
            }
            ByLeader::Position(position) => {
                let news = LeaderNews::Position {
                    high_watermark: Offset(position.high_watermark),
                    log_start: Offset(position.log_start),
                };
                (position.partition, position.leader_epoch, news)
            }
            ByLeader::Diverged(diverged) => {
                let news = LeaderNews::Diverged {
                    epoch: LeaderEpoch(diverged.epoch),
                    end: Offset(diverged.end),
                };
                (diverged.partition, diverged.leader_epoch, news)
            }
            ByLeader::Refused(refused) => {
                let news = LeaderNews::Refused;
                (refused.partition, refused.leader_epoch, news)
            }
            ByLeader::Confirm(confirm) => {
                let news = LeaderNews::Confirm(Round(confirm.round));
                (confirm.partition, confirm.leader_epoch, news)
            }
        };
        Ok(Self {
            partition: partition(named)?,
            epoch: LeaderEpoch(leader_epoch),
            news,
        })
    }
}

fn prefixes(batches: &[RecordBatch]) -> Bytes {
    let mut prefixes = BytesMut::with_capacity(batches.len() * PREFIX_SIZE);
    for batch in batches {
        prefixes.extend_from_slice(&batch.prefix());
    }
    prefixes.freeze()
}

fn batches(mut prefixes: Bytes, rests: Vec<Bytes>) -> Result<Vec<RecordBatch>, ConvertError> {
    if prefixes.len() != rests.len() * PREFIX_SIZE {
        return Err(ConvertError::Prefixes {
            batches: rests.len(),
            prefixes: prefixes.len(),
        });
    }
    let batch = |rest| {
        let mut prefix = [0; PREFIX_SIZE];
        prefixes.copy_to_slice(&mut prefix);
        let batch = RecordBatch::from_parts(prefix, rest)?;
        if batch.verify_crc() {
            Ok(batch)
        } else {
            Err(ConvertError::Crc(batch.header().base_offset))
        }
    };
    rests.into_iter().map(batch).collect()
}

fn key(partition: TopicPartition) -> proto::PartitionKey {
    proto::PartitionKey {
        topic_id: Bytes::copy_from_slice(&partition.topic.0),
        partition: partition.partition.0,
    }
}

fn partition(key: Option<proto::PartitionKey>) -> Result<TopicPartition, ConvertError> {
    let key = key.ok_or(ConvertError::Unknown)?;
    let topic = <[u8; 16]>::try_from(&*key.topic_id);
    Ok(TopicPartition {
        topic: TopicId(topic.map_err(|_| ConvertError::TopicId(key.topic_id.len()))?),
        partition: PartitionId(key.partition),
    })
}
