//! This node's part in the cluster: who the active controller is and what it is asked,
//! what it answers if it is this one, and the reports by which brokers stay in.

mod answer;
mod ask;
mod departures;
mod heartbeat;
mod isr;
mod lease;
mod watch;

pub(crate) use answer::Answering;
pub(crate) use ask::{ClusterHandle, ask, forward, submit};
pub(crate) use departures::{Departure, Told, takes_part};
pub use heartbeat::RegistrationError;
pub(crate) use heartbeat::{hand_over, join, register, run as report};
pub(crate) use isr::run as propose;
pub(crate) use watch::run as watch;
