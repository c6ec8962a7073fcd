//! Record batches: against other encoders, and against Kafka's rules.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records as theirs;
use ottla_base::{ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, BatchRefusal, BatchRules, Compression, ControlRecord,
    DECOMPRESSED_MAX, EndTransactionMarker, Level, RECORD_ERRORS_MAX, Record, RecordBatch,
    RecordHeader, RefusalKind, TargetCompression, TimestampType, batches, check_batch,
};

const NOW: Millis = Millis(1_600_000_001_000);

#[test]
fn a_real_producers_batches_are_read_and_kept_as_they_are() {
    for (name, bytes) in golden() {
        let batch = RecordBatch::from_bytes(bytes.clone()).unwrap();
        assert!(batch.verify_crc(), "{name}");
        assert_eq!(all(&batch), golden_records(), "{name}");
        let kept = check_batch(bytes.clone(), &BatchRules::default(), 13, NOW).unwrap();
        assert_eq!(kept, batch, "{name}");
        assert_eq!(
            kept.rest().as_ptr(),
            batch.rest().as_ptr(),
            "{name} was copied"
        );
        let header = batch.header();
        assert_eq!(header.last_offset(), Offset(49));
        assert_eq!(header.last_sequence(), Sequence(59));
        assert_eq!(header.producer_id, ProducerId(4000));
        assert_eq!(header.producer_epoch, ProducerEpoch(3));
        assert_eq!(header.max_timestamp, 1_600_000_000_000 + 49 * 7);
        assert_eq!(batch.to_bytes(), bytes, "{name}");
        assert_eq!(batch.chunks().concat(), bytes, "{name}");
    }
}

#[test]
fn an_uncompressed_batch_is_built_byte_for_byte_as_kafka_python_does() {
    let (_, bytes) = golden().swap_remove(0);
    let built = build(&golden_records(), Compression::None).to_bytes();
    assert_eq!(&built[16..], &bytes[16..]);
    assert_eq!(&built[..12], &bytes[..12]);
    assert_eq!(&built[12..16], &[0xff; 4], "no leader epoch is known yet");
}

#[test]
fn the_crate_reads_what_we_write_in_every_codec() {
    for codec in Compression::ALL {
        let records = plain_records();
        let mut bytes = build(&records, codec).to_bytes();
        let set = theirs::RecordBatchDecoder::decode(&mut bytes).unwrap();
        assert_eq!(set.records.len(), records.len());
        for (read, written) in set.records.iter().zip(&records) {
            assert_eq!(read.offset, written.offset.0, "{codec:?}");
            assert_eq!(read.timestamp, written.timestamp, "{codec:?}");
            assert_eq!(read.key, written.key, "{codec:?}");
            assert_eq!(read.value, written.value, "{codec:?}");
        }
    }
}

#[test]
fn we_read_what_the_crate_writes_in_every_codec() {
    let codecs = [
        theirs::Compression::None,
        theirs::Compression::Gzip,
        theirs::Compression::Snappy,
        theirs::Compression::Lz4,
        theirs::Compression::Zstd,
    ];
    for (compression, codec) in codecs.into_iter().zip(Compression::ALL) {
        let batch = encoded_by_the_crate(compression);
        assert!(batch.verify_crc());
        assert_eq!(batch.header().attributes.compression(), Some(codec));
        assert_eq!(all(&batch), plain_records(), "{codec:?}");
    }
}

#[test]
fn a_batch_is_moved_without_touching_its_bytes() {
    let batch = build(&plain_records(), Compression::Lz4);
    let rest = batch.rest().clone();
    let moved = batch.at(Offset(1_000), LeaderEpoch(9));
    assert!(moved.verify_crc());
    assert_eq!(moved.rest().as_ptr(), rest.as_ptr());
    assert_eq!(moved.header().next_offset(), Offset(1_030));
    let again = RecordBatch::from_parts(moved.prefix(), moved.rest().clone()).unwrap();
    assert_eq!(again, moved);
    assert_eq!(RecordBatch::from_bytes(moved.to_bytes()), Ok(moved.clone()));
    assert_eq!(all(&moved)[3].offset, Offset(1_003));
}

