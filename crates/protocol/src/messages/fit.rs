//! What a version cannot say is taken out of a response before it is encoded.
//!
//! The crate's encoder refuses a field that the version does not have, unless
//! the schema calls it ignorable. A handler fills in what it knows, whatever the
//! version, and here is the one place that blanks it.

use std::borrow::Cow;

use kafka_protocol::messages::{
    DescribeGroupsResponse, FindCoordinatorResponse, JoinGroupResponse, LeaveGroupResponse,
    ListOffsetsResponse, MetadataResponse, OffsetFetchResponse, ProduceResponse,
};

/// Every field that an older version lacks is ignorable.
pub(super) fn as_is<R: Clone>(response: &R, _version: i16) -> Cow<'_, R> {
    Cow::Borrowed(response)
}

pub(super) fn produce(response: &ProduceResponse, _version: i16) -> Cow<'_, ProduceResponse> {
    Cow::Borrowed(response)
}
pub(super) fn list_offsets(
    response: &ListOffsetsResponse,
    _version: i16,
) -> Cow<'_, ListOffsetsResponse> {
    Cow::Borrowed(response)
}
pub(super) fn metadata(response: &MetadataResponse, _version: i16) -> Cow<'_, MetadataResponse> {
    Cow::Borrowed(response)
}
pub(super) fn find_coordinator(
    response: &FindCoordinatorResponse,
    _version: i16,
) -> Cow<'_, FindCoordinatorResponse> {
    Cow::Borrowed(response)
}
pub(super) fn join_group(
    response: &JoinGroupResponse,
    _version: i16,
) -> Cow<'_, JoinGroupResponse> {
    Cow::Borrowed(response)
}
pub(super) fn leave_group(
    response: &LeaveGroupResponse,
    _version: i16,
) -> Cow<'_, LeaveGroupResponse> {
    Cow::Borrowed(response)
}
pub(super) fn describe_groups(
    response: &DescribeGroupsResponse,
    _version: i16,
) -> Cow<'_, DescribeGroupsResponse> {
    Cow::Borrowed(response)
}
pub(super) fn offset_fetch(
    response: &OffsetFetchResponse,
    _version: i16,
) -> Cow<'_, OffsetFetchResponse> {
    Cow::Borrowed(response)
}
