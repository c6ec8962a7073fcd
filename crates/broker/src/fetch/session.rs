//! Incremental fetch sessions (KIP-227): a client names only what changed.
//!
//! Knows nothing of logs: it is told what a fetch found and says what of it the
//! client has not heard yet.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use ottla_base::{ErrorCode, LeaderEpoch, Millis, Offset, PartitionId, TopicId, TopicName};

/// A session that was used within this time is not evicted for a new one, unless
/// it is smaller (`FetchSession.scala`, `min.incremental.fetch.session.eviction.ms`).
const EVICTION_MS_MIN: i64 = 120_000;

/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;

/// The epoch of a request that wants no session.
const FINAL_EPOCH: i32 = -1;

/// A topic as a fetch names it: by name up to version 12, then by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(TopicName),
    Id(TopicId),
}

/// The session that a fetch names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub session: i32,
    pub epoch: i32,
    /// Whether the request's version names topics by id.
    pub by_id: bool,
}

/// One partition that a fetch wants, as the client last described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub topic: TopicKey,
    /// The name of a topic that is asked for by id, as of when it was first asked
    /// for in a session.
    pub name: Option<TopicName>,
    pub partition: PartitionId,
    pub fetch_offset: Offset,
    /// The epoch the client believes to be current, or none.
    pub leader_epoch: LeaderEpoch,
    /// The epoch of the last record that the client has, or none.
    pub last_fetched_epoch: LeaderEpoch,
    pub bytes_max: i32,
}

/// What a fetch found for one target; decides whether an incremental answer
/// mentions it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub has_records: bool,
    pub is_diverging: bool,
}

/// The partitions to fetch, and how to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub targets: Vec<Target>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Every target is answered, and no session is kept.
    Sessionless,
    /// Every target is answered, and a session is opened if there is room.
    Full { by_id: bool },
    /// Only news is answered.
    Incremental(SessionId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SessionId(i32);

/// Why a fetch does not fit its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("no such fetch session")]
    NotFound,
    #[error("not the next epoch of the fetch session")]
    WrongEpoch,
    #[error("the fetch session mixes names and ids of topics")]
    MixedTopics,
}

/// All fetch sessions of the broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    cache: Mutex<Cache>,
    slots_max: usize,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: HashMap<SessionId, Session>,
    /// Ids are spread by a fixed stride, so that a client of a former life of the
    /// broker is unlikely to meet one that is in use.
    last_id: i32,
}

#[derive(Debug)]
struct Session {
    /// What the next request must carry.
    next_epoch: i32,
    by_id: bool,
    partitions: HashMap<(TopicKey, PartitionId), Cached>,
    /// The order in which partitions are read; who got records goes to the end.
    order: BTreeMap<u64, (TopicKey, PartitionId)>,
    serial: u64,
    created: Millis,
    used: Millis,
}

#[derive(Debug)]
struct Cached {
    place: u64,
    target: Target,
    /// What the client was last told; none after an error, so that it is told
    /// again.
    told: Option<(Offset, Offset)>,
}

impl Sessions {
    /// `seed` moves the first id; `slots_max` is
    /// `max.incremental.fetch.session.cache.slots`.
    pub(crate) fn new(slots_max: usize, seed: i32) -> Self {
        let cache = Cache {
            last_id: seed,
            ..Cache::default()
        };
        Self {
            cache: Mutex::new(cache),
            slots_max,
        }
    }

