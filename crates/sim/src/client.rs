//! Who waits for replies, and what they are told.

use ottla_coordinator::Reply as GroupReply;
use ottla_partition::{AppendError, Appended, Reply};

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    Producer { client: u32, batch_number: u32 },
    Member { member: usize, number: u32 },
    Nobody,
}

/// What is on its way to a client.
#[derive(Debug)]
pub(crate) enum Answer {
    Producer {
        client: u32,
        batch_number: u32,
        result: Result<Appended, AppendError>,
    },
    Member {
        member: usize,
        number: u32,
        /// None where the groups are not.
        reply: Option<GroupReply>,
    },
}

impl Client {
    /// What it is told by a partition, if it waits for that.
    pub(crate) fn told(self, reply: Reply) -> Option<Answer> {
        match (self, reply) {
            (
                Self::Producer {
                    client,
                    batch_number,
                },
                Reply::Appended(result),
            ) => Some(Answer::Producer {
                client,
                batch_number,
                result,
            }),
            (Self::Producer { .. } | Self::Member { .. } | Self::Nobody, _) => None,
        }
    }

    /// What it is told by groups, if it waits for that.
    pub(crate) fn told_by_groups(self, reply: Option<GroupReply>) -> Option<Answer> {
        match self {
            Self::Member { member, number } => Some(Answer::Member {
                member,
                number,
                reply,
            }),
            Self::Producer { .. } | Self::Nobody => None,
        }
    }
}
