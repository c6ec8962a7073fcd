//! How many bytes the requests in the broker's hands may hold together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shares are counted in this unit, so that a semaphore's permits suffice.
const UNIT_BYTES: usize = 1_024;

/// The byte budget of `queued.max.request.bytes`. A share goes back when its
/// permit is dropped.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget {
    units: Arc<Semaphore>,
    units_max: u32,
}

impl ByteBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let units_max = u32::try_from(bytes_max.div_ceil(UNIT_BYTES))
            .unwrap_or(u32::MAX)
            .max(1);
        let permits = usize::try_from(units_max).expect("32 bits fit a usize");
        Self {
            units: Arc::new(Semaphore::new(permits)),
            units_max,
        }
    }

    pub(crate) fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = self.units_of(bytes);
        self.units.clone().try_acquire_many_owned(units).ok()
    }

    /// Waits in line. A request larger than the whole budget gets all of it.
    pub(crate) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = self.units_of(bytes);
        let permit = self.units.clone().acquire_many_owned(units).await;
        permit.expect("the budget's semaphore is never closed")
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES))
            .unwrap_or(u32::MAX)
            .min(self.units_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_comes_back_when_it_is_dropped() {
        let budget = ByteBudget::new(4_096);
        let all = budget.take(1 << 30).await;
        assert!(budget.try_take(1).is_none());
        drop(all);
        assert!(budget.try_take(4_096).is_some());
    }
}
