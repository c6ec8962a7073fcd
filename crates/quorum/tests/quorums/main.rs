//! Quorums of one and of three in one process, over loopback and stores in memory.

mod world;

use std::time::Duration;

use ottla_base::{Offset, ProducerId};
use ottla_controller::Record;
use ottla_quorum::VoterStatus;
use ottla_store::StoreFailure;

use world::{World, producer_ids};

#[tokio::test]
async fn a_single_voter_leads_from_its_start_and_remembers() {
    let mut world = World::new(1);
    world.start(1);
    let term = world.node(1).leading().await;
    world.node(1).decide(term, 1, vec![producer_ids(10)]).await;
    assert_eq!(world.node(1).next_producer_id(), ProducerId(10));
    world.stop(1).await;
    world.start(1);
    assert_eq!(world.node(1).leading().await, term);
    assert_eq!(world.node(1).next_producer_id(), ProducerId(10));
    let status = world.node(1).voter.status();
    assert_eq!(status.leader, Some(world::id(1)));
    assert_eq!(status.voters.len(), 1);
    assert_eq!(status.voters[0].end, Some(status.high_watermark));
}

#[tokio::test]
async fn what_is_not_flushed_was_not_decided() {
    let mut world = World::stepped();
    world.start(1);
    let term = world.node(1).leading().await;
    world.node(1).propose(term, 1, vec![producer_ids(10)]);
    world.flush_when_written().await;
    world.node(1).written(1).await;
    world.node(1).propose(term, 2, vec![producer_ids(20)]);
    world.until_written().await;
    assert_eq!(world.node(1).next_producer_id(), ProducerId(10));
    world.lose_power(1);
    world.start(1);
    world.node(1).leading().await;
    assert_eq!(world.node(1).next_producer_id(), ProducerId(10));
}

#[tokio::test]
async fn a_full_disk_passes() {
    let mut world = World::new(1);
    world.start(1);
    let term = world.node(1).leading().await;
    world.node(1).decide(term, 1, vec![producer_ids(10)]).await;
    world.refuse_appends(1, Some(StoreFailure::Full));
    world.node(1).propose(term, 2, vec![producer_ids(20)]);
    world.node(1).not_leading().await;
    world.refuse_appends(1, None);
    let term = world.node(1).leading().await;
    assert_eq!(world.node(1).next_producer_id(), ProducerId(10));
    world.node(1).decide(term, 1, vec![producer_ids(30)]).await;
    assert_eq!(world.node(1).heard(), [10, 30], "each once");
}

#[tokio::test]
async fn what_a_single_node_wrote_before_there_was_a_quorum_is_taken_over() {
    let mut world = World::new(1);
    let topic = world::topic("t");
    world.write_as_before(1, &[producer_ids(5), Record::Topic(topic.clone())]);
    world.write_as_before(1, &[producer_ids(6)]);
    world.start(1);
    let term = world.node(1).leading().await;
    let image = world.node(1).voter.image();
    assert_eq!(image.topic_by_id(topic.id), Some(&topic));
    assert_eq!(image.next_producer_id(), ProducerId(6));
    assert_eq!(
        world.node(1).voter.end(),
        Offset(3),
        "as far as it had come"
    );
    world.node(1).decide(term, 1, vec![producer_ids(7)]).await;
    world.stop(1).await;
    world.start(1);
    world.node(1).leading().await;
    let image = world.node(1).voter.image();
    assert_eq!(image.topics().count(), 1);
    assert_eq!(image.next_producer_id(), ProducerId(7));
}