#[test]
fn a_run_of_batches_is_cut_apart_and_a_part_at_its_end_left_out() {
    let one = build(&plain_records(), Compression::None);
    let two = build(&plain_records()[..1], Compression::Gzip).at(Offset(30), LeaderEpoch(1));
    let run = [one.to_bytes(), two.to_bytes(), one.to_bytes().slice(..100)].concat();
    let cut: Result<Vec<_>, _> = batches(Bytes::from(run)).collect();
    assert_eq!(cut, Ok(vec![one.clone(), two]));
    let mut old = one.to_bytes().to_vec();
    old[16] = 1;
    let cut: Vec<_> = batches(Bytes::from(old)).collect();
    assert_eq!(cut, [Err(BatchError::Magic(1))]);
}

#[test]
fn sequences_wrap_within_a_batch() {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), Sequence(i32::MAX - 1));
    for _ in 0..4 {
        builder.push(NOW, None, None);
    }
    let batch = builder.build().unwrap();
    assert!(batch.header().has_producer());
    assert_eq!(batch.header().last_sequence(), Sequence(1));
    let none = build(&plain_records(), Compression::None);
    assert!(!none.header().has_producer());
    assert_eq!(none.header().last_sequence(), Sequence::NONE);
}

#[test]
fn markers_are_control_batches() {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(7), ProducerEpoch(1), Sequence::NONE)
        .transactional()
        .control();
    let marker = EndTransactionMarker {
        coordinator_epoch: 5,
    };
    builder.push(
        NOW,
        Some(&ControlRecord::Commit.key()),
        Some(&marker.value()),
    );
    let batch = builder.build().unwrap();
    assert!(batch.header().attributes.is_control());
    assert!(batch.header().attributes.is_transactional());
    let record = all(&batch).remove(0);
    let (key, value) = (record.key.unwrap(), record.value.unwrap());
    assert_eq!(&key[..], b"\0\0\0\x01");
    assert_eq!(&value[..], b"\0\0\0\0\0\x05");
    assert_eq!(ControlRecord::parse(&key), Some(ControlRecord::Commit));
    assert_eq!(
        ControlRecord::parse(b"\0\0\0\x06"),
        Some(ControlRecord::Other(6))
    );
    assert_eq!(EndTransactionMarker::parse(&value), Some(marker));
}

#[test]
fn records_are_found_by_time_in_every_codec() {
    for codec in Compression::ALL {
        let batch = build(&plain_records(), codec).at(Offset(100), LeaderEpoch(0));
        let base = plain_records()[0].timestamp;
        assert_eq!(batch.first_since(0), Ok(Some((Offset(100), base))));
        assert_eq!(
            batch.first_since(base + 11),
            Ok(Some((Offset(102), base + 20)))
        );
        assert_eq!(batch.first_since(base + 10_000), Ok(None));
    }
}

// What is refused, and as what.

