//! A history for each anomaly, and the same one without it.

use super::analyse;
use crate::history::parse;

/// What happened, each line without its time, and the anomalies that are found.
#[track_caller]
fn check(lines: &str, expected: &[&str]) {
    let mut text = String::new();
    for (at, line) in (0..).zip(lines.lines().map(str::trim)) {
        let line = line.replace(' ', "\t");
        text.push_str(&format!("{at}\t{line}\n"));
    }
    let found = analyse(&parse(&text).unwrap());
    let found: Vec<_> = found
        .iter()
        .map(|anomaly| format!("{}: {anomaly}", anomaly.name()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_acknowledged_and_read_is_fine() {
    check(
        "0 run 1 dense
         1 producer idempotent
         1 send 0 10
         1 acked 0 0 10
         1 send 0 11
         1 unknown 11
         1 send 0 12
         1 failed 12
         9 poll 0@0=10
         9 final 0 0 1",
        &[],
    );
}

#[test]
fn an_acknowledged_record_that_the_log_does_not_have_is_lost() {
    check(
        "1 send 0 10
         1 acked 0 0 10
         1 send 0 11
         1 acked 0 1 11
         9 poll 0@1=11
         9 final 0 1 2",
        &[],
    );
    check(
        "0 run 1 sparse
         1 send 0 10
         1 acked 0 0 10
         1 send 0 11
         1 acked 0 1 11
         9 poll 0@1=11
         9 final 0 0 2",
        &["lost-write: 10 of log 0 is missing, it was acknowledged at 0"],
    );
}

#[test]
fn without_a_last_read_the_highest_offset_of_any_decides() {
    check(
        "1 send 0 10
         1 acked 0 0 10
         1 send 0 11
         1 acked 0 1 11
         2 poll 0@1=11",
        &["lost-write: 10 of log 0 is missing, it was acknowledged at 0"],
    );
}

#[test]
fn a_record_that_was_read_once_must_stay() {
    let history = "1 send 0 10
         2 poll 0@0=10
         1 send 0 11
         1 acked 0 1 11";
    check(
        &format!("{history}\n9 poll 0@0=10 0@1=11\n9 final 0 0 2"),
        &[],
    );
    check(
        &format!("0 run 1 sparse\n{history}\n9 poll 0@1=11\n9 final 0 0 2"),
        &["lost-write: 10 of log 0 is missing"],
    );
}

#[test]
fn an_acknowledged_record_behind_the_end_is_unseen() {
    check(
        "1 send 0 10
         1 acked 0 0 10
         1 send 0 11
         1 acked 0 1 11
         9 poll 0@0=10
         9 final 0 0 1",
        &["unseen: 11 of log 0 was never read, it was acknowledged at 1"],
    );
}

#[test]
fn an_idempotent_record_is_there_once() {
    let twice = "1 send 0 10
         1 acked 0 0 10
         9 poll 0@0=10 0@1=10
         9 final 0 0 2";
    check(
        &format!("1 producer idempotent\n{twice}"),
        &["duplicate: 10 of log 0 is at offsets 0, 1"],
    );
    check(&format!("1 producer plain\n{twice}"), &[]);
}

#[test]
fn an_acknowledgement_without_an_offset_is_one() {
    check(
        "1 producer idempotent
         1 send 0 10
         1 acked 0 - 10
         9 poll 0@0=10
         9 final 0 0 1",
        &[],
    );
    check(
        "1 producer idempotent
         1 send 0 10
         1 acked 0 - 10
         9 final 0 0 0",
        &["lost-write: 10 of log 0 is missing"],
    );
}

#[test]
fn an_offset_has_one_record() {
    check(
        "1 send 0 10
         1 send 0 11
         1 acked 0 0 10
         2 poll 0@0=11",
        &[
            "inconsistent-offsets: offset 0 of log 0 had [10, 11]",
            "lost-write: 10 of log 0 is missing, it was acknowledged at 0",
        ],
    );
    check(
        "1 send 0 10
         1 send 1 11
         1 acked 0 0 10
         1 acked 1 0 11
         2 poll 0@0=10 1@0=11",
        &[],
    );
}

#[test]
fn every_offset_has_a_record_unless_it_need_not() {
    let hole = "1 send 0 10
         1 send 0 11
         9 poll 0@0=10 0@2=11
         9 final 0 0 3";
    check(
        &format!("0 run 1 dense\n{hole}"),
        &["offset-gap: offset 1 of log 0 has no record"],
    );
    check(&format!("0 run 1 sparse\n{hole}"), &[]);
}

#[test]
fn sends_of_one_producer_keep_their_order() {
    let turned = "1 send 0 10
         1 send 0 11
         1 acked 0 1 10
         1 acked 0 0 11
         2 poll 0@0=11 0@1=10";
    check(
        &format!("1 producer idempotent\n{turned}"),
        &["nonmonotonic-send: process 1 sent 10 to log 0 at offset 1 and then 11 at 0"],
    );
    check(&format!("1 producer plain\n{turned}"), &[]);
    check(
        "1 producer idempotent
         2 producer idempotent
         1 send 0 10
         2 send 0 11
         1 acked 0 1 10
         2 acked 0 0 11
         3 poll 0@0=11 0@1=10",
        &[],
    );
}

#[test]
fn a_failed_or_aborted_record_is_not_read() {
    check(
        "1 send 0 10
         1 failed 10
         1 send 0 11
         1 aborted 11
         2 poll 0@0=10 0@1=11",
        &[
            "G1a: process 2 read 10 at 0 of log 0",
            "G1a: process 2 read 11 at 1 of log 0",
        ],
    );
    check(
        "1 send 0 10
         1 unknown 10
         2 poll 0@0=10",
        &[],
    );
}

#[test]
fn what_nobody_sent_to_this_log_is_not_read() {
    check(
        "1 send 0 10
         1 send 0 11
         2 poll 0@0=10 1@0=11 0@1=? 0@2=12",
        &[
            "garbage-read: process 2 read what nobody sent at 0 of log 1",
            "garbage-read: process 2 read what nobody sent at 1 of log 0",
            "garbage-read: process 2 read what nobody sent at 2 of log 0",
        ],
    );
}

/// Six records in log 0, all of them read once.
const SIX: &str = "1 send 0 10
    1 send 0 11
    1 send 0 12
    1 send 0 13
    1 send 0 14
    1 send 0 15
    2 poll 0@0=10 0@1=11 0@2=12 0@3=13 0@4=14 0@5=15";

#[track_caller]
fn check_six(lines: &str, expected: &[&str]) {
    check(&format!("{SIX}\n{lines}"), expected);
}

#[test]
fn a_consumer_does_not_go_back() {
    check_six(
        "3 poll 0@1=11 0@2=12
         3 poll 0@2=12",
        &["nonmonotonic-poll: process 3 got 2 of log 0 where 3 was next, at 8 us"],
    );
    check_six(
        "3 poll 0@1=11 0@2=12
         3 assign 1@-
         3 poll 0@2=12
         3 poll 0@2=12",
        &[
            "nonmonotonic-poll: process 3 got 2 of log 0 where 3 was next, at 9 us, \
             after a rebalance that left it the log",
            "nonmonotonic-poll: process 3 got 2 of log 0 where 3 was next, at 10 us",
        ],
    );
    check_six(
        "3 poll 0@1=11 0@2=12
         3 assign 0@0
         3 poll 0@0=10",
        &[],
    );
    check_six(
        "3 poll 0@1=11
         3 revoke 0
         3 assign 0@-
         3 poll 0@0=10",
        &[],
    );
}

#[test]
fn a_consumer_leaves_nothing_out() {
    check_six(
        "3 poll 0@1=11
         3 poll 0@3=13",
        &["poll-skip: process 3 got 3 of log 0 where 2 was next, at 8 us"],
    );
    check_six(
        "3 assign 0@2
         3 poll 0@3=13",
        &["poll-skip: process 3 got 3 of log 0 where 2 was next, at 8 us"],
    );
    // An offset that nobody ever saw a record at may be a control record's.
    check(
        "1 send 0 10
         1 send 0 11
         2 poll 0@0=10
         2 poll 0@2=11",
        &[],
    );
}

#[test]
fn within_one_poll_it_is_the_same() {
    check_six(
        "3 poll 0@1=11 0@0=10",
        &["int-nonmonotonic-poll: process 3 got 0 of log 0 where 2 was next, at 7 us"],
    );
    check_six(
        "3 poll 0@1=11 0@4=14",
        &["int-poll-skip: process 3 got 4 of log 0 where 2 was next, at 7 us"],
    );
    check_six("3 poll 0@1=11 0@2=12", &[]);
}

#[test]
fn a_committed_offset_stays() {
    let commit = "3 member 0
         3 commit 0@2
         3 committed
         4 ask 0";
    check_six(&format!("{commit}\n4 answer 0@2"), &[]);
    check_six(&format!("{commit}\n4 answer 0@3"), &[]);
    check_six(
        &format!("{commit}\n4 answer 0@-"),
        &["lost-commit: group 0 is nowhere in log 0 instead of 2"],
    );
    check_six(
        &format!("{commit}\n4 answer 0@1"),
        &["regressed-commit: group 0 is at 1 of log 0 instead of 2"],
    );
}

#[test]
fn a_commit_counts_from_its_answer_on() {
    check_six(
        "3 member 0
         4 ask 0
         3 commit 0@2
         3 committed
         4 answer 0@-",
        &[],
    );
    check_six(
        "3 member 0
         3 commit 0@2
         3 uncommitted
         4 ask 0
         4 answer 0@-",
        &[],
    );
}

#[test]
fn a_member_goes_on_where_its_group_was() {
    let given = "3 member 0
         3 commit 0@2
         3 committed
         4 member 0
         4 assign 0@-";
    check_six(&format!("{given}\n4 poll 0@2=12"), &[]);
    check_six(
        &format!("{given}\n4 poll 0@1=11"),
        &["regressed-commit: group 0 is at 1 of log 0 instead of 2"],
    );
    check_six(
        &format!("{given}\n4 poll 0@3=13"),
        &["commit-skip: group 0 is at 3 of log 0 instead of 2"],
    );
    check_six(
        "3 member 0
         3 assign 0@-
         3 poll 0@1=11",
        &["commit-skip: group 0 is at 1 of log 0 instead of 0"],
    );
}

#[test]
fn a_commit_without_an_answer_may_have_moved_the_group() {
    check_six(
        "3 member 0
         3 commit 0@3
         3 uncommitted
         4 member 0
         4 assign 0@-
         4 poll 0@3=13",
        &[],
    );
}
