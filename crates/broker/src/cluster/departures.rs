//! The brokers that have just left, and which clients are still to be told of it.
//!
//! librdkafka 2.11 and later lets go of a broker that Metadata does not list any more. If
//! the same answer names the next leader of a partition, the partition may be let go of
//! together with the broker that it is just leaving, and is looked for only a second
//! later. So each of its connections is told in two answers: of the next leader while the
//! last one is still listed, and then that the last one is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ottla_base::BrokerId;
use ottla_controller::{BrokerEpoch, Image, Topic};

/// A broker in one of its lives.
pub(crate) type Life = (BrokerId, BrokerEpoch);

/// Whether a broker is not fenced in that life.
pub(crate) fn takes_part(image: &Image, (id, epoch): Life) -> bool {
    let broker = image.broker(id).filter(|broker| broker.epoch == epoch);
    broker.is_some_and(|broker| !broker.fenced)
}

/// How long after a broker has left clients come to hear of it.
const RECENT: Duration = Duration::from_secs(1);

/// A broker takes part no longer.
#[derive(Debug)]
pub(crate) struct Departure {
    pub life: Life,
    at: Instant,
    /// The metadata when it still took part.
    before: Arc<Image>,
}

impl Departure {
    /// Whether it led any partition of this topic of [`Self::before`].
    pub(crate) fn led_any(&self, topic: &Topic) -> bool {
        topic.leaders().any(|leader| leader == self.life.0)
    }

    pub(crate) fn before(&self) -> &Image {
        &self.before
    }
}

/// Written when an image is published, read for every Metadata.
#[derive(Debug, Default)]
pub(crate) struct Departures(Mutex<Vec<Arc<Departure>>>);

impl Departures {
    /// Takes note of who left between two images that follow each other.
    pub(crate) fn note(&self, before: &Arc<Image>, after: &Image, now: Instant) {
        let lives = before.brokers().map(|broker| (broker.id, broker.epoch));
        let left = lives.filter(|life| takes_part(before, *life) && !takes_part(after, *life));
        let left = left.map(|life| {
            Arc::new(Departure {
                life,
                at: now,
                before: before.clone(),
            })
        });
        self.all().extend(left);
    }

    pub(crate) fn recent(&self, now: Instant) -> Vec<Arc<Departure>> {
        let mut all = self.all();
        all.retain(|departure| now - departure.at < RECENT);
        all.clone()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Departure>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the client of a connection has heard: of each broker of whose end it was told, the
/// last life. Nothing unless it is librdkafka.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<BTreeMap<BrokerId, BrokerEpoch>>>);

impl Told {
    /// What the client calls itself and its version (KIP-511). A binding of librdkafka
    /// names it with the version.
    pub(crate) fn meet(&self, software: [&str; 2]) {
        if software.iter().any(|part| part.contains("librdkafka")) {
            self.lives().get_or_insert_default();
        }
    }

    /// Whether it has yet to be told of the end of that broker.
    pub(crate) fn lacks(&self, (broker, epoch): Life) -> bool {
        let lives = self.lives();
        let told = lives.as_ref().map(|lives| lives.get(&broker));
        told.is_some_and(|last| last.is_none_or(|last| *last < epoch))
    }

    pub(crate) fn tell(&self, ended: impl IntoIterator<Item = Life>) {
        if let Some(lives) = &mut *self.lives() {
            lives.extend(ended);
        }
    }

    fn lives(&self) -> MutexGuard<'_, Option<BTreeMap<BrokerId, BrokerEpoch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ottla_controller::{Record, Registration};

    use super::*;

    const BROKER: BrokerId = BrokerId(2);

    /// The metadata where the broker takes part in this life, or is fenced.
    fn image(epoch: i64, fenced: bool) -> Arc<Image> {
        let mut image = Image::default();
        image.apply(&Record::Broker(Arc::new(Registration {
            id: BROKER,
            epoch: BrokerEpoch(epoch),
            incarnation: [0; 16],
            directory: None,
            rack: None,
            listeners: Vec::new(),
            fenced,
            in_controlled_shutdown: false,
            last_away: None,
        })));
        Arc::new(image)
    }

    fn recent(departures: &Departures, now: Instant) -> Vec<Life> {
        let recent = departures.recent(now);
        recent.iter().map(|left| left.life).collect()
    }

    #[test]
    fn whoever_took_part_and_does_no_longer_has_left_for_a_while() {
        let begin = Instant::now();
        let departures = Departures::default();
        departures.note(&image(1, true), &image(1, false), begin);
        assert_eq!(recent(&departures, begin), [], "it comes");
        departures.note(&image(1, false), &image(1, true), begin);
        departures.note(&image(1, true), &image(2, true), begin);
        assert_eq!(recent(&departures, begin), [(BROKER, BrokerEpoch(1))]);
        let later = begin + RECENT;
        assert_eq!(recent(&departures, later), [], "that is over");
        departures.note(&image(2, false), &image(3, false), later);
        departures.note(&image(3, false), &Image::default(), later);
        assert_eq!(
            recent(&departures, later),
            [(BROKER, BrokerEpoch(2)), (BROKER, BrokerEpoch(3))],
            "another process took its place, and is gone"
        );
    }

    #[test]
    fn only_librdkafka_is_told_and_each_life_once() {
        let (first, second) = ((BROKER, BrokerEpoch(1)), (BROKER, BrokerEpoch(2)));
        let told = Told::default();
        told.meet(["apache-kafka-java", "4.3.1"]);
        assert!(!told.lacks(first), "another client");
        let binding = [
            "confluent-kafka-python",
            "2.12.1-rdkafka-2.12.1-librdkafka-2.12.1",
        ];
        told.meet(binding);
        assert!(told.lacks(first));
        told.tell([first]);
        told.meet(["librdkafka", "2.12.1"]);
        assert!(!told.lacks(first));
        assert!(told.lacks(second), "it came back");
        told.tell([second]);
        assert!(!told.lacks(second));
        assert!(!told.lacks(first), "long ago");
    }
}