#[test]
fn what_is_no_single_whole_batch_is_refused() {
    let batch = build(&plain_records(), Compression::None).to_bytes();
    let twice = [&batch[..], &batch[..]].concat();
    let with_magic = |magic: u8| {
        let mut bytes = batch.to_vec();
        bytes[16] = magic;
        bytes
    };
    let with_length = |length: i32| {
        let mut bytes = batch.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let cases = [
        ("nothing", Vec::new(), RefusalKind::NotOne),
        (
            "a part",
            batch[..batch.len() - 1].to_vec(),
            RefusalKind::NotOne,
        ),
        ("two", twice, RefusalKind::NotOne),
        ("magic 0", with_magic(0), RefusalKind::NotOne),
        ("magic 1", with_magic(1), RefusalKind::NotOne),
        ("magic 3", with_magic(3), RefusalKind::Corrupt),
        ("length 13", with_length(13), RefusalKind::Corrupt),
        ("length 14", with_length(14), RefusalKind::Corrupt),
        ("length -1", with_length(-1), RefusalKind::Corrupt),
        ("too long", with_length(i32::MAX), RefusalKind::NotOne),
        ("another CRC", flipped(&batch, 70), RefusalKind::Corrupt),
    ];
    for (name, bytes, kind) in cases {
        let refused = check_batch(Bytes::from(bytes), &BatchRules::default(), 13, NOW);
        assert_eq!(refused.map_err(|refusal| refusal.kind), Err(kind), "{name}");
    }
}

#[test]
fn a_part_behind_the_batch_is_dropped() {
    let batch = build(&plain_records(), Compression::None);
    let bytes = [&batch.to_bytes()[..], &batch.to_bytes()[..90]].concat();
    let kept = check_batch(Bytes::from(bytes), &BatchRules::default(), 13, NOW);
    assert_eq!(kept, Ok(batch));
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let with = |change: &dyn Fn(&mut BatchHeader)| {
        let batch = build(&plain_records(), Compression::None);
        let mut header = *batch.header();
        change(&mut header);
        sealed(&header, &batch.payload())
    };
    let cases: [(&str, Bytes, RefusalKind); 8] = [
        (
            "base offset",
            with(&|header| header.base_offset = Offset(1)),
            RefusalKind::Invalid,
        ),
        (
            "no records",
            with(&|header| header.record_count = 0),
            RefusalKind::Invalid,
        ),
        (
            "negative count",
            with(&|header| header.record_count = -1),
            RefusalKind::Invalid,
        ),
        (
            "last offset",
            with(&|header| header.last_offset_delta = 3),
            RefusalKind::Invalid,
        ),
        (
            "control",
            with(&|header| header.attributes = header.attributes.control()),
            RefusalKind::Invalid,
        ),
        (
            "no sequence",
            with(&|header| header.producer_id = ProducerId(1)),
            RefusalKind::Invalid,
        ),
        (
            "codec 5",
            with(&|header| header.attributes.0 |= 5),
            RefusalKind::Undecodable,
        ),
        (
            "not gzip",
            with(&|header| header.attributes.0 |= 1),
            RefusalKind::Undecodable,
        ),
    ];
    for (name, bytes, kind) in cases {
        let refused = check_batch(bytes, &BatchRules::default(), 13, NOW);
        assert_eq!(refused.map_err(|refusal| refusal.kind), Err(kind), "{name}");
    }
}

#[test]
fn the_declared_count_must_be_what_is_there() {
    for codec in Compression::ALL {
        for count in [29, 31] {
            let batch = build(&plain_records(), codec);
            let header = BatchHeader {
                record_count: count,
                last_offset_delta: count - 1,
                ..*batch.header()
            };
            let bytes = sealed(&header, &batch.payload());
            let refused = check_batch(bytes, &BatchRules::default(), 13, NOW);
            let kind = refused.map_err(|refusal| refusal.kind);
            assert_eq!(kind, Err(RefusalKind::Invalid), "{codec:?} {count}");
        }
    }
}

#[test]
fn zstd_needs_version_7() {
    let batch = build(&plain_records(), Compression::Zstd).to_bytes();
    let check = |version| check_batch(batch.clone(), &BatchRules::default(), version, NOW);
    assert_eq!(
        check(6).map_err(|refusal| refusal.kind),
        Err(RefusalKind::Compression)
    );
    assert!(check(7).is_ok());
}

#[test]
fn sizes_are_limited_before_and_after() {
    let batch = build(&plain_records(), Compression::Gzip);
    let rules = |bytes: u64| BatchRules {
        max_message_bytes: ByteSize(bytes),
        ..BatchRules::default()
    };
    assert!(check(&batch, &rules(batch.size().0)).is_ok());
    let refused = check(&batch, &rules(batch.size().0 - 1));
    assert_eq!(kind(refused), RefusalKind::TooLarge);

    let plain = build(&plain_records(), Compression::None).size();
    let anew = |bytes: u64| BatchRules {
        compression: TargetCompression::Codec(Compression::None, Level::Default),
        ..rules(bytes)
    };
    assert!(check(&batch, &anew(plain.0)).is_ok());
    assert_eq!(
        kind(check(&batch, &anew(plain.0 - 1))),
        RefusalKind::TooLarge
    );

    let segment = BatchRules {
        segment_bytes: ByteSize(100),
        ..BatchRules::default()
    };
    assert_eq!(kind(check(&batch, &segment)), RefusalKind::ListTooLarge);
}

#[test]
fn a_bomb_is_refused_without_being_held_in_memory() {
    // One record of zeros, a byte longer than what is let through.
    let size = DECOMPRESSED_MAX.0 + 1;
    let mut builder = BatchBuilder::new().compressed(Compression::Zstd, Level::Default);
    builder.push(NOW, None, None);
    let header = *builder.build().unwrap().header();
    // It claims 2^31 - 1 bytes, and its value nearly as many.
    let front = Bytes::from_static(&[
        0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0x80, 0xfc, 0xff, 0xff, 0x0f,
    ]);
    let zeros = std::io::Read::take(std::io::repeat(0), size);
    let payload = zstd::encode_all(std::io::Read::chain(&front[..], zeros), 1).unwrap();
    let bytes = sealed(&header, &payload);
    let refused = check_batch(bytes.clone(), &BatchRules::default(), 13, NOW);
    assert_eq!(kind(refused), RefusalKind::TooLarge);
    let batch = RecordBatch::from_bytes(bytes).unwrap();
    let found = batch.first_since(i64::MAX);
    assert_eq!(found, Err(BatchError::TooLarge(DECOMPRESSED_MAX)));
}

#[test]
fn timestamps_are_bounded_on_both_sides() {
    let rules = BatchRules {
        timestamp_before_max_ms: 1_000,
        timestamp_after_max_ms: 500,
        ..BatchRules::default()
    };
    let batch = |timestamps: &[i64]| {
        let mut builder = BatchBuilder::new();
        for timestamp in timestamps {
            builder.push(Millis(*timestamp), None, None);
        }
        builder.build().unwrap()
    };
    let edges = batch(&[NOW.0 - 1_000, NOW.0 + 500]);
    assert!(check(&edges, &rules).is_ok());
    // No timestamp at all is nobody's fault.
    assert!(check(&batch(&[-1]), &rules).is_ok());

    let refused = check(
        &batch(&[NOW.0, NOW.0 - 1_001, NOW.0 + 501, i64::MIN]),
        &rules,
    )
    .unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Timestamp);
    // Kafka's words, which clients show and tests of others compare.
    assert_eq!(
        refused.message,
        "One or more records have been rejected due to invalid timestamp"
    );
    let blamed: Vec<i32> = refused.records.iter().map(|(index, _)| *index).collect();
    assert_eq!(blamed, [1, 2, 3]);
}

