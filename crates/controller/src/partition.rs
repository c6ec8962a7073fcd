//! One partition: who keeps it, who has all of it, and who leads it.
//!
//! Knows no rule of how that may change.

use std::sync::Arc;

use ottla_base::{BrokerId, LeaderEpoch};

/// Who keeps one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The first is preferred as leader. While a reassignment runs, those that are
    /// to go come last.
    pub replicas: Vec<BrokerId>,
    /// A subset of `replicas`. Empty only while `elr` or `last_known_elr` tells who
    /// may come back as leader.
    pub isr: Vec<BrokerId>,
    /// A member of `isr`, or none while no replica may lead.
    pub leader: Option<BrokerId>,
    /// Grows with every leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change to this partition.
    pub partition_epoch: i32,
    /// Replicas outside of `isr` that have all that was ever acknowledged (KIP-966).
    pub elr: Vec<BrokerId>,
    /// Who led last, while nobody does.
    pub last_known_elr: Vec<BrokerId>,
    /// Replicas that a reassignment has brought in.
    pub adding: Vec<BrokerId>,
    /// Replicas that a reassignment takes away once it is complete.
    pub removing: Vec<BrokerId>,
    /// The leader was elected although it may lack acknowledged records, and has
    /// not yet said that it dealt with that.
    pub recovering: bool,
}

impl Partition {
    /// A partition that nothing has happened to yet.
    pub fn new(replicas: Vec<BrokerId>, isr: Vec<BrokerId>) -> Self {
        Self {
            leader: isr.first().copied(),
            replicas,
            isr,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            adding: Vec::new(),
            removing: Vec::new(),
            recovering: false,
        }
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
}

/// How many partitions lie together: a change copies a chunk's pointers and the
/// list of chunks.
const CHUNK_LEN: usize = 128;

type Chunk = Arc<Vec<Arc<Partition>>>;

/// The partitions of one topic, by [`PartitionId`](ottla_base::PartitionId), from 0
/// without gaps. A clone is one pointer, and a change after it copies a few hundred
/// pointers however many partitions there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// All but the last are full, and none is empty.
    chunks: Arc<Vec<Chunk>>,
}

impl Partitions {
    pub fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, |chunk| chunk.len());
        self.chunks.len().saturating_sub(1) * CHUNK_LEN + last
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn get(&self, at: usize) -> Option<&Partition> {
        let partition = self.chunks.get(at / CHUNK_LEN)?.get(at % CHUNK_LEN)?;
        Some(partition)
    }

    pub fn first(&self) -> Option<&Partition> {
        self.get(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.iter_from(0)
    }

    /// The partitions from index `first` on.
    pub fn iter_from(&self, first: usize) -> impl Iterator<Item = &Partition> {
        let chunks = self.chunks.get(first / CHUNK_LEN..).unwrap_or_default();
        let partitions = chunks.iter().flat_map(|chunk| chunk.iter());
        partitions
            .skip(first % CHUNK_LEN)
            .map(|partition| &**partition)
    }

    /// Puts `partition` in the place of the one that is there, which it returns.
    pub(crate) fn replace(
        &mut self,
        at: usize,
        partition: Arc<Partition>,
    ) -> Option<Arc<Partition>> {
        self.get(at)?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at / CHUNK_LEN]);
        let place = &mut chunk[at % CHUNK_LEN];
        Some(std::mem::replace(place, partition))
    }

    fn push(&mut self, partition: Partition) {
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK_LEN => Arc::make_mut(last).push(Arc::new(partition)),
            _ => chunks.push(Arc::new(vec![Arc::new(partition)])),
        }
    }
}

impl Extend<Partition> for Partitions {
    fn extend<T: IntoIterator<Item = Partition>>(&mut self, partitions: T) {
        partitions
            .into_iter()
            .for_each(|partition| self.push(partition));
    }
}

impl FromIterator<Partition> for Partitions {
    fn from_iter<T: IntoIterator<Item = Partition>>(partitions: T) -> Self {
        let mut all = Self::default();
        all.extend(partitions);
        all
    }
}
