//! Length-prefixed frames, cut out of a stream of bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Cuts frames out of the bytes of one connection, which owns it.
///
/// The buffer grows with the bytes that arrive. A declared length only ever
/// reserves up to [`RESERVE_MAX`], so an idle peer that announced 100 MiB costs
/// no more than one that announced 1 MiB.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    length_max: usize,
}

/// The most that a declared length reserves before its bytes are there.
pub const RESERVE_MAX: usize = 1 << 20;

/// What is reserved where no frame is begun: all that an idle connection costs.
const RESERVE_IDLE: usize = 4 << 10;

/// Why a stream cannot be cut into frames; nothing after it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame declares the negative length {length}")]
    Negative { length: i32 },
    #[error("a frame declares {length} bytes, {length_max} are allowed")]
    TooLong { length: u32, length_max: usize },
}

impl Frames {
    /// Frames of up to `length_max` bytes (`socket.request.max.bytes`).
    pub fn new(length_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            length_max,
        }
    }

    /// The buffer to read a socket into, with room for at least some bytes.
    pub fn space(&mut self) -> &mut BytesMut {
        let wanted = match self.declared() {
            Ok(Some(length)) => (length + 4)
                .saturating_sub(self.buffer.len())
                .clamp(1, RESERVE_MAX),
            Ok(None) | Err(_) => RESERVE_IDLE,
        };
        self.buffer.reserve(wanted);
        &mut self.buffer
    }

    /// Takes bytes that were read elsewhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its length.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.declared()? else {
            return Ok(None);
        };
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// How many bytes wait here for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The first bytes that are not cut yet, for telling other protocols apart.
    pub fn peek(&self) -> &[u8] {
        &self.buffer
    }

    /// Everything that is not cut yet, for handing the stream to another protocol.
    pub fn into_rest(self) -> BytesMut {
        self.buffer
    }

    fn declared(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        let length = u32::try_from(length).map_err(|_| FrameError::Negative { length })?;
        let too_long = FrameError::TooLong {
            length,
            length_max: self.length_max,
        };
        let bytes = usize::try_from(length).map_err(|_| too_long)?;
        if bytes > self.length_max {
            return Err(too_long);
        }
        Ok(Some(bytes))
    }
}
