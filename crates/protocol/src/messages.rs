//! The messages of every API that we serve, and the one list of them.
//!
//! Most are those of the crate `kafka-protocol`. What it lacks against Kafka
//! 4.3, and what must not be copied on the hot path, is written here.

mod codec;
mod describe_log_dirs;
mod fetch;
mod fit;
mod offset_commit;
mod offset_fetch;
mod served;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

pub use codec::{Codec, codecs};
pub use describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
pub use fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData, encode_fetch,
};
pub use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName, TransactionalId};
pub use kafka_protocol::messages::{
    DescribeLogDirsRequest, FetchRequest, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, describe_log_dirs_request, fetch_request,
    offset_commit_request, offset_commit_response, offset_fetch_request, offset_fetch_response,
};
pub use served::*;

use crate::{ApiKey, WireError};

/// The broker's side of one API: requests in, responses out.
pub trait WireRequest: Sized + Send + 'static {
    const KEY: ApiKey;
    /// What is decoded and encoded; every other version is refused.
    const VERSIONS: RangeInclusive<i16>;
    type Response: Send + Debug + Default;

    /// Reads a request's body. What follows it in the frame is left alone, as
    /// Kafka does.
    fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError>;

    /// Writes a response's body. Fields that this version does not have are left
    /// out, whatever they hold.
    fn encode(response: &Self::Response, version: i16, out: &mut BytesMut)
    -> Result<(), WireError>;
}

/// The client's side of the same API.
pub trait WireClient: WireRequest {
    fn encode_request(&self, version: i16, out: &mut BytesMut) -> Result<(), WireError>;
    fn decode_response(body: &mut Bytes, version: i16) -> Result<Self::Response, WireError>;
}
