//! A cluster told from a seed: three or five brokers that replicate partitions as
//! `proto/replication.proto` says, the controller over a log of its own, and everything
//! that may fail between and within them.

mod clients;
mod faults;
mod links;
mod node;
mod quorum;
mod replicate;
mod world;

pub(crate) use world::ClusterWorld;
