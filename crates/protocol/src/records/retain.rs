//! What compaction leaves of a batch: fewer records, or none, under the same
//! offsets, sequences and producer.

use std::io::Write;

use ottla_base::{ByteSize, Millis};

use super::builder::put_record;
use super::compression::Compressor;
use super::record::codec;
use super::walk::unreadable;
use super::{
    Attributes, BatchError, BatchHeader, Compression, Level, Record, RecordBatch, TimestampType,
};

impl RecordBatch {
    /// The batch with some of its records, at least one: as
    /// `MemoryRecords.buildRetainedRecordsInto` makes it. With a delete horizon that
    /// takes the place of the base timestamp, and a batch that has one keeps it.
    ///
    /// # Panics
    ///
    /// If no record is retained: that is [`RecordBatch::emptied`].
    pub fn retaining(
        &self,
        records: &[Record],
        delete_horizon: Option<Millis>,
    ) -> Result<Self, BatchError> {
        let old = self.header();
        let first = records.first().expect("a record is retained");
        let horizon = delete_horizon.or_else(|| old.delete_horizon());
        let base_timestamp = horizon.map_or(first.timestamp, |horizon| horizon.0);
        let greatest = records.iter().map(|record| record.timestamp).max();
        let max_timestamp = match old.attributes.timestamp_type() {
            TimestampType::CreateTime => greatest.unwrap_or(old.max_timestamp),
            TimestampType::LogAppendTime => old.max_timestamp,
        };
        let codec = codec(old)?;
        let header = BatchHeader {
            attributes: match horizon {
                Some(_) => old.attributes.with_delete_horizon(),
                None => old.attributes,
            },
            base_timestamp,
            max_timestamp,
            record_count: i32::try_from(records.len()).map_err(|_| BatchError::Count(i32::MAX))?,
            ..*old
        };
        let mut plain = vec![0; BatchHeader::SIZE];
        for record in records {
            let offset_delta = record.offset.0 - old.base_offset.0;
            let offset_delta =
                i32::try_from(offset_delta).map_err(|_| BatchError::Record { index: i32::MAX })?;
            let timestamp_delta = record.timestamp.wrapping_sub(base_timestamp);
            let headers: Vec<_> = record
                .headers
                .iter()
                .map(|header| (&header.key[..], header.value.as_deref()))
                .collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            put_record(
                &mut plain,
                timestamp_delta,
                offset_delta,
                key,
                value,
                &headers,
            );
        }
        if codec == Compression::None {
            return Ok(Self::seal(header, plain));
        }
        let room = vec![0; BatchHeader::SIZE];
        let mut out = Compressor::new(codec, Level::Default, room).map_err(unreadable)?;
        out.write_all(&plain[BatchHeader::SIZE..])
            .map_err(unreadable)?;
        Ok(Self::seal(header, out.finish().map_err(unreadable)?))
    }

    /// The batch without any record: what remains of it are its offsets and what its
    /// producer's sequence was. As `DefaultRecordBatch.writeEmptyHeader` makes it.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let old = self.header();
        let mut attributes =
            Attributes::default().with_timestamp_type(old.attributes.timestamp_type());
        if old.attributes.is_transactional() {
            attributes = attributes.transactional();
        }
        if old.attributes.is_control() {
            attributes = attributes.control();
        }
        let header = BatchHeader {
            size: ByteSize(0),
            attributes,
            base_timestamp: -1,
            record_count: 0,
            ..*old
        };
        Self::seal(header, vec![0; BatchHeader::SIZE])
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

    use super::*;
    use crate::records::BatchBuilder;

    fn batch(codec: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new()
            .compressed(codec, Level::Default)
            .producer(ProducerId(7), ProducerEpoch(2), Sequence(40));
        for number in 0..5_i64 {
            let key = [b'k', u8::try_from(number).unwrap()];
            let value = (number != 3).then_some(&b"value"[..]);
            let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1")), (b"h", None)];
            builder.push_with_headers(Millis(1_000 + number), Some(&key), value, headers);
        }
        let batch = builder.build().unwrap();
        batch.at(Offset(100), LeaderEpoch(9))
    }

    fn records(batch: &RecordBatch) -> Vec<Record> {
        batch.records().unwrap().map(Result::unwrap).collect()
    }

    fn chosen(batch: &RecordBatch, offsets: &[i64]) -> Vec<Record> {
        let mut records = records(batch);
        records.retain(|record| offsets.contains(&record.offset.0));
        records
    }

    #[test]
    fn what_is_retained_is_as_it_was_under_the_same_offsets() {
        for codec in Compression::ALL {
            let batch = batch(codec);
            let kept = chosen(&batch, &[101, 103]);
            let retained = batch.retaining(&kept, None).unwrap();
            assert!(retained.verify_crc());
            assert_eq!(records(&retained), kept, "{codec:?}");
            let (old, new) = (batch.header(), retained.header());
            let expected = BatchHeader {
                size: new.size,
                crc: new.crc,
                base_timestamp: 1_001,
                max_timestamp: 1_003,
                record_count: 2,
                ..*old
            };
            assert_eq!(*new, expected);
            assert_eq!(new.last_offset(), Offset(104));
            assert_eq!(new.last_sequence(), Sequence(44));
        }
    }

    #[test]
    fn a_delete_horizon_changes_no_record() {
        for codec in Compression::ALL {
            let batch = batch(codec);
            let kept = chosen(&batch, &[100, 103]);
            let marked = batch.retaining(&kept, Some(Millis(90_000))).unwrap();
            assert_eq!(records(&marked), kept);
            assert_eq!(marked.header().delete_horizon(), Some(Millis(90_000)));
            assert_eq!(marked.header().max_timestamp, 1_003);
            let again = chosen(&marked, &[103]);
            let again = marked.retaining(&again, None).unwrap();
            assert_eq!(records(&again), chosen(&batch, &[103]));
            assert_eq!(again.header().delete_horizon(), Some(Millis(90_000)));
        }
    }

    #[test]
    fn the_time_that_the_broker_gave_stays() {
        let mut builder = BatchBuilder::new().log_append_time(Millis(5_000));
        builder.push(Millis(1), Some(b"a"), Some(b"1"));
        builder.push(Millis(2), Some(b"b"), None);
        let batch = builder.build().unwrap();
        let kept = chosen(&batch, &[1]);
        let marked = batch.retaining(&kept, Some(Millis(9_000))).unwrap();
        assert_eq!(records(&marked), kept);
        assert_eq!(records(&marked)[0].timestamp, 5_000);
    }

    #[test]
    fn an_empty_batch_keeps_offsets_and_sequence() {
        let batch = batch(Compression::Zstd);
        let empty = batch.emptied();
        assert!(empty.verify_crc());
        assert_eq!(records(&empty), []);
        let (old, new) = (batch.header(), empty.header());
        let expected = BatchHeader {
            size: ByteSize(61),
            crc: new.crc,
            attributes: Attributes::default(),
            base_timestamp: -1,
            record_count: 0,
            ..*old
        };
        assert_eq!(*new, expected);
    }
}
