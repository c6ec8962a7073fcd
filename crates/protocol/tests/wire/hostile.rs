//! What a peer may send, whatever it means by it: every decoder answers with a
//! value or an error, and none of them needs memory that was not sent.

use bytes::{Bytes, BytesMut};
use ottla_base::Millis;
use ottla_base::testing::Rng;
use ottla_protocol::frame::Frames;
use ottla_protocol::header::RequestHeader;
use ottla_protocol::internal::{
    Assignment, GroupMetadataValue, OffsetCommitValue, OffsetsKey, Subscription,
};
use ottla_protocol::records::{
    BatchBuilder, BatchRules, Compression, Level, RecordBatch, TargetCompression, batches,
    check_batch,
};

use crate::golden::{self, Golden};

#[test]
fn cut_off_bodies_are_errors_or_shorter_messages() {
    for frame in golden::messages() {
        for size in 0..frame.body.len() {
            let _ = decode(&frame, frame.body.slice(..size));
        }
    }
}

#[test]
fn lengths_of_two_thousand_million_are_errors() {
    let lengths: [&[u8]; 4] = [
        &i32::MAX.to_be_bytes(),
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &i16::MAX.to_be_bytes(),
    ];
    for frame in golden::messages() {
        for at in 0..=frame.body.len() {
            for length in lengths {
                let mut body = BytesMut::from(&frame.body[..at]);
                body.extend_from_slice(length);
                let _ = decode(&frame, body.clone().freeze());
                let behind = frame.body.len().min(at + length.len());
                body.extend_from_slice(&frame.body[behind..]);
                let _ = decode(&frame, body.freeze());
            }
        }
    }
}

#[test]
fn mutated_bodies_are_errors_or_other_messages() {
    let mut rng = Rng::new(20);
    for frame in golden::messages() {
        for _ in 0..40 {
            let body = mutated(&mut rng, &frame.body);
            let _ = decode(&frame, body.clone());
            let mut framed = BytesMut::from(&[0; 0][..]);
            framed.extend_from_slice(&frame.codec.key.code().to_be_bytes());
            framed.extend_from_slice(&frame.version.to_be_bytes());
            framed.extend_from_slice(&body);
            let _ = RequestHeader::decode(&mut framed.freeze());
        }
    }
}

#[test]
fn mutated_batches_are_refused_or_kept_whole() {
    let mut rng = Rng::new(21);
    for codec in Compression::ALL {
        let batch = sample(codec).to_bytes();
        for round in 0..4_000 {
            let mut bytes = BytesMut::from(&mutated(&mut rng, &batch)[..]);
            // A wrong CRC would end most of these stories at once.
            if round % 4 != 0 && bytes.len() > 61 {
                let crc = crc32c::crc32c(&bytes[21..]);
                bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            }
            let bytes = bytes.freeze();
            for target in [
                TargetCompression::Producer,
                TargetCompression::Codec(Compression::Snappy, Level::Default),
            ] {
                let rules = BatchRules {
                    compression: target,
                    ..BatchRules::default()
                };
                let Ok(kept) = check_batch(bytes.clone(), &rules, 13, Millis(1_000)) else {
                    continue;
                };
                assert!(kept.verify_crc(), "{codec:?} {round}");
                let records: Vec<_> = kept.records().unwrap().map(Result::unwrap).collect();
                let count = i32::try_from(records.len()).unwrap();
                assert_eq!(count, kept.header().record_count, "{codec:?} {round}");
            }
            for batch in batches(bytes.clone()).flatten() {
                let _ = batch.records().map(|records| records.count());
                let _ = batch.first_since(0);
            }
        }
    }
}

#[test]
fn mutated_group_records_are_errors_or_other_records() {
    let mut rng = Rng::new(22);
    let seeds: [&[u8]; 3] = [
        b"\0\x01\0\x05group\0\x05topic\0\0\0\x07",
        b"\0\x03\0\x08consumer\0\0\0\x01\0\x05range\0\x01m\0\0\0\0\0\0\0\x09\0\0\0\0",
        b"\0\x01\0\0\0\x01\0\x05topic\0\0\0\x01u\0\0\0\x01\0\x05topic\0\0\0\x01\0\0\0\x03",
    ];
    for seed in seeds {
        for _ in 0..5_000 {
            let bytes = mutated(&mut rng, &Bytes::from_static(seed));
            let _ = OffsetsKey::decode(&bytes);
            let _ = OffsetCommitValue::decode(&bytes);
            let _ = GroupMetadataValue::decode(&bytes);
            let _ = Subscription::parse(&bytes);
            let _ = Assignment::parse(&bytes);
        }
    }
}

#[test]
fn noise_on_a_stream_is_cut_into_frames_or_refused() {
    let mut rng = Rng::new(23);
    for _ in 0..2_000 {
        let mut frames = Frames::new(1 << 16);
        for _ in 0..20 {
            let size = rng.below(9);
            let bytes: Vec<u8> = (0..size).map(|_| byte(&mut rng, 3)).collect();
            frames.feed(&bytes);
            match frames.next_frame() {
                Ok(Some(mut frame)) => {
                    let _ = RequestHeader::decode(&mut frame);
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }
}

fn decode(frame: &Golden, mut body: Bytes) -> bool {
    let version = frame.version;
    if frame.is_request {
        frame.codec.reencode_request(&mut body, version).is_ok()
    } else {
        let back = frame.codec.reencode_response(&mut body, version, version);
        back.is_ok()
    }
}

fn sample(codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
    for index in 0..20 {
        let header: (&[u8], Option<&[u8]>) = (b"header", Some(b"value"));
        builder.push_with_headers(
            Millis(1_000 + index),
            Some(b"key"),
            Some(&b"some value ".repeat(5)),
            &[header, (b"header", None)],
        );
    }
    builder.build().unwrap()
}

/// The bytes with a few of them changed, taken out, or repeated.
fn mutated(rng: &mut Rng, bytes: &Bytes) -> Bytes {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        if out.is_empty() {
            break;
        }
        let at = below(rng, out.len());
        let size = below(rng, (out.len() - at).min(8) + 1);
        match rng.below(5) {
            0 => out[at] = byte(rng, 256),
            1 => out[at] ^= 1 << rng.below(8),
            2 => out.truncate(at),
            3 => drop(out.drain(at..at + size)),
            _ => {
                let again = out[at..at + size].to_vec();
                out.splice(at..at, again);
            }
        }
    }
    Bytes::from(out)
}

fn byte(rng: &mut Rng, end: u64) -> u8 {
    u8::try_from(rng.below(end)).unwrap()
}

fn below(rng: &mut Rng, end: usize) -> usize {
    usize::try_from(rng.below(end as u64)).unwrap()
}
