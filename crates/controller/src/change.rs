//! How a partition comes out of a change: who is eligible, who leads, and what its
//! epochs are then.
//!
//! One rule for every change, whatever brought it about: a broker that comes or
//! goes, a leader's word, an election, a reassignment. The rules are those of
//! Kafka's `PartitionChangeBuilder`, with KIP-966's eligible leader replicas: while
//! fewer than `min.insync.replicas` are in sync nothing is acknowledged, so whoever
//! left the ISR since then has all that was, and may lead once the ISR is empty.
//!
//! Unlike Kafka's, the leader that follows on one whose broker has left is rather not a
//! broker that has just come back.

use std::sync::Arc;

use ottla_base::config::TopicDefaults;
use ottla_base::{
    BrokerId, Effects, LeaderEpoch, Machine, Millis, PartitionId, TopicName, TopicPartition,
};

use crate::record::Record;
use crate::{ControllerMachine, Image, Partition, Resource, Topic};

/// For so long a broker that came back is only elected where nobody may lead that is here
/// for longer. Clients may not connect to it yet: they wait the longer the more often they
/// could not, up to ten seconds in librdkafka.
const RETURNING_MS: i64 = 10_000;

/// What a change is to respect, the same for all partitions of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// `min.insync.replicas`, which counts up to the number of replicas.
    pub(crate) isr_min: usize,
    pub(crate) elr_enabled: bool,
    /// `unclean.leader.election.enable`.
    pub(crate) unclean: bool,
}

/// The rules of every topic.
#[derive(Debug)]
pub(crate) struct RuleBook {
    elr_enabled: bool,
    defaults: TopicDefaults,
}

impl RuleBook {
    pub(crate) fn of(&self, image: &Image, topic: &TopicName) -> Rules {
        let overrides = image.overrides(&Resource::Topic(topic.clone()));
        let config = match overrides.map(|overrides| self.defaults.with(overrides)) {
            Some(Ok(config)) => config,
            // What a newer program may have let through does not hold here.
            Some(Err(_)) | None => Arc::clone(self.defaults.config()),
        };
        Rules {
            isr_min: usize::try_from(config.min_insync_replicas).unwrap_or(1),
            elr_enabled: self.elr_enabled,
            unclean: config.unclean_leader_election_enable,
        }
    }
}

impl ControllerMachine {
    pub(crate) fn rule_book(&self) -> RuleBook {
        RuleBook {
            elr_enabled: self.settings().elr_enabled,
            defaults: self.topic_defaults(),
        }
    }

    /// Writes what follows for each of these partitions, grouped by topic, from what
    /// `wish` makes of it. Without a wish a partition stays as it is.
    pub(crate) fn change_partitions(
        &mut self,
        partitions: &[TopicPartition],
        wish: impl Fn(&Partition, Rules) -> Option<(Partition, Preference)>,
        fx: &mut Effects<Self>,
    ) {
        let book = self.rule_book();
        for of_topic in partitions.chunk_by(|a, b| a.topic == b.topic) {
            let Some(topic) = self.image().topic_by_id(of_topic[0].topic).cloned() else {
                continue;
            };
            let rules = book.of(self.image(), &topic.name);
            for tp in of_topic {
                let before = topic.partition(tp.partition);
                let wish = before.and_then(|before| wish(before, rules));
                if let Some((after, preference)) = wish {
                    self.change_partition(&topic, tp.partition, rules, (after, preference), fx);
                }
            }
        }
    }

    /// The partition as it is now, if that is something else than it was.
    pub(crate) fn change_partition(
        &mut self,
        topic: &Topic,
        partition: PartitionId,
        rules: Rules,
        (after, preference): (Partition, Preference),
        fx: &mut Effects<Self>,
    ) -> Option<Arc<Partition>> {
        let change = PartitionChange {
            image: self.image(),
            now: fx.now(),
            rules,
            before: topic.partition(partition)?,
            after,
        };
        let state = Arc::new(change.settle(preference)?);
        let record = Record::Partition {
            topic: topic.id,
            partition,
            state: Arc::clone(&state),
        };
        self.emit(record, fx);
        Some(state)
    }
}

/// Which leader a change would like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// The one that leads, as long as it may.
    Current,
    /// The first of the replicas, as long as it may.
    First,
    /// The one that leads, and where nobody may, any replica that is alive.
    Any,
}

impl Rules {
    /// Which leader a change would like that is not about leaders.
    pub(crate) fn preference(self) -> Preference {
        if self.unclean {
            Preference::Any
        } else {
            Preference::Current
        }
    }

    fn isr_min_of(self, partition: &Partition) -> usize {
        self.isr_min.min(partition.replicas.len())
    }
}

/// A change to one partition on its way from what it is to what it shall be.
#[derive(Debug)]
pub(crate) struct PartitionChange<'a> {
    pub(crate) image: &'a Image,
    pub(crate) now: Millis,
    pub(crate) rules: Rules,
    pub(crate) before: &'a Partition,
    /// As somebody wants it: the change settles what follows from that.
    pub(crate) after: Partition,
}

