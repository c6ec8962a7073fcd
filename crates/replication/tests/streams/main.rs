//! Leaders and followers over real connections, with replicas that are lists of
//! batches: what is sent when, and what happens when a stream breaks.

mod fakes;

use std::time::Duration;

use fakes::{Copy, Follower, Leader, LogFake, partition};
use ottla_base::{LeaderEpoch, Offset};
use ottla_replication::Limits;

const LIMITS: Limits = Limits {
    window_bytes: 10 << 20,
    message_bytes: 1 << 20,
};

#[tokio::test]
async fn a_follower_catches_up_and_then_keeps_up() {
    let log = LogFake::of(100, 500);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(100).await;
    log.append(10, 500);
    copy.reaches(110).await;
    assert_eq!(copy.batches(), log.batches(), "the copy is not verbatim");
    log.acknowledged(110).await;
}

#[tokio::test]
async fn what_lies_on_a_disk_is_read_elsewhere() {
    let log = LogFake::of(100, 500);
    log.freeze_below(100);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(100).await;
    assert_eq!(copy.batches(), log.batches());
    assert_eq!(log.blocking_reads(), leader.node.blocked());
    assert!(log.blocking_reads() > 0, "nothing was read from the disk");
}

#[tokio::test]
async fn many_partitions_are_read_from_the_disk_one_after_the_other() {
    let logs = (0..6).map(|number| (partition(number), LogFake::of(100, 500)));
    let logs: Vec<_> = logs.collect();
    for (_, log) in &logs {
        log.freeze_below(100);
    }
    let leader = Leader::start(LIMITS, logs.clone()).await;
    let follower = Follower::of(&leader);
    let copies: Vec<_> = logs.iter().map(|_| Copy::new()).collect();
    for ((partition, _), copy) in logs.iter().zip(&copies) {
        follower.follow(*partition, copy);
    }
    for ((_, log), copy) in logs.iter().zip(&copies) {
        copy.reaches(100).await;
        assert_eq!(copy.batches(), log.batches());
    }
}

