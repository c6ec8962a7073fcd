//! What a recovery makes of checkpoints that are damaged or do not fit, and of
//! logs with gaps.

#![cfg(test)]

use bytes::Bytes;
use ottla_base::{
    BrokerId, ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence,
};
use ottla_partition::{CheckpointError, Effect, Input, Lead, Partition, Recovery, Settings};
use ottla_protocol::records::{Attributes, BatchHeader};

const THIS: BrokerId = BrokerId(1);

#[test]
fn every_cut_of_a_checkpoint_is_noticed() {
    let checkpoint = checkpoint();
    for length in 0..checkpoint.len() {
        check_refused(&checkpoint[..length], CheckpointError::Damaged);
    }
    let longer = [&checkpoint[..], b"x"].concat();
    check_refused(&longer, CheckpointError::Damaged);
}

#[test]
fn a_checkpoint_of_the_future_is_refused() {
    let mut checkpoint = checkpoint().to_vec();
    checkpoint[0] = 9;
    check_refused(&checkpoint, CheckpointError::Version(9));
}

#[test]
fn a_checkpoint_past_the_end_of_the_log_is_refused() {
    let refused = Recovery::from_checkpoint(&checkpoint(), Offset(0), Offset(7)).unwrap_err();
    let (at, end) = (Offset(8), Offset(7));
    assert_eq!(refused, CheckpointError::PastEnd { at, end });
}

#[test]
fn a_checkpoint_stands_for_the_headers_before_it() {
    let from_headers = recovered(Recovery::from_start(Offset(0)), &headers());
    let checkpoint = checkpoint();
    let recovery = Recovery::from_checkpoint(&checkpoint, Offset(0), Offset(8)).unwrap();
    assert_eq!(recovery.next(), Offset(8));
    let from_checkpoint = recovered(recovery, &[]);
    assert_eq!(from_headers.hard(), from_checkpoint.hard());
}

#[test]
fn compaction_may_leave_gaps() {
    let headers = [headers()[0], headers()[3]];
    let partition = recovered(Recovery::from_start(Offset(0)), &headers);
    assert_eq!(partition.view().end, Offset(8));
    let end = partition.end_offset_for(LeaderEpoch(1)).unwrap().end;
    assert_eq!(end, Offset(6));
}

#[test]
fn a_log_may_begin_within_its_first_batch() {
    let partition = recovered(Recovery::from_start(Offset(3)), &headers()[1..]);
    assert_eq!(partition.view().log_start, Offset(3));
    let end = partition.end_offset_for(LeaderEpoch(0)).unwrap().end;
    assert_eq!(
        end,
        Offset(3),
        "the first epoch in the log begins where the log does"
    );
}

#[test]
#[should_panic(expected = "a batch below the end of the log")]
fn a_batch_that_is_fed_twice_is_our_mistake() {
    let mut recovery = Recovery::from_start(Offset(0));
    recovery.feed(&headers()[0]);
    recovery.feed(&headers()[0]);
}

fn check_refused(checkpoint: &[u8], expected: CheckpointError) {
    let result = Recovery::from_checkpoint(checkpoint, Offset(0), Offset(100));
    assert_eq!(result.unwrap_err(), expected);
}

/// Four batches of two records by two producers, in two epochs.
fn headers() -> [BatchHeader; 4] {
    [0, 1, 2, 3].map(|n| BatchHeader {
        base_offset: Offset(i64::from(n) * 2),
        size: ByteSize(61),
        leader_epoch: LeaderEpoch(1 + n / 3),
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: 1,
        base_timestamp: 5,
        max_timestamp: 5,
        producer_id: ProducerId(i64::from(n % 2)),
        producer_epoch: ProducerEpoch(0),
        base_sequence: Sequence(n / 2 * 2),
        record_count: 2,
    })
}

fn recovered(mut recovery: Recovery, headers: &[BatchHeader]) -> Partition {
    for header in headers {
        recovery.feed(header);
    }
    recovery.finish(Millis(5), THIS, Settings::default())
}

/// A checkpoint that covers [`headers`].
fn checkpoint() -> Bytes {
    let mut partition = recovered(Recovery::from_start(Offset(0)), &headers());
    let lead = Lead {
        epoch: LeaderEpoch(3),
        partition_epoch: 0,
        replicas: vec![THIS],
        isr: vec![THIS],
    };
    let mut out = Vec::new();
    partition.step(Millis(5), Input::Lead(lead), &mut out);
    partition.step(Millis(5), Input::Checkpoint, &mut out);
    let bytes = out.into_iter().find_map(|effect| match effect {
        Effect::Checkpoint { bytes } => Some(bytes),
        Effect::Write { .. }
        | Effect::StartOffset { .. }
        | Effect::Truncate { .. }
        | Effect::Committed { .. }
        | Effect::Publish(_)
        | Effect::CommittedLost { .. }
        | Effect::Refollow
        | Effect::Acknowledge { .. }
        | Effect::ProposeIsr { .. }
        | Effect::Reply { .. } => None,
    });
    bytes.expect("everything is committed, so the checkpoint comes at once")
}
