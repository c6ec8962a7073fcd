//! Which brokers keep a new partition.
//!
//! The goals are those of Kafka's `StripedReplicaPlacer`, in its order: as many racks
//! as can be, brokers that are alive, and everywhere as much as anywhere else.

use std::collections::BTreeMap;

use ottla_base::BrokerId;

use crate::Registration;

/// Why replicas could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("a replication factor of {factor} is not possible with {brokers} broker(s)")]
    TooFewBrokers { factor: usize, brokers: usize },
    #[error("All brokers are currently fenced or in controlled shutdown.")]
    NoneActive,
}

/// A broker that may get replicas.
#[derive(Debug)]
struct Place<'a> {
    id: BrokerId,
    /// Brokers of which none is known are all in one.
    rack: Option<&'a str>,
    fenced: bool,
    /// How many replicas it has got.
    load: usize,
}

/// The replicas of `count` new partitions, leader first. Leaders go round the brokers
/// that are alive, from rack to rack, from a place that `seed` chooses. Each follower
/// goes to the broker that has got least in the rack that the partition uses least;
/// where several have, the first of them is another at every turn, so that a broker
/// that stops leaves its work to all others.
pub(crate) fn place<'a>(
    brokers: impl Iterator<Item = &'a Registration>,
    count: usize,
    factor: usize,
    seed: u64,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let mut places: Vec<_> = from_rack_to_rack(brokers);
    let brokers = places.len();
    if brokers < factor || brokers == 0 {
        return Err(PlacementError::TooFewBrokers { factor, brokers });
    }
    let alive: Vec<_> = (0..brokers).filter(|at| !places[*at].fenced).collect();
    if alive.is_empty() {
        return Err(PlacementError::NoneActive);
    }
    let start = usize::try_from(seed % 1_000_003).expect("a small number fits");
    let placed = (start..start + count).map(|turn| {
        let leader = alive[turn % alive.len()];
        let mut chosen = vec![leader];
        places[leader].load += 1;
        while chosen.len() < factor {
            let next = next_follower(&places, &chosen, turn);
            places[next].load += 1;
            chosen.push(next);
        }
        chosen.into_iter().map(|at| places[at].id).collect()
    });
    Ok(placed.collect())
}

/// The first broker of each rack, then the second of each, and so on: neighbours are
/// in different racks as long as there are several.
fn from_rack_to_rack<'a>(brokers: impl Iterator<Item = &'a Registration>) -> Vec<Place<'a>> {
    let mut racks: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut places: Vec<_> = brokers
        .filter(|broker| broker.fenced || !broker.in_controlled_shutdown)
        .map(|broker| {
            let rack = broker.rack.as_deref();
            let nth = racks.entry(rack).or_default();
            *nth += 1;
            let place = Place {
                id: broker.id,
                rack,
                fenced: broker.fenced,
                load: 0,
            };
            (*nth, place)
        })
        .collect();
    places.sort_by_key(|(nth, place)| (*nth, place.rack, place.id));
    places.into_iter().map(|(_, place)| place).collect()
}

fn next_follower(places: &[Place<'_>], chosen: &[usize], turn: usize) -> usize {
    let in_rack = |rack: Option<&str>| {
        let racks = chosen.iter().map(|at| places[*at].rack);
        racks.filter(|other| *other == rack).count()
    };
    let n = places.len();
    // The order of those that are alike: from the one after the leader on, and one
    // further at every full round.
    let first = chosen[0] + 1 + turn / n;
    (first..first + n)
        .map(|at| at % n)
        .filter(|at| !chosen.contains(at))
        .min_by_key(|at| {
            let place = &places[*at];
            (in_rack(place.rack), place.fenced, place.load)
        })
        .expect("there are as many brokers as replicas")
}
