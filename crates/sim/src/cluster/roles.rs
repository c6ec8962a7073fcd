//! What a broker makes of what the cluster has decided, and what its leaders propose.

use ottla_base::{BrokerId, LeaderEpoch, PartitionId};
use ottla_controller::{AlterPartitionError, IsrChange, Partition};
use ottla_partition::{Input, Lead, RoleKind};

use super::node::Proposal;
use super::quorum::{About, Ask};
use super::world::{ALL, ClusterWorld};
use crate::broker::{TOPIC, topic_partition};
use crate::fact::Fact;

impl ClusterWorld {
    pub(super) fn on_decisions(&mut self, broker: BrokerId) {
        let (quorum, nodes) = (&self.quorum, &mut self.nodes);
        let life = &mut nodes.get_mut(&broker).expect("brokers do not vanish").life;
        if life.applied == quorum.committed.len() {
            return;
        }
        for records in &quorum.committed[life.applied..] {
            for record in records {
                life.image.apply(record);
            }
        }
        life.applied = quorum.committed.len();
        for partition in ALL {
            self.assume_role(broker, partition);
        }
    }

    /// Makes a partition what the cluster has decided, if it is not that yet.
    pub(super) fn assume_role(&mut self, broker: BrokerId, partition: PartitionId) {
        let node = self.node(broker);
        if !node.is_caught_up() {
            return;
        }
        let Some(known) = node.life.image.partition(topic_partition(partition)) else {
            return;
        };
        let known = known.clone();
        let epochs = (known.leader_epoch, known.partition_epoch);
        let life = &mut node.life;
        let is_settled = |proposal: &Proposal| {
            (
                proposal.change.leader_epoch,
                proposal.change.partition_epoch,
            ) < epochs
        };
        if life.proposals.get(&partition).is_some_and(is_settled) {
            life.proposals.remove(&partition);
        }
        if !known.replicas.contains(&broker) {
            self.retire(broker, partition);
            return;
        }
        if life.told.get(&partition) == Some(&epochs) {
            return;
        }
        if node.broker.cell(partition).is_none() {
            self.reload(broker, partition);
            return;
        }
        self.node(broker).life.told.insert(partition, epochs);
        self.play(broker, partition, known);
    }

    fn play(&mut self, broker: BrokerId, partition: PartitionId, known: Partition) {
        let epoch = known.leader_epoch;
        let lost = self.node(broker).life.lost.get(&partition);
        let has_lost = lost.is_some_and(|lost| epoch <= *lost);
        let in_sync = known.isr.contains(&broker);
        let input = if known.leader != Some(broker) {
            Input::Follow {
                epoch,
                leader: known.leader,
                in_sync,
            }
        } else if has_lost {
            Input::Follow {
                epoch,
                leader: None,
                in_sync,
            }
        } else {
            let decided = self.decided(partition).map(|now| now.leader_epoch);
            if decided == Some(epoch) && self.scanned.insert((partition, epoch)) {
                self.scan(broker, partition);
            }
            Input::Lead(Lead {
                epoch,
                partition_epoch: known.partition_epoch,
                replicas: known.replicas.clone(),
                isr: known.isr,
            })
        };
        let is_copied = known.replicas != [broker];
        self.step(broker, partition, input);
        let view = self.view(broker, partition);
        // One whose disk has failed does not lead, whatever it is told.
        if is_copied && (view.role, view.leader_epoch) == (RoleKind::Leader, epoch) {
            let led = Fact::Led {
                broker,
                partition,
                epoch,
            };
            self.observe(&led);
        }
    }

    fn retire(&mut self, broker: BrokerId, partition: PartitionId) {
        if self.node(broker).broker.cell(partition).is_some() {
            let view = self.view(broker, partition);
            let input = Input::Follow {
                epoch: view.leader_epoch,
                leader: None,
                in_sync: false,
            };
            self.step(broker, partition, input);
        }
        let node = self.node(broker);
        node.life.told.remove(&partition);
        node.life.reported.remove(&partition);
        node.life.wanted.remove(&partition);
        node.life.sessions.retain(|(of, _), _| *of != partition);
        if node.broker.retire(partition) {
            self.observe(&Fact::Recovered { broker, partition });
        }
    }

    pub(super) fn propose(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        isr: Vec<BrokerId>,
    ) {
        let proposal = Proposal {
            change: IsrChange {
                topic: TOPIC,
                partition,
                leader_epoch,
                partition_epoch,
                isr: isr.into_iter().map(Into::into).collect(),
                recovered: true,
            },
            attempt: 0,
            sent_at: self.now,
        };
        self.node(broker).life.proposals.insert(partition, proposal);
        self.send_proposal(broker, partition);
    }

    pub(super) fn send_proposal(&mut self, broker: BrokerId, partition: PartitionId) {
        let now = self.now;
        let life = &mut self.node(broker).life;
        let (Some(epoch), Some(proposal)) = (life.epoch, life.proposals.get_mut(&partition)) else {
            return;
        };
        life.attempts += 1;
        let attempt = life.attempts;
        proposal.attempt = attempt;
        proposal.sent_at = now;
        let change = proposal.change.clone();
        let about = About::InSync {
            partition,
            partition_epoch: change.partition_epoch,
            attempt,
        };
        self.ask(broker, about, Ask::Alter { epoch, change });
    }

    pub(super) fn on_in_sync(
        &mut self,
        broker: BrokerId,
        partition: PartitionId,
        (partition_epoch, attempt): (i32, u32),
        outcome: &Result<(), AlterPartitionError>,
    ) {
        let life = &mut self.node(broker).life;
        let Some(proposal) = life.proposals.get_mut(&partition) else {
            return;
        };
        if proposal.attempt != attempt {
            return;
        }
        match outcome {
            Err(AlterPartitionError::FromTheFuture) => (),
            Err(AlterPartitionError::Ineligible { .. }) => {
                life.proposals.remove(&partition);
                self.step(broker, partition, Input::IsrRefused { partition_epoch });
            }
            // The decision comes by the metadata.
            _ => {
                life.proposals.remove(&partition);
            }
        }
    }
}
