//! The image that committed entries fold to, its snapshots, and who hears of what
//! is committed.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use ottla_base::Offset;
use ottla_controller::{Image, Record};
use ottla_store::{LogId as StoreLog, LogStore, Op};
use tokio::sync::{Notify, broadcast};

use crate::codec::{self, Wire};
use crate::difference::difference;
use crate::log::{KeptError, RaftLog, kept, offset};
use crate::raft::{
    Entry, LogId, SnapshotMeta, StorageError, StorageIOError, StoredMembership, TypeConfig,
};
use crate::voter::Participant;

const SNAPSHOT: &[u8] = b"raft.snapshot";

/// Commits that a stream may lag behind before it is cut off and begins again with
/// a snapshot.
const COMMITS_BEHIND_MAX: usize = 1_024;

type Snapshot = openraft::Snapshot<TypeConfig>;

/// What is committed, in order.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// The offset after the records.
    pub end: Offset,
    pub records: Arc<[Record]>,
}

/// The image as it is at a moment, and all that is committed later.
#[derive(Debug)]
pub(crate) struct Follow {
    pub image: Image,
    pub end: Offset,
    /// Nothing was committed since that an image shows.
    pub changed: Offset,
    pub commits: broadcast::Receiver<Commit>,
}

/// The state machine of one voter. It outlives a Raft that failed. A clone is the
/// same one.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    shared: Arc<Shared>,
    /// That of the Raft which runs now.
    entries: RaftLog,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn LogStore>,
    log: StoreLog,
    state: Mutex<State>,
    participant: Arc<dyn Participant>,
    snapshot_bytes_min: u64,
    commits: broadcast::Sender<Commit>,
    /// Enough was appended for another snapshot.
    snapshot_due: Notify,
}

#[derive(Debug)]
struct State {
    image: Image,
    applied: Option<LogId>,
    /// The offset after the last records.
    changed: Offset,
    membership: StoredMembership,
    /// How large the last snapshot was.
    snapshot_bytes: u64,
}

/// A snapshot as it is kept: what it is of, and the records that make the image.
pub(crate) struct Kept {
    pub meta: SnapshotMeta,
    pub records: Bytes,
}

impl Wire for Kept {
    fn put(&self, to: &mut bytes::BytesMut) {
        self.meta.put(to);
        self.records.put(to);
    }

    fn read(from: &mut Bytes) -> Result<Self, codec::CodecError> {
        Ok(Self {
            meta: SnapshotMeta::read(from)?,
            records: Bytes::read(from)?,
        })
    }
}

impl Fold {
    /// Begins with the last snapshot. Blocks on the disk.
    pub(crate) fn open(
        store: Arc<dyn LogStore>,
        log: StoreLog,
        entries: RaftLog,
        participant: Arc<dyn Participant>,
        snapshot_bytes_min: u64,
    ) -> Result<Self, KeptError> {
        let mut state = State {
            image: Image::default(),
            applied: None,
            changed: Offset::ZERO,
            membership: StoredMembership::default(),
            snapshot_bytes: 0,
        };
        if let Some(Kept { meta, records }) = kept(&*store, log, SNAPSHOT)? {
            state.snapshot_bytes = byte_count(&records);
            state.image = image_of(records)?;
            state.applied = meta.last_log_id;
            state.changed = state.end();
            state.membership = meta.last_membership;
        }
        let shared = Arc::new(Shared {
            store,
            log,
            state: Mutex::new(state),
            participant,
            snapshot_bytes_min,
            commits: broadcast::Sender::new(COMMITS_BEHIND_MAX),
            snapshot_due: Notify::new(),
        });
        Ok(Self { shared, entries })
    }

    /// The same for a Raft that begins anew over `entries`.
    pub(crate) fn over(&self, entries: RaftLog) -> Self {
        let shared = self.shared.clone();
        Self { shared, entries }
    }

    pub(crate) fn image(&self) -> Image {
        self.lock().image.clone()
    }

    /// The offset after the last entry that is applied.
    pub(crate) fn end(&self) -> Offset {
        self.lock().end()
    }

    pub(crate) fn follow(&self) -> Follow {
        let state = self.lock();
        Follow {
            image: state.image.clone(),
            end: state.end(),
            changed: state.changed,
            commits: self.shared.commits.subscribe(),
        }
    }

