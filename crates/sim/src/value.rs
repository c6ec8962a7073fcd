//! Batches of values, as clients send them and consumers read them.

use ottla_base::{Millis, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::{BatchBuilder, RecordBatch};

use crate::fact::Value;

pub(crate) fn batch_of(
    values: &[Value],
    producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    now: Millis,
) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for value in values {
        builder.push(now, None, Some(&value.to_bytes()));
    }
    builder.build().expect("an uncompressed batch can be built")
}

/// The values of a batch that a world has written.
pub(crate) fn values_of(batch: &RecordBatch) -> Vec<(Offset, Value)> {
    let records = batch.records().expect("what was written can be read");
    let values = records.map(|record| {
        let record = record.expect("what was written can be read");
        let value = record.value.as_deref().and_then(Value::from_bytes);
        (record.offset, value.expect("every record has a value"))
    });
    values.collect()
}
