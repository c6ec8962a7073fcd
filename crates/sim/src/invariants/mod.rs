//! What must always hold, one property per file. An invariant sees facts, keeps
//! its own book of them, and says when they do not fit.

mod acknowledged_kept;
mod answered_once;
mod commits_kept;
mod committed_stays;
mod deleted_stays_gone;
mod hands_over;
mod heals;
mod high_watermark_grows;
mod in_sync_has_all;
mod logs_agree;
mod no_duplicates;
mod offsets_dense;
mod one_leader;
mod owners_agree;
mod recovery_agrees;
mod replicas_fit;

use std::fmt::Debug;

use ottla_base::Millis;

use crate::fact::Fact;

/// One property.
trait Invariant: Debug {
    fn name(&self) -> &'static str;

    /// Takes note of a fact; the text says how it breaks the property.
    fn observe(&mut self, now: Millis, fact: &Fact<'_>) -> Result<(), String>;
}

/// What a story may promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What the leader alone acknowledges survives too.
    OneBroker,
    /// Leadership moves, and only what all in sync have is sure.
    Cluster,
}

/// All of them, in one row.
#[derive(Debug)]
pub(crate) struct Invariants {
    all: Vec<Box<dyn Invariant>>,
}

impl Invariants {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            all: vec![
                Box::<answered_once::AnsweredOnce>::default(),
                Box::new(high_watermark_grows::HighWatermarkGrows::new(scope)),
                Box::<offsets_dense::OffsetsDense>::default(),
                Box::new(acknowledged_kept::AcknowledgedKept::new(scope)),
                Box::<committed_stays::CommittedStays>::default(),
                Box::<deleted_stays_gone::DeletedStaysGone>::default(),
                Box::<no_duplicates::NoDuplicates>::default(),
                Box::<owners_agree::OwnersAgree>::default(),
                Box::<commits_kept::CommitsKept>::default(),
                Box::<logs_agree::LogsAgree>::default(),
                Box::<in_sync_has_all::InSyncHasAll>::default(),
                Box::<one_leader::OneLeader>::default(),
                Box::<hands_over::HandsOver>::default(),
                Box::<replicas_fit::ReplicasFit>::default(),
                Box::<recovery_agrees::RecoveryAgrees>::default(),
                Box::<heals::Heals>::default(),
            ],
        }
    }

    /// The first invariant that the fact breaks, and how.
    pub(crate) fn observe(
        &mut self,
        now: Millis,
        fact: &Fact<'_>,
    ) -> Result<(), (&'static str, String)> {
        for invariant in &mut self.all {
            let name = invariant.name();
            invariant.observe(now, fact).map_err(|what| (name, what))?;
        }
        Ok(())
    }
}

/// Breaks the property if `holds` is false.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