#[tokio::test]
async fn a_log_of_other_voters_is_left_alone() {
    let mut world = World::new(3);
    world.start(1);
    world.stop(1).await;
    let refused = world.open_alone(1).expect_err("three voters").to_string();
    assert!(refused.contains("[1, 2, 3]"), "{refused}");
    world.write_as_before(2, &[producer_ids(5)]);
    let refused = world.open(2).expect_err("of one node").to_string();
    assert!(refused.contains("single node"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_leader_is_gone_and_nothing_is_lost() {
    let mut world = World::new(3);
    world.start_all();
    let (first, term) = world.leader_of(&[1, 2, 3]).await;
    world
        .node(first)
        .decide(term, 1, vec![producer_ids(1)])
        .await;
    world.every_node_has(&[1, 2, 3], 1).await;
    world.stop(first).await;
    let others = world.others(first);
    let (second, term) = world.leader_of(&others).await;
    assert_eq!(world.node(second).next_producer_id(), ProducerId(1));
    world
        .node(second)
        .decide(term, 1, vec![producer_ids(2)])
        .await;
    world.every_node_has(&others, 2).await;

    world.start(first);
    world.every_node_has(&[1, 2, 3], 2).await;
    assert_eq!(world.node(first).heard(), [1, 2], "by the log, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_disk_of_the_leader_is_full() {
    let mut world = World::new(3);
    world.start_all();
    let (first, term) = world.leader_of(&[1, 2, 3]).await;
    let decision = vec![producer_ids(1)];
    world.node(first).decide(term, 1, decision).await;
    world.refuse_appends(first, Some(StoreFailure::Full));
    world.node(first).propose(term, 2, vec![producer_ids(2)]);
    world.node(first).not_leading().await;
    let others = world.others(first);
    let (second, term) = world.leader_of(&others).await;
    let decision = vec![producer_ids(3)];
    world.node(second).decide(term, 1, decision).await;
    world.refuse_appends(first, None);
    world.every_node_has(&[1, 2, 3], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_keeps_one_of_four_followers_keeps_none() {
    let mut world = World::new(5);
    world.start_all();
    let (first, term) = world.leader_of(&[1, 2, 3, 4, 5]).await;
    let decision = vec![producer_ids(1)];
    world.node(first).decide(term, 1, decision).await;
    world.every_node_has(&[1, 2, 3, 4, 5], 1).await;
    let others = world.others(first);
    world.cut_off(others[3]);
    world.part(first, others[1]);
    world.part(first, others[2]);
    let majority = &others[..3];
    let (second, term) = world.leader_of(majority).await;
    let decision = vec![producer_ids(2)];
    world.node(second).decide(term, 1, decision).await;
    world.every_node_has(majority, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_knows_when_each_voter_had_all() {
    let mut world = World::new(3);
    world.start_all();
    let (leader, term) = world.leader_of(&[1, 2, 3]).await;
    world
        .node(leader)
        .decide(term, 1, vec![producer_ids(1)])
        .await;
    world.every_node_has(&[1, 2, 3], 1).await;
    let others = world.others(leader);
    for other in &others {
        let was_heard = |of: &VoterStatus| of.took.is_some() && of.caught_up.is_some();
        world.node(leader).knows(*other, was_heard).await;
    }
    let away = others[0];
    world.stop(away).await;
    let many_heartbeats = Some(Duration::from_millis(500));
    let is_silent = |of: &VoterStatus| of.took.min(of.caught_up) > many_heartbeats;
    world.node(leader).knows(away, is_silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_long_catches_up_by_a_snapshot() {
    let mut world = World::new(3);
    world.start_all();
    let (leader, _) = world.leader_of(&[1, 2, 3]).await;
    let away = world.others(leader)[0];
    world.stop(away).await;
    let others = world.others(away);
    // Each is larger than the log may become, and there are more of them than are kept
    // for those that lag a little.
    for next in 1..=120 {
        let decision = vec![producer_ids(next), world::ballast()];
        world.decide(&others, decision).await;
    }
    for other in others {
        world.purged(other, world.end_of(away)).await;
    }
    world.start(away);
    world.every_node_has(&[1, 2, 3], 120).await;
    let heard = world.node(away).heard();
    assert!(heard.len() < 120, "by a snapshot and the rest: {heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_leads_no_more_and_follows_when_it_is_back() {
    let mut world = World::new(3);
    world.start_all();
    let (first, term) = world.leader_of(&[1, 2, 3]).await;
    world.cut_off(first);
    world.node(first).propose(term, 1, vec![producer_ids(7)]);
    let others = world.others(first);
    let (second, later) = world.leader_of(&others).await;
    assert!(later > term, "{later} > {term}");
    world
        .node(second)
        .decide(later, 1, vec![producer_ids(8)])
        .await;
    world.node(first).not_leading().await;
    let heard = world.node(first).heard();
    assert!(heard.is_empty(), "decided by one of three: {heard:?}");

    world.rejoin(first);
    world.every_node_has(&[1, 2, 3], 8).await;
    for node in 1..=3 {
        assert!(!world.node(node).heard().contains(&7), "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_hear_the_leader_does_not_end_its_term() {
    let mut world = World::new(3);
    world.start_all();
    let (leader, term) = world.leader_of(&[1, 2, 3]).await;
    let decision = vec![producer_ids(1)];
    world.node(leader).decide(term, 1, decision).await;
    world.every_node_has(&[1, 2, 3], 1).await;
    let deaf = world.others(leader)[0];
    for cut in [World::deafen, World::cut_off] {
        cut(&world, deaf);
        let many_elections = Some(Duration::from_secs(2));
        let is_silent = |of: &VoterStatus| of.took > many_elections;
        world.node(leader).knows(deaf, is_silent).await;
        world.rejoin(deaf);
        let is_back = |of: &VoterStatus| of.took < Some(Duration::from_millis(500));
        world.node(leader).knows(deaf, is_back).await;
    }
    assert_eq!(world.node(leader).leading().await, term);
    for node in 1..=3 {
        let epoch = world.node(node).voter.status().epoch;
        assert_eq!(u64::try_from(epoch), Ok(term), "of node {node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_no_voter_hears_all_from_whoever_is_there() {
    let mut world = World::new(3);
    world.start_all();
    let (leader, term) = world.leader_of(&[1, 2, 3]).await;
    let topic = world::topic("t");
    let created = vec![Record::Topic(topic.clone()), producer_ids(1)];
    world.node(leader).decide(term, 1, created).await;
    let follower = world.follow();
    follower.has(1).await;
    assert_eq!(follower.image().topics().count(), 1);

    // It is told of what was deleted in the meantime, by whichever voter it finds.
    world.silence_follower();
    let deleted = vec![Record::TopicDeleted(topic.id), producer_ids(2)];
    world.node(leader).decide(term, 2, deleted).await;
    world.stop(leader).await;
    let others = world.others(leader);
    let (second, term) = world.leader_of(&others).await;
    world.let_follower_speak();
    follower.has(2).await;
    assert_eq!(follower.image().topics().count(), 0);
    world
        .node(second)
        .decide(term, 1, vec![producer_ids(3)])
        .await;
    follower.has(3).await;
    assert_eq!(follower.heard(), [1, 2, 3]);
}
