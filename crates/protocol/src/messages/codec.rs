//! Every API's codec behind function pointers, for whoever goes through all of
//! them: tests, fuzzing, reference pages.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    DescribeLogDirsRequest, FetchRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use super::WireClient;
use super::served::SERVED;
use crate::{ApiKey, WireError};

/// What one API's messages can be asked without knowing their types.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    pub key: ApiKey,
    pub version_min: i16,
    pub version_max: i16,
    request: fn(&mut Bytes, i16, &mut BytesMut) -> Result<(), WireError>,
    response: fn(&mut Bytes, i16, i16, &mut BytesMut) -> Result<(), WireError>,
}

/// The codecs of all APIs that we serve.
pub fn codecs() -> impl Iterator<Item = &'static Codec> {
    OWN.iter().chain(SERVED)
}

/// The APIs that have code of their own.
const OWN: &[Codec] = &[
    Codec::of::<FetchRequest>(),
    Codec::of::<OffsetCommitRequest>(),
    Codec::of::<OffsetFetchRequest>(),
    Codec::of::<DescribeLogDirsRequest>(),
];

impl Codec {
    pub(super) const fn of<R: WireClient>() -> Self {
        Self {
            key: R::KEY,
            version_min: *R::VERSIONS.start(),
            version_max: *R::VERSIONS.end(),
            request: reencode_request::<R>,
            response: reencode_response::<R>,
        }
    }

    pub fn versions(&self) -> RangeInclusive<i16> {
        self.version_min..=self.version_max
    }

    /// Reads a request's body and writes it again.
    pub fn reencode_request(&self, body: &mut Bytes, version: i16) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        (self.request)(body, version, &mut out)?;
        Ok(out.freeze())
    }

    /// Reads a response's body and writes it again, perhaps in another version.
    pub fn reencode_response(
        &self,
        body: &mut Bytes,
        from: i16,
        to: i16,
    ) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        (self.response)(body, from, to, &mut out)?;
        Ok(out.freeze())
    }
}

fn reencode_request<R: WireClient>(
    body: &mut Bytes,
    version: i16,
    out: &mut BytesMut,
) -> Result<(), WireError> {
    R::decode(body, version)?.encode_request(version, out)
}

fn reencode_response<R: WireClient>(
    body: &mut Bytes,
    from: i16,
    to: i16,
    out: &mut BytesMut,
) -> Result<(), WireError> {
    R::encode(&R::decode_response(body, from)?, to, out)
}
