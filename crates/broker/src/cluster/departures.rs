//! The brokers that have just left, and what each client is told of it.
//!
//! librdkafka 2.11 and later lets go of a broker that Metadata does not list any more. If
//! the same answer names the next leader of a partition, the partition may be let go of
//! together with the broker that it is just leaving, and is looked for only a second
//! later. So each of its connections is told in two answers.
//!
//! Who asks at once asks again soon, because something was on its way to the last leader.
//! It hears first that there is no leader, while the last one is still listed, and then who
//! leads, with a list without the last one ([`News::NoLeader`]).
//!
//! Who asks later asks once a second only. It hears first who leads, while the last one is
//! still listed ([`News::Successor`]). That is not for everybody: a broker that a client
//! keeps it connects to the later the more often it tried, up to ten seconds, when that
//! leads again. A client that came after the broker had left is told so, too: one that asks
//! where logs end would keep for minutes that there is no leader
//! (`rd_kafka_query_watermark_offsets`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ottla_base::{BrokerId, LeaderEpoch, PartitionId, TopicId};
use ottla_controller::{BrokerEpoch, Image, Registration, Topic};

/// A broker in one of its lives.
pub(crate) type Life = (BrokerId, BrokerEpoch);

/// How long after a broker has left clients come to hear of it.
const RECENT: Duration = Duration::from_secs(1);

/// How long after a process has ended whoever was waiting for it has asked.
const PROMPT: Duration = Duration::from_millis(250);

/// A broker takes part no longer.
#[derive(Debug)]
pub(crate) struct Departure {
    pub life: Life,
    at: Instant,
    /// When its process was seen to end, or when it left.
    ended: Instant,
    /// The metadata when it still took part.
    before: Arc<Image>,
}

