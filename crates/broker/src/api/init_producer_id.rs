//! InitProducerId: v0-5.
//!
//! - v2: flexible. v3: a producer may come with the id and epoch that it has
//!   (KIP-360). v4: PRODUCER_FENCED, v5: abortable errors; both are for
//!   transactions.
//!
//! Producers without a transactional id get a fresh id at epoch 0, whatever they
//! come with, as in Kafka. Transactions are not served: UNSUPPORTED_VERSION,
//! which clients take for final. v6, unstable in Kafka too, is not served.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, ProducerEpoch, ProducerId};
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(super) struct InitProducerId;

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;
    const SERVED: RangeInclusive<i16> = 0..=5;

    async fn handle(
        cx: Cx,
        request: InitProducerIdRequest,
    ) -> Result<InitProducerIdResponse, Refusal> {
        check(&request)?;
        let id = cx.broker.producer_ids.next(&cx.broker).await?;
        Ok(to_wire(ErrorCode::None, id, ProducerEpoch(0)))
    }

    fn refuse(error: ErrorCode) -> InitProducerIdResponse {
        to_wire(error, ProducerId::NONE, ProducerEpoch::NONE)
    }
}

fn check(request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    let has_id = request.producer_id.0 != ProducerId::NONE.0;
    let has_epoch = request.producer_epoch != ProducerEpoch::NONE.0;
    if has_id != has_epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_ref().map(|id| id.as_str()) {
        None => Ok(()),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::UnsupportedVersion),
    }
}

fn to_wire(error: ErrorCode, id: ProducerId, epoch: ProducerEpoch) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(id.0.into())
        .with_producer_epoch(epoch.0)
}
