//! Frames and headers.

use bytes::{Bytes, BytesMut};
use ottla_protocol::frame::{FrameError, Frames, RESERVE_MAX};
use ottla_protocol::header::{RequestHeader, decode_response_header, encode_response_header};
use ottla_protocol::{ApiKey, StrBytes, WireError};

#[test]
fn frames_come_out_whatever_pieces_they_came_in() {
    let bodies: [&[u8]; 4] = [b"", b"one", &[7; 300], b"last"];
    let mut stream = Vec::new();
    for body in bodies {
        stream.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        stream.extend_from_slice(body);
    }
    for size in 1..stream.len() {
        let mut frames = Frames::new(300);
        let mut out = Vec::new();
        for piece in stream.chunks(size) {
            frames.feed(piece);
            while let Some(frame) = frames.next_frame().unwrap() {
                out.push(frame);
            }
        }
        assert_eq!(out, bodies, "in pieces of {size}");
        assert_eq!(frames.pending(), 0);
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_before_anything_is_reserved() {
    let mut frames = Frames::new(100);
    frames.feed(&101_i32.to_be_bytes());
    assert_eq!(
        frames.next_frame(),
        Err(FrameError::TooLong {
            length: 101,
            length_max: 100
        })
    );
    assert!(frames.space().capacity() < RESERVE_MAX);
    let mut frames = Frames::new(100);
    frames.feed(&(-1_i32).to_be_bytes());
    assert_eq!(
        frames.next_frame(),
        Err(FrameError::Negative { length: -1 })
    );
}

#[test]
fn a_declared_length_reserves_a_mebibyte_at_most() {
    let mut frames = Frames::new(100 << 20);
    frames.feed(&(100_i32 << 20).to_be_bytes());
    assert_eq!(frames.next_frame(), Ok(None));
    let space = frames.space().capacity();
    assert!((RESERVE_MAX..3 * RESERVE_MAX).contains(&space), "{space}");
}

#[test]
fn request_headers_keep_the_old_client_id_in_both_versions() {
    // ApiVersions 2 has header 1; version 3 has header 2, with one tagged field.
    let plain = b"\x00\x12\x00\x02\x00\x00\x00\x07\x00\x03abcrest";
    let tagged = b"\x00\x12\x00\x03\x00\x00\x00\x07\x00\x03abc\x01\x05\x02zzrest";
    for (bytes, version) in [(&plain[..], 2), (&tagged[..], 3)] {
        let mut frame = Bytes::copy_from_slice(bytes);
        let expected = RequestHeader {
            key: ApiKey::ApiVersions,
            version,
            correlation_id: 7,
            client_id: Some(StrBytes::from_static_str("abc")),
        };
        assert_eq!(RequestHeader::decode(&mut frame), Ok(expected.clone()));
        assert_eq!(&frame[..], b"rest");
        let mut out = BytesMut::new();
        expected.encode(&mut out);
        assert_eq!(RequestHeader::decode(&mut out.freeze()), Ok(expected));
    }
}

#[test]
fn a_header_of_an_unknown_version_still_has_its_correlation_id() {
    let mut frame = Bytes::from_static(b"\x00\x12\x00\x63\x00\x00\x00\x09\xff\xff\x00");
    let header = RequestHeader::decode(&mut frame).unwrap();
    assert_eq!((header.version, header.correlation_id), (99, 9));
    assert_eq!(header.client_id, None);
}

#[test]
fn short_and_unknown_headers_are_errors() {
    let whole = b"\x00\x12\x00\x03\x00\x00\x00\x07\x00\x03abc\x00";
    for size in 0..whole.len() {
        let short = RequestHeader::decode(&mut Bytes::copy_from_slice(&whole[..size]));
        assert!(
            matches!(short, Err(WireError::Short { .. })),
            "{size}: {short:?}"
        );
    }
    let mut unknown = Bytes::from_static(b"\x00\x04\x00\x00\x00\x00\x00\x07\xff\xff");
    assert_eq!(
        RequestHeader::decode(&mut unknown),
        Err(WireError::UnknownApi { code: 4 })
    );
}

#[test]
fn only_flexible_responses_have_tags_and_api_versions_never() {
    let cases = [
        (ApiKey::Metadata, 8, 4),
        (ApiKey::Metadata, 9, 5),
        (ApiKey::ApiVersions, 3, 4),
        (ApiKey::SaslHandshake, 1, 4),
    ];
    for (key, version, size) in cases {
        let mut out = BytesMut::new();
        encode_response_header(key, version, 5, &mut out);
        assert_eq!(out.len(), size, "{key:?} {version}");
        assert_eq!(
            decode_response_header(key, version, &mut out.freeze()),
            Ok(5)
        );
    }
}