impl Departure {
    /// The epoch in which it led that partition when it left.
    pub(crate) fn led(&self, topic: TopicId, partition: PartitionId) -> Option<LeaderEpoch> {
        let topic = self.before.topic_by_id(topic)?;
        let partition = topic.partition(partition)?;
        (partition.leader == Some(self.life.0)).then_some(partition.leader_epoch)
    }

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
    /// Takes note of who left between two images that follow each other. `ended` knows since
    /// when a process seems to be gone.
    pub(crate) fn note(
        &self,
        before: &Arc<Image>,
        after: &Image,
        ended: impl Fn(Life) -> Option<Instant>,
        now: Instant,
    ) {
        let takes_part = |broker: &&Arc<Registration>| !broker.fenced;
        let stays = |broker: &Registration| {
            let after = after.broker(broker.id).filter(takes_part);
            after.is_some_and(|after| after.epoch == broker.epoch)
        };
        let left = before.brokers().filter(takes_part);
        let left = left.filter(|broker| !stays(broker)).map(|broker| {
            let life = (broker.id, broker.epoch);
            Arc::new(Departure {
                life,
                at: now,
                ended: ended(life).unwrap_or(now),
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

/// What a client hears first of a broker that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nobody leads what it led.
    NoLeader,
    /// Others lead that.
    Successor,
}

/// What the client of a connection has heard: nothing unless it is librdkafka.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<Hearing>>);

#[derive(Debug)]
struct Hearing {
    since: Instant,
    /// Of each broker of whose end it was told, the last life.
    lives: BTreeMap<BrokerId, BrokerEpoch>,
}

impl Told {
    /// What the client calls itself and its version (KIP-511). A binding of librdkafka
    /// names it with the version.
    pub(crate) fn meet(&self, software: [&str; 2], now: Instant) {
        if software.iter().any(|part| part.contains("librdkafka")) {
            self.hearing().get_or_insert_with(|| Hearing {
                since: now,
                lives: BTreeMap::new(),
            });
        }
    }

    /// What is to be told of a broker whose process has ended, and that has not left yet.
    pub(crate) fn of_end(&self, life: Life, ended: Instant, now: Instant) -> Option<News> {
        self.of(life, ended, None, now)
    }

    pub(crate) fn of_departure(&self, departure: &Departure, now: Instant) -> Option<News> {
        let Departure {
            life, at, ended, ..
        } = *departure;
        self.of(life, ended, Some(at), now)
    }

    fn of(
        &self,
        (broker, epoch): Life,
        ended: Instant,
        left: Option<Instant>,
        now: Instant,
    ) -> Option<News> {
        let hearing = self.hearing();
        let hearing = hearing.as_ref()?;
        if hearing
            .lives
            .get(&broker)
            .is_some_and(|last| *last >= epoch)
        {
            return None;
        }
        let came_before = left.is_none_or(|left| hearing.since < left);
        let asks_promptly = now.saturating_duration_since(ended) < PROMPT;
        Some(if came_before && asks_promptly {
            News::NoLeader
        } else {
            News::Successor
        })
    }

    pub(crate) fn tell(&self, news: impl IntoIterator<Item = Life>) {
        if let Some(hearing) = &mut *self.hearing() {
            hearing.lives.extend(news);
        }
    }

    fn hearing(&self) -> MutexGuard<'_, Option<Hearing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ottla_controller::Record;

    use super::*;

    const BROKER: BrokerId = BrokerId(2);

    /// The metadata where the broker takes part in this life, or is fenced.
    fn image(epoch: i64, fenced: bool) -> Arc<Image> {
        let mut image = Image::default();
        image.apply(&Record::Broker(Arc::new(Registration {
            id: BROKER,
            epoch: BrokerEpoch(epoch),
            incarnation: [0; 16],
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

    fn note(departures: &Departures, before: &Arc<Image>, after: &Image, now: Instant) {
        departures.note(before, after, |_| None, now);
    }

    #[test]
    fn whoever_took_part_and_does_no_longer_has_left_for_a_while() {
        let begin = Instant::now();
        let departures = Departures::default();
        note(&departures, &image(1, true), &image(1, false), begin);
        assert_eq!(recent(&departures, begin), [], "it comes");
        note(&departures, &image(1, false), &image(1, true), begin);
        note(&departures, &image(1, true), &image(2, true), begin);
        assert_eq!(recent(&departures, begin), [(BROKER, BrokerEpoch(1))]);
        let later = begin + RECENT;
        assert_eq!(recent(&departures, later), [], "that is over");
        note(&departures, &image(2, false), &image(3, false), later);
        note(&departures, &image(3, false), &Image::default(), later);
        assert_eq!(
            recent(&departures, later),
            [(BROKER, BrokerEpoch(2)), (BROKER, BrokerEpoch(3))],
            "another process took its place, and is gone"
        );
    }

    #[test]
    fn only_librdkafka_is_told_and_each_life_once() {
        let (first, second) = ((BROKER, BrokerEpoch(1)), (BROKER, BrokerEpoch(2)));
        let now = Instant::now();
        let told = Told::default();
        told.meet(["apache-kafka-java", "4.3.1"], now);
        assert_eq!(told.of_end(first, now, now), None, "another client");
        let binding = [
            "confluent-kafka-python",
            "2.12.1-rdkafka-2.12.1-librdkafka-2.12.1",
        ];
        told.meet(binding, now);
        assert!(told.of_end(first, now, now).is_some());
        told.tell([first]);
        told.meet(["librdkafka", "2.12.1"], now);
        assert_eq!(told.of_end(first, now, now), None);
        assert!(told.of_end(second, now, now).is_some(), "it came back");
        told.tell([second]);
        assert_eq!(told.of_end(second, now, now), None);
        assert_eq!(told.of_end(first, now, now), None, "long ago");
    }

    #[test]
    fn who_was_there_and_asks_at_once_hears_first_that_there_is_no_leader() {
        let after = |ms| Duration::from_millis(ms);
        let came = Instant::now();
        let ended = came + after(1_000);
        let told = Told::default();
        told.meet(["librdkafka", "2.12.1"], came);
        let life = (BROKER, BrokerEpoch(1));
        assert_eq!(told.of_end(life, ended, ended), Some(News::NoLeader));
        let late = ended + PROMPT;
        assert_eq!(told.of_end(life, ended, late), Some(News::Successor));

        let departures = Departures::default();
        let left = ended + after(100);
        departures.note(&image(1, false), &image(1, true), |_| Some(ended), left);
        let departure = departures.recent(left).remove(0);
        assert_eq!(
            told.of_departure(&departure, left),
            Some(News::NoLeader),
            "it is not the time of the departure that counts"
        );
        assert_eq!(told.of_departure(&departure, late), Some(News::Successor));
        let new = Told::default();
        new.meet(["librdkafka", "2.12.1"], left);
        assert_eq!(new.of_departure(&departure, left), Some(News::Successor));
        let between = Told::default();
        between.meet(["librdkafka", "2.12.1"], ended + after(1));
        assert_eq!(between.of_departure(&departure, left), Some(News::NoLeader));
    }
}
