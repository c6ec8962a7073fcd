//! What must always hold, one property per file. An invariant sees facts, keeps
//! its own book of them, and says when they do not fit.

mod acknowledged_kept;
mod answered_once;
mod commits_kept;
mod committed_stays;
mod deleted_stays_gone;
mod heals;
mod high_watermark_grows;
mod no_duplicates;
mod offsets_dense;
mod owners_agree;
mod recovery_agrees;

use std::fmt::Debug;

use ottla_base::Millis;

use crate::fact::Fact;

/// One property.
trait Invariant: Debug {
    fn name(&self) -> &'static str;

    /// Takes note of a fact; the text says how it breaks the property.
    fn observe(&mut self, now: Millis, fact: &Fact<'_>) -> Result<(), String>;
}

/// All of them, in one row.
#[derive(Debug)]
pub(crate) struct Invariants {
    all: Vec<Box<dyn Invariant>>,
}

impl Invariants {
    pub(crate) fn all() -> Self {
        Self {
            all: vec![
                Box::<answered_once::AnsweredOnce>::default(),
                Box::<high_watermark_grows::HighWatermarkGrows>::default(),
                Box::<offsets_dense::OffsetsDense>::default(),
                Box::<acknowledged_kept::AcknowledgedKept>::default(),
                Box::<committed_stays::CommittedStays>::default(),
                Box::<deleted_stays_gone::DeletedStaysGone>::default(),
                Box::<no_duplicates::NoDuplicates>::default(),
                Box::<owners_agree::OwnersAgree>::default(),
                Box::<commits_kept::CommitsKept>::default(),
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
