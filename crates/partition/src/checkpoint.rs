//! The bytes of a checkpoint: a replica's state, so that a start does not have
//! to replay the whole log. Written in one version, read in all.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

use crate::error::CheckpointError;
use crate::log::Hard;
use crate::producers::{Producer, Sent, WINDOW};

/// Under this key a log's small state holds its last checkpoint.
pub const CHECKPOINT_KEY: &[u8] = b"partition";

const VERSION: u8 = 1;

/// version i8, end i64, epochs: count u32, (epoch i32, start i64) each;
/// producers: count u32, each id i64, epoch i16, last timestamp i64, batches:
/// count u8, (first i32, last i32, base i64, last offset i64, timestamp i64).
pub(crate) fn encode(hard: &Hard) -> Bytes {
    let mut out = BytesMut::with_capacity(32 + 200 * hard.producers.len());
    out.put_u8(VERSION);
    out.put_i64(hard.end.0);
    put_count(&mut out, hard.epochs.iter().len());
    for (epoch, start) in hard.epochs.iter() {
        out.put_i32(epoch.0);
        out.put_i64(start.0);
    }
    put_count(&mut out, hard.producers.len());
    for (id, producer) in hard.producers.iter() {
        out.put_i64(id.0);
        encode_producer(producer, &mut out);
    }
    out.freeze()
}

fn encode_producer(producer: &Producer, out: &mut BytesMut) {
    out.put_i16(producer.epoch.0);
    out.put_i64(producer.last_timestamp);
    let count = u8::try_from(producer.window.len()).expect("a window holds five");
    out.put_u8(count);
    for sent in &producer.window {
        out.put_i32(sent.first.0);
        out.put_i32(sent.last.0);
        out.put_i64(sent.base.0);
        out.put_i64(sent.last_offset.0);
        out.put_i64(sent.timestamp);
    }
}

pub(crate) fn decode(mut bytes: &[u8]) -> Result<Hard, CheckpointError> {
    const DAMAGED: CheckpointError = CheckpointError::Damaged;
    let version = bytes.try_get_u8().map_err(|_| DAMAGED)?;
    if version != VERSION {
        return Err(CheckpointError::Version(version));
    }
    let hard = decode_hard(&mut bytes).ok_or(DAMAGED)?;
    if bytes.is_empty() {
        Ok(hard)
    } else {
        Err(DAMAGED)
    }
}

fn decode_hard(bytes: &mut &[u8]) -> Option<Hard> {
    let mut hard = Hard {
        end: Offset(bytes.try_get_i64().ok()?),
        ..Hard::default()
    };
    for _ in 0..bytes.try_get_u32().ok()? {
        let epoch = LeaderEpoch(bytes.try_get_i32().ok()?);
        hard.epochs.assign(epoch, Offset(bytes.try_get_i64().ok()?));
    }
    for _ in 0..bytes.try_get_u32().ok()? {
        let id = ProducerId(bytes.try_get_i64().ok()?);
        hard.producers.insert(id, decode_producer(bytes)?);
    }
    Some(hard)
}

fn decode_producer(bytes: &mut &[u8]) -> Option<Producer> {
    let epoch = ProducerEpoch(bytes.try_get_i16().ok()?);
    let last_timestamp = bytes.try_get_i64().ok()?;
    let count = usize::from(bytes.try_get_u8().ok()?);
    let sent = |bytes: &mut &[u8]| {
        Some(Sent {
            first: Sequence(bytes.try_get_i32().ok()?),
            last: Sequence(bytes.try_get_i32().ok()?),
            base: Offset(bytes.try_get_i64().ok()?),
            last_offset: Offset(bytes.try_get_i64().ok()?),
            timestamp: bytes.try_get_i64().ok()?,
        })
    };
    let window = (0..count.min(WINDOW))
        .map(|_| sent(bytes))
        .collect::<Option<_>>()?;
    (count <= WINDOW).then_some(Producer {
        epoch,
        last_timestamp,
        window,
    })
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32(u32::try_from(count).expect("fewer than four billion entries fit in memory"));
}
