//! Writes a batch's records anew, under another codec or with the offsets that
//! they should have had.

use std::io::{self, Write};

use super::compression::{Compressor, Decompressor};
use super::record::codec;
use super::walk::{CopyError, Walk, unreadable};
use super::{BatchError, BatchHeader, Compression, Level, RecordBatch};

/// Why a batch could not be written anew.
#[derive(Debug)]
pub(super) enum RecodeError {
    /// It would be larger than is allowed.
    TooLarge,
    Unreadable(BatchError),
}

/// The records of `batch` under `target`, numbered from 0, in a batch of at most
/// `size_max` bytes. The header is the one given, but for codec, size and CRC.
///
/// Records pass through one by one, so what is held is what comes out.
pub(super) fn recode(
    batch: &RecordBatch,
    header: &BatchHeader,
    target: Compression,
    level: Level,
    size_max: usize,
) -> Result<RecordBatch, RecodeError> {
    let payload = batch.payload();
    let source = codec(batch.header()).map_err(RecodeError::Unreadable)?;
    let input = Decompressor::new(source, &payload);
    let mut input = Walk::new(input.map_err(|error| RecodeError::Unreadable(unreadable(error)))?);
    let out = Bounded {
        bytes: vec![0; BatchHeader::SIZE],
        size_max,
    };
    let mut out = Compressor::new(target, level, out).map_err(too_large)?;
    for index in 0..header.record_count {
        match input.copy_next(index, &mut out) {
            Ok(()) => {}
            Err(CopyError::Read(error)) => return Err(RecodeError::Unreadable(error)),
            Err(CopyError::Write(error)) => return Err(too_large(error)),
        }
    }
    let bytes = out.finish().map_err(too_large)?.bytes;
    let attributes = header.attributes.with_compression(target);
    Ok(RecordBatch::seal(
        BatchHeader {
            attributes,
            ..*header
        },
        bytes,
    ))
}

/// Writing to memory fails for one reason: the limit.
fn too_large(_: io::Error) -> RecodeError {
    RecodeError::TooLarge
}

/// Memory that fails rather than to grow beyond its limit.
struct Bounded {
    bytes: Vec<u8>,
    size_max: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.size_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
