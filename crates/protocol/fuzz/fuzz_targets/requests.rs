//! Every request and response decoder: the first byte chooses the API and the
//! side, the second the version, and the rest is the body.
//!
//! Run it without the address sanitizer (`cargo fuzz run requests -s none`): the
//! decoders reserve by lengths off the wire, which only the broker's allocator
//! takes calmly.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::header::RequestHeader;
use ottla_protocol::messages::codecs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fuzz_target!(|data: &[u8]| {
    let _ = RequestHeader::decode(&mut Bytes::copy_from_slice(data));
    let [choice, version, body @ ..] = data else {
        return;
    };
    let count = codecs().count();
    let index = usize::from(choice / 2) % count;
    let codec = codecs().nth(index).expect("the index is below the count");
    let span = codec.version_max - codec.version_min + 1;
    let version = codec.version_min + i16::from(*version) % span;
    let mut body = Bytes::copy_from_slice(body);
    if choice % 2 == 0 {
        let _ = codec.reencode_request(&mut body, version);
    } else {
        let _ = codec.reencode_response(&mut body, version, version);
    }
});
