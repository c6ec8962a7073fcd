//! gRPC between the nodes of a cluster: channels to other nodes, and a server for
//! connections that somebody else accepted.
//!
//! Internal gRPC has no port of its own. A connection to a listener that brokers or
//! controllers use begins with the preface of HTTP/2 if it is one of these, which no
//! Kafka client sends: as the length of a frame it is above every limit.

mod channel;
mod incoming;

pub use channel::{Address, Channels};
pub use incoming::{Handoff, IncomingStream, PREFACE, incoming, serve};
