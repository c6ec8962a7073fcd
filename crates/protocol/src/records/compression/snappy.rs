//! Snappy blocks in the framing of Java's xerial library, which Kafka's own
//! clients write; and the one raw block that some others send instead.

use std::io::{self, BufRead, Read, Write};

use bytes::Buf;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::DECOMPRESSED_MAX;

/// The framing's magic, its version, and the oldest version that can read it.
const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// What Java's library fills before it compresses.
const BLOCK: usize = 32 << 10;
/// The most that a snappy element grows by: three bytes copy 64.
const GROWTH_MAX: usize = 22;

/// Reads blocks, one at a time.
pub(in crate::records) struct SnappyReader<'a> {
    /// What was not read yet.
    input: &'a [u8],
    is_framed: bool,
    decoder: Decoder,
    block: Vec<u8>,
    /// How much of the block was consumed.
    from: usize,
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        // Only the magic: whatever wrote it, the blocks look the same.
        let is_framed = input.len() >= HEADER.len() && input.starts_with(&HEADER[..8]);
        Self {
            input: if is_framed {
                &input[HEADER.len()..]
            } else {
                input
            },
            is_framed,
            decoder: Decoder::new(),
            block: Vec::new(),
            from: 0,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let block = if self.is_framed {
            self.framed_block()?
        } else {
            std::mem::take(&mut self.input)
        };
        let size = decompress_len(block)?;
        if size > GROWTH_MAX * block.len() || size as u64 > DECOMPRESSED_MAX.0 {
            return Err(invalid("a block claims a size that it cannot have"));
        }
        self.block.resize(size, 0);
        self.from = 0;
        let written = self.decoder.decompress(block, &mut self.block)?;
        self.block.truncate(written);
        Ok(())
    }

    fn framed_block(&mut self) -> io::Result<&'a [u8]> {
        // Streams may be joined, header and all.
        if let Some(rest) = self.input.strip_prefix(HEADER) {
            self.input = rest;
        }
        if self.input.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = self.input.try_get_u32()?;
        let split = usize::try_from(size)
            .ok()
            .and_then(|size| self.input.split_at_checked(size));
        let Some((block, rest)) = split else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        self.input = rest;
        Ok(block)
    }
}

impl BufRead for SnappyReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from == self.block.len() && !self.input.is_empty() {
            self.next_block()?;
        }
        Ok(&self.block[self.from..])
    }

    fn consume(&mut self, size: usize) {
        self.from += size;
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(out)?;
        self.consume(size);
        Ok(size)
    }
}

/// Writes the framing.
pub(in crate::records) struct SnappyWriter<W> {
    out: W,
    is_begun: bool,
    encoder: Encoder,
    /// What was not compressed yet.
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl<W: Write> SnappyWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            is_begun: false,
            encoder: Encoder::new(),
            block: Vec::with_capacity(BLOCK),
            compressed: vec![0; max_compress_len(BLOCK)],
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_block()?;
        Ok(self.out)
    }

    fn write_block(&mut self) -> io::Result<()> {
        if !self.is_begun {
            self.is_begun = true;
            self.out.write_all(HEADER)?;
        }
        if self.block.is_empty() {
            return Ok(());
        }
        let size = self.encoder.compress(&self.block, &mut self.compressed)?;
        let prefix = u32::try_from(size).map_err(invalid)?;
        self.out.write_all(&prefix.to_be_bytes())?;
        self.out.write_all(&self.compressed[..size])?;
        self.block.clear();
        Ok(())
    }
}

impl<W: Write> Write for SnappyWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..size]);
        if self.block.len() == BLOCK {
            self.write_block()?;
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