#[test]
fn compacted_topics_need_keys_in_every_codec() {
    let rules = BatchRules {
        require_key: true,
        ..BatchRules::default()
    };
    for codec in Compression::ALL {
        let refused = check(&build(&golden_records(), codec), &rules).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Invalid);
        let blamed: Vec<i32> = refused.records.iter().map(|(index, _)| *index).collect();
        let expected: Vec<i32> = (0..50).filter(|index| index % 5 == 4).collect();
        assert_eq!(blamed, expected, "{codec:?}");
    }
}

#[test]
fn a_refusal_does_not_outgrow_the_batch() {
    let mut builder = BatchBuilder::new();
    for _ in 0..5_000 {
        builder.push(NOW, None, None);
    }
    let rules = BatchRules {
        require_key: true,
        ..BatchRules::default()
    };
    let refused = check(&builder.build().unwrap(), &rules).unwrap_err();
    assert_eq!(refused.records.len(), RECORD_ERRORS_MAX);
}

#[test]
fn a_producer_does_not_stamp() {
    let mut builder = BatchBuilder::new().log_append_time(NOW);
    builder.push(Millis(5), None, None);
    let stamped = builder.build().unwrap();
    let append_time = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..BatchRules::default()
    };
    assert_eq!(kind(check(&stamped, &append_time)), RefusalKind::Timestamp);
    // A topic that keeps the producer's time takes the stamp as the time of all.
    let kept = check(&stamped, &BatchRules::default()).unwrap();
    assert_eq!(
        kept.header().attributes.timestamp_type(),
        TimestampType::CreateTime
    );
    assert!(kept.verify_crc());
}

#[test]
fn records_that_overrun_their_length_are_refused_in_every_codec() {
    // Length 8: no attributes, no deltas, null key, null value, one header whose
    // key claims nine bytes.
    let payload = [16, 0, 0, 0, 1, 1, 2, 18, 0];
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
        builder.push(NOW, None, None);
        let header = *builder.build().unwrap().header();
        let payload = compressed(codec, &payload);
        let refused = check_batch(sealed(&header, &payload), &BatchRules::default(), 13, NOW);
        let kind = refused.map_err(|refusal| refusal.kind);
        assert_eq!(kind, Err(RefusalKind::Invalid), "{codec:?}");
    }
}

// What is changed, and how.

#[test]
fn a_topic_may_stamp_its_records() {
    let rules = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        // Which then do not count.
        timestamp_before_max_ms: 0,
        ..BatchRules::default()
    };
    for codec in Compression::ALL {
        let batch = build(&golden_records(), codec);
        let kept = check(&batch, &rules).unwrap();
        assert!(kept.verify_crc(), "{codec:?}");
        assert_eq!(kept.header().max_timestamp, NOW.0);
        assert_eq!(kept.header().base_timestamp, batch.header().base_timestamp);
        assert_eq!(kept.payload(), batch.payload(), "{codec:?}");
        let expected: Vec<Record> = golden_records()
            .into_iter()
            .map(|record| Record {
                timestamp: NOW.0,
                ..record
            })
            .collect();
        assert_eq!(all(&kept), expected, "{codec:?}");
    }
}