    /// What a request asks for, its session's memory included.
    pub(crate) fn begin(
        &self,
        now: Millis,
        asked: Asked,
        wanted: Vec<Target>,
        forgotten: &[(TopicKey, PartitionId)],
    ) -> Result<Plan, SessionError> {
        let Asked {
            session,
            epoch,
            by_id,
        } = asked;
        let id = SessionId(session);
        let mut cache = self.lock();
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            cache.sessions.remove(&id);
            let kind = match epoch {
                INITIAL_EPOCH => Kind::Full { by_id },
                _ => Kind::Sessionless,
            };
            return Ok(Plan {
                targets: without_repeats(wanted),
                kind,
            });
        }
        let session = cache.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.next_epoch != epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != by_id {
            return Err(SessionError::MixedTopics);
        }
        session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.used = now;
        wanted.into_iter().for_each(|target| session.put(target));
        forgotten.iter().for_each(|key| session.forget(key));
        if session.partitions.is_empty() {
            cache.sessions.remove(&id);
            return Ok(Plan {
                targets: Vec::new(),
                kind: Kind::Sessionless,
            });
        }
        Ok(Plan {
            targets: session.targets(),
            kind: Kind::Incremental(id),
        })
    }

    /// The session id of the answer, and for each target whether it is mentioned.
    pub(crate) fn finish(&self, now: Millis, plan: &Plan, found: &[Found]) -> (i32, Vec<bool>) {
        let all = || vec![true; plan.targets.len()];
        match plan.kind {
            Kind::Sessionless => (0, all()),
            Kind::Full { by_id } => (self.open(now, by_id, plan, found), all()),
            Kind::Incremental(id) => {
                let mut cache = self.lock();
                let Some(session) = cache.sessions.get_mut(&id) else {
                    // Closed while this fetch waited: its answer stands alone.
                    return (0, all());
                };
                let told = plan.targets.iter().zip(found);
                let told = told.map(|(target, found)| session.tell(target, found));
                (id.0, told.collect())
            }
        }
    }

    fn open(&self, now: Millis, by_id: bool, plan: &Plan, found: &[Found]) -> i32 {
        let mut cache = self.lock();
        if !cache.make_room(now, plan.targets.len(), self.slots_max) {
            return 0;
        }
        let id = cache.fresh_id();
        let mut session = Session {
            next_epoch: 1,
            by_id,
            partitions: HashMap::new(),
            order: BTreeMap::new(),
            serial: 0,
            created: now,
            used: now,
        };
        for (target, found) in plan.targets.iter().zip(found) {
            session.put(target.clone());
            session.tell(target, found);
        }
        cache.sessions.insert(id, session);
        id.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each partition once: where it is first named, and as it is named last.
fn without_repeats(wanted: Vec<Target>) -> Vec<Target> {
    let mut places = HashMap::with_capacity(wanted.len());
    let mut targets: Vec<Target> = Vec::with_capacity(wanted.len());
    for target in wanted {
        match places.entry((target.topic.clone(), target.partition)) {
            Entry::Occupied(place) => targets[*place.get()] = target,
            Entry::Vacant(place) => {
                place.insert(targets.len());
                targets.push(target);
            }
        }
    }
    targets
}

impl Cache {
    /// Whether a session of `size` partitions may be opened, if need be in place
    /// of another.
    fn make_room(&mut self, now: Millis, size: usize, slots_max: usize) -> bool {
        if self.sessions.len() < slots_max {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(id, s)| (s.used, **id));
        let idle = oldest
            .filter(|(_, session)| now.since(session.used) > EVICTION_MS_MIN)
            .map(|(id, _)| *id);
        let smaller = || {
            let settled = self
                .sessions
                .iter()
                .filter(|(_, session)| now.since(session.created) > EVICTION_MS_MIN)
                .min_by_key(|(id, session)| (session.partitions.len(), **id));
            settled
                .filter(|(_, session)| session.partitions.len() < size)
                .map(|(id, _)| *id)
        };
        match idle.or_else(smaller) {
            Some(id) => self.sessions.remove(&id).is_some(),
            None => false,
        }
    }

    fn fresh_id(&mut self) -> SessionId {
        loop {
            // A stride that is prime to 2^31 visits every id before one returns.
            self.last_id = self.last_id.wrapping_add(1_640_531_527) & i32::MAX;
            let id = SessionId(self.last_id);
            if id.0 != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    /// Adds a partition, or takes over what the client says of it now.
    fn put(&mut self, target: Target) {
        let key = (target.topic.clone(), target.partition);
        if let Some(cached) = self.partitions.get_mut(&key) {
            let name = cached.target.name.take().or(target.name);
            cached.target = Target { name, ..target };
            return;
        }
        self.serial += 1;
        let place = self.serial;
        self.order.insert(place, key.clone());
        let told = None;
        let cached = Cached {
            place,
            target,
            told,
        };
        self.partitions.insert(key, cached);
    }

    fn forget(&mut self, key: &(TopicKey, PartitionId)) {
        if let Some(cached) = self.partitions.remove(key) {
            self.order.remove(&cached.place);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let cached = self
            .order
            .values()
            .filter_map(|key| self.partitions.get(key));
        cached.map(|cached| cached.target.clone()).collect()
    }

    /// Notes what the client hears of a target; false if it is no news.
    fn tell(&mut self, target: &Target, found: &Found) -> bool {
        let key = (target.topic.clone(), target.partition);
        let Some(cached) = self.partitions.get_mut(&key) else {
            return true;
        };
        let now_told = (found.high_watermark, found.log_start);
        let is_error = found.error != ErrorCode::None;
        let is_news =
            found.has_records || found.is_diverging || is_error || cached.told != Some(now_told);
        cached.told = (!is_error).then_some(now_told);
        if found.has_records {
            self.order.remove(&cached.place);
            self.serial += 1;
            cached.place = self.serial;
            self.order.insert(self.serial, key);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(topic: &str, partition: i32, offset: i64) -> Target {
        Target {
            topic: TopicKey::Name(topic.into()),
            name: None,
            partition: PartitionId(partition),
            fetch_offset: Offset(offset),
            leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
            bytes_max: 1_000,
        }
    }

    fn found(high_watermark: i64, has_records: bool) -> Found {
        Found {
            error: ErrorCode::None,
            high_watermark: Offset(high_watermark),
            log_start: Offset(0),
            has_records,
            is_diverging: false,
        }
    }

    fn asked(session: i32, epoch: i32) -> Asked {
        Asked {
            session,
            epoch,
            by_id: false,
        }
    }

    const NOW: Millis = Millis(1_000);

    fn opened(sessions: &Sessions, targets: Vec<Target>) -> i32 {
        let found = vec![found(0, false); targets.len()];
        let plan = sessions.begin(NOW, asked(0, 0), targets, &[]).unwrap();
        let (id, mentioned) = sessions.finish(NOW, &plan, &found);
        assert!(mentioned.iter().all(|mentioned| *mentioned));
        id
    }

    #[test]
    fn an_incremental_answer_holds_only_news() {
        let sessions = Sessions::new(10, 1);
        let id = opened(&sessions, vec![target("a", 0, 0), target("a", 1, 0)]);
        assert_ne!(id, 0);
        let plan = sessions.begin(NOW, asked(id, 1), vec![], &[]).unwrap();
        assert_eq!(plan.targets.len(), 2);
        let nothing = sessions.finish(NOW, &plan, &[found(0, false), found(0, false)]);
        assert_eq!(nothing, (id, vec![false, false]));
        let plan = sessions.begin(NOW, asked(id, 2), vec![], &[]).unwrap();
        let moved = sessions.finish(NOW, &plan, &[found(5, true), found(0, false)]);
        assert_eq!(moved, (id, vec![true, false]));
        // Who got records is read last next time.
        let plan = sessions
            .begin(NOW, asked(id, 3), vec![target("a", 0, 5)], &[])
            .unwrap();
        assert_eq!(plan.targets, [target("a", 1, 0), target("a", 0, 5)]);
    }

    #[test]
    fn an_error_is_followed_by_a_full_answer() {
        let sessions = Sessions::new(10, 1);
        let id = opened(&sessions, vec![target("a", 0, 0)]);
        let error = Found {
            error: ErrorCode::UnknownLeaderEpoch,
            ..found(0, false)
        };
        for (epoch, found) in [(1, error), (2, found(0, false))] {
            let plan = sessions.begin(NOW, asked(id, epoch), vec![], &[]).unwrap();
            assert_eq!(sessions.finish(NOW, &plan, &[found]), (id, vec![true]));
        }
    }

    #[test]
    fn requests_that_do_not_fit_are_refused() {
        let sessions = Sessions::new(10, 1);
        let id = opened(&sessions, vec![target("a", 0, 0)]);
        let begin = |asked| sessions.begin(NOW, asked, vec![], &[]);
        assert_eq!(begin(asked(id + 1, 1)), Err(SessionError::NotFound));
        assert_eq!(begin(asked(id, 2)), Err(SessionError::WrongEpoch));
        let by_id = |epoch| Asked {
            by_id: true,
            ..asked(id, epoch)
        };
        assert_eq!(begin(by_id(2)), Err(SessionError::WrongEpoch));
        assert_eq!(begin(by_id(1)), Err(SessionError::MixedTopics));
    }

    #[test]
    fn a_session_may_begin_with_nothing() {
        let sessions = Sessions::new(10, 1);
        let id = opened(&sessions, vec![]);
        assert_ne!(id, 0);
        let wanted = vec![target("a", 0, 0)];
        let plan = sessions.begin(NOW, asked(id, 1), wanted, &[]).unwrap();
        assert_eq!(plan.targets.len(), 1);
    }

    #[test]
    fn a_partition_that_is_named_twice_is_wanted_once() {
        let sessions = Sessions::new(10, 1);
        let wanted = vec![target("a", 0, 0), target("b", 0, 0), target("a", 0, 5)];
        for epoch in [INITIAL_EPOCH, FINAL_EPOCH] {
            let plan = sessions.begin(NOW, asked(0, epoch), wanted.clone(), &[]);
            let expected = [target("a", 0, 5), target("b", 0, 0)];
            assert_eq!(plan.unwrap().targets, expected);
        }
    }

    #[test]
    fn forgetting_everything_closes_the_session() {
        let sessions = Sessions::new(10, 1);
        let id = opened(&sessions, vec![target("a", 0, 0)]);
        let key = (TopicKey::Name("a".into()), PartitionId(0));
        let plan = sessions.begin(NOW, asked(id, 1), vec![], &[key]).unwrap();
        assert_eq!(sessions.finish(NOW, &plan, &[]), (0, vec![]));
        let gone = sessions.begin(NOW, asked(id, 2), vec![], &[]);
        assert_eq!(gone, Err(SessionError::NotFound));
    }

    #[test]
    fn a_full_cache_gives_way_only_to_the_idle_or_the_smaller() {
        let sessions = Sessions::new(1, 1);
        let first = opened(&sessions, vec![target("a", 0, 0)]);
        assert_ne!(first, 0);
        assert_eq!(opened(&sessions, vec![target("b", 0, 0)]), 0);
        let later = NOW.plus_ms(EVICTION_MS_MIN + 1);
        let plan = sessions.begin(later, asked(first, 1), vec![], &[]).unwrap();
        sessions.finish(later, &plan, &[found(0, false)]);
        let two = vec![target("b", 0, 0), target("b", 1, 0)];
        let plan = sessions.begin(later, asked(0, 0), two, &[]).unwrap();
        let (id, _) = sessions.finish(later, &plan, &[found(0, false), found(0, false)]);
        assert_ne!(id, 0, "a larger session replaces a smaller one");
    }
}
