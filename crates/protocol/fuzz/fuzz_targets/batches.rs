//! Record batches: what is kept is whole, whatever came. The first byte chooses
//! the topic's rules; the CRC is put right, since no fuzzer finds one.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_base::Millis;
use ottla_protocol::records::{
    BatchRules, Compression, Level, RecordBatch, TargetCompression, TimestampType, batches,
    check_batch,
};

fuzz_target!(|data: &[u8]| {
    let [choice, bytes @ ..] = data else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if bytes.len() > 61 {
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let bytes = Bytes::from(bytes);
    for batch in batches(bytes.clone()).flatten() {
        let _ = batch.records().map(Iterator::count);
        let _ = batch.first_since(0);
    }
    if let Ok(kept) = check_batch(bytes, &rules(*choice), 13, Millis(1_000)) {
        assert_whole(&kept);
    }
});

fn rules(choice: u8) -> BatchRules {
    let codec = Compression::from_id(i16::from(choice & 7));
    BatchRules {
        compression: codec.map_or(TargetCompression::Producer, |codec| {
            TargetCompression::Codec(codec, Level::Default)
        }),
        timestamp_type: if choice & 8 == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        },
        require_key: choice & 16 != 0,
        ..BatchRules::default()
    }
}

fn assert_whole(kept: &RecordBatch) {
    assert!(kept.verify_crc(), "kept with a wrong CRC");
    let records: Vec<_> = kept.records().expect("kept unreadable").collect();
    for (index, record) in records.iter().enumerate() {
        let offset = record.as_ref().expect("kept a malformed record").offset;
        assert_eq!(usize::try_from(offset.0), Ok(index), "kept out of order");
    }
    let count = usize::try_from(kept.header().record_count);
    assert_eq!(count, Ok(records.len()), "kept a wrong count");
}
