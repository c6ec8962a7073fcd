//! Which brokers keep a new partition.

use ottla_base::BrokerId;

/// Why replicas could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("a replication factor of {factor} is not possible with {brokers} broker(s)")]
    TooFewBrokers { factor: usize, brokers: usize },
}

/// The replicas of `count` new partitions, leader first. Leaders go round the
/// brokers from a place that `seed` chooses, and followers round those after the
/// leader, one further at every full turn, so that a broker that stops leaves its
/// work to all others.
pub(crate) fn place(
    brokers: &[BrokerId],
    count: usize,
    factor: usize,
    seed: u64,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let n = brokers.len();
    if n < factor || n == 0 {
        return Err(PlacementError::TooFewBrokers { factor, brokers: n });
    }
    let start = usize::try_from(seed % 1_000_003).expect("a small number fits");
    Ok((0..count)
        .map(|partition| {
            let turn = start + partition;
            replicas(brokers, turn % n, turn / n, factor)
        })
        .collect())
}

fn replicas(brokers: &[BrokerId], leader: usize, turn: usize, factor: usize) -> Vec<BrokerId> {
    let others = brokers.len() - 1;
    let follower = |i: usize| {
        let step = 1 + (turn + i) % others;
        brokers[(leader + step) % brokers.len()]
    };
    std::iter::once(brokers[leader])
        .chain((0..factor - 1).map(follower))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_partition_has_distinct_replicas_and_leaders_are_spread() {
        for n in 1..=5 {
            let brokers: Vec<_> = (1..=n).map(BrokerId).collect();
            for factor in 1..=brokers.len() {
                let placed = place(&brokers, 20, factor, 12_345).unwrap();
                let mut leads = vec![0; brokers.len() + 1];
                for replicas in &placed {
                    let distinct: BTreeSet<_> = replicas.iter().collect();
                    assert_eq!(distinct.len(), factor, "{replicas:?}");
                    leads[usize::try_from(replicas[0].0).unwrap()] += 1;
                }
                let (least, most) = (leads[1..].iter().min(), leads[1..].iter().max());
                assert!(most.unwrap() - least.unwrap() <= 1, "{leads:?}");
            }
        }
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        let refused = place(&[BrokerId(1)], 1, 3, 0);
        let expected = PlacementError::TooFewBrokers {
            factor: 3,
            brokers: 1,
        };
        assert_eq!(refused, Err(expected));
    }
}
