//! What can be wrong about a history.

use std::fmt;

use crate::history::{Group, Log, Offset, Process, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// Acknowledged, or read once, and not in the log, which goes on behind it.
    LostWrite {
        log: Log,
        offset: Option<Offset>,
        value: Value,
    },
    /// Acknowledged and never read, and the log ends before it.
    Unseen {
        log: Log,
        offset: Option<Offset>,
        value: Value,
    },
    /// One send of an idempotent producer, several times in the log.
    Duplicate {
        log: Log,
        value: Value,
        offsets: Vec<Offset>,
    },
    /// Several records were at one offset.
    InconsistentOffsets {
        log: Log,
        offset: Offset,
        values: Vec<Value>,
    },
    /// The log has an offset without a record.
    Gap {
        log: Log,
        offset: Offset,
    },
    /// Of two sends of one producer the later one has the lower offset.
    NonmonotonicSend {
        log: Log,
        process: Process,
        earlier: (Value, Offset),
        later: (Value, Offset),
    },
    /// A record that failed or was aborted has been read.
    AbortedRead {
        log: Log,
        offset: Offset,
        value: Value,
        process: Process,
    },
    /// A record that nobody sent to this log has been read.
    GarbageRead {
        log: Log,
        offset: Offset,
        process: Process,
    },
    /// A poll went back behind what the one before had delivered.
    NonmonotonicPoll(Jump),
    /// A poll left out records behind what the one before had delivered.
    PollSkip(Jump),
    /// The same within one poll.
    IntNonmonotonicPoll(Jump),
    IntPollSkip(Jump),
    /// What a group committed is not there any more.
    LostCommit(Resumption),
    /// It is there again what was committed before it.
    RegressedCommit(Resumption),
    /// A member of a group begins behind everything that the group committed.
    CommitSkip(Resumption),
}

/// A consumer that got another offset than the one that was next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    pub(crate) log: Log,
    pub(crate) process: Process,
    pub(crate) expected: Offset,
    pub(crate) read: Offset,
    pub(crate) at: u64,
    /// Since its last poll a rebalance has left it the log: librdkafka itself may give it
    /// one record again then.
    pub(crate) kept: bool,
}

/// A group that is to go on elsewhere than where it was; nowhere if nothing is
/// known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resumption {
    pub(crate) group: Group,
    pub(crate) log: Log,
    pub(crate) expected: Offset,
    pub(crate) read: Option<Offset>,
}

impl Anomaly {
    /// Jepsen's name, where it has one.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::LostWrite { .. } => "lost-write",
            Self::Unseen { .. } => "unseen",
            Self::Duplicate { .. } => "duplicate",
            Self::InconsistentOffsets { .. } => "inconsistent-offsets",
            Self::Gap { .. } => "offset-gap",
            Self::NonmonotonicSend { .. } => "nonmonotonic-send",
            Self::AbortedRead { .. } => "G1a",
            Self::GarbageRead { .. } => "garbage-read",
            Self::NonmonotonicPoll(_) => "nonmonotonic-poll",
            Self::PollSkip(_) => "poll-skip",
            Self::IntNonmonotonicPoll(_) => "int-nonmonotonic-poll",
            Self::IntPollSkip(_) => "int-poll-skip",
            Self::LostCommit(_) => "lost-commit",
            Self::RegressedCommit(_) => "regressed-commit",
            Self::CommitSkip(_) => "commit-skip",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostWrite { log, offset, value } => {
                write!(f, "{} of {log} is missing{}", value.0, At(*offset))
            }
            Self::Unseen { log, offset, value } => {
                write!(f, "{} of {log} was never read{}", value.0, At(*offset))
            }
            Self::Duplicate {
                log,
                value,
                offsets,
            } => write!(f, "{} of {log} is at offsets {}", value.0, List(offsets)),
            Self::InconsistentOffsets {
                log,
                offset,
                values,
            } => {
                let values: Vec<_> = values.iter().map(|value| value.0).collect();
                write!(f, "offset {} of {log} had {values:?}", offset.0)
            }
            Self::Gap { log, offset } => write!(f, "offset {} of {log} has no record", offset.0),
            Self::NonmonotonicSend {
                log,
                process,
                earlier: (first, at_first),
                later: (second, at_second),
            } => write!(
                f,
                "{process} sent {} to {log} at offset {} and then {} at {}",
                first.0, at_first.0, second.0, at_second.0
            ),
            Self::AbortedRead {
                log,
                offset,
                value,
                process,
            } => write!(f, "{process} read {} at {} of {log}", value.0, offset.0),
            Self::GarbageRead {
                log,
                offset,
                process,
            } => write!(
                f,
                "{process} read what nobody sent at {} of {log}",
                offset.0
            ),
            Self::NonmonotonicPoll(jump)
            | Self::PollSkip(jump)
            | Self::IntNonmonotonicPoll(jump)
            | Self::IntPollSkip(jump) => write!(f, "{jump}"),
            Self::LostCommit(resumption)
            | Self::RegressedCommit(resumption)
            | Self::CommitSkip(resumption) => write!(f, "{resumption}"),
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} got {} of {} where {} was next, at {} us",
            self.process, self.read.0, self.log, self.expected.0, self.at
        )?;
        match self.kept {
            true => f.write_str(", after a rebalance that left it the log"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            log,
            expected,
            read,
        } = self;
        match read {
            Some(read) => write!(f, "{group} is at {} of {log}", read.0)?,
            None => write!(f, "{group} is nowhere in {log}")?,
        }
        write!(f, " instead of {}", expected.0)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}", self.0)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// Where the acknowledgement said that a record is.
struct At(Option<Offset>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, ", it was acknowledged at {}", offset.0),
            None => Ok(()),
        }
    }
}

struct List<'a>(&'a [Offset]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, offset) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", offset.0)?;
        }
        Ok(())
    }
}
