//! Producer ids, handed out in blocks so that a broker can give one to a client
//! without asking.

use ottla_base::{Effects, Machine, ProducerId};

use crate::ControllerMachine;
use crate::record::Record;

/// Producer ids that belong to one broker. What it does not use before it stops
/// is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub len: u32,
}

impl ProducerIdBlock {
    /// As in Kafka.
    pub const LEN: u32 = 1000;

    /// The next id of a block that is not used up.
    pub fn take(&mut self) -> ProducerId {
        assert!(self.len > 0, "a block that is used up has no next id");
        let id = self.first;
        self.first = ProducerId(id.0 + 1);
        self.len -= 1;
        id
    }
}

/// Why no producer ids were given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProducerIdError {
    #[error("all producer ids have been given out")]
    Exhausted,
}

impl ControllerMachine {
    pub(crate) fn allocate_producer_ids(
        &mut self,
        fx: &mut Effects<Self>,
    ) -> Result<ProducerIdBlock, ProducerIdError> {
        let first = self.image().next_producer_id();
        let len = ProducerIdBlock::LEN;
        let next = first
            .0
            .checked_add(len.into())
            .ok_or(ProducerIdError::Exhausted)?;
        let next = ProducerId(next);
        self.emit(Record::ProducerIds { next }, fx);
        Ok(ProducerIdBlock { first, len })
    }
}
