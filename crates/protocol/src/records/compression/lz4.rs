//! LZ4 frames, as Kafka's `Lz4BlockInputStream` reads them: the first frame
//! only, independent blocks only, no content checksum.
//!
//! What that class refuses is refused here as well: a batch is kept as it came,
//! and Java's consumers will read it with that class.

use std::io::{self, BufRead, Read, Write};

use bytes::Buf;
use lz4_flex::block::decompress_into;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184d_2204;
/// Marks a block that is kept as it is.
const UNCOMPRESSED: u32 = 1 << 31;

/// Writes frames as Java's producer does: independent blocks of 64 KiB.
pub(super) fn encoder<W: Write>(out: W) -> FrameEncoder<W> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    FrameEncoder::with_frame_info(info, out)
}

/// Reads one frame, one block at a time.
pub(in crate::records) struct Lz4Reader<'a> {
    /// What was not read yet.
    input: &'a [u8],
    block_max: usize,
    has_block_checksums: bool,
    /// The memory of a decompressed block: reserved once, up to 4 MiB, which is
    /// what the format allows.
    memory: Vec<u8>,
    block: Block<'a>,
}

enum Block<'a> {
    /// From and to where `memory` is still to be read.
    Decompressed {
        from: usize,
        to: usize,
    },
    Kept(&'a [u8]),
    /// The frame is over.
    End,
}

impl<'a> Lz4Reader<'a> {
    pub(super) fn new(mut input: &'a [u8]) -> io::Result<Self> {
        if input.try_get_u32_le()? != MAGIC {
            return Err(invalid("not an LZ4 frame"));
        }
        let descriptor = input;
        let flags = input.try_get_u8()?;
        let block_descriptor = input.try_get_u8()?;
        if flags >> 6 != 1 {
            return Err(invalid("the frame has an unknown version"));
        }
        if flags & 0x20 == 0 {
            return Err(invalid("the frame's blocks depend on each other"));
        }
        if flags & 0x03 != 0 || block_descriptor & 0x8f != 0 {
            return Err(invalid("the frame sets reserved bits, or a dictionary"));
        }
        let block_max = match block_descriptor >> 4 {
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(invalid("the frame has an unknown block size")),
        };
        if flags & 0x08 != 0 {
            // The size of the content, which Kafka passes over.
            input.try_get_u64_le()?;
        }
        let size = descriptor.len() - input.len();
        let [_, checksum, ..] = XxHash32::oneshot(0, &descriptor[..size]).to_le_bytes();
        if input.try_get_u8()? != checksum {
            return Err(invalid("the frame's descriptor fails its checksum"));
        }
        Ok(Self {
            input,
            block_max,
            has_block_checksums: flags & 0x10 != 0,
            memory: Vec::new(),
            block: Block::Kept(&[]),
        })
    }

    fn next_block(&mut self) -> io::Result<()> {
        let word = self.input.try_get_u32_le()?;
        let size = (word & !UNCOMPRESSED) as usize;
        if size == 0 {
            self.block = Block::End;
            return Ok(());
        }
        if size > self.block_max {
            return Err(invalid("a block is larger than the frame allows"));
        }
        let Some((block, rest)) = self.input.split_at_checked(size) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        self.input = rest;
        if self.has_block_checksums && self.input.try_get_u32_le()? != XxHash32::oneshot(0, block) {
            return Err(invalid("a block fails its checksum"));
        }
        if word & UNCOMPRESSED != 0 {
            self.block = Block::Kept(block);
            return Ok(());
        }
        // A block of n bytes makes at most 255 n, so small ones need little memory.
        let room = self.block_max.min(255 * size);
        if self.memory.len() < room {
            self.memory.resize(room, 0);
        }
        let to = decompress_into(block, &mut self.memory[..room]).map_err(invalid)?;
        self.block = Block::Decompressed { from: 0, to };
        Ok(())
    }
}

impl BufRead for Lz4Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.block {
                Block::Decompressed { from, to } if from < to => return Ok(&self.memory[from..to]),
                Block::Kept(bytes) if !bytes.is_empty() => return Ok(bytes),
                Block::End => return Ok(&[]),
                Block::Decompressed { .. } | Block::Kept(_) => self.next_block()?,
            }
        }
    }

    fn consume(&mut self, size: usize) {
        match &mut self.block {
            Block::Decompressed { from, .. } => *from += size,
            Block::Kept(bytes) => *bytes = &bytes[size..],
            Block::End => {}
        }
    }
}

impl Read for Lz4Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(out)?;
        self.consume(size);
        Ok(size)
    }
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
