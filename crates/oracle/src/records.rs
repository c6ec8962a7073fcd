//! Record batches: those that cases produce, and how fetched ones are shown.

use bytes::Bytes;
use ottla_base::{Millis, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::{BatchBuilder, Level, RecordBatch, batches};

pub use ottla_protocol::records::Compression;

use crate::value::show_bytes;

/// A batch that a case produces; its records have times from 1000 on unless
/// they are given others.
#[derive(Debug, Clone)]
pub struct Batch {
    builder: BatchBuilder,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    pub fn new() -> Self {
        Self {
            builder: BatchBuilder::new(),
        }
    }

    /// As an idempotent producer's.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.builder =
            self.builder
                .producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence));
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.builder = self.builder.transactional();
        self
    }

    #[must_use]
    pub fn control(mut self) -> Self {
        self.builder = self.builder.control();
        self
    }

    #[must_use]
    pub fn compressed(mut self, codec: Compression) -> Self {
        self.builder = self.builder.compressed(codec, Level::Default);
        self
    }

    /// Adds a record.
    #[must_use]
    pub fn record(mut self, timestamp: i64, key: Option<&str>, value: Option<&str>) -> Self {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        self.builder.push(Millis(timestamp), key, value);
        self
    }

    /// Adds a record for each value, without keys, a millisecond apart.
    #[must_use]
    pub fn values(mut self, values: &[&str]) -> Self {
        for value in values {
            let time = 1000 + i64::from(self.builder.record_count());
            self = self.record(time, None, Some(value));
        }
        self
    }

    /// The batch's bytes.
    ///
    /// # Panics
    /// If a codec fails on what was given.
    pub fn bytes(self) -> Vec<u8> {
        let batch = self.builder.build().expect("what is given compresses");
        batch.to_bytes().to_vec()
    }
}

/// A batch of values, without keys.
pub fn values(values: &[&str]) -> Vec<u8> {
    Batch::new().values(values).bytes()
}

/// Makes the CRC of a batch that was changed fit again.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// What a request carries, in a few words.
pub fn summary(bytes: &[u8]) -> String {
    let mut counts = Vec::new();
    for batch in batches(Bytes::copy_from_slice(bytes)) {
        match batch {
            Ok(batch) => counts.push(batch.header().record_count.to_string()),
            Err(_) => return format!("<{} bytes>", bytes.len()),
        }
    }
    format!("<{} bytes, records: {}>", bytes.len(), counts.join(" + "))
}

/// What a response carries: lines for a batch and for each of its records.
pub fn show(bytes: &[u8], number: &mut dyn FnMut(&str, i64) -> String) -> Vec<(String, String)> {
    if bytes.is_empty() {
        return vec![(String::new(), "[]".to_owned())];
    }
    let mut lines = Vec::new();
    let mut left = bytes.len();
    for (at, batch) in batches(Bytes::copy_from_slice(bytes)).enumerate() {
        match batch {
            Ok(batch) => {
                left -= batch.to_bytes().len();
                show_batch(at, &batch, number, &mut lines);
            }
            Err(error) => {
                left = 0;
                lines.push((format!("[{at}]"), format!("unreadable: {error}")));
            }
        }
    }
    if left > 0 {
        lines.push(("[part]".to_owned(), "of a batch".to_owned()));
    }
    lines
}

fn show_batch(
    at: usize,
    batch: &RecordBatch,
    number: &mut dyn FnMut(&str, i64) -> String,
    lines: &mut Vec<(String, String)>,
) {
    let header = batch.header();
    let first = header.base_offset.0;
    let mut parts = vec![
        format!("{first}..={}", first + i64::from(header.last_offset_delta)),
        format!("leader epoch {}", header.leader_epoch.0),
        format!("attributes {:#04x}", header.attributes.0),
    ];
    if header.producer_id != ProducerId::NONE {
        let id = number("ProducerId", header.producer_id.0);
        let (epoch, sequence) = (header.producer_epoch.0, header.base_sequence.0);
        parts.push(format!("producer {id} epoch {epoch} sequence {sequence}"));
    }
    let highest = number("Timestamp", header.max_timestamp);
    parts.push(format!("highest time {highest}"));
    if !batch.verify_crc() {
        parts.push("wrong CRC".to_owned());
    }
    lines.push((format!("[{at}]"), parts.join(", ")));
    let records = match batch.records() {
        Ok(records) => records,
        Err(error) => {
            lines.push((format!("[{at}].records"), format!("unreadable: {error}")));
            return;
        }
    };
    for record in records {
        match record {
            Ok(record) => {
                let text = |bytes: &Option<Bytes>| {
                    bytes
                        .as_ref()
                        .map_or_else(|| "null".to_owned(), |it| show_long(it))
                };
                let time = number("Timestamp", record.timestamp);
                let mut shown =
                    format!("{} = {} at {time}", text(&record.key), text(&record.value));
                for header in &record.headers {
                    let key = String::from_utf8_lossy(&header.key);
                    shown += &format!(", {key}: {}", text(&header.value));
                }
                lines.push((format!("[{at}].{}", record.offset.0), shown));
            }
            Err(error) => lines.push((format!("[{at}].records"), format!("unreadable: {error}"))),
        }
    }
}

/// Bytes as they are, or how many there are if they would fill the page.
fn show_long(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=100 => show_bytes(bytes),
        long => format!("<{long} bytes>"),
    }
}
