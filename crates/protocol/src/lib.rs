//! Kafka's bytes: frames, headers, messages, record batches, and the records of
//! the internal topics.
//!
//! Pure: it turns bytes into values and back, and decides nothing about topics,
//! partitions or groups. Whatever a peer sends, it answers with a value or an
//! error, within bounded memory.

mod api_key;
mod error;
pub mod frame;
pub mod header;
pub mod internal;
pub mod messages;
pub mod records;
mod wire;

pub use api_key::{ApiKey, request_header_version, response_header_version};
pub use error::WireError;
pub use kafka_protocol::protocol::StrBytes;
pub use messages::{WireClient, WireRequest};
pub use uuid::Uuid;
