//! The five codecs of a record batch.
//!
//! Kafka bounds neither what a batch decompresses to nor the time that takes. Here
//! a decompressor holds one block at a time, and no batch may become larger than
//! [`DECOMPRESSED_MAX`].

mod lz4;
mod snappy;

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;
use ottla_base::ByteSize;

use self::lz4::Lz4Reader;
use self::snappy::{SnappyReader, SnappyWriter};

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    /// Written in the framing of Java's xerial library; raw blocks are read too.
    Snappy,
    /// The frame format.
    Lz4,
    Zstd,
}

/// How hard a codec tries; a codec without levels ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Level {
    /// What Kafka takes where nobody chose.
    #[default]
    Default,
    /// The codec's own scale: gzip and zstd have one. LZ4 has one in Kafka, which
    /// costs time for a little space; here it always takes the fast one.
    Exactly(i32),
}

/// The most that the records of one batch may decompress to.
///
/// Producers fill batches by their size before compression, so an honest one
/// comes nowhere near. A batch of the default `max.message.bytes` that zstd made
/// of zeros could claim tens of gigabytes.
pub const DECOMPRESSED_MAX: ByteSize = ByteSize(256 << 20);

/// The largest window that a zstd frame may ask for, as a power of two: what the
/// library itself allows, and more than any level but the "ultra" ones uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What a decompressor hands out at once, where it has no block of its own.
const CHUNK: usize = 16 << 10;

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of this number.
    pub const fn from_id(id: i16) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The number in a batch's attributes.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name, as `compression.type` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses as it is read, one buffer at a time.
pub(super) enum Decompressor<'a> {
    None(&'a [u8]),
    Gzip(BufReader<MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyReader<'a>),
    Lz4(Lz4Reader<'a>),
    Zstd(Box<BufReader<zstd::Decoder<'static, &'a [u8]>>>),
}

impl<'a> Decompressor<'a> {
    pub(super) fn new(codec: Compression, payload: &'a [u8]) -> io::Result<Self> {
        Ok(match codec {
            Compression::None => Self::None(payload),
            Compression::Gzip => Self::Gzip(BufReader::with_capacity(
                CHUNK,
                MultiGzDecoder::new(payload),
            )),
            Compression::Snappy => Self::Snappy(SnappyReader::new(payload)),
            Compression::Lz4 => Self::Lz4(Lz4Reader::new(payload)?),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(payload)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(BufReader::with_capacity(CHUNK, decoder)))
            }
        })
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let size = bytes.len().min(out.len());
        out[..size].copy_from_slice(&bytes[..size]);
        self.consume(size);
        Ok(size)
    }
}

impl BufRead for Decompressor<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::None(bytes) => Ok(bytes),
            Self::Gzip(reader) => reader.fill_buf(),
            Self::Snappy(reader) => reader.fill_buf(),
            Self::Lz4(reader) => reader.fill_buf(),
            Self::Zstd(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, size: usize) {
        match self {
            Self::None(bytes) => bytes.consume(size),
            Self::Gzip(reader) => reader.consume(size),
            Self::Snappy(reader) => reader.consume(size),
            Self::Lz4(reader) => reader.consume(size),
            Self::Zstd(reader) => reader.consume(size),
        }
    }
}

/// Compresses what is written to it, behind what `out` holds already.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Snappy(Box<SnappyWriter<W>>),
    Lz4(Box<FrameEncoder<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(codec: Compression, level: Level, out: W) -> io::Result<Self> {
        Ok(match codec {
            Compression::None => Self::None(out),
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, gzip_level(level))),
            Compression::Snappy => Self::Snappy(Box::new(SnappyWriter::new(out))),
            Compression::Lz4 => Self::Lz4(Box::new(lz4::encoder(out))),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(out, zstd_level(level))?),
        })
    }

    /// Writes what is still held back, and gives the output back.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Snappy(writer) => writer.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Snappy(writer) => writer.write(bytes),
            Self::Lz4(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gzip_level(level: Level) -> flate2::Compression {
    match level {
        Level::Exactly(level @ 1..=9) => flate2::Compression::new(level.unsigned_abs()),
        Level::Default | Level::Exactly(_) => flate2::Compression::default(),
    }
}

fn zstd_level(level: Level) -> i32 {
    match level {
        Level::Default => zstd::DEFAULT_COMPRESSION_LEVEL,
        Level::Exactly(level) => {
            let range = zstd::compression_level_range();
            level.clamp(*range.start(), *range.end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(codec: Compression, level: Level, bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(codec, level, Vec::new()).unwrap();
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    fn decompress(codec: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decompressor::new(codec, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn samples() -> Vec<Vec<u8>> {
        let mut rng = ottla_base::testing::Rng::new(1);
        let noise = (0..200_000)
            .map(|_| rng.below(256).to_le_bytes()[0])
            .collect();
        let text = b"the quick brown fox ".repeat(9_000);
        vec![Vec::new(), b"a".to_vec(), vec![0; 70_000], text, noise]
    }

    #[test]
    fn every_codec_gives_back_what_it_took() {
        for codec in Compression::ALL {
            for level in [Level::Default, Level::Exactly(1), Level::Exactly(9)] {
                for sample in samples() {
                    let bytes = compress(codec, level, &sample);
                    let back = decompress(codec, &bytes).unwrap();
                    assert!(back == sample, "{codec:?} {level:?} {}", sample.len());
                }
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_is_an_error_and_not_an_end() {
        for codec in [
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let bytes = compress(codec, Level::Default, &b"0123456789".repeat(10_000));
            for size in [bytes.len() - 1, bytes.len() / 2, 20] {
                assert!(
                    decompress(codec, &bytes[..size]).is_err(),
                    "{codec:?} {size}"
                );
            }
        }
    }

    #[test]
    fn noise_is_an_error_and_never_a_panic() {
        let mut rng = ottla_base::testing::Rng::new(2);
        for codec in [
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let mut bytes = compress(codec, Level::Default, &b"0123456789".repeat(1_000));
            for _ in 0..2_000 {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                let before = bytes[at];
                bytes[at] = rng.below(256).to_le_bytes()[0];
                if let Ok(mut reader) = Decompressor::new(codec, &bytes) {
                    let _ = io::copy(&mut (&mut reader).take(1 << 20), &mut io::sink());
                }
                bytes[at] = before;
            }
        }
    }
}
