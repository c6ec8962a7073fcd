//! What a replica does that does not lead.

use ottla_base::{BrokerId, LeaderEpoch, Offset};

use crate::effect::Effect;
use crate::log::Log;

/// A replica that another broker leads, or nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<BrokerId>,
}

/// Cuts the log where it parts from its leader's, whose data of `epoch`, the
/// largest epoch that it has up to ours, ends at `end`. Ours may know that epoch
/// too; if not, everything above the largest epoch below it goes.
pub(crate) fn diverged(log: &mut Log, epoch: LeaderEpoch, end: Offset, out: &mut Vec<Effect>) {
    let to = match log.hard.epochs.end_offset_for(epoch, None, log.hard.end) {
        Some(ours) if ours.epoch == epoch => ours.end.min(end),
        Some(ours) => ours.end,
        None => log.hard.end.min(end),
    };
    log.truncate(to.max(log.start), out);
}