#[test]
fn a_wrong_largest_timestamp_is_put_right() {
    let batch = build(&plain_records(), Compression::None);
    let wrong = BatchHeader {
        max_timestamp: 3,
        ..*batch.header()
    };
    let bytes = sealed(&wrong, &batch.payload());
    let kept = check_batch(bytes, &BatchRules::default(), 13, NOW);
    assert_eq!(kept, Ok(batch));
}

#[test]
fn a_topic_may_have_a_codec_of_its_own() {
    for from in Compression::ALL {
        for to in Compression::ALL {
            let batch = build(&golden_records(), from);
            let rules = BatchRules {
                compression: TargetCompression::Codec(to, Level::Exactly(1)),
                ..BatchRules::default()
            };
            let bytes = batch.to_bytes();
            let kept = check_batch(bytes.clone(), &rules, 13, NOW).unwrap();
            assert!(kept.verify_crc(), "{from:?} {to:?}");
            assert_eq!(kept.header().attributes.compression(), Some(to));
            assert_eq!(all(&kept), golden_records(), "{from:?} {to:?}");
            let is_same_memory = kept.rest().as_ptr() == bytes[16..].as_ptr();
            assert_eq!(is_same_memory, from == to, "{from:?} {to:?}");
        }
    }
}

#[test]
fn records_are_numbered_anew_where_a_client_did_it_wrong() {
    // Three records without key, value and headers, all with the offset delta 70.
    let record = [16, 0, 0, 0x8c, 1, 1, 2, b'v', 0];
    let payload = [record, record, record].concat();
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
        for _ in 0..3 {
            builder.push(NOW, None, Some(b"v"));
        }
        let right = builder.build().unwrap();
        let wrong = sealed(right.header(), &compressed(codec, &payload));
        let kept = check_batch(wrong, &BatchRules::default(), 13, NOW).unwrap();
        assert!(kept.verify_crc(), "{codec:?}");
        assert_eq!(all(&kept), all(&right), "{codec:?}");
        assert_eq!(kept.header().last_offset_delta, 2);
    }
}

#[test]
fn numbers_that_are_longer_than_they_need_to_be_survive_another_codec() {
    // Each delta and length of 0 or 1 in two bytes.
    let payload = [24, 0, 0x80, 0, 0x80, 0, 0x81, 0, 0x82, 0, b'v', 0x80, 0];
    let mut builder = BatchBuilder::new();
    builder.push(NOW, None, Some(b"v"));
    let right = builder.build().unwrap();
    let long = sealed(right.header(), &payload);
    for codec in Compression::ALL {
        let rules = BatchRules {
            compression: TargetCompression::Codec(codec, Level::Default),
            ..BatchRules::default()
        };
        let kept = check_batch(long.clone(), &rules, 13, NOW).unwrap();
        assert_eq!(all(&kept), all(&right), "{codec:?}");
    }
}

#[test]
fn snappy_is_read_as_one_raw_block_too() {
    let plain = build(&plain_records(), Compression::None);
    let raw = snap::raw::Encoder::new()
        .compress_vec(&plain.payload())
        .unwrap();
    let header = BatchHeader {
        attributes: plain
            .header()
            .attributes
            .with_compression(Compression::Snappy),
        ..*plain.header()
    };
    let bytes = sealed(&header, &raw);
    let kept = check_batch(bytes, &BatchRules::default(), 13, NOW).unwrap();
    assert_eq!(all(&kept), plain_records());
}

