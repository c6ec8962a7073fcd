//! One replica of one partition, as a pure machine in step form: inputs and the
//! time go in, effects come out. Offsets, leader epochs, the high watermark,
//! what idempotent producers sent, and which replies wait for what.
//!
//! It never sees a disk, a socket or a clock. A driver carries out the effects
//! in their order; the broker and the simulator are two such drivers.

mod checkpoint;
mod deletions;
mod effect;
mod epochs;
mod error;
mod follower;
mod held;
mod input;
mod isr;
mod leader;
mod log;
mod partition;
mod producers;
mod recovery;
mod view;

pub use checkpoint::CHECKPOINT_KEY;
pub use effect::{Appended, Effect, Reply};
pub use epochs::{EpochEnd, Epochs};
pub use error::{AppendError, CheckpointError, DeleteError, EpochError, SequenceError};
pub use follower::{FollowPosition, Place};
pub use input::{Acks, Append, Input, Lead, Settings};
pub use log::Hard;
pub use partition::Partition;
pub use producers::{ActiveProducer, Producers};
pub use recovery::Recovery;
pub use view::{RoleKind, View};
