//! The headers in front of requests and responses.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use crate::wire::Reader;
use crate::{ApiKey, WireError, request_header_version, response_header_version};

/// What precedes every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

impl RequestHeader {
    /// Takes the header off the front of a frame.
    ///
    /// The version is not checked: an ApiVersions request may have one that
    /// nobody knows, and its answer needs the correlation id.
    pub fn decode(frame: &mut Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame, "request header");
        let code = reader.i16()?;
        let version = reader.i16()?;
        let correlation_id = reader.i32()?;
        let key = ApiKey::from_code(code).ok_or(WireError::UnknownApi { code })?;
        // The client id keeps its old form in header 2 as well.
        let client_id = reader.nullable_label()?;
        if request_header_version(key, version) == 2 {
            reader.skip_tags()?;
        }
        Ok(Self {
            key,
            version,
            correlation_id,
            client_id,
        })
    }

    /// Writes the header, for a client.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i16(self.key.code());
        out.put_i16(self.version);
        out.put_i32(self.correlation_id);
        match &self.client_id {
            Some(id) => {
                let id = id.as_bytes();
                let length = id.len().min(i16::MAX as usize);
                out.put_i16(i16::try_from(length).unwrap_or(i16::MAX));
                out.put_slice(&id[..length]);
            }
            None => out.put_i16(-1),
        }
        if request_header_version(self.key, self.version) == 2 {
            out.put_u8(0);
        }
    }
}

/// Writes the header of the response to a request of this API and version.
pub fn encode_response_header(key: ApiKey, version: i16, correlation_id: i32, out: &mut BytesMut) {
    out.put_i32(correlation_id);
    if response_header_version(key, version) == 1 {
        out.put_u8(0);
    }
}

/// Takes the header off the front of a response and gives its correlation id.
pub fn decode_response_header(
    key: ApiKey,
    version: i16,
    frame: &mut Bytes,
) -> Result<i32, WireError> {
    let mut reader = Reader::new(frame, "response header");
    let correlation_id = reader.i32()?;
    if response_header_version(key, version) == 1 {
        reader.skip_tags()?;
    }
    Ok(correlation_id)
}