    /// Returns when it is time for a snapshot.
    pub(crate) async fn snapshot_due(&self) {
        self.shared.snapshot_due.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds one entry in, and tells whoever listens.
    fn fold(&self, entry: Entry) {
        let Entry { log_id, payload } = entry;
        let mut state = self.lock();
        state.applied = Some(log_id);
        match payload {
            EntryPayload::Blank => (),
            EntryPayload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(log_id), membership);
            }
            EntryPayload::Normal(proposed) => {
                if proposed.term != log_id.leader_id.term {
                    return;
                }
                for record in &*proposed.records {
                    state.image.apply(record);
                }
                self.announce(&mut state, proposed.records);
            }
        }
    }

    /// Under the lock: whoever begins to follow gets either the image with these
    /// records or the records.
    fn announce(&self, state: &mut State, records: Arc<[Record]>) {
        if records.is_empty() {
            return;
        }
        let end = state.end();
        state.changed = end;
        self.shared.participant.on_committed(end, &records);
        let _nobody_follows = self.shared.commits.send(Commit { end, records });
    }

    /// Keeps a snapshot that was begun when so many bytes were appended.
    async fn keep(&self, kept: &Kept, appended: u64) -> Result<(), StorageError> {
        self.shared.store.submit(Op::State {
            log: self.shared.log,
            key: Bytes::from_static(SNAPSHOT),
            value: codec::encode(kept),
        });
        let durable = self.entries.durable().await;
        durable
            .map_err(|error| StorageIOError::write_snapshot(Some(kept.meta.signature()), &error))?;
        self.entries.cover(appended);
        self.lock().snapshot_bytes = byte_count(&kept.records);
        Ok(())
    }
}

impl State {
    fn end(&self) -> Offset {
        offset(self.applied.map_or(0, |applied| applied.index + 1))
    }
}

impl RaftStateMachine<TypeConfig> for Fold {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.lock();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut replies = Vec::new();
        for entry in entries {
            self.fold(entry);
            replies.push(());
        }
        let (applied, least) = {
            let state = self.lock();
            (state.applied, state.snapshot_bytes)
        };
        if let Some(applied) = applied {
            self.entries.applied(applied.index);
        }
        if self.entries.uncovered() > least.max(self.shared.snapshot_bytes_min) {
            self.shared.snapshot_due.notify_one();
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let records = Bytes::from(snapshot.into_inner());
        let image = image_of(records.clone())
            .map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        let meta = meta.clone();
        let kept = Kept {
            meta: meta.clone(),
            records,
        };
        self.keep(&kept, self.entries.appended()).await?;
        let mut state = self.lock();
        let changes = difference(&state.image, &image);
        state.image = image;
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership;
        self.announce(&mut state, Arc::from(changes));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let kept: Option<Kept> = kept(&*self.shared.store, self.shared.log, SNAPSHOT)
            .map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        Ok(kept.map(|Kept { meta, records }| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(records.into())),
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Fold {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let appended = self.entries.appended();
        let (image, meta) = {
            let state = self.lock();
            let end = state.end();
            let term = state.applied.map_or(0, |applied| applied.leader_id.term);
            let meta = SnapshotMeta {
                last_log_id: state.applied,
                last_membership: state.membership.clone(),
                snapshot_id: format!("{term}-{end}"),
            };
            (state.image.clone(), meta)
        };
        let kept = Kept {
            meta,
            records: records_of(&image),
        };
        self.keep(&kept, appended).await?;
        let Kept { meta, records } = kept;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(records.into())),
        })
    }
}

/// Keeps `image` as the snapshot that a voter begins with.
pub(crate) fn keep_first(store: &dyn LogStore, log: StoreLog, meta: SnapshotMeta, image: &Image) {
    let records = records_of(image);
    store.queue(Op::State {
        log,
        key: Bytes::from_static(SNAPSHOT),
        value: codec::encode(&Kept { meta, records }),
    });
}

/// What a snapshot says that is kept as this state of the metadata log, for whoever
/// looks at a log that nobody runs; nothing of other state.
pub fn records_in_state(key: &[u8], value: Bytes) -> Vec<Record> {
    if key != SNAPSHOT {
        return Vec::new();
    }
    let kept: Result<Kept, _> = codec::decode(value);
    let records = kept.and_then(|kept| codec::decode(kept.records));
    records.unwrap_or_default()
}

fn records_of(image: &Image) -> Bytes {
    codec::encode(&image.records())
}

fn image_of(records: Bytes) -> Result<Image, KeptError> {
    let records: Vec<Record> = codec::decode(records)?;
    let mut image = Image::default();
    for record in &records {
        image.apply(record);
    }
    Ok(image)
}

fn byte_count(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
