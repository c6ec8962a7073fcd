//! A cluster told from a seed: three or five brokers that replicate partitions as
//! `proto/replication.proto` says, the controller over a log of its own, and everything
//! that may fail between and within them.

mod cells;
mod clients;
mod control;
mod event;
mod faults;
mod links;
mod moves;
mod node;
mod quorum;
mod replicate;
mod roles;
mod world;

pub(crate) use world::ClusterWorld;