#[tokio::test]
async fn no_more_than_the_window_is_on_its_way() {
    let limits = Limits {
        window_bytes: 20_000,
        message_bytes: 2_000,
    };
    let log = LogFake::of(100, 1_000);
    let leader = Leader::start(limits, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    copy.withhold();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    // Half of it is for those that keep up.
    copy.reaches(10).await;
    // A position comes after whatever was sent before it.
    log.commit(1);
    copy.knows_committed(1).await;
    let bytes = copy.bytes();
    assert!(bytes <= 10_000 + 2_000, "{bytes} bytes are on their way");
    copy.release();
    copy.reaches(100).await;
    assert_eq!(copy.batches(), log.batches());
}

#[tokio::test]
async fn a_partition_that_is_far_behind_holds_up_no_other() {
    let limits = Limits {
        window_bytes: 20_000,
        message_bytes: 2_000,
    };
    let (behind, busy) = (LogFake::of(1_000, 1_000), LogFake::of(0, 0));
    let logs = [(partition(0), behind), (partition(1), busy.clone())];
    let leader = Leader::start(limits, logs).await;
    let (slow, quick) = (Copy::new(), Copy::new());
    slow.withhold();
    let follower = Follower::of(&leader);
    follower.follow(partition(1), &quick);
    follower.follow(partition(0), &slow);
    slow.reaches(10).await;
    busy.append(1, 1_000);
    quick.reaches(1).await;
    busy.append(100, 1_000);
    quick.reaches(101).await;
}

#[tokio::test]
async fn a_partition_that_is_not_acknowledged_leaves_room_for_others() {
    let limits = Limits {
        window_bytes: 20_000,
        message_bytes: 2_000,
    };
    let (stuck, busy) = (LogFake::of(1, 1_000), LogFake::of(1, 1_000));
    let logs = [(partition(0), stuck.clone()), (partition(1), busy.clone())];
    let leader = Leader::start(limits, logs).await;
    let (withheld, quick) = (Copy::new(), Copy::new());
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &withheld);
    follower.follow(partition(1), &quick);
    stuck.acknowledged(1).await;
    busy.acknowledged(1).await;
    withheld.withhold();
    stuck.append(100, 1_000);
    withheld.reaches(11).await;
    busy.append(100, 1_000);
    quick.reaches(101).await;
    assert!(withheld.end() < Offset(20), "it took all of the window");
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_was() {
    let log = LogFake::of(50, 500);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(50).await;
    leader.cut();
    log.append(50, 500);
    copy.reaches(100).await;
    assert_eq!(copy.batches(), log.batches());
    assert_eq!(copy.asked(), [0, 50]);
}

#[tokio::test]
async fn a_leader_that_is_not_one_yet_is_asked_again() {
    let log = LogFake::of(5, 100);
    log.lead(LeaderEpoch(3));
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    copy.in_epoch(LeaderEpoch(4));
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    log.refused().await;
    log.lead(LeaderEpoch(4));
    copy.reaches(5).await;
}

#[tokio::test]
async fn a_leader_that_resigns_says_so() {
    let log = LogFake::of(5, 100);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(5).await;
    log.lead(LeaderEpoch(7));
    log.append(5, 100);
    log.refused().await;
    // Nothing but the leader's word makes it ask again.
    copy.learns(LeaderEpoch(7));
    copy.reaches(10).await;
}

#[tokio::test]
async fn another_history_is_told_of() {
    let log = LogFake::of(5, 100);
    log.diverges_at(3);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    copy.put(LogFake::of(5, 100).batches());
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    // The copy cuts itself there, and follows again.
    copy.is_asked_for([5, 3]).await;
    copy.reaches(5).await;
    assert_eq!(copy.batches(), log.batches());
}

#[tokio::test]
async fn a_log_that_starts_later_begins_anew_there() {
    let log = LogFake::of(50, 100);
    log.start_at(30);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(50).await;
    assert_eq!(copy.batches(), log.batches());
    assert_eq!(copy.log_start(), Offset(30));
    log.start_at(40);
    copy.starts_at(40).await;
}

/// Where the log starts within a batch, all of the batch is sent; that it starts later is
/// told behind it, though nothing moves any more.
#[tokio::test]
async fn a_start_within_a_batch_is_told_after_the_batch() {
    let limits = Limits {
        window_bytes: 20_000,
        message_bytes: 2_000,
    };
    let log = LogFake::of(100, 1_000);
    log.start_within(10, 40);
    let leader = Leader::start(limits, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    copy.withhold();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(15).await;
    log.commit(50);
    copy.knows_committed(50).await;
    assert!(copy.end() < Offset(40), "nothing is held back");
    copy.release();
    copy.reaches(100).await;
    copy.starts_at(40).await;
}

#[tokio::test]
async fn a_high_watermark_is_told_when_no_records_carry_it() {
    let log = LogFake::of(5, 100);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(5).await;
    log.commit(5);
    copy.knows_committed(5).await;
}

#[tokio::test]
async fn who_follows_says_so_when_asked() {
    let log = LogFake::of(5, 100);
    let leader = Leader::start(LIMITS, [(partition(0), log.clone())]).await;
    let copy = Copy::new();
    copy.withhold();
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &copy);
    copy.reaches(5).await;
    log.confirm(1);
    log.confirmed(1).await;
    log.append(5, 100);
    copy.reaches(10).await;
    // Each is answered, or a later one.
    (2..10).for_each(|round| log.confirm(round));
    log.confirmed(9).await;
    copy.release();
    log.acknowledged(10).await;
}

#[tokio::test]
async fn who_knows_of_another_leader_confirms_nothing() {
    let (lost, kept) = (LogFake::of(5, 100), LogFake::of(5, 100));
    let logs = [(partition(0), lost.clone()), (partition(1), kept.clone())];
    let leader = Leader::start(LIMITS, logs).await;
    let copies = [Copy::new(), Copy::new()];
    let follower = Follower::of(&leader);
    for (number, copy) in (0..).zip(&copies) {
        follower.follow(partition(number), copy);
        copy.reaches(5).await;
    }
    lost.confirm(1);
    lost.confirmed(1).await;
    copies[0].learns(LeaderEpoch(1));
    lost.confirm(2);
    kept.confirm(1);
    // Both are asked and answered in this order.
    kept.confirmed(1).await;
    assert_eq!(lost.confirmed_round(), 1);
}

#[tokio::test]
async fn what_is_not_followed_any_more_is_not_sent() {
    let (first, second) = (LogFake::of(5, 100), LogFake::of(5, 100));
    let logs = [
        (partition(0), first.clone()),
        (partition(1), second.clone()),
    ];
    let leader = Leader::start(LIMITS, logs).await;
    let (dropped, kept) = (Copy::new(), Copy::new());
    let follower = Follower::of(&leader);
    follower.follow(partition(0), &dropped);
    follower.follow(partition(1), &kept);
    dropped.reaches(5).await;
    follower.link.unfollow(partition(0));
    first.is_left().await;
    first.append(5, 100);
    second.append(5, 100);
    kept.reaches(10).await;
    assert_eq!(dropped.end(), Offset(5));
}

#[tokio::test]
async fn throttled_replicas_are_sent_no_faster_than_that() {
    let log = LogFake::of(100, 1_000);
    log.throttle();
    let limits = Limits {
        message_bytes: 2_000,
        ..LIMITS
    };
    let leader = Leader::start(limits, [(partition(0), log.clone())]).await;
    leader.throttle.set_rate(50_000);
    let copy = Copy::new();
    let follower = Follower::of(&leader);
    let began = tokio::time::Instant::now();
    follower.follow(partition(0), &copy);
    copy.reaches(100).await;
    // 107 kB, of which a second's worth may pass at once.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "it took {took:?}");
}

#[tokio::test]
async fn throttled_copies_ask_for_no_more_than_that_together() {
    const COPIES: i32 = 11;
    let logs: Vec<_> = (0..COPIES).map(|_| LogFake::of(30, 1_000)).collect();
    logs.iter().for_each(|log| log.commit(30));
    let leader = Leader::start(LIMITS, (0..).map(partition).zip(logs)).await;
    let follower = Follower::of(&leader);
    follower.throttle.set_rate(200_000);
    let began = tokio::time::Instant::now();
    let copies: Vec<_> = (0..COPIES).map(|_| Copy::new()).collect();
    for (copy, at) in copies.iter().zip(0..) {
        copy.throttle();
        follower.follow(partition(at), copy);
    }
    for copy in &copies {
        copy.reaches(30).await;
    }
    // 353 kB, nearly two portions of each copy: one second's worth may pass at once, which
    // is one portion of each, and one more too early.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(500), "it took {took:?}");
    assert!(took <= Duration::from_millis(2_500), "it took {took:?}");
}

/// Whoever has everything asks, and is counted, for nothing.
#[tokio::test]
async fn throttled_copies_that_have_everything_hold_up_no_other() {
    const COPIES: i32 = 200;
    let empty = (1..COPIES).map(|at| (partition(at), LogFake::of(0, 0)));
    let logs = empty.chain([(partition(COPIES), LogFake::of(20, 1_000))]);
    let leader = Leader::start(LIMITS, logs).await;
    let follower = Follower::of(&leader);
    follower.throttle.set_rate(200_000);
    let began = tokio::time::Instant::now();
    let copies: Vec<_> = (0..COPIES).map(|_| Copy::new()).collect();
    for (copy, at) in copies.iter().zip(1..) {
        copy.throttle();
        follower.follow(partition(at), copy);
    }
    copies.last().expect("some").reaches(20).await;
    // Alone the portions that they ask for would take 16 seconds.
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(5_000), "it took {took:?}");
}
