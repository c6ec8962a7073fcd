//! What nodes ask of the active controller: to be taken in, to stay, to change who is
//! in sync, for producer ids, and to answer a client in their place.
//!
//! Knows neither who is active nor how anything is decided: [`serve`] is given a
//! [`Controller`], and a [`Client`] goes from node to node until one says that it is.

mod client;
mod convert;
mod request;
mod service;

/// What `proto/control.proto` says, as Rust.
#[expect(
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("ottla.control.v1");
}

pub use client::{Candidate, Client};
pub use request::{Active, Answer, Forward, Forwarded, Refused, Request};
pub use service::{Controller, service};
