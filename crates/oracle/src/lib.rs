//! Asks Apache Kafka and Ottla the same and compares what they answer, field by
//! field. See README.md for how a case is written.

pub mod broker;
pub mod case;
mod cases;
pub mod codec;
pub mod connection;
pub mod differences;
pub mod normal;
pub mod records;
pub mod run;
pub mod schema;
pub mod session;
pub mod transcript;
pub mod value;

pub use case::Case;
pub use session::Session;
pub use value::{EMPTY, NO_ID, NULL, Value};
