//! What leaders ask the active controller for: other replicas in sync.

use std::sync::Arc;
use std::time::Duration;

use ottla_base::ErrorCode;
use ottla_control::{Answer, Request};
use ottla_controller::{IsrChange, Member};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::ask::ask;
use crate::broker::Broker;
use crate::partitions::IsrProposal;
use crate::tasks::Stop;

/// Between two questions where the first had no answer that says anything.
const PAUSE: Duration = Duration::from_millis(50);

/// Changes that are asked for at once.
const CHANGES_MAX: usize = 1_000;

/// Asks until the broker stops, for many partitions at once.
pub(crate) async fn run(
    broker: Arc<Broker>,
    mut proposed: mpsc::UnboundedReceiver<IsrProposal>,
    mut stop: Stop,
) {
    loop {
        let mut proposals = Vec::new();
        tokio::select! {
            biased;
            () = stop.requested() => return,
            _ = proposed.recv_many(&mut proposals, CHANGES_MAX) => (),
        }
        if proposals.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = propose(&broker, proposals) => (),
        }
    }
}

/// A proposal is asked for until it is known what became of it: a leader counts on both
/// outcomes until then.
async fn propose(broker: &Arc<Broker>, mut proposals: Vec<IsrProposal>) {
    loop {
        let epoch = broker.cluster.epoch();
        let leader = Member {
            id: broker.id,
            epoch: Some(epoch),
        };
        let changes = proposals.iter().map(|proposal| change(proposal, leader));
        let request = Request::AlterPartitions {
            broker: broker.id,
            epoch,
            changes: changes.collect(),
        };
        match ask(broker, request).await {
            Ok(Answer::Altered(codes)) => {
                let answered = proposals.into_iter().zip(codes);
                let open = answered.filter_map(|(proposal, code)| settle(proposal, code));
                proposals = open.collect();
                if proposals.is_empty() {
                    return;
                }
            }
            Ok(
                other @ (Answer::Registered(_)
                | Answer::Heartbeat { .. }
                | Answer::ProducerIds(_)
                | Answer::Forwarded(_)),
            ) => unreachable!("a change of partitions was answered with {other:?}"),
            Err(code) => warn!(why = code.text(), "the replicas in sync stay as they were"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn change(proposal: &IsrProposal, leader: Member) -> IsrChange {
    let of = |member: &Member| {
        if member.id == leader.id {
            leader
        } else {
            *member
        }
    };
    let tp = proposal.cell.topic_partition;
    IsrChange {
        topic: tp.topic,
        partition: tp.partition,
        leader_epoch: proposal.epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr.iter().map(of).collect(),
        recovered: true,
    }
}

/// Returns the proposal if nothing is known of it yet.
fn settle(proposal: IsrProposal, code: ErrorCode) -> Option<IsrProposal> {
    let cell = &proposal.cell;
    let (topic, partition) = (&cell.topic, cell.topic_partition.partition);
    if code == ErrorCode::NotController {
        // It knows less than this leader does.
        return Some(proposal);
    }
    debug!(%topic, %partition, isr = ?proposal.isr, outcome = code.text(), "replicas in sync");
    if matches!(
        code,
        ErrorCode::IneligibleReplica | ErrorCode::InvalidRequest
    ) {
        cell.isr_refused(proposal.partition_epoch);
    }
    // Of everything else the metadata tells what has become: of a change that started from
    // an older state also that an earlier attempt was carried out.
    None
}
