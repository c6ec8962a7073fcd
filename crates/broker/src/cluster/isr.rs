//! What leaders find about who is in sync, on its way to the controller.

use std::sync::Arc;

use ottla_base::ErrorCode;
use ottla_control::{Answer, Request};
use ottla_controller::IsrChange;
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::ask::ask;
use crate::broker::Broker;
use crate::partitions::IsrProposal;
use crate::tasks::Stop;

/// Proposals that are sent together.
const CHANGES_AT_ONCE: usize = 1_000;

/// Sends proposals as they come, those that wait together, until the broker stops. What
/// is decided comes back by the metadata log.
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
            _ = proposed.recv_many(&mut proposals, CHANGES_AT_ONCE) => (),
        }
        if proposals.is_empty() {
            return;
        }
        let request = Request::AlterPartitions {
            broker: broker.id,
            epoch: broker.cluster.epoch(),
            changes: proposals.iter().map(change).collect(),
        };
        let asked = tokio::select! {
            biased;
            () = stop.requested() => return,
            asked = ask(&broker, request) => asked,
        };
        match asked {
            Ok(Answer::Altered(codes)) => {
                proposals
                    .iter()
                    .zip(codes)
                    .for_each(|(proposal, code)| settle(proposal, code));
            }
            Ok(other) => unreachable!("in-sync replicas were answered with {other:?}"),
            Err(code) => proposals.iter().for_each(|proposal| settle(proposal, code)),
        }
    }
}

fn change(proposal: &IsrProposal) -> IsrChange {
    let tp = proposal.cell.topic_partition;
    IsrChange {
        topic: tp.topic,
        partition: tp.partition,
        leader_epoch: proposal.epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr.clone(),
        recovered: true,
    }
}

fn settle(proposal: &IsrProposal, code: ErrorCode) {
    let cell = &proposal.cell;
    let (topic, partition) = (&cell.topic, cell.topic_partition.partition);
    let isr: Vec<_> = proposal.isr.iter().map(|id| id.0).collect();
    if code == ErrorCode::None {
        info!(%topic, %partition, ?isr, "the in-sync replicas have changed");
    } else {
        debug!(%topic, %partition, ?isr, why = code.text(), "the in-sync replicas stay as they are");
        cell.isr_refused(proposal.partition_epoch);
    }
}