impl PartitionChange<'_> {
    /// The partition as it will be, or none if it stays as it is.
    pub(crate) fn settle(mut self, preference: Preference) -> Option<Partition> {
        complete_reassignment(&mut self.after);
        self.find_eligible();
        self.elect(preference);
        self.keep_last_member();
        self.remember_leader();
        let mut after = self.after;
        if after == *self.before {
            return None;
        }
        let left = |replica| !after.replicas.contains(replica);
        if after.leader != self.before.leader || self.before.replicas.iter().any(left) {
            after.leader_epoch = LeaderEpoch(self.before.leader_epoch.0 + 1);
        }
        after.partition_epoch += 1;
        Some(after)
    }

    /// Who has left the ISR while too few were in it stays eligible.
    fn find_eligible(&mut self) {
        let (before, after) = (self.before, &self.after);
        let eligible = |replica: &BrokerId| {
            !after.isr.contains(replica)
                && (before.isr.contains(replica) || before.elr.contains(replica))
                && self.image.broker(*replica).is_some()
        };
        self.after.elr = if self.has_enough_in_sync() {
            Vec::new()
        } else {
            after.replicas.iter().copied().filter(eligible).collect()
        };
    }

    /// Whether what is acknowledged from now on may be unknown outside of the ISR.
    fn has_enough_in_sync(&self) -> bool {
        let in_sync = self.after.isr.len();
        !self.rules.elr_enabled || in_sync >= self.rules.isr_min_of(&self.after)
    }

    fn elect(&mut self, preference: Preference) {
        let clean = self.clean_leader(preference);
        let leader = clean.or_else(|| self.unclean_leader(preference));
        if leader == self.before.leader {
            self.after.leader = leader;
            return;
        }
        self.after.leader = leader;
        let Some(leader) = leader else { return };
        if clean.is_none() {
            self.after.isr = vec![leader];
            self.after.elr = Vec::new();
            self.after.recovering = true;
        } else if self.after.isr.is_empty() {
            self.after.isr = vec![leader];
            self.after.elr.retain(|replica| *replica != leader);
            // One may be enough since `min.insync.replicas` was lowered.
            if self.has_enough_in_sync() {
                self.after.elr = Vec::new();
            }
        }
    }

    fn clean_leader(&self, preference: Preference) -> Option<BrokerId> {
        let replicas = &self.after.replicas;
        let first = replicas.first().copied();
        let first = first.filter(|_| preference == Preference::First);
        let mut wanted = first.into_iter().chain(self.before.leader);
        let may_lead = |replica: &BrokerId| self.may_lead(*replica);
        let others = replicas.iter().copied().filter(may_lead);
        let best_of_others = || others.min_by_key(|replica| self.returned_at(*replica));
        wanted.find(may_lead).or_else(best_of_others)
    }

    /// When a broker came back, if that was just now and matters: where the last leader has
    /// left. None is the least, so that whoever was here all the time comes first.
    fn returned_at(&self, replica: BrokerId) -> Option<Millis> {
        let left = |leader| self.image.active_broker(leader).is_none();
        let last_away = self.image.broker(replica)?.last_away?;
        let is_returning = self.now.since(last_away) < RETURNING_MS;
        (is_returning && self.before.leader.is_some_and(left)).then_some(last_away)
    }

    fn may_lead(&self, replica: BrokerId) -> bool {
        let Partition { isr, elr, .. } = &self.after;
        let trusted = if isr.is_empty() { elr } else { isr };
        trusted.contains(&replica) && self.image.active_broker(replica).is_some()
    }

    /// A leader that may lack what was acknowledged: who led last, where nobody is
    /// eligible any more, or anybody, where that is wanted.
    fn unclean_leader(&self, preference: Preference) -> Option<BrokerId> {
        let Partition { isr, elr, .. } = &self.after;
        let none_is_left = self.rules.elr_enabled && isr.is_empty() && elr.is_empty();
        let last = self.before.last_known_elr.iter();
        let any = self.after.replicas.iter();
        last.filter(|_| none_is_left)
            .chain(any.filter(|_| preference == Preference::Any))
            .copied()
            .find(|replica| {
                self.after.replicas.contains(replica)
                    && self.image.active_broker(*replica).is_some()
            })
    }

    /// Without eligible replicas the ISR tells who may lead again.
    fn keep_last_member(&mut self) {
        let Partition { isr, replicas, .. } = &mut self.after;
        if isr.is_empty() && !self.rules.elr_enabled {
            let members = self.before.isr.iter().copied();
            isr.extend(members.filter(|member| replicas.contains(member)));
            if isr.is_empty() {
                isr.extend(replicas.first());
            }
        }
    }

    fn remember_leader(&mut self) {
        if self.after.leader.is_some() || !self.rules.elr_enabled {
            self.after.last_known_elr = Vec::new();
        } else if self.after.last_known_elr.is_empty() {
            self.after.last_known_elr = self.before.leader.into_iter().collect();
        }
    }
}

/// Drops what is to be removed once all that shall stay is in sync (Kafka's
/// `PartitionReassignmentReplicas`).
fn complete_reassignment(partition: &mut Partition) {
    let Partition {
        replicas,
        isr,
        adding,
        removing,
        ..
    } = &*partition;
    let stays = |replica: &&BrokerId| !removing.contains(replica);
    let replicas: Vec<_> = replicas.iter().filter(stays).copied().collect();
    let isr: Vec<_> = isr.iter().filter(stays).copied().collect();
    let are_in_sync = |wanted: &[BrokerId]| wanted.iter().all(|replica| isr.contains(replica));
    // A reassignment to fewer replicas must not leave those behind that hold the
    // partition up while others are away.
    let shrinks = adding.len() < removing.len();
    let complete = partition.is_reassigning()
        && !isr.is_empty()
        && are_in_sync(adding)
        && (!shrinks || are_in_sync(&replicas));
    if complete {
        partition.replicas = replicas;
        partition.isr = isr;
        partition.adding = Vec::new();
        partition.removing = Vec::new();
    }
}
