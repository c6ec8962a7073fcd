//! ListPartitionReassignments: v0.
//!
//! Partitions are not moved, so there is never anything to list. A topic that
//! does not exist is left out like every other, as in Kafka.

use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct ListPartitionReassignments;

impl Handler for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;

    async fn handle(
        _cx: Cx,
        _request: ListPartitionReassignmentsRequest,
    ) -> Result<ListPartitionReassignmentsResponse, Refusal> {
        Ok(ListPartitionReassignmentsResponse::default().with_error_message(None))
    }

    fn refuse(error: ErrorCode) -> ListPartitionReassignmentsResponse {
        ListPartitionReassignmentsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}