#[test]
fn lz4_frames_that_java_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    let plain = build(&golden_records(), Compression::None);
    let header = BatchHeader {
        attributes: plain.header().attributes.with_compression(Compression::Lz4),
        ..*plain.header()
    };
    let frame = |mode: BlockMode, checksums: bool| {
        let info = FrameInfo::new()
            .block_size(BlockSize::Max64KB)
            .block_mode(mode)
            .block_checksums(checksums)
            .content_checksum(checksums);
        let mut out = FrameEncoder::with_frame_info(info, Vec::new());
        out.write_all(&plain.payload()).unwrap();
        out.finish().unwrap()
    };
    let check = |payload: &[u8]| {
        let kept = check_batch(sealed(&header, payload), &BatchRules::default(), 13, NOW);
        kept.map_err(|refusal| refusal.kind)
    };
    for checksums in [false, true] {
        let kept = check(&frame(BlockMode::Independent, checksums)).unwrap();
        assert_eq!(all(&kept), golden_records());
        let linked = check(&frame(BlockMode::Linked, checksums));
        assert_eq!(linked, Err(RefusalKind::Undecodable));
    }
    // Magic, descriptor, its checksum, and with checksums a byte of the block.
    let whole = frame(BlockMode::Independent, true);
    for at in [0, 4, 5, 6, 30] {
        let refused = check(&flipped(&whole, at));
        assert_eq!(refused, Err(RefusalKind::Undecodable), "{at}");
    }
}

fn check(batch: &RecordBatch, rules: &BatchRules) -> Result<RecordBatch, BatchRefusal> {
    check_batch(batch.to_bytes(), rules, 13, NOW)
}

fn kind(result: Result<RecordBatch, BatchRefusal>) -> RefusalKind {
    result.expect_err("the batch is refused").kind
}

fn all(batch: &RecordBatch) -> Vec<Record> {
    batch.records().unwrap().map(Result::unwrap).collect()
}

/// The batches of `golden/batches.hex`, which `golden/batches.py` wrote.
fn golden() -> Vec<(&'static str, Bytes)> {
    let lines = include_str!("../golden/batches.hex").lines();
    let batches = lines.map(|line| {
        let (name, hex) = line.rsplit_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, (0..hex.len()).step_by(2).map(byte).collect())
    });
    batches.collect()
}

/// What is in each of them.
fn golden_records() -> Vec<Record> {
    let header = |value: Option<&'static [u8]>| RecordHeader {
        key: Bytes::from_static(b"header"),
        value: value.map(Bytes::from_static),
    };
    let record = |index: i64| Record {
        offset: Offset(index),
        timestamp: 1_600_000_000_000 + index * 7,
        key: (index % 5 != 4).then(|| format!("key{index}").into()),
        value: (index % 7 != 6).then(|| format!("value {index} ").repeat(8).into()),
        headers: if index % 3 == 0 {
            vec![header(Some(b"one")), header(None)]
        } else {
            Vec::new()
        },
    };
    (0..50).map(record).collect()
}

/// Records that the crate's types can hold: no header comes twice.
fn plain_records() -> Vec<Record> {
    let record = |index: i64| Record {
        offset: Offset(index),
        timestamp: 1_600_000_000_000 + index * 10,
        key: (index % 2 == 0).then(|| format!("key{index}").into()),
        value: Some(format!("value {index}").repeat(20).into()),
        headers: Vec::new(),
    };
    (0..30).map(record).collect()
}

fn build(records: &[Record], codec: Compression) -> RecordBatch {
    let is_golden = records.len() == 50;
    let mut builder = BatchBuilder::new().compressed(codec, Level::Default);
    if is_golden {
        builder = builder.producer(ProducerId(4000), ProducerEpoch(3), Sequence(10));
    }
    for record in records {
        let headers: Vec<(&[u8], Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|header| (&header.key[..], header.value.as_deref()))
            .collect();
        builder.push_with_headers(
            Millis(record.timestamp),
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder.build().unwrap()
}

fn encoded_by_the_crate(compression: theirs::Compression) -> RecordBatch {
    let records: Vec<theirs::Record> = plain_records()
        .into_iter()
        .map(|record| theirs::Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: theirs::TimestampType::Creation,
            offset: record.offset.0,
            sequence: i32::try_from(record.offset.0).unwrap(),
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: [].into_iter().collect(),
        })
        .collect();
    let options = theirs::RecordEncodeOptions {
        version: 2,
        compression,
    };
    let mut out = BytesMut::new();
    theirs::RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    RecordBatch::from_bytes(out.freeze()).unwrap()
}

/// A batch of this header and payload, whose size and CRC are right.
fn sealed(header: &BatchHeader, payload: &[u8]) -> Bytes {
    let mut header = *header;
    header.size = ByteSize((BatchHeader::SIZE + payload.len()) as u64);
    let mut bytes = [&header.write()[..], payload].concat();
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// The bytes as this codec's own library compresses them.
fn compressed(codec: Compression, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    match codec {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Compression::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// The bytes with one of them changed.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x20;
    bytes
}
